"""Zion's config: planned with files of the right names, and prepared where the true rasters are."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from dis2.files import read_json
from dis2.raster.grid import Window
from dis2.tiles.store import open_store
from tests.workflow.project import ROOT

ZION = "config/zion.yaml"
DATA = Path(os.environ.get("DIS2_DATA", ROOT.parent / "shared" / "data"))
PREPARATION = {
    "Checking the rasters of zion",
    "Registering the sensors of zion",
    "Tiling zion",
    "Taking the statistics of the training pixels",
}
PIXELS = {"developed": 19_251, "barren": 116_865, "forest": 835_007, "shrub": 592_574, "low_green": 5_193 + 9_486 + 7_092}
"""Where elevation is measured, by a warp that is not ours."""


@pytest.fixture
def files() -> list[str]:
    (scene,) = yaml.safe_load((ROOT / ZION).read_text())["data"]["scenes"].values()
    sensors = [[files] if isinstance(files, str) else files for files in scene["sensors"].values()]
    return [*(file for files in sensors for file in files), scene["labels"]]


def test_all_of_it_is_planned_from_a_folder_of_one_s_own_and_prepare_stops_before_training(source, files):
    for file in files:
        source.path(f"in/{file}").parent.mkdir(parents=True, exist_ok=True)
        source.path(f"in/{file}").touch()
    jobs = source.planned("--config", "data_root=in", config=ZION)
    assert set(jobs) > PREPARATION | {"Distilling the student, seed 0", "Mapping zion with dis2", "Writing the report"}
    assert set(source.planned("prepare", "--config", "data_root=in", config=ZION)) == PREPARATION


def test_without_the_data_each_missing_file_is_a_line(source, files):
    ran = source.run("-n", "--config", "data_root=nowhere", config=ZION)
    *said, last = [line for line in ran.stdout.splitlines() if line.startswith(ZION)]
    start = f"{ZION}: data.scenes.zion: {source.path('nowhere').resolve()}/"
    assert ran.returncode == 1 and [line.removeprefix(start).split(":")[0] for line in said] == files
    assert last.startswith(f"{ZION}: the data: the R package spDataLarge")


FEW = {"teacher_steps": 2, "student_steps": 2, "validate_every": 2, "validation_tiles": 4}


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "zion").is_dir(), reason="Zion's rasters are not there: set DIS2_DATA to the folder of zion/")
def test_one_command_takes_the_true_rasters_to_the_report(source):
    ran = source.run("--config", f"data_root={DATA}", f"training={json.dumps(FEW)}", "model={width: 8}", config=ZION)
    assert ran.returncode == 0, ran.stdout
    found = read_json(source.path("results/zion/evaluation/dis2/0.json"))
    assert len(found["combinations"]) == 7 and found["partial"]
    assert source.path("results/zion/report/index.html").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "zion").is_dir(), reason="Zion's rasters are not there: set DIS2_DATA to the folder of zion/")
def test_the_true_rasters_are_prepared_and_nothing_is_moved(source):
    ran = source.run("-k", "prepare", "--config", f"data_root={DATA}", config=ZION)
    assert ran.returncode == 0, ran.stdout
    found = read_json(source.path("results/zion/registered/zion.json"))["sensors"]
    assert found["infrared"]["accepted"] and (found["elevation"]["accepted"] or found["elevation"]["reason"])
    assert all(np.hypot(*list(sensor["shift"].values())[:2]) <= 0.5 for sensor in found.values())
    store = open_store(source.path("results/zion/tiles/zion.zarr"))
    whole = Window(0, 0, store.grid.height, store.grid.width)
    labels, measured = store.labels(whole), store.valid("elevation", whole)
    counts = np.bincount(labels[measured], minlength=256)[: len(PIXELS)]
    np.testing.assert_allclose(counts, list(PIXELS.values()), rtol=1e-3)
    red, near = (store.image(sensor, whole)[0][-1].astype(float) for sensor in ("visible", "infrared"))
    greenness = (near - red) / (near + red)
    steps = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    explained = [spread_of_means(np.roll(labels, step, (0, 1)), greenness) for step in steps]
    assert np.argmax(explained) == 0


def spread_of_means(labels: np.ndarray, values: np.ndarray) -> float:
    """The variance between the classes' means."""
    classes, values = labels[labels < len(PIXELS)], values[labels < len(PIXELS)]
    counts = np.bincount(classes)
    return float(counts @ (np.bincount(classes, values) / counts - values.mean()) ** 2 / len(values))
