"""A GPU that was granted or asked for is used, or its absence is said; it is never replaced in silence."""

import pytest
import torch

from dis2.device import CHOICE, GRANTS, device
from dis2.errors import UserError


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (CHOICE, *GRANTS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def without_cuda():
    if torch.cuda.is_available():
        pytest.skip("PyTorch sees CUDA here")


def test_what_pytorch_sees_is_used_unless_cpus_are_asked_for(monkeypatch):
    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setenv(CHOICE, "0")
    assert device().type == "cpu"


@pytest.mark.parametrize(("name", "value"), [("SLURM_STEP_GPUS", "0"), ("CUDA_VISIBLE_DEVICES", "1,2"), (CHOICE, "1")])
def test_a_gpu_that_is_not_seen_is_one_line_unless_cpus_are_asked_for(monkeypatch, without_cuda, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=rf"^{name}={value}: .* sees no CUDA; .*$"):
        device()
    monkeypatch.setenv(CHOICE, "0")
    assert device().type == "cpu"


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_no_gpu_is_no_grant(monkeypatch, without_cuda, value):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert device().type == "cpu"
