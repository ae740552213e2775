"""What a training runs on."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from dis2.errors import UserError
from dis2.training.devices import any_of, first_alone, mean_over, precision, started, together
from tests.training.tiny import by_hand

ROOT = Path(__file__).parents[2]


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


def test_what_the_first_process_makes_is_given_and_what_keeps_it_from_that_is_told():
    fabric = started(1)
    assert first_alone(fabric, lambda: "made") == "made"
    with pytest.raises(UserError, match="no tiles"):
        first_alone(fabric, lambda: (_ for _ in ()).throw(UserError("no tiles")))


def test_only_a_lost_connection_between_several_processes_is_told_in_a_line(monkeypatch):
    fabric = started(1)
    for count, said in ((1, "Connection closed by peer"), (2, "out of memory")):
        monkeypatch.setattr(type(fabric), "world_size", count)
        with pytest.raises(RuntimeError, match=said), together(fabric):
            raise RuntimeError(said)
    with pytest.raises(UserError, match="another process of this training has ended"), together(fabric):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:525] Connection closed by peer [127.0.0.1]:9")


@pytest.mark.slow
def test_a_damaged_state_of_two_processes_is_told_once(tiles, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "state.json").write_text("no JSON")
    done = subprocess.run(of_two(tiles, tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stderr.count("state.json: ") == 1 and "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_the_loss_of_one_of_two_processes_is_told_in_a_line(tiles, tmp_path):
    command = of_two(tiles, tmp_path, teacher_steps=4000)
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 120
    while running.poll() is None and time.monotonic() < until and not (tmp_path / "state/state.json").exists():
        time.sleep(0.05)
    assert running.poll() is None, running.communicate()[1]
    listed = subprocess.run(["pgrep", "-P", str(running.pid), "-f", "dis2.__main__ train"], capture_output=True, text=True)
    os.kill(int(listed.stdout.split()[0]), signal.SIGKILL)
    said = running.communicate(timeout=120)[1]
    ended = "another process of this training has ended" in said
    assert "Traceback" not in said and (running.returncode, ended) in ((2, True), (-signal.SIGKILL, False)), said


def of_two(tiles, folder, **changes):
    return by_hand(tiles, "teacher", folder / "out", None, folder / "state", devices=2, save_every=2, **changes)
