"""Similarity to the teacher: streamed, and the same as if all cells were one sample."""

import numpy as np
import pytest
import torch

from dis2.combinations import combinations, name_of
from dis2.evaluation.similarity import Products, Similarity, rows, seen_cells
from dis2.files import read_json
from dis2.losses import linear_cka
from dis2.models.files import load
from dis2.raster.grid import Window
from dis2.tiles.dataset import Scenes
from dis2.training.validate import Scorer, prepared
from tests.training.tiny import SENSORS, data

ALL = combinations(tuple(SENSORS))
FULL = name_of(ALL[0])


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_streamed_products_make_the_cka_of_the_losses_whatever_the_parts(parts):
    a = 3 + random(70, 5)
    b = random(70, 8, seed=1) + a @ random(5, 8, seed=2)
    own_a, own_b, both = Products(), Products(), Products()
    for x, y in zip(a.chunk(parts), b.chunk(parts), strict=True):
        for products, one, two in ((own_a, x, x), (own_b, y, y), (both, x, y)):
            products.add(one, two)
    found = both.hsic / (own_a.hsic * own_b.hsic) ** 0.5
    assert found == pytest.approx(linear_cka(a.T[None, :, :, None], b.T[None, :, :, None]).item(), abs=1e-5)


def test_features_that_are_turned_are_alike_and_unrelated_ones_are_not():
    a = random(4000, 6)
    turn = torch.linalg.qr(random(6, 6, seed=1)).Q
    for b, cka in ((2 * a @ turn + 5, 1.0), (random(4000, 6, seed=2), 0.0)):
        products = [Products() for _ in range(3)]
        for it, (x, y) in zip(products, ((a, a), (b, b), (a, b)), strict=True):
            it.add(x, y)
        assert products[2].hsic / (products[0].hsic * products[1].hsic) ** 0.5 == pytest.approx(cka, abs=0.002)


def test_few_cells_have_no_score():
    products = Products()
    products.add(random(3, 2), random(3, 2))
    assert np.isnan(products.hsic)


def scored(tiles, network, teacher, tile, batch):
    likeness = Similarity(teacher)
    scenes = Scenes(data(), tiles, "test")
    scorer = Scorer(scenes, read_json(tiles / "statistics.json")["sensors"], ALL, batch, observers=[likeness])
    scorer.score(network, scenes.fixed(tile))
    return likeness.told()


def test_the_teacher_is_like_itself_with_every_sensor_and_less_with_fewer(tiles, model):
    teacher = load(model("teacher")).network
    told = scored(tiles, teacher, teacher, 32, 2)
    assert list(told) == [name_of(c) for c in ALL]
    assert told[FULL] == {str(level): pytest.approx(1.0, abs=1e-5) for level in (1, 2, 3, 4)}
    assert all(told[name][level] < 0.999 for name in told if name != FULL for level in "1234")


def test_only_cells_that_every_sensor_mostly_sees_count(tiles, model):
    """One window of the whole scene by hand; the pass in one batch is the same."""
    student, teacher = load(model("dis2")).network.eval(), load(model("teacher")).network.eval()
    scenes, window = Scenes(data(), tiles, "test"), Window(0, 0, 64, 72)
    sample = scenes.sample("dog", window)
    images, valid, _ = prepared([sample], read_json(tiles / "statistics.json")["sensors"], torch.device("cpu"))
    seen = np.stack(list(sample.valid.values())).all(0)
    with torch.no_grad():
        taught = teacher(images, valid).features.fused
        encoded = student.encode(images, valid)
        found = student.decode(encoded, torch.tensor([[True, False, True]])).features.fused
    told = scored(tiles, student, teacher, 96, 1)["eye+relief"]
    for level, (a, b) in enumerate(zip(found, taught, strict=True), 1):
        cells = [
            (y, x)
            for y in range(64 // 2**level)
            for x in range(72 // 2**level)
            if seen[y * 2**level : (y + 1) * 2**level, x * 2**level : (x + 1) * 2**level].mean() > 0.5
        ]
        a, b = (torch.stack([x[0, :, i, j] for i, j in cells]).T[None, :, :, None] for x in (a, b))
        assert told[str(level)] == pytest.approx(linear_cka(a, b).item(), abs=2e-4)


def test_overlapping_windows_count_no_cell_twice(tiles, model):
    network = load(model("teacher")).network
    likeness = Similarity(network)
    scenes = Scenes(data(), tiles, "test")
    scorer = Scorer(scenes, read_json(tiles / "statistics.json")["sensors"], ALL[:1], 2, observers=[likeness])
    scorer.score(network, [("dog", Window(0, 0, 48, 48)), ("dog", Window(0, 16, 48, 48)), ("dog", Window(0, 0, 48, 48))])
    once = Similarity(network)
    seen = np.stack(list(scenes.sample("dog", Window(0, 0, 48, 64)).valid.values())).all(0)
    assert likeness.own[1].n == int(seen_cells(torch.from_numpy(seen)[None, None], torch.zeros(1, 1, 24, 32)).sum())
    assert once.told() == {}


def test_padding_is_no_cell():
    cells = seen_cells(torch.ones(1, 1, 20, 33, dtype=torch.bool), torch.zeros(1, 3, 16, 24))
    assert cells.shape == (1, 16, 24) and cells[0, :10, :16].all() and int(cells.sum()) == 160
    assert rows(torch.zeros(1, 3, 16, 24), cells).shape == (160, 3)
