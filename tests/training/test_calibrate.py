"""Calibration after training: on validation pixels, a temperature for each combination."""

import numpy as np
import pytest
import torch

from dis2.combinations import combinations, name_of
from dis2.files import read_json
from dis2.models.files import load, read_card
from dis2.tiles.dataset import Scenes
from dis2.training import calibrate
from dis2.training.validate import Scorer
from tests.training.tiny import SENSORS, data, settings

ALL = combinations(tuple(SENSORS))


def scorer(tiles, **changes):
    return Scorer(Scenes(data(), tiles, "validation"), read_json(tiles / "statistics.json")["sensors"], ALL, 2, **changes)


def test_a_trained_model_knows_the_temperatures_that_its_validation_pixels_ask_for(tiles, model):
    found, it = load(model("dis2")), scorer(tiles)
    assert list(found.card.temperatures) == [name_of(c) for c in ALL]
    again = calibrate.temperatures(it, found.network, it.scenes.fixed(settings().tile, settings().validation_tiles))
    assert found.card.temperatures == pytest.approx(again, rel=1e-3)
    assert list(read_card(model("teacher")).temperatures) == [name_of(SENSORS)]


def test_confidence_is_nearer_to_being_right_and_no_class_changes(tiles, model):
    network, it = load(model("dis2")).network, scorer(tiles)
    windows = it.scenes.fixed(32)
    plain = it.score(network, windows)
    told = calibrate.temperatures(scorer(tiles), network, windows)
    tempered = scorer(tiles, temperatures=told).score(network, windows)
    for name, count in tempered.items():
        assert np.array_equal(count.primary, plain[name].primary)
        assert count.untempered.ece == pytest.approx(plain[name].calibration.ece)
    assert sum(c.calibration.ece for c in tempered.values()) < sum(c.untempered.ece for c in tempered.values())


def test_a_temperature_is_fitted_where_all_sensors_of_its_combination_measured(tiles, model):
    """A validation scene without echo has no pixel that every sensor sees: it tells of the other sensors alone."""
    kinds, network = dict(data().scenes), load(model("dis2")).network
    kinds["bee"] = kinds["bee"].model_copy(update={"split": "validation"})
    it, both = scorer(tiles), scorer(tiles)
    both.scenes = Scenes(data().model_copy(update={"scenes": kinds}), tiles, "validation")
    alone = calibrate.temperatures(it, network, it.scenes.fixed(32))
    found = calibrate.temperatures(both, network, both.scenes.fixed(32))
    for name, temperature in found.items():
        assert (temperature == pytest.approx(alone[name], rel=1e-3)) == ("echo" in name), name


def test_few_pixels_give_nearly_the_same(tiles, model, monkeypatch):
    network, it = load(model("dis2")).network, scorer(tiles)
    windows = it.scenes.fixed(32)
    every = calibrate.temperatures(it, network, windows)
    monkeypatch.setattr(calibrate, "PIXELS", 3000)
    some = calibrate.temperatures(it, network, windows)
    assert some == pytest.approx(every, rel=0.2) and some != every


def test_a_network_that_doubles_its_logits_is_twice_as_hot(tiles, model):
    network, it = load(model("dis2")).network, scorer(tiles)
    windows = it.scenes.fixed(32)
    before = calibrate.temperatures(it, network, windows)
    with torch.no_grad():
        for decoder in network.decoders.own.values():
            decoder.rise.finish.classify.weight *= 2
            decoder.rise.finish.classify.bias *= 2
    assert calibrate.temperatures(it, network, windows) == pytest.approx({k: 2 * t for k, t in before.items()}, rel=1e-3)
