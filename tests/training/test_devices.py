"""What a training runs on."""

import pytest
import torch

from dis2.errors import UserError
from dis2.training.devices import any_of, mean_over, precision, started


def test_one_device_is_alone_and_is_not_waited_for():
    fabric = started(1)
    assert fabric.world_size == 1 and fabric.is_global_zero
    assert any_of(fabric, True) and not any_of(fabric, False)
    values = torch.arange(3.0)
    assert mean_over(fabric, values) is values


@pytest.mark.parametrize(("itself", "chosen"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_that_only_imitates_bf16_computes_in_full(monkeypatch, itself, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or itself)
    assert precision() == chosen


def test_more_gpus_than_there_are_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="training.devices: 4 wanted, there are 2 GPUs; ask for fewer"):
        started(4)
