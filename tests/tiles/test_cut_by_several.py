"""Several processes, or a cluster, write what one writes; whatever befalls them, nothing is left that looks whole."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.processes import spawned
from dis2.tiles import cut as module
from dis2.tiles import store as store_module
from dis2.tiles.cut import cut
from dis2.tiles.manifest import manifest_of
from dis2.tiles.store import open_store
from tests.made import data_of, raster, scene

ROOT = Path(__file__).parents[2]
SIDE = 300
"""With shards of 256 pixels four of each array."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small shards, and processes that always pay."""
    monkeypatch.setattr(store_module, "SHARD_SIDES", (256,))
    monkeypatch.setattr(module, "WORTH", 1)


@pytest.fixture
def bog(tmp_path):
    """A scene, and how to cut it."""
    return prepared(tmp_path, SIDE)


def prepared(folder, side, **changes):
    made = scene(folder / "in", side) | changes
    shifts = folder / "shifts.json"
    shifts.write_text(json.dumps({"sensors": {"lidar": {"shift": {"dx": 1.25, "dy": -0.5}}}}))
    (folder / "out").mkdir(exist_ok=True)
    return data_of({"bog": made}), GridSettings(), "bog", shifts, folder / "out" / "bog.zarr"


def left(out):
    return sorted(path.name for path in out.parent.iterdir())


def files(out):
    return json.loads(manifest_of(out).read_text())["files"]


@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_writes_the_same_bytes(bog, processes):
    cut(*bog)
    one = files(bog[-1])
    cut(*bog, processes=processes)
    assert files(bog[-1]) == one and open_store(bog[-1]).labelled and left(bog[-1]) == ["bog.manifest.json", "bog.zarr"]


@pytest.mark.parametrize(("asked", "worth", "begun"), [(99, 1, [11]), (2, 1, [1]), (9, 2**30, []), (1, 1, [])])
def test_no_more_processes_than_shards_are_begun_and_none_that_does_not_pay(bog, monkeypatch, asked, worth, begun):
    seen = []
    monkeypatch.setattr(module, "WORTH", worth)
    monkeypatch.setattr(module, "spawned", lambda count, *rest: seen.append(count) or spawned(1, *rest))
    cut(*bog, processes=asked)
    assert seen == begun and open_store(bog[-1])


def test_what_does_not_fit_is_the_same_line_whoever_finds_it(tmp_path):
    bad = raster(tmp_path / "bad.tif", np.full((1, SIDE, SIDE), 77, "uint8"))
    told, said = prepared(tmp_path, SIDE, labels=bad), []
    for processes in (1, 2):
        with pytest.raises(UserError) as caught:
            cut(*told, processes=processes)
        said.append(str(caught.value))
    assert said[0] == said[1] and "77 is no class" in said[0] and "\n" not in said[0] and left(told[-1]) == []


def shards_begin(out):
    """Waits until the first shard is there."""
    while not any(out.parent.glob(".bog.zarr.part/*/thermal/c/*/*/*")):
        time.sleep(0.001)


def test_a_killed_process_is_one_line_and_a_second_run_is_clean(tmp_path):
    bog = prepared(tmp_path, 8 * SIDE)
    caught = []

    def run():
        try:
            cut(*bog, processes=2)
        except UserError as error:
            caught.append(str(error))

    running = threading.Thread(target=run)
    running.start()
    shards_begin(bog[-1])
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
    running.join()
    assert len(caught) == 1 and "was killed" in caught[0] and "fewer --processes" in caught[0] and "\n" not in caught[0]
    assert left(bog[-1]) == []
    cut(*bog, processes=2)
    assert open_store(bog[-1]) and left(bog[-1]) == ["bog.manifest.json", "bog.zarr"]


def command(folder, processes):
    """The stage as a command of its own, its shards made small as they are here."""
    bog = prepared(folder, 8 * SIDE)
    told = {"data": bog[0].model_dump(mode="json"), "grid": {}}
    (folder / "settings.json").write_text(json.dumps(told))
    words = ["tile", "--settings", f"@{folder / 'settings.json'}", "--scene", "bog", "--shifts", str(bog[3])]
    words += ["--out", str(bog[4]), "--processes", str(processes)]
    code = (
        "import signal, sys, dis2.tiles.cut as cut, dis2.tiles.store as store; from dis2.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test run in the background ignores it
        f"cut.WORTH = 1; store.SHARD_SIDES = (256,); sys.exit(main({words!r}))"
    )
    started = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    return bog, started


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_is_one_line_and_leaves_nothing(tmp_path, processes):
    bog, running = command(tmp_path, processes)
    shards_begin(bog[-1])
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate()
    said = [line for line in err.splitlines() if not line.startswith("tile bog")]
    assert running.returncode == 130 and left(bog[-1]) == []
    assert said == ["dis2 tile: interrupted; run the same command again"]


def test_a_run_that_is_killed_leaves_no_store_and_the_next_one_is_clean(tmp_path):
    bog, running = command(tmp_path, 2)
    shards_begin(bog[-1])
    running.kill()
    running.communicate()
    assert left(bog[-1]) == [".bog.zarr.part"]
    with pytest.raises(UserError, match="no such store"):
        open_store(bog[-1])
    cut(*bog)
    once = files(bog[-1])
    assert left(bog[-1]) == ["bog.manifest.json", "bog.zarr"]
    cut(*bog, processes=2)
    assert files(bog[-1]) == once


@pytest.fixture
def little_disk(tmp_path):
    """A disk of 2 MiB, where this may be made."""
    disk = tmp_path / "out"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "dis2", str(disk)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here ({done.stderr.strip()}); run as root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_disk_that_fills_up_is_one_line_and_with_room_the_same_command_works(tmp_path, little_disk, processes):
    bog = prepared(tmp_path, 4 * SIDE)  # some 5 MB of noise
    with pytest.raises(UserError) as caught:
        cut(*bog, processes=processes)
    assert str(caught.value).startswith(f"{bog[-1]}: cannot be written (No space left on device)") and left(bog[-1]) == []
    assert "\n" not in str(caught.value)
    subprocess.run(["mount", "-o", "remount,size=64m", str(little_disk)], check=True)
    cut(*bog, processes=processes)
    assert open_store(bog[-1]) and left(bog[-1]) == ["bog.manifest.json", "bog.zarr"]
