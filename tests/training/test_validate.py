"""Scoring: every pixel once, for every combination, on the same pixels."""

import numpy as np
import pytest
import torch

from dis2.combinations import combinations, name_of
from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.files import read_json
from dis2.metrics import Calibration, confusion
from dis2.models.files import load
from dis2.raster.grid import Window
from dis2.tiles.dataset import Scenes
from dis2.training.validate import Count, Scorer, mious
from tests.training.tiny import CLASSES, SENSORS, SIZE, data, scene, write

ALL = combinations(tuple(SENSORS))


def scorer(tiles, **changes):
    told = {"combinations": ALL, "batch": 2, "bins": 10} | changes
    return Scorer(Scenes(data(), tiles, "test"), read_json(tiles / "statistics.json")["sensors"], **told)


@pytest.fixture
def network(model):
    return load(model("dis2")).network


def said_by_hand(network, tiles, windows, combination, zeros):
    """Each window by itself: confusion matrices (primary, every) and (sure, right) of the primary pixels, pixel by pixel."""
    scenes, told = Scenes(data(), tiles, "test"), read_json(tiles / "statistics.json")["sensors"]
    seen, matrices, sure = set(), np.zeros((2, len(CLASSES), len(CLASSES)), int), []
    for name, window in windows:
        sample = scenes.sample(name, window)
        images, valid = {}, {}
        for sensor in SENSORS:
            mean, std = (torch.tensor(told[sensor][key]).view(1, -1, 1, 1) for key in ("mean", "std"))
            image, mask = (torch.from_numpy(x.copy())[None] for x in (sample.images[sensor], sample.valid[sensor]))
            if sensor in combination:
                images[sensor], valid[sensor] = (image - mean) / std, mask[None]
            elif zeros:
                images[sensor], valid[sensor] = torch.zeros_like(image), torch.ones_like(mask)[None]
        with torch.no_grad():
            probability = network(images, valid).logits.softmax(1)[0].numpy()
        for y in range(window.height):
            for x in range(window.width):
                truth, place = sample.labels[y, x], (name, window.y + y, window.x + x)
                measured = [bool(sample.valid[sensor][y, x]) for sensor in SENSORS]
                if truth == IGNORE or place in seen or not any(measured):
                    continue
                seen.add(place)
                chosen = probability[:, y, x].argmax()
                matrices[1, truth, chosen] += 1
                if all(measured):
                    matrices[0, truth, chosen] += 1
                    sure.append((probability[:, y, x].max(), chosen == truth))
    return matrices, np.array(sure)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("combination", [ALL[0], ALL[2], ALL[-1]])
def test_counts_are_those_of_a_loop_over_every_pixel(network, tiles, combination, zeros):
    windows = [("dog", window) for window in (Window(0, 0, 48, 48), Window(16, 0, 48, 48), Window(16, 24, 48, 48))]
    count = scorer(tiles, zeros=zeros).score(network, windows)[name_of(combination)]
    (primary, every), sure = said_by_hand(network, tiles, windows, combination, zeros)
    for found, by_hand in ((count.primary, primary), (count.every, every)):
        assert found.sum() == by_hand.sum() > 1000
        assert np.abs(found - by_hand).sum() <= 4
    found = count.calibration
    assert found.count.sum() == len(sure) and found.right.sum() == np.trace(count.primary)
    assert found.confidence.sum() == pytest.approx(sure[:, 0].sum(), rel=1e-4)


def test_every_pixel_counts_once_and_the_same_ones_for_every_combination_whatever_the_windows(network, tiles):
    _, valid, labels = scene("dog", 3)
    masks = np.stack(list(valid.values()))
    for tile, batch in ((32, 3), (48, 1), (96, 4)):
        it = scorer(tiles, batch=batch)
        counts = it.score(network, it.scenes.fixed(tile))
        assert list(counts) == [name_of(c) for c in ALL]
        for count in counts.values():
            for index in range(len(CLASSES)):
                assert count.primary[index].sum() == (masks.all(0) & (labels == index)).sum()
                assert count.every[index].sum() == (masks.any(0) & (labels == index)).sum()


def test_pixels_that_no_sensor_measured_count_nowhere_and_stop_nothing(network, tiles, tmp_path):
    """Whole windows of them too, with others in their batch or not."""
    images, valid, labels = scene("dog", 3)
    for mask in valid.values():
        mask[:, :40] = False
    write(tmp_path, "dog", images, valid, labels)
    (tmp_path / "statistics.json").write_text((tiles / "statistics.json").read_text())
    found = []
    for batch in (1, 4):
        for zeros in (False, True):
            it = scorer(tmp_path, batch=batch, zeros=zeros)
            counts = it.score(network, it.scenes.fixed(32))
            found += [(count.primary.sum(), count.every.sum()) for count in counts.values()]
    masks = np.stack(list(valid.values()))
    assert set(found) == {((masks.all(0) & (labels != IGNORE)).sum(), (masks.any(0) & (labels != IGNORE)).sum())}


def test_zeros_that_claim_to_be_measured_are_not_absence(network, tiles):
    it, zeros = scorer(tiles), scorer(tiles, zeros=True)
    windows = it.scenes.fixed(64)
    plain, filled = it.score(network, windows), zeros.score(network, windows)
    assert (plain["eye"].every != filled["eye"].every).any()


def test_the_full_combination_is_the_same_with_zeros(network, tiles):
    it, zeros = scorer(tiles), scorer(tiles, zeros=True)
    windows, full = it.scenes.fixed(64), name_of(ALL[0])
    plain, filled = it.score(network, windows)[full], zeros.score(network, windows)[full]
    assert np.array_equal(plain.every, filled.every) and np.array_equal(plain.calibration.count, filled.calibration.count)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_network_as_it_was(network, tiles, training):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train(training)
    scorer(tiles).score(network, [("dog", Window(0, 0, 32, 32))])
    assert network.training == training and all(torch.equal(before[n], x) for n, x in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def count(primary, every):
    return Count(np.array(primary), np.array(every), *(Calibration.empty(2) for _ in range(3)))


def test_miou_is_of_the_pixels_that_every_sensor_sees_or_else_of_those_that_any_sees():
    assert mious({"a": count([[2, 0], [2, 0]], [[9, 0], [0, 9]])}) == {"a": 0.25}
    assert mious({"a": count([[0, 0], [0, 0]], [[9, 0], [0, 9]])}) == {"a": 1.0}


def test_a_validation_without_a_measured_pixel_is_one_clear_line():
    with pytest.raises(UserError, match="validation: no labelled pixel has a measurement"):
        mious({"a": count([[0, 0], [0, 0]], [[0, 0], [0, 0]])})


def test_confusion_has_the_truth_in_its_rows():
    assert confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist() == [[1, 1], [0, 1]]
    assert Window(0, 0, *SIZE).slices == (slice(0, 64), slice(0, 72))
