"""A trained network's map of a scene is what the evaluation scores, whatever the batch."""

import numpy as np
import pytest
import rasterio

from dis2.combinations import combinations, name_of
from dis2.config.data import IGNORE
from dis2.config.evaluation import EvaluationSettings
from dis2.config.prediction import PredictionSettings
from dis2.evaluation.evaluate import evaluate
from dis2.files import read_json, write_json
from dis2.metrics import confusion
from dis2.prediction.predict import predict_scene
from dis2.tiles.cut import cut
from tests.prediction.scenes import TRUST, written
from tests.training.conftest import model as trained  # noqa: F401
from tests.training.conftest import plain_curves, tiles  # noqa: F401
from tests.training.tiny import CLASSES, SENSORS


@pytest.fixture
def scene(tmp_path):
    return written(tmp_path)


def maps(folder, model, scene, **settings):
    names = [name_of(c) for c in combinations(tuple(SENSORS))]
    predict_scene(scene[0], TRUST, PredictionSettings(**settings), model, "dog", None, names, folder)
    return {name: [rasterio.open(folder / f"{name}{end}").read() for end in (".tif", ".confidence.tif")] for name in names}


def test_a_map_is_what_the_evaluation_counts_and_as_sure_of_it(trained, scene, tmp_path):  # noqa: F811
    write_json(tmp_path / "shifts.json", {"sensors": {}})
    cut(scene[0], TRUST, "dog", tmp_path / "shifts.json", tmp_path / "tiles" / "dog.zarr")
    evaluate(scene[0], EvaluationSettings(tile=32), trained("dis2"), tmp_path / "tiles", tmp_path / "found.json", "test", False)
    found = read_json(tmp_path / "found.json")["combinations"]
    for name, (classes, confidence) in maps(tmp_path / "maps", trained("dis2"), scene, tile=32, overlap=0).items():
        measured = [rasterio.open(tmp_path / f"{sensor}.tif").read(1) != -999 for sensor in SENSORS]
        counted = (scene[1] != IGNORE) & np.all(measured, axis=0)
        assert found[name]["confusion"] == confusion(scene[1][counted], classes[0][counted], len(CLASSES)).tolist()
        assert confidence[0][counted].mean() == pytest.approx(mean_confidence(found[name]), abs=0.3)


def mean_confidence(entry):
    """In percent, of the pixels that count."""
    return 100 * sum(entry["reliability"]["confidence"]) / sum(entry["reliability"]["count"])


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (5, 1), (4, 2)])
def test_batch_and_threads_change_a_map_by_no_more_than_rounding(trained, scene, tmp_path, batch, threads):  # noqa: F811
    usual = maps(tmp_path / "usual", trained("dis2"), scene, tile=32)
    for name, found in maps(tmp_path / "other", trained("dis2"), scene, tile=32, batch=batch, threads=threads).items():
        classes, confidence = ((a.astype(int), b.astype(int)) for a, b in zip(usual[name], found, strict=True))
        assert abs(confidence[0] - confidence[1]).max() <= 1 and (classes[0] != classes[1]).mean() < 1e-3
