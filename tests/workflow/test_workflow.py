"""Whole runs: everything is made by one command, only what changed is made again, and what goes wrong is said."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.workflow.project import copied

pytestmark = pytest.mark.slow

TRAINING = {"Training teacher, seed 0", "Training sensor-dropout, seed 0", "Distilling the student, seed 0"}
SCORING = {f"Evaluating {method}, seed 0" for method in ("dis2", "sensor-dropout", "teacher-zeros")}
EXPLAINING = {"Explaining cat with dis2"}
MAPPING = {f"Mapping cat with {method}" for method in ("dis2", "sensor-dropout")} | EXPLAINING
REPORT = {"Writing the report"}
STUDENT = {"Distilling the student, seed 0", "Evaluating dis2, seed 0", "Mapping cat with dis2"} | EXPLAINING | REPORT


def prepared(scene: str) -> set[str]:
    """The jobs that prepare a built-in scene."""
    return {f"Simulating {scene}", f"Checking the rasters of {scene}", f"Registering the sensors of {scene}", f"Tiling {scene}"}


def test_one_command_makes_everything_that_the_design_names(finished):
    made = finished.path("results/tiny")
    page = (made / "report/index.html").read_text()
    assert len(page) > 10_000 and "To bear in mind" not in page
    for method in ("teacher", "dis2", "sensor-dropout"):
        names = {path.name for path in (made / f"models/{method}/0").iterdir()}
        assert names == {"weights.safetensors", "model.json", "history.jsonl", "curves.png"}
    scores = json.loads((made / "evaluation/dis2/0.json").read_text())
    assert "optical+sar" in json.dumps(scores)
    assert {path.name for path in (made / "maps/dis2/cat").glob("sar*")} >= {"sar.tif", "sar.confidence.tif"}
    assert not (made / "state").exists() or not any((made / "state").rglob("*.*"))
    assert not [path for path in finished.path("results").rglob("*") if ".part" in path.name]


def test_snakemake_s_own_report_shows_figures_tables_and_explanations_each_with_a_caption(done):
    ran = done.run("--report", "own.html")
    assert ran.returncode == 0, ran.stdout
    made, text = done.path("results/tiny"), done.path("own.html").read_text()
    shown = [path for kind in ("report/figures/*.svg", "report/tables/*.csv", "explained/**/*.png") for path in made.glob(kind)]
    names = {path.stem for path in shown}
    assert {"beside", "partial-clouds", "similarity", "explained-sensors-dis2-cat", "evidence"} <= names
    for path in shown:
        entry = re.search(rf'"{path.relative_to(done.folder).as_posix()}": {{.*?"caption": "(.*?)", "mime_type"', text)
        assert entry and len(re.sub(r"<.*?>|\\\\n", "", entry[1])) > 10, path


def test_a_second_run_does_nothing(finished):
    assert "Nothing to be done" in finished.run().stdout


def test_touched_files_run_nothing(done):
    for path in sorted(done.folder.rglob("*"), reverse=True):
        os.utime(path)
    assert done.planned() == {}


def test_a_fresh_clone_with_results_and_memory_runs_nothing(finished, tmp_path):
    assert copied(finished.folder, tmp_path / "clone", times=False).planned() == {}


def every(step: str) -> set[str]:
    """A step of the preparation, of every scene."""
    return {step.format(scene) for scene in ("ant", "bee", "cat")}


TILING = every("Tiling {}") | {"Taking the statistics of the training pixels"} | TRAINING | SCORING | MAPPING | REPORT
REGISTERING = every("Registering the sensors of {}") | TILING
CHECKING = every("Checking the rasters of {}") | REGISTERING


@pytest.mark.parametrize(
    ("module", "jobs"),
    [
        ("raster/simulate.py", every("Simulating {}") | CHECKING),
        ("raster/check.py", CHECKING),
        ("raster/register.py", REGISTERING),
        ("tiles/cut.py", TILING),
        ("tiles/statistics.py", TILING - every("Tiling {}")),
        ("evaluation/evaluate.py", SCORING | REPORT),
        ("evaluation/explain.py", EXPLAINING | REPORT),
        ("prediction/maps.py", MAPPING | REPORT),
        ("doctor.py", set()),
    ],
)
def test_an_edit_of_a_module_runs_the_stage_that_it_belongs_to_and_what_follows(done, module, jobs):
    done.edit(f"dis2/{module}")
    assert set(done.planned()) == jobs


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        ("registered/cat.json", {"Registering the sensors of cat", "Tiling cat"} | SCORING | MAPPING | REPORT),
        ("tiles/cat.zarr", {"Tiling cat"} | SCORING | REPORT),
    ],
)
def test_what_was_prepared_and_deleted_is_not_missed_until_something_needs_it(done, file, jobs):
    path = done.path(f"results/tiny/{file}")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert done.planned() == {}
    done.path("results/tiny/report/index.html").unlink()
    assert set(done.planned()) == jobs


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        (
            "models/sensor-dropout/0/weights.safetensors",
            {job for job in TRAINING | SCORING | MAPPING if "dropout" in job} | REPORT,
        ),
        ("models/teacher/0/history.jsonl", {"Training teacher, seed 0"} | STUDENT | SCORING),
        ("evaluation/dis2/0.json", {"Evaluating dis2, seed 0"} | REPORT),
        ("maps/dis2/cat/sar.tif", {"Mapping cat with dis2"} | REPORT),
        ("explained/dis2/cat/evidence.npy", EXPLAINING | REPORT),
        ("report/tables", REPORT),
    ],
)
def test_what_was_made_and_deleted_is_made_again_with_what_follows(done, file, jobs):
    path = done.path(f"results/tiny/{file}")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert set(done.planned()) == jobs


def test_an_edited_store_runs_nothing_for_whoever_reads_it_refuses_it(done):
    chunk = done.path("results/tiny/tiles/cat.zarr/sar/c/0/0/0")
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert done.planned() == {}
    done.edit("config/tiny.yaml", "evaluation:\n", "evaluation:\n  bins: 10\n")
    ran = done.run("--until", "evaluate", "--config", "methods=[dis2]")
    said = [line for line in ran.stdout.splitlines() if line.startswith("dis2 evaluate: ")]
    assert ran.returncode == 1 and len(set(said)) == 1 and "cat.zarr: sar/c/0/0/0 does not fit the manifest" in said[0], (
        ran.stdout
    )


def test_other_values_in_a_raster_prepare_its_scene_and_run_what_follows(done):
    raster = done.path("results/tiny/scenes/cat/sar.tif")
    with rasterio.open(raster, "r+") as target:
        target.write(target.read() * 2)
    assert set(done.planned()) == prepared("cat") - {"Simulating cat"} | SCORING | MAPPING | REPORT


def test_an_edit_of_the_losses_trains_again_and_tiles_nothing(done):
    done.edit("dis2/losses.py")
    jobs = done.planned()
    assert set(jobs) == TRAINING | SCORING | MAPPING | REPORT
    assert (
        "Params have changed" in jobs["Training teacher, seed 0"]
        and "Params have changed" in jobs["Training sensor-dropout, seed 0"]
    )


def test_how_tiles_come_to_a_training_changes_none_of_its_results_and_trains_nothing_again(done):
    done.edit("config/tiny.yaml", "  save_every: 3\n", "  save_every: 4\n  workers: 1\n  cache: disk\n")
    assert done.planned() == {}


def test_an_edit_of_the_report_writes_only_the_report(done):
    done.edit("dis2/report/page.py")
    assert set(done.planned()) == REPORT


def test_an_edit_of_a_rival_trains_only_that_rival(done):
    done.edit("dis2/training/dropout.py")
    assert set(done.planned()) == {
        "Training sensor-dropout, seed 0", "Evaluating sensor-dropout, seed 0", "Mapping cat with sensor-dropout", *REPORT
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "jobs"),
    [
        ("  seed: 3", "  seed: 4", every("Simulating {}") | CHECKING),
        ("model:\n", "grid: {registration: {enabled: false}}\nmodel:\n", CHECKING),
        ("  depth: 1", "  depth: 2", TRAINING | SCORING | MAPPING | REPORT),
        ("save_every: 3", "save_every: 3\n  weights: {dice: 0.5}", TRAINING | SCORING | MAPPING | REPORT),
        ("save_every: 3", "save_every: 3\n  weights: {logits: 0.5}", STUDENT),
        ("  distillation: true", "  distillation: false", STUDENT),
        ("evaluation:\n", "evaluation:\n  bins: 10\n", SCORING | REPORT),
        ("prediction:\n", "prediction:\n  overlap: 0.5\n", MAPPING | REPORT),
        ("report:\n", "report:\n  title: Ants and bees\n", REPORT),
        ("report:\n", "report:\n  explain: []\n", REPORT),
        ("report:\n", "report:\n  explain: [bee]\n", {"Explaining bee with dis2"} | REPORT),
        ("report:\n", 'preparation: {processes: 2, scheduler: "tcp://host:8786"}\nreport:\n', set()),
        ("# The whole workflow", "# A comment", set()),
        ("  width: 8", "  width: 8  # as before", set()),
    ],
)
def test_a_changed_value_runs_only_what_reads_it(done, old, new, jobs):
    done.edit("config/tiny.yaml", old, new)
    assert set(done.planned()) == jobs


def test_an_added_test_scene_is_prepared_and_scored_and_nothing_is_trained(done):
    done.edit("config/tiny.yaml", "    cat: {split: test}\n", "    cat: {split: test}\n    dog: {split: test}\n")
    assert set(done.planned()) == prepared("dog") | SCORING | REPORT


def test_an_added_training_scene_is_prepared_alone_and_everything_is_trained_again(done):
    done.edit("config/tiny.yaml", "    cat: {split: test}\n", "    cat: {split: test}\n    dog: {split: train, lacks: [sar]}\n")
    statistics = {"Taking the statistics of the training pixels"}
    assert set(done.planned()) == prepared("dog") | statistics | TRAINING | SCORING | MAPPING | REPORT


def test_an_added_seed_is_trained_alone(done):
    assert (
        set(done.planned("--config", "seeds=[0,1]")) == {job.replace("seed 0", "seed 1") for job in TRAINING | SCORING} | REPORT
    )


def test_added_rivals_are_made_beside_what_is_there_and_a_specialist_for_each_combination(done):
    added, wanted = ("singles+sd", "unet", "specialist"), ("--config", "methods=[dis2,sensor-dropout,singles+sd,unet,specialist]")
    combinations = {"optical+sar+dsm", "optical+sar", "optical+dsm", "sar+dsm", "optical", "sar", "dsm"}
    assert set(done.planned(*wanted)) == {
        "Training singles+sd, seed 0",
        "Training unet, seed 0",
        *(f"Training specialist {name}, seed 0" for name in combinations),
        *(f"Evaluating {method}, seed 0" for method in added),
        *(f"Mapping cat with {method}" for method in added),
        *REPORT,
    }
    ran = done.run(*wanted)
    assert ran.returncode == 0, ran.stdout
    made = done.path("results/tiny")
    assert {path.name for path in (made / "models/specialist/0").iterdir()} == combinations
    for method in added:
        scores = json.loads((made / f"evaluation/{method}/0.json").read_text())
        assert scores["method"] == method and set(scores["combinations"]) == combinations
        assert (made / f"maps/{method}/cat/sar.confidence.tif").exists() and f"drop-{method}" in (
            made / "report/index.html"
        ).read_text()
    assert "Nothing to be done" in done.run(*wanted).stdout


def test_a_broken_raster_is_said_in_one_line_before_anything_is_made_of_it(done):
    raster = done.path("results/tiny/scenes/ant/sar.tif")
    with rasterio.open(raster) as source:
        values, profile = source.read(), source.profile
    values[:, :8] = np.inf
    with rasterio.open(raster, "w", **profile) as target:
        target.write(values)
    before = {path for path in done.path("results").rglob("*") if path.is_file()}
    ran = done.run()
    said = {line for line in ran.stdout.splitlines() if "infinite" in line}
    assert ran.returncode == 1 and len(said) == 1 and "results/tiny/scenes/ant/sar.tif" in said.pop()
    after = {path for path in done.path("results").rglob("*") if path.is_file()}
    assert before - after == {done.path("results/tiny/checked/ant.json")} and not after - before


def test_a_run_that_was_killed_in_training_goes_on_where_it_was(done):
    shutil.rmtree(done.path("results/tiny/models"))
    longer = ("--config", 'training={"teacher_steps":40,"student_steps":1,"save_every":2,"validate_every":40}', "methods=[dis2]")
    with done.path("killed.log").open("w") as log:
        killed = subprocess.Popen(done.command(*longer), cwd=done.folder, stdout=log, stderr=log, start_new_session=True)
        wait_for(done.path("results/tiny/state/teacher/0/state.json"), killed)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert not done.path("results/tiny/models/teacher/0/weights.safetensors").exists()
    assert done.run("--unlock").returncode == 0
    again = done.run(*longer)
    assert again.returncode == 0 and "going on from step" in again.stdout, again.stdout
    assert "Nothing to be done" in done.run(*longer).stdout


def wait_for(file: Path, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until a running process has written a file."""
    end = time.monotonic() + seconds
    while not file.exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
