"""The workflow on configs that were proposed for folders: to the report, or to the store."""

import pytest

from tests.datasets import augsburg
from tests.proposal.test_propose import mess, proposed
from tests.workflow.test_zion import DATA

SHORT = (
    "training={tile: 32, batch: 2, teacher_steps: 2, student_steps: 2, validate_every: 2, validation_tiles: 2}",
    "model={width: 8, depth: 1}",
    "methods=[sensor-dropout]",
)


@pytest.mark.slow
@pytest.mark.parametrize("made", [mess, augsburg])
def test_the_workflow_runs_on_what_is_proposed_for_a_mess_and_for_labels_of_two_splits(source, made):
    made(source.path("mess"))
    _, text = proposed(source.path("mess"), source.path("mine.yaml"), "--name", "mess")
    assert "minutes" in text.split("data_root")[0]
    ran = source.run("--config", *SHORT, config="mine.yaml")
    assert ran.returncode == 0, ran.stdout
    assert source.path("results/mess/report/index.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "zion").is_dir(), reason="Zion's rasters are not there: set DIS2_DATA to the folder of zion/")
def test_zion_is_proposed_as_what_it_is_and_prepared(source):
    run, _ = proposed(DATA / "zion", source.path("mine.yaml"))
    assert {name: (it.bands, it.kind) for name, it in run.data.sensors.items()} == {
        "landsat8": (4, "image"),
        "srtm_elevation": (1, "surface"),
    }
    assert run.data.sensors["srtm_elevation"].relief == (0, 4)
    assert len(run.data.classes) == 8 and run.data.split.by == "block" and run.grid.reference == "landsat8"
    ran = source.run("-k", "prepare", config="mine.yaml")
    assert ran.returncode == 0, ran.stdout
