"""Known shifts in, known shifts out; and nothing found where there is nothing to find."""

import math

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.registration import (
    AFFINE,
    KINDS,
    RADAR,
    SECONDS,
    data_folder,
    error,
    grown,
    ours,
    pairs,
    phase_correlation,
    shifted,
)
from dis2.config.registration import Registration
from dis2.raster.consensus import Match, WindowEstimate, consensus
from dis2.raster.grid import Shift, Window
from dis2.raster.match import Kind, View, lattice, match

SIDE, MARGIN = 160, 64
TRUE = Shift(2.37, -1.62)
IMAGES: tuple[Kind, Kind] = ("image", "image")
SURFACES: tuple[Kind, Kind] = ("surface", "surface")


def texture(seed: int, side: int = SIDE + 2 * MARGIN) -> np.ndarray:
    """Fields and spots from 0 to 1."""
    rng = np.random.default_rng(seed)
    fine, coarse = (ndimage.gaussian_filter(rng.normal(size=(side, side)), scale) * scale for scale in (1.5, 6))
    return np.clip(0.5 + 0.6 * fine + 0.8 * np.tanh(4 * coarse), 0, 1)


def moved(image: np.ndarray, shift: Shift = TRUE) -> np.ndarray:
    return inner(shifted(image, shift))


def inner(image: np.ndarray) -> np.ndarray:
    return image[MARGIN:-MARGIN, MARGIN:-MARGIN]


def view(image: np.ndarray, valid: np.ndarray | None = None) -> View:
    bands = image[None] if image.ndim == 2 else image
    return bands.astype(np.float32), np.ones(bands.shape[1:], bool) if valid is None else valid


def found(reference: View, second: View, kinds: tuple[Kind, Kind] = IMAGES, **settings: float) -> Match:
    chosen = Registration.model_validate(settings)
    height, width = reference[1].shape

    def read(window: Window) -> tuple[View, View]:
        first, other = ((bands[:, *window.slices], valid[window.slices]) for bands, valid in (reference, second))
        return first, other

    return match(lattice(height, width, chosen), read, chosen, kinds)


@pytest.mark.parametrize("kind", SECONDS)
def test_a_known_shift_is_found(kind: str) -> None:
    image, rng = texture(1), np.random.default_rng(2)
    result = found(view(inner(image)), view(SECONDS[kind](moved(image), rng)))
    assert result.accepted, result.reason
    assert error(result.shift, TRUE) < (0.25 if kind == "speckle, 1 look" else 0.1)
    assert result.score_after > result.score_before


def test_a_positive_shift_means_that_the_second_sensor_shows_things_further_right_and_down() -> None:
    image = texture(3)
    result = found(view(inner(image)), view(inner(np.roll(image, (3, 5), (0, 1)))))
    assert (result.shift.dx, result.shift.dy) == pytest.approx((5, 3), abs=0.02)


def test_a_shift_beyond_small_textures_is_found() -> None:
    image = texture(4)
    second = np.roll(image, (-11, 14), (0, 1))
    assert error(found(view(image), view(second)).shift, Shift(14, -11)) < 0.1


def test_bands_that_cancel_on_average_are_still_matched() -> None:
    one, two = texture(5), texture(6)
    second = np.stack([moved(one + 0.2 * two), moved(1 - one + 0.2 * two)])
    result = found(view(inner(one)), view(second))
    assert result.accepted, result.reason
    assert error(result.shift, TRUE) < 0.1


def test_a_surface_is_matched_to_a_surface_with_its_vertical_offset() -> None:
    rng = np.random.default_rng(7)
    heights = 100 * ndimage.gaussian_filter(rng.normal(size=(SIDE + 2 * MARGIN,) * 2), 8) * 8
    first, second = (image + rng.normal(0, 0.5, image.shape) for image in (inner(heights), moved(heights) + 12))
    result = found(view(first), view(second), SURFACES)
    assert result.accepted, result.reason
    assert error(result.shift, TRUE) < 0.08
    assert result.vertical == pytest.approx(12, abs=0.2)


def test_an_affine_misregistration_is_found_where_windows_show_it() -> None:
    image = texture(16, 384 + 2 * MARGIN)
    true = Shift(1.4, -2.1, (0.004, -0.003, 0.002, -0.005))
    result = found(view(inner(image)), view(inner(grown(image, true))))
    assert result.accepted, result.reason
    assert error(result.shift, true) < 0.15
    top = [window for window in result.windows if window.y == 0 and window.used]
    assert min(window.dx for window in top) < 1.4 + 0.003 * 64 < max(window.dx for window in top)


def test_a_translation_is_not_taken_for_an_affine() -> None:
    image, rng = texture(17, 384 + 2 * MARGIN), np.random.default_rng(18)
    result = found(view(inner(image)), view(SECONDS["speckle, 1 look"](moved(image), rng)))
    assert result.accepted and not any(result.shift.linear)


def test_roofs_are_matched_to_an_image_by_where_they_end_or_not_at_all() -> None:
    roofs = texture(8) > 0.7
    result = found(view(inner(roofs + 0.2 * texture(9))), view(8.0 * moved(roofs.astype(float))), ("image", "surface"))
    assert not result.accepted or error(result.shift, TRUE) < 0.5


def test_holes_that_lie_at_the_same_pixels_do_not_hold_the_shift() -> None:
    image = texture(10)
    y, x = np.mgrid[:SIDE, :SIDE]
    valid = ((y // 37 + x // 41) % 5 > 0) & (y + x > 60)
    first, second = (np.where(valid, seen, np.nan) for seen in (inner(image), moved(image)))
    result = found(view(first, valid), view(second))
    assert result.accepted, result.reason
    assert error(result.shift, TRUE) < 0.1


@pytest.mark.parametrize("kinds", [IMAGES, SURFACES, ("image", "surface")])
def test_places_that_have_nothing_in_common_are_refused(kinds: tuple[Kind, Kind]) -> None:
    result = found(view(inner(texture(11))), view(inner(texture(12))), kinds)
    assert not result.accepted
    assert result.reason
    assert result.shift == Shift()


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (view(np.full((SIDE, SIDE), 7.0)), "nothing to match"),
        (view(np.full((SIDE, SIDE), np.nan)), "mostly invalid"),
        (view(inner(texture(13)), np.arange(SIDE)[:, None] + np.zeros(SIDE) < 30), "mostly invalid"),
    ],
)
def test_the_reason_for_a_refusal_is_stated(second: View, reason: str) -> None:
    result = found(view(inner(texture(13))), second)
    assert not result.accepted
    assert reason in str(result.reason)


def test_a_tiny_scene_is_refused() -> None:
    small = view(texture(14, 64))
    assert "smaller" in str(found(small, small).reason)


def test_the_same_images_give_the_same_bits() -> None:
    image = texture(15)
    first, second = (found(view(inner(image)), view(moved(image))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("shape", [(96, 96), (128, 300), (512, 512), (5000, 700)])
def test_windows_are_few_spread_and_inside(shape: tuple[int, int]) -> None:
    windows = lattice(*shape, Registration.model_validate({}))
    assert 9 <= len(windows) <= 25
    assert {(w.y, w.x) for w in windows} >= {(0, 0), (shape[0] - windows[0].height, shape[1] - windows[0].width)}
    assert all(w.y + w.height <= shape[0] and w.x + w.width <= shape[1] for w in windows)


def says(dx: float, dy: float, used: bool = True) -> WindowEstimate:
    return WindowEstimate(0, 0, 64, dx, dy, dx, dy, before=0.1, after=0.9, used=used)


def test_consensus_leaves_out_what_lies_apart() -> None:
    result = consensus([says(1, 2), says(1.1, 2), says(0.9, 2), says(1, 2), says(9, -9)], 0.5)
    assert result.accepted
    assert (result.shift.dx, result.shift.dy) == pytest.approx((1, 2))
    assert [window.used for window in result.windows] == [True, True, True, True, False]


def test_consensus_refuses_windows_that_all_say_something_else() -> None:
    assert "disagree" in str(consensus([says(3 * i, 0) for i in range(6)], 0.5).reason)
    assert "2 of 9" in str(consensus([says(1, 1, used=i < 2) for i in range(9)], 0.5).reason)


LIMITS = {  # of the median error, and the share of pairs that must be accepted
    "same, 5 % noise": (0.05, 0.9),
    "inverted gamma": (0.05, 0.9),
    "non-monotone": (0.10, 0.8),
    "speckle, 4 looks": (0.10, 0.7),
    "speckle, 1 look": (0.10, 0.3),
    "DSM to DSM": (0.08, 0.9),
    AFFINE: (0.20, 0.8),
    RADAR: (0.45, 0.6),
}
PAIRS = 5
CELLS = [(kind, source) for source in ("zion", "built-in") for kind in KINDS] + [(RADAR, "built-in")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "source"), CELLS)
def test_errors_are_small_and_smaller_than_those_of_phase_correlation(kind: str, source: str) -> None:
    if source == "zion" and data_folder() is None:
        pytest.skip("Zion's rasters are not there: set DIS2_DATA to the folder that holds zion/")
    mine, rival = [], []
    for pair in pairs(kind, PAIRS, source):
        result = ours(pair)
        mine.append(error(result.shift, pair.shift) if result.accepted else math.nan)
        rival.append(error(phase_correlation(pair), pair.shift))
    accepted = np.isfinite(mine)
    median, least = LIMITS[kind]
    assert np.nanmedian(mine) <= median
    assert accepted.mean() >= least
    assert np.nanmax(mine) <= (0.75 if kind == RADAR else 0.5)  # a radar's layover misleads both estimators alike
    assert np.nanmedian(mine) < min(np.median(rival), np.median(np.array(rival)[accepted]))
