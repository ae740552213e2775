"""Partial loss: as much of it as is said, the same for every method, and nothing else touched."""

import shutil

import numpy as np
import pytest
import torch

from dis2.combinations import combinations, name_of
from dis2.config.data import Sensor
from dis2.config.evaluation import PartialSettings
from dis2.evaluation.partial import SIDES, PartialLoss, Place, clouded, deviations, displaced, noisy
from dis2.files import read_json
from dis2.models.files import build, load
from dis2.raster.grid import Window
from dis2.tiles.dataset import Sample, Scenes
from dis2.tiles.statistics import statistics
from dis2.training.validate import Scorer
from tests.training.tiny import MODEL, SENSORS, data

ALL = combinations(tuple(SENSORS))
FULL = name_of(ALL[0])
INNER = Window(8, 8, 40, 48)


def place(window=INNER, seed=0):
    """A window of a scene whose every pixel says where it is; a row of it was not measured."""
    y, x = np.mgrid[:64, :72].astype(np.float32)
    image, valid = np.stack([y, x]), np.ones((64, 72), bool)
    valid[20] = False
    wide = Window(max(0, window.y - 4), max(0, window.x - 4), 0, 0)
    wide = wide._replace(
        height=min(64, window.y + window.height + 4) - wide.y, width=min(72, window.x + window.width + 4) - wide.x
    )
    samples = [
        Sample({"eye": image[:, *at.slices]}, {"eye": valid[at.slices]}, np.zeros((at.height, at.width), np.uint8), "dog", at)
        for at in (window, wide)
    ]
    return Place(*samples, seed)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_clouds_hide_just_their_share_and_only_by_validity(share):
    it = place()
    image, valid = clouded(it, "eye", share)
    assert image is it.sample.images["eye"]
    full = Place(
        Sample(it.sample.images, {"eye": np.ones((40, 48), bool)}, it.sample.labels, "dog", it.sample.window), it.wide, 0
    )
    _, alone = clouded(full, "eye", share)
    assert (~alone).mean() == share and np.array_equal(valid, alone & it.sample.valid["eye"])


def test_more_clouds_hide_what_fewer_hid_and_they_are_larger_than_pixels():
    few, many = (~clouded(place(), "eye", share)[1] for share in (0.25, 0.75))
    assert not (few & ~many).any()
    assert (few[:, 1:] != few[:, :-1]).mean() < 0.1


def test_noise_has_the_deviation_that_is_said_in_each_band():
    it = place()
    for level in (0.5, 2.0):
        image, valid = noisy(it, "eye", level, np.array([1.0, 10.0], np.float32))
        added = image - it.sample.images["eye"]
        assert added.std((1, 2)) == pytest.approx([level, 10 * level], rel=0.05) and valid is it.sample.valid["eye"]


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_a_displaced_sensor_shows_what_lies_so_many_pixels_beside(distance):
    it = place()
    image, valid = displaced(it, "eye", distance)
    dy, dx = (image - it.sample.images["eye"])[:, 15, 20]
    assert (dy / distance, dx / distance) in SIDES
    assert (image - it.sample.images["eye"] == np.array([dy, dx])[:, None, None]).all()
    assert np.array_equal(~valid.any(1), np.arange(40) + 8 + dy == 20)


def test_beyond_the_edge_of_the_scene_a_displaced_sensor_has_seen_nothing():
    _, valid = displaced(place(Window(0, 0, 64, 72)), "eye", 4)
    edges = [valid[:4].any(), valid[-4:].any(), valid[:, :4].any(), valid[:, -4:].any()]
    assert sorted(edges) == [False, True, True, True]


def test_damage_is_the_same_at_the_same_seed_and_another_elsewhere():
    for way in (clouded, lambda *key: noisy(*key, np.ones(2, np.float32))):
        again = [way(place(window, seed), "eye", 0.5) for window, seed in ((INNER, 0),) * 2]
        assert all(np.array_equal(a, b) for a, b in zip(*again, strict=True))
        other = way(place(seed=1), "eye", 0.5)
        assert not all(np.array_equal(a, b) for a, b in zip(again[0], other, strict=True))


def scored(tiles, network, zeros=False, windows=None, told=None, **changes):
    scenes = Scenes(told or data(), tiles, "test")
    known = read_json(tiles / "statistics.json")["sensors"]
    chosen = scenes.fixed(32, windows)
    loss = PartialLoss(scenes, network, known, PartialSettings(**changes), chosen, zeros)
    counts = Scorer(scenes, known, ALL, 3, zeros=zeros, observers=[loss]).score(network, scenes.fixed(32))
    return loss, counts


@pytest.fixture
def network(model):
    return load(model("dis2")).network


def test_every_loss_is_scored_on_the_pixels_that_are_scored_without(tiles, network):
    loss, counts = scored(tiles, network)
    assert len(loss.damaged) == 3 * len(SENSORS) * 3
    assert np.array_equal(loss.whole[FULL], counts[FULL].primary)
    for matrix in loss.damaged.values():
        assert matrix.sum(1).tolist() == counts[FULL].primary.sum(1).tolist()
    assert any((matrix != loss.whole[FULL]).any() for matrix in loss.damaged.values())


def test_a_sensor_that_is_wholly_clouded_is_a_sensor_that_is_missing(tiles, network):
    """With a cloud over every pixel what is left is the combination without the sensor."""
    loss, counts = scored(tiles, network, clouds=(1 - 1e-9,), noise=(), misregistration=())
    for sensor, rest in (("eye", "echo+relief"), ("echo", "eye+relief"), ("relief", "eye+echo")):
        found = loss.damaged["clouds", sensor, 1 - 1e-9]
        assert np.abs(found - counts[rest].primary).sum() <= 4


def test_to_a_network_that_is_fed_zeros_clouds_are_zeros(tiles, model):
    network = load(model("teacher")).network
    loss, counts = scored(tiles, network, zeros=True, clouds=(1 - 1e-9,), noise=(), misregistration=())
    assert (
        np.abs(loss.damaged["clouds", "echo", 1 - 1e-9] - counts["eye+relief"].primary).sum() < 0.05 * counts[FULL].primary.sum()
    )
    plain, _ = scored(tiles, network, clouds=(1 - 1e-9,), noise=(), misregistration=())
    assert (plain.damaged["clouds", "echo", 1 - 1e-9] != loss.damaged["clouds", "echo", 1 - 1e-9]).any()


@pytest.mark.parametrize(("radii", "known"), [((0, 3), 0), ((3, 0), 1), ((3,), 0)])
def test_heights_that_are_shown_with_their_relief_are_damaged_as_they_were_measured(tiles, tmp_path, radii, known):
    """What is lost is lost of one band, whatever the network makes of it."""
    folder, plain = shutil.copytree(tiles, tmp_path / "tiles"), data()
    heights = Sensor(bands=1, kind="surface", relief=radii)
    told = plain.model_copy(update={"sensors": plain.sensors | {"relief": heights}})
    statistics(told, folder, folder / "statistics.json")
    found = read_json(folder / "statistics.json")["sensors"]["relief"]
    assert deviations(found) == np.float32(found["std"][known]) and found["std"][known] > 0
    network = build("dis2", {s: spec.channels for s, spec in told.sensors.items()}, len(told.classes), MODEL)
    loss, counts = scored(folder, network.eval(), told=told)
    assert len(loss.damaged) == 3 * len(SENSORS) * 3
    for matrix in loss.damaged.values():
        assert matrix.sum(1).tolist() == counts[FULL].primary.sum(1).tolist()


def test_noise_so_small_that_it_is_none_changes_nothing(tiles, network):
    loss, _ = scored(tiles, network, clouds=(), noise=(1e-9,), misregistration=())
    assert all(np.abs(matrix - loss.whole[FULL]).sum() <= 2 for matrix in loss.damaged.values())


def test_only_the_windows_that_are_wanted_are_damaged_and_scoring_does_not_change(tiles, network):
    few, counts = scored(tiles, network, windows=2)
    _, plain = scored(tiles, network, windows=4, clouds=(), noise=(), misregistration=())
    assert 0 < few.whole[FULL].sum() < counts[FULL].primary.sum()
    assert all(np.array_equal(counts[name].primary, plain[name].primary) for name in counts)
    assert torch.is_grad_enabled()
