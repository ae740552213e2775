"""The state of a training: back bit by bit, or refused, or discarded and said."""

import pytest
import torch

from dis2.errors import UserError
from dis2.training.state import (
    State,
    discard_state,
    key_of,
    load_state,
    optimiser_tensors,
    restore_optimiser,
    save_state,
)


def some(step=3):
    torch.manual_seed(step)
    tensors = {"network": {"a.weight": torch.randn(3, 2, 4, 4), "b": torch.randn(())}, "best": {"a.weight": torch.randn(2)}}
    tensors["network"]["a.weight"] = tensors["network"]["a.weight"].to(memory_format=torch.channels_last)
    return State(step, tensors, {"eye": 0.1 + 0.2}, {"step": 2, "mean_miou": 1 / 3}, [{"step": 1, "loss": 1e-17}], 4.5)


def test_a_state_comes_back_bit_by_bit(tmp_path):
    save_state(tmp_path / "new", "key", some())
    again, told = load_state(tmp_path / "new", "key"), some()
    assert (again.step, again.scores, again.best, again.history, again.seconds) == (3, told.scores, told.best, told.history, 4.5)
    for group, tensors in told.tensors.items():
        assert all(torch.equal(again.tensors[group][name], tensor) for name, tensor in tensors.items())
        assert again.tensors[group].keys() == tensors.keys()


def test_a_newer_state_replaces_an_older_one_and_a_half_written_one_is_not_seen(tmp_path):
    save_state(tmp_path, "key", some(3))
    (tmp_path / "state-9.safetensors").write_bytes(b"killed here")
    (tmp_path / ".state-9.safetensors.part.safetensors").write_bytes(b"or here")
    assert load_state(tmp_path, "key").step == 3
    save_state(tmp_path, "key", some(5))
    assert load_state(tmp_path, "key").step == 5
    assert {file.name for file in tmp_path.iterdir()} == {"state.json", "state-5.safetensors"}


def test_the_state_of_another_training_is_discarded_and_said(tmp_path, capsys):
    save_state(tmp_path / "state", "key", some())
    assert load_state(tmp_path / "state", "other") is None
    assert "left by other settings, code or data: discarded" in capsys.readouterr().err
    assert not (tmp_path / "state").exists() and load_state(tmp_path / "state", "key") is None


def test_only_the_state_is_removed_from_a_folder_that_holds_more(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"mine")
    save_state(tmp_path, "key", some())
    discard_state(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "state.json").write_text('{"key": "ke'), "state.json: damaged"),
        (lambda folder: (folder / "state-3.safetensors").write_bytes(b"short"), "state-3.safetensors: damaged"),
        (lambda folder: (folder / "state-3.safetensors").open("ab").write(b"!"), "state-3.safetensors: damaged"),
        (lambda folder: (folder / "state-3.safetensors").unlink(), "state-3.safetensors: damaged"),
    ],
)
def test_a_damaged_state_is_one_clear_line(tmp_path, damage, said):
    save_state(tmp_path, "key", some())
    damage(tmp_path)
    with pytest.raises(UserError, match=said) as error:
        load_state(tmp_path, "key")
    assert "\n" not in str(error.value)


def test_a_key_is_that_of_its_parts_whatever_the_order_of_their_keys():
    assert key_of({"a": 1, "b": 2}, 3) == key_of({"b": 2, "a": 1}, 3) != key_of({"a": 1, "b": 3}, 3)
    assert key_of(["a", "b"]) != key_of(["b", "a"])


@pytest.mark.parametrize("fused", [True, False])
def test_a_restored_optimiser_takes_bit_equal_steps(fused):
    def parts():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(5, 7, 3), torch.nn.Conv2d(7, 3, 1)).to(memory_format=torch.channels_last)
        return network, torch.optim.AdamW([{"params": [p], "share": 1.0} for p in network.parameters()], lr=0.1, fused=fused)

    def step(network, optimiser, seed):
        image = torch.randn(2, 5, 9, 9, generator=torch.Generator().manual_seed(seed)).to(memory_format=torch.channels_last)
        optimiser.zero_grad()
        network(image).square().mean().backward()
        optimiser.step()

    (one, first), (other, second) = parts(), parts()
    for seed in range(3):
        step(one, first, seed)
    other.load_state_dict({name: x.contiguous().clone() for name, x in one.state_dict().items()})
    restore_optimiser(second, {name: x.contiguous().clone() for name, x in optimiser_tensors(first).items()})
    for seed in range(3, 6):
        step(one, first, seed)
        step(other, second, seed)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
