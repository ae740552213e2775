"""Faults from outside: kills, full and closed disks, damaged files, two runs at once; all is said, and mended by a rerun."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dis2.cli import main
from tests.workflow.project import TINY, Project, copied

pytestmark = pytest.mark.slow

MADE = Path("results/tiny")
STAGES: dict[str, Callable[[Path], list[object]]] = {
    "simulate": lambda out: ["--scene", "ant", "--out", out / "ant"],
    "check": lambda out: ["--scene", "ant", "--out", out / "ant.json"],
    "register": lambda out: ["--scene", "ant", "--out", out / "ant.json", "--picture", out / "ant.png"],
    "tile": lambda out: ["--scene", "ant", "--shifts", MADE / "registered/ant.json", "--out", out / "ant.zarr"],
    "statistics": lambda out: ["--tiles", MADE / "tiles", "--out", out / "statistics.json"],
    "train": lambda out: ["teacher", *TRAINING, "--state", out / "state", "--out", out / "model"],
    "distill": lambda out: ["--teacher", MADE / "models/teacher/0", *TRAINING, "--out", out / "model"],
    "evaluate": lambda out: [MADE / "models/dis2/0", "--tiles", MADE / "tiles", "--out", out / "0.json"],
    "predict": lambda out: [MADE / "models/dis2/0", *MAPPING, "--out", out],
    "explain": lambda out: [MADE / "models/dis2/0", *MAPPING[:4], "--out", out],
    "report": lambda out: ["--results", MADE, "--out", out / "index.html"],
}
"""The stages by hand, on what a run has made."""
TRAINING = ["--tiles", MADE / "tiles", "--statistics", MADE / "statistics.json"]
MAPPING = ["--scene", "cat", "--shifts", MADE / "registered/cat.json", "--combinations", "sar"]
RESULTS = (
    "scenes/*/*",
    "registered/*.json",
    "tiles/*.json",
    "statistics.json",
    "models/*/*/weights.*",
    "evaluation/*/*",
    "maps/*/*/*",
    "explained/*/*/*.*",
)
"""What is the same, byte by byte, however often a run was killed; other files tell how long something took."""
KILLER = """
import os, signal, sys
def kill(event, arguments):
    if event == "os.rename" and "results" in os.fspath(arguments[1]):
        os.killpg(0, signal.SIGKILL)
if sys.orig_argv[1:4] == ["-m", "dis2", os.environ.get("KILLED_STAGE")]:
    sys.addaudithook(kill)
"""
"""Kills a run, Snakemake and all, when a stage has written a file aside and is about to give it its name."""


def ran(stage: str, out: Path) -> int:
    """Runs a stage by hand; its files go to a folder."""
    return main([stage, "--config", TINY, *map(str, STAGES[stage](out))])


@pytest.fixture
def here(finished, monkeypatch) -> Project:
    """The finished project, to read from."""
    monkeypatch.chdir(finished.folder)
    return finished


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, timeout=60)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=60)


def fill(folder: Path) -> None:
    """Not a byte is free."""
    with pytest.raises(OSError, match="No space"), (folder / "ballast").open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


def close(folder: Path) -> None:
    """Nothing can be written."""
    (folder / "ballast").touch()
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True, timeout=60)


@pytest.mark.parametrize(("spoil", "reason"), [(fill, "No space left on device"), (close, "Read-only file system")])
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_takes_nothing_is_one_line_and_nothing_is_left_on_it(here, small_disk, capsys, stage, spoil, reason):
    spoil(small_disk)
    assert ran(stage, small_disk) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dis2 ")]
    assert len(said) == 1 and said[0].startswith(f"dis2 {stage}: {small_disk}/") and reason in said[0], said
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [small_disk / "ballast"]


def cut(content: bytes) -> bytes:
    """The first half of a file."""
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """A file in which one byte is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("registered/ant.json", "tile"),
        ("tiles/ant.zarr/labels/c/0/0", "statistics"),
        ("tiles/ant.zarr/zarr.json", "train"),
        ("tiles/cat.manifest.json", "evaluate"),
        ("statistics.json", "train"),
        ("models/teacher/0/weights.safetensors", "distill"),
        ("models/dis2/0/weights.safetensors", "evaluate"),
        ("models/dis2/0/model.json", "predict"),
        ("evaluation/dis2/0.json", "report"),
        ("explained/dis2/cat/explanation.json", "report"),
    ],
)
def test_a_damaged_file_is_named_and_never_used(done, tmp_path, monkeypatch, capsys, file, stage, damage):
    monkeypatch.chdir(done.folder)
    path = MADE / file
    path.write_bytes(damage(path.read_bytes()))
    assert ran(stage, tmp_path / "out") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dis2 ")]
    named = str(path if ".zarr" not in file else MADE / file.split(".zarr")[0])
    assert len(said) == 1 and named.removesuffix(".manifest.json") in said[0], said
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_run_that_is_killed_in_every_stage_ends_with_the_same_files(finished, source, tmp_path):
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer/sitecustomize.py").write_text(KILLER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "killer")}
    for stage in STAGES:
        killed = start(source, "--nolock", "--forcerun", stage, environment=environment | {"KILLED_STAGE": stage})
        assert killed.wait(600) == -signal.SIGKILL, (stage, source.path("run.log").read_text())
    ended = source.run("--nolock")
    assert ended.returncode == 0, ended.stdout
    for pattern in RESULTS:
        wanted, made = (
            {p.relative_to(it.folder): timeless(p) for p in it.path(str(MADE)).glob(pattern)} for it in (finished, source)
        )
        assert wanted.keys() == made.keys() and [name for name in wanted if wanted[name] != made[name]] == [], pattern
    assert not [path for path in source.path("results").rglob("*") if ".part" in path.name]


def timeless(file: Path) -> bytes:
    """What a file holds, but for how long a training took."""
    return re.sub(rb'"seconds": *[0-9.]+', b"", file.read_bytes())


def test_a_second_run_refuses_while_one_runs_and_a_killed_one_leaves_a_lock_that_is_taken_off(finished, tmp_path):
    project = copied(finished.folder, tmp_path / "project")
    project.edit("dis2/losses.py")
    first = start(project, "--config", 'training={"teacher_steps":4000,"student_steps":1}')
    try:
        until(lambda: any(project.path(".snakemake/locks").glob("*")) and project.path("results/tiny/logs/train").exists(), first)
        second = project.run()
        assert second.returncode == 1 and "--unlock" in second.stdout, second.stdout
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    third = project.run("-n")
    assert third.returncode == 0
    assert "--unlock" in project.run().stdout
    assert project.run("--unlock").returncode == 0 and not any(project.path(".snakemake/locks").glob("*"))


def start(project: Project, *words: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Snakemake in a process group of its own."""
    with project.path("run.log").open("w") as log:
        return subprocess.Popen(
            project.command(*words), cwd=project.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def until(true: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    """Waits for something that a running process brings about."""
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
