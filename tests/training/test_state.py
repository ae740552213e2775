"""The state of a training: back bit by bit, or refused, or discarded and said; trainings that were stopped go on from it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from dis2.errors import UserError
from dis2.files import read_json
from dis2.training import curves
from dis2.training.loop import Interrupted
from dis2.training.state import (
    State,
    discard_state,
    key_of,
    load_state,
    optimiser_tensors,
    restore_optimiser,
    save_state,
)
from tests.training.tiny import at_step, by_hand, guide, history, same, trained

ROOT = Path(__file__).parents[2]
METHODS = ["teacher", "dis2", "sensor-dropout", "singles+sd", "unet"]


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


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bits(method, tiles, teacher, model, tmp_path):
    again = trained(tiles, method, tmp_path / "again", guide(method, teacher), tmp_path / "state")
    assert same(again, model(method))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("method", "step"), [("dis2", 1), ("dis2", 2), ("dis2", 3), ("dis2", 5), ("teacher", 4), ("sensor-dropout", 2), ("sgma", 2)]
)
def test_a_training_that_was_told_to_stop_goes_on_to_the_same_bits(
    method, step, tiles, teacher, model, tmp_path, monkeypatch, capsys
):
    """The third and the sixth step (2 and 5) end with a validation: before it, with it, behind it, and at the very end."""
    arguments = tiles, method, tmp_path / "out", guide(method, teacher), tmp_path / "state"
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stopped:
        at_step(patch, step, lambda: signal.raise_signal(signal.SIGTERM))
        trained(*arguments)
    assert stopped.value.code == 143 and not (tmp_path / "out").exists()
    assert signal.getsignal(signal.SIGTERM) == handler
    trained(*arguments)
    assert f"going on from step {step + 1}" in capsys.readouterr().err
    assert same(tmp_path / "out", model(method))


def test_an_optimiser_is_restored_when_its_network_is_where_it_trains(tiles, tmp_path, monkeypatch, capsys):
    """Its state goes where the parameters are: restored before, it would stay on the CPU while they move to a GPU."""
    arguments, setup, known = (tiles, "teacher", tmp_path / "out", None, tmp_path / "state"), Fabric.setup, []
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 2, lambda: signal.raise_signal(signal.SIGTERM))
        trained(*arguments)

    def moved(self, network, optimiser, **options):
        known.append(len(optimiser.state))
        return setup(self, network, optimiser, **options)

    monkeypatch.setattr(Fabric, "setup", moved)
    trained(*arguments)
    assert "going on from step 3" in capsys.readouterr().err
    assert known == [0]


@pytest.mark.parametrize(
    "how", [{"workers": 2, "cache": "none"}, {"cache": "disk"}, {"cache": "disk", "workers": 1}, {"cache_mb": 0}]
)
def test_workers_and_caches_change_no_bit_and_a_training_goes_on_with_others(how, tiles, model, tmp_path, monkeypatch, capsys):
    arguments = tiles, "teacher", tmp_path / "out", None, tmp_path / "state"
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 2, lambda: signal.raise_signal(signal.SIGTERM))
        trained(*arguments, **how)
    assert (tmp_path / "state" / "tiles").is_dir() == (how.get("cache") == "disk")
    trained(*arguments, **(how if how.get("cache") == "disk" else {}))
    assert "going on from step 3" in capsys.readouterr().err
    assert same(tmp_path / "out", model("teacher")) and not (tmp_path / "state").exists()


def test_readers_do_not_answer_when_a_scheduler_tells_all_processes_to_stop_and_the_state_is_kept(
    tiles, model, tmp_path, monkeypatch
):
    arguments = tiles, "teacher", tmp_path / "out", None, tmp_path / "state"

    def stop():
        readers = multiprocessing.active_children()
        for reader in readers:
            reader.terminate()
            reader.join(0.2)
        assert readers and all(reader.is_alive() for reader in readers)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 1, stop)
        trained(*arguments, workers=1, cache="none")
    assert same(trained(*arguments), model("teacher"))


@pytest.mark.slow
def test_a_training_that_is_stopped_again_and_again_ends_with_the_same_bits(tiles, teacher, model, tmp_path, monkeypatch):
    arguments = tiles, "dis2", tmp_path / "out", teacher, tmp_path / "state"
    for step in range(1, 5):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            at_step(patch, step, lambda: signal.raise_signal(signal.SIGTERM))
            trained(*arguments)
    assert same(trained(*arguments), model("dis2"))


def test_without_averaged_weights_a_training_goes_on_too(tiles, tmp_path, monkeypatch):
    at_once = trained(tiles, "teacher", tmp_path / "at once", ema=0.0)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 4, lambda: signal.raise_signal(signal.SIGTERM))
        trained(tiles, "teacher", tmp_path / "out", None, tmp_path / "state", ema=0.0)
    kept = next((tmp_path / "state").glob("*.safetensors"))
    assert {name.split("/")[0] for name in load_file(kept)} == {"network", "optimiser", "best"}
    assert same(trained(tiles, "teacher", tmp_path / "out", None, tmp_path / "state", ema=0.0), at_once)


KILLED = """
import os, signal, sys
from pathlib import Path
from dis2.training import loop
from tests.training.tiny import trained

tiles, out, teacher, state = map(Path, sys.argv[1:])
average = loop.Loop._average
def killed(self, state):
    if state.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    average(self, state)
loop.Loop._average = killed
trained(tiles, "dis2", out, teacher, state, save_every=2)
"""


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_same_bits(tiles, teacher, tmp_path, capsys):
    folders = [tiles, tmp_path / "out", teacher, tmp_path / "state"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, folders)], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "out").exists()
    trained(tiles, "dis2", tmp_path / "out", teacher, tmp_path / "state", save_every=2)
    assert "going on from step 4" in capsys.readouterr().err
    assert same(tmp_path / "out", trained(tiles, "dis2", tmp_path / "unbroken", teacher, save_every=2))


def test_a_training_that_was_killed_before_its_files_were_whole_writes_them_when_run_again(tiles, model, tmp_path, monkeypatch):
    arguments = tiles, "teacher", tmp_path / "out", None, tmp_path / "state"
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(curves, "draw", lambda *_: (_ for _ in ()).throw(MemoryError))
        trained(*arguments)
    assert same(trained(*arguments), model("teacher")) and (tmp_path / "out" / "curves.png").exists()


@pytest.mark.parametrize("changed", [{"seed": 4}, {"learning_rate": 0.001}])
def test_the_state_of_other_settings_is_not_gone_on_from(changed, tiles, model, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 2, lambda: signal.raise_signal(signal.SIGTERM))
        trained(tiles, "teacher", tmp_path / "out", None, tmp_path / "state")
    trained(tiles, "teacher", tmp_path / "out", None, tmp_path / "state", **changed)
    assert "left by other settings, code or data" in capsys.readouterr().err
    assert same(tmp_path / "out", trained(tiles, "teacher", tmp_path / "fresh", **changed))
    assert not same(tmp_path / "out", model("teacher"))


@pytest.mark.slow
def test_two_processes_that_are_told_to_stop_keep_their_state_and_go_on(tiles, tmp_path):
    """As a scheduler does, which tells all of them."""
    out, state = tmp_path / "out", tmp_path / "state"
    long = {"devices": 2, "teacher_steps": 60, "validate_every": 60, "save_every": 2}
    command = by_hand(tiles, "teacher", out, None, state, **long)
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while running.poll() is None and not (state / "state.json").exists():
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGTERM)
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 143 and said.count("stopped by signal 15") == 1, said
    step = read_json(state / "state.json")["step"]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and again.stderr.count(f"going on from step {step}") == 1, again.stderr
    whole = by_hand(tiles, "teacher", tmp_path / "whole", None, tmp_path / "kept", **long)
    subprocess.run(whole, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert len(history(out)) == 60 and same(out, tmp_path / "whole")
