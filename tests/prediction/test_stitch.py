"""Stitching in a ring of rows is the same as blending in a whole map, and leaves no seam."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2.prediction.stitch import Ring, shares, stitch
from dis2.raster.grid import windows

SIZES = {"height": st.integers(1, 70), "width": st.integers(1, 70), "tile": st.integers(1, 24), "share": st.floats(0, 0.75)}


def random_windows(height, width, tile, overlap, channels=2, seed=0):
    """Each window says something else, so that every weight shows."""
    generator = torch.Generator().manual_seed(seed)
    for window in windows(height, width, tile, overlap):
        yield window, torch.rand(channels, window.height, window.width, generator=generator)


def whole(bands, channels=2):
    """The bands joined; they must follow each other."""
    rows, parts = 0, []
    for window, values in bands:
        assert window.y == rows and window.height == values.shape[1] and window.width == values.shape[2]
        rows += window.height
        parts.append(values.clone())
    return torch.cat(parts, 1)


def blended_in_a_whole_map(height, width, tile, overlap):
    """The plain way: sums of weighted values and of weights over the whole map, then divided."""
    values, weights = torch.zeros(2, height, width, dtype=torch.float64), torch.zeros(height, width, dtype=torch.float64)
    for window, said in random_windows(height, width, tile, overlap):
        bells = [torch.sin(torch.pi * (torch.arange(n) + 1) / (n + 1)) ** 2 for n in (window.height, window.width)]
        weight = torch.outer(*bells).double()
        values[:, *window.slices] += weight * said
        weights[window.slices] += weight
    return values / weights


@settings(max_examples=60, deadline=None)
@given(**SIZES)
def test_a_ring_of_rows_equals_a_whole_map(height, width, tile, share):
    overlap = int(tile * share)
    found = whole(stitch(random_windows(height, width, tile, overlap), height, width, tile, overlap))
    torch.testing.assert_close(found.double(), blended_in_a_whole_map(height, width, tile, overlap), atol=2e-6, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 400), tile=st.integers(1, 64), share=st.floats(0, 0.75))
def test_shares_are_positive_and_add_up_to_one_at_every_pixel(length, tile, share):
    total = torch.zeros(length, dtype=torch.float64)
    for start, weights in shares(length, tile, int(tile * share)).items():
        assert (weights > 0).all()
        total[start : start + len(weights)] += weights
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)


@pytest.mark.parametrize("overlap", [0, 8, 24])
def test_what_all_windows_agree_on_stays_as_it_is(overlap):
    said = torch.tensor([0.125, 0.875])[:, None, None]
    same = ((window, said.expand(2, window.height, window.width)) for window in windows(75, 101, 32, overlap))
    found = whole(stitch(same, 75, 101, 32, overlap))
    torch.testing.assert_close(found, said.expand(2, 75, 101))


def test_a_picture_cut_into_windows_comes_back_whole():
    picture = torch.rand(3, 90, 130, generator=torch.Generator().manual_seed(1))
    cut = ((window, picture[:, *window.slices]) for window in windows(90, 130, 32, 8))
    torch.testing.assert_close(whole(stitch(cut, 90, 130, 32, 8)), picture)


def test_memory_holds_one_window_of_rows_whatever_the_height(monkeypatch):
    rings = []
    monkeypatch.setattr("dis2.prediction.stitch.Ring", lambda rows: rings.append(Ring(rows)) or rings[-1])
    for height in (100, 1000):
        for band, _ in stitch(random_windows(height, 60, 32, 8), height, 60, 32, 8):
            assert band.height <= 32
    assert [ring.rows.shape for ring in rings] == [(2, 32, 60)] * 2


def test_rows_are_handed_out_as_soon_as_no_window_can_change_them():
    asked = []

    def watched():
        for window, values in random_windows(96, 32, 32, 8):
            asked.append(window.y)
            yield window, values

    first, _ = next(stitch(watched(), 96, 32, 32, 8))
    assert (first.y, first.height) == (0, 24) and asked == [0, 24]
