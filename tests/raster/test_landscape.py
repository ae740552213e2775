"""Made-up places: every class has its share whatever the size, and things stand where they can."""

import numpy as np
import pytest

from dis2.raster.landscape import BUILDING, CLASSES, SMALLEST_SHARE, WATER, Rectangle, draw_landscape


@pytest.mark.parametrize("size", [64, 128, 192])
def test_every_class_has_its_share(size):
    place = draw_landscape(np.random.default_rng(size), size)
    cover = place.scene(place.cover)
    assert cover.shape == (size, size)
    assert (np.bincount(cover.ravel(), minlength=len(CLASSES)) >= SMALLEST_SHARE * size**2).all()


def test_buildings_are_high_and_water_is_low_and_flat():
    place = draw_landscape(np.random.default_rng(1), 128)
    assert place.height[place.cover == BUILDING].min() > 2
    assert place.height[place.cover == WATER].max() == 0
    assert np.ptp(place.ground[place.cover == WATER]) < 0.1
    assert place.ground[place.cover == WATER].max() < place.ground[place.cover == BUILDING].mean()


def test_parts_of_a_plan_neither_overlap_nor_exceed_their_size():
    whole = Rectangle(0, 0, 200, 300)
    parts = list(whole.cut(np.random.default_rng(0), 50, 4))
    drawn = np.zeros((200, 300), int)
    for part in parts:
        assert max(part.height, part.width) <= 50
        top, left = round(part.top), round(part.left)
        drawn[top : round(part.top + part.height), left : round(part.left + part.width)] += 1
    assert drawn.max() == 1
    assert 0.6 < drawn.mean() < 1
