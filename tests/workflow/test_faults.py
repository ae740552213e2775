"""Faults from outside: kills, full and closed disks, damaged files, two runs at once; all is said, and mended by a rerun."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dis2.cli import main
from tests.workflow.project import TINY, Project, copied

pytestmark = pytest.mark.slow

MADE = Path("results/tiny")
STAGES: dict[str, Callable[[Path], list[object]]] = {
    "simulate": lambda out: ["--scene", "ant", "--out", out / "ant"],
    "check": lambda out: ["--scene", "ant", "--out", out / "ant.json"],
    "sound": lambda out: ["--checked", MADE / "checked", "--out", out / "sound.json"],
    "register": lambda out: [*CHECKED, "--out", out / "ant.json", "--picture", out / "ant.png"],
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
CHECKED = ["--scene", "ant", "--checked", MADE / "checked/ant.json"]
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


@pytest.fixture
def closed() -> Iterator[Callable[[Path], None]]:
    """Closes folders: as root by a mount of their own, else by permissions."""
    with ExitStack() as stack:

        def close(folder: Path) -> None:
            if os.geteuid():
                stack.callback(folder.chmod, folder.stat().st_mode)
                folder.chmod(0o555)
                return
            for way in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
                if subprocess.run(["mount", *way], capture_output=True, timeout=60).returncode:
                    pytest.skip("root, and nothing can be mounted here")
                if "--bind" in way:
                    stack.callback(subprocess.run, ["umount", "--lazy", folder], check=True, timeout=60)

        yield close


@pytest.mark.parametrize(("folder", "made"), [("results/tiny", True), ("results/tiny", False), (".snakemake", True)])
def test_a_closed_folder_is_one_line_whether_or_not_an_old_page_is_there_and_a_dry_run_goes_on(done, closed, folder, made):
    if made:
        done.edit("dis2/report/page.py")
    else:
        shutil.rmtree(done.path("results/tiny/report"))
    closed(done.path(folder))
    ran = done.run()
    said = [line for line in ran.stdout.splitlines() if line.startswith(f"{folder}: ")]
    assert ran.returncode == 1 and len(said) == 1 and "Traceback" not in ran.stdout, ran.stdout
    assert re.fullmatch(rf"{folder}: cannot be written \(.*\); check the disk and its permissions", said[0])
    if folder != ".snakemake" and not made:
        done.edit("config/tiny.yaml")
        assert "Writing the report" in done.planned()


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
        ("checked/ant.json", "register"),
        ("checked/bee.json", "sound"),
        ("registered/ant.json", "tile"),
        ("tiles/ant.zarr/labels/c/0/0", "statistics"),
        ("tiles/ant.zarr/zarr.json", "train"),
        ("tiles/cat.manifest.json", "evaluate"),
        ("statistics.json", "train"),
        ("models/teacher/0/weights.safetensors", "distill"),
        ("models/dis2/0/weights.safetensors", "evaluate"),
        ("models/dis2/0/model.json", "predict"),
        ("registered/cat.json", "predict"),
        ("registered/bee.json", "report"),
        ("registered/bee.png", "report"),
        ("scenes/bee/truth.json", "report"),
        ("tiles/cat.zarr/sar/c/0/0/0", "report"),
        ("models/teacher/0/model.json", "report"),
        ("models/dis2/0/history.jsonl", "report"),
        ("evaluation/dis2/0.json", "report"),
        ("maps/dis2/cat/sar.tif", "report"),
        ("maps/dis2/cat/sar.confidence.tif", "report"),
        ("maps/dis2/cat/sar.sensors.tif", "report"),
        ("maps/dis2/cat/manifest.json", "report"),
        ("explained/dis2/cat/explanation.json", "report"),
        ("explained/dis2/cat/evidence.npy", "report"),
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


@contextmanager
def changing(file: Path) -> Iterator[None]:
    """Something writes to a file all the time."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.001):
            os.utime(file)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(("stage", "scene"), [("check", "ant"), ("register", "ant"), ("tile", "ant"), ("predict", "cat")])
def test_a_raster_that_changes_while_it_is_read_is_one_line(done, tmp_path, monkeypatch, capsys, stage, scene):
    monkeypatch.chdir(done.folder)
    raster = MADE / "scenes" / scene / "sar.tif"
    with changing(raster):
        assert ran(stage, tmp_path / "out") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dis2 ")]
    assert said == [f"dis2 {stage}: {raster}: changed while it was read; run the same command again when it is whole"]


def test_broken_scenes_are_skipped_if_that_is_wanted_and_the_report_names_them(done):
    """A training scene and a test scene are cut short; another test scene is made with them."""
    more = "    dog: {split: test}\n    eel: {split: train}\n    fox: {split: test}\n"
    done.edit("config/tiny.yaml", "    cat: {split: test}\n", f"    cat: {{split: test}}\n{more}")
    for scene in ("dog", "eel"):
        made = done.path(str(MADE / "scenes" / scene))
        shutil.copytree(done.path(str(MADE / "scenes/cat")), made)
        (made / "sar.tif").write_bytes(cut((made / "sar.tif").read_bytes()))
    ran = done.run("--config", 'preparation={"broken":"skip"}')
    assert ran.returncode == 0, ran.stdout
    said = {line for line in ran.stdout.splitlines() if line.startswith("dis2 ")}
    assert {line.split(": ")[1] for line in said} == {"scene dog", "scene eel"} and len(said) == 2
    assert "Tiling fox" in ran.stdout and "Training" not in ran.stdout and "Taking the statistics" not in ran.stdout
    page = done.path(str(MADE / "report/index.html")).read_text()
    for scene in ("dog", "eel"):
        assert f"{scene} is left out, for its rasters are not sound: results/tiny/scenes/{scene}/sar.tif: " in page
        assert not done.path(str(MADE / f"tiles/{scene}.zarr")).exists()
    assert json.loads(done.path(str(MADE / "evaluation/dis2/0.json")).read_text())["scenes"] == ["cat", "fox"]
    assert "Nothing to be done" in done.run("--config", 'preparation={"broken":"skip"}').stdout
    stopped = done.run("--until", "register")
    said = {line for line in stopped.stdout.splitlines() if line.startswith("dis2 register: scene ")}
    assert stopped.returncode == 1 and {line.split(": ")[1] for line in said} == {"scene dog", "scene eel"}
    shutil.copy2(done.path(str(MADE / "scenes/cat/sar.tif")), done.path(str(MADE / "scenes/dog/sar.tif")))
    os.utime(done.path(str(MADE / "scenes/dog/sar.tif")))
    assert {"Checking the rasters of dog", "Telling which scenes are sound"} <= done.planned(
        "--config", 'preparation={"broken":"skip"}'
    ).keys()


def test_a_run_that_is_killed_in_every_stage_ends_with_the_same_files(finished, source, tmp_path):
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer/sitecustomize.py").write_text(KILLER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "killer")}
    wanted = ("--nolock", "--config", 'preparation={"broken":"skip"}')  # so that `sound` is a stage, too
    for stage in STAGES:
        killed = start(source, *wanted, "--forcerun", stage, environment=environment | {"KILLED_STAGE": stage})
        assert killed.wait(600) == -signal.SIGKILL, (stage, source.path("run.log").read_text())
    ended = source.run(*wanted)
    assert ended.returncode == 0, ended.stdout
    for pattern in RESULTS:
        wanted, made = (
            {p.relative_to(it.folder): timeless(p) for p in it.path(str(MADE)).glob(pattern)} for it in (finished, source)
        )
        assert wanted.keys() == made.keys() and [name for name in wanted if wanted[name] != made[name]] == [], pattern
    assert not [path for path in source.path("results").rglob("*") if ".part" in path.name]


def timeless(file: Path) -> bytes:
    """What a file holds, but for how long a training took, and for the seal on that."""
    return re.sub(rb'"seconds": *[0-9.]+|"seal": *"[0-9a-f]+"', b"", file.read_bytes())


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
