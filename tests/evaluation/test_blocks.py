"""Counts by block: every pixel in the block that it lies in, once, whatever the windows."""

import numpy as np
import pytest

from dis2 import metrics
from dis2.combinations import combinations, name_of
from dis2.evaluation import blocks as module
from dis2.evaluation.blocks import Blocks
from dis2.files import read_json
from dis2.models.files import load
from dis2.models.prediction import Prediction
from dis2.raster.grid import Window
from dis2.tiles.dataset import Sample, Scenes
from dis2.training.validate import Scored, Scorer
from tests import made
from tests.training.tiny import CLASSES, SENSORS, data, scene

ALL = combinations(tuple(SENSORS))
NAMES = [name_of(c) for c in ALL]


@pytest.fixture
def counted(tiles, model):
    def of(tile, side, batch=3):
        scenes = Scenes(data(), tiles, "test")
        blocks = Blocks(scenes, NAMES, side)
        scorer = Scorer(scenes, read_json(tiles / "statistics.json")["sensors"], ALL, batch, observers=[blocks])
        counts = scorer.score(load(model("dis2")).network, scenes.fixed(tile))
        return blocks.told(), counts

    return of


@pytest.mark.parametrize("tile", [32, 48])
def test_blocks_add_up_to_the_confusion_matrix_of_the_same_pass(counted, tile):
    told, counts = counted(tile, 16)
    for name, count in counts.items():
        matrix = count.primary
        assert np.sum(told["truth"], 0).tolist() == matrix.sum(1).tolist()
        assert np.sum(told["predicted"][name], 0).tolist() == matrix.sum(0).tolist()
        assert np.sum(told["hit"][name], 0).tolist() == np.diag(matrix).tolist()


def test_blocks_are_those_of_the_scene_whatever_the_windows(counted):
    _, valid, labels = scene("dog", 3)
    scored = np.stack(list(valid.values())).all(0)
    truth = {}
    for y in range(0, 64, 24):
        for x in range(0, 72, 24):
            here = labels[y : y + 24, x : x + 24][scored[y : y + 24, x : x + 24]]
            truth["dog", y, x] = [int((here == k).sum()) for k in range(len(CLASSES))]
    truth = {place: counts for place, counts in truth.items() if any(counts)}
    for tile in (32, 48, 96):
        told, _ = counted(tile, 24)
        assert (told["places"], told["truth"]) == ([list(place) for place in truth], list(truth.values()))


def test_each_chip_has_blocks_of_its_own(tmp_path):
    """Two chips of 20 x 20 pixels side by side, blocks of 16: four a chip, none across."""
    rng = np.random.default_rng(0)
    sensors = {"thermal": rng.normal(size=(2, 20, 40)).astype("f4"), "lidar": rng.normal(size=(1, 20, 40)).astype("f4")}
    labels = rng.integers(0, 3, (20, 40), dtype="uint8")
    chips = {"a": Window(0, 0, 20, 20), "b": Window(0, 20, 20, 20)}
    made.store(tmp_path, "fen", sensors, labels, chips=chips)
    fen = made.data_of({"fen": {"split": "test", "sensors": {"thermal": "t", "lidar": "l"}, "labels": "x"}})
    scenes = Scenes(fen, tmp_path, "test")
    blocks = Blocks(scenes, ["thermal+lidar"], 16)
    seen(blocks, scenes, labels)
    assert [place[1:] for place in blocks.told()["places"]] == [[y, x] for y in (0, 16) for x in (0, 16, 20, 36)]
    assert np.sum(blocks.told()["truth"], 1).tolist() == [256, 64, 256, 64, 64, 16, 64, 16]


def seen(blocks, scenes, labels):
    """Each chip as a batch of its own, all of it predicted as the first class."""
    for name, window in scenes.fixed(64):
        truth = labels[window.slices][None]
        everywhere = np.ones_like(truth, bool)
        batch = Scored([Sample({}, {}, truth[0], name, window)], {}, {}, truth, everywhere, everywhere, everywhere)
        blocks.begin(batch)
        blocks.see(batch, blocks.names[0], Prediction(None), np.zeros_like(truth))


def test_where_there_would_be_more_blocks_than_are_told_apart_they_are_larger(counted, monkeypatch):
    large, _ = counted(64, 32)
    monkeypatch.setattr(module, "MOST", 7)
    assert counted(64, 16)[0] == large and large["side"] == 32 and len(large["places"]) == 6


def test_many_chips_are_put_together_without_a_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    labels = np.random.default_rng(0).integers(0, 3, (20, 100), dtype="uint8")
    chips = {str(i): Window(0, 20 * i, 20, 20) for i in range(5)}
    made.store(tmp_path, "fen", {"thermal": np.zeros((2, 20, 100), "f4")}, labels, chips=chips)
    fen = made.data_of({"fen": {"split": "test", "sensors": {"thermal": "t"}, "labels": "x"}})
    scenes = Scenes(fen, tmp_path, "test")
    blocks = Blocks(scenes, ["thermal"], 16)
    seen(blocks, scenes, labels)
    told = blocks.told()
    assert told["side"] == 32 and told["places"] == [["fen", 0, 0], ["fen", 0, 60]]
    parts = labels[:, :60], labels[:, 60:]
    assert told["truth"] == [np.bincount(part.ravel(), minlength=3).tolist() for part in parts]
    assert told["hit"]["thermal"] == [[int((part == 0).sum()), 0, 0] for part in parts]


def test_scores_follow_from_true_predicted_and_hit_alone(counted):
    told, counts = counted(64, 32)
    truth, predicted, hit = (np.sum(it, 0) for it in (told["truth"], told["predicted"]["echo"], told["hit"]["echo"]))
    matrix = counts["echo"].primary
    assert metrics.iou(matrix) == pytest.approx(hit / (truth + predicted - hit))
    assert metrics.accuracy(matrix) == pytest.approx(hit.sum() / truth.sum())
    chance = (truth * predicted).sum() / truth.sum() ** 2
    assert metrics.kappa(matrix) == pytest.approx((hit.sum() / truth.sum() - chance) / (1 - chance))
