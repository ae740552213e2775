"""How far one sensor's image lies beside the reference's: windows are matched by two independent estimators and must agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dis2.config.registration import Registration
from dis2.raster.coherence import pooled
from dis2.raster.consensus import Match, WindowEstimate, consensus, densest
from dis2.raster.grid import Shift, Window
from dis2.raster.information import most_informative
from dis2.raster.relation import Relation, learn, value
from dis2.raster.structure import Peak, common, descriptor, fill, locate, ranks, steepness, trusted
from dis2.raster.surface import fit_surface

Kind = Literal["image", "surface"]
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
View = tuple[NDArray, Mask]
"""What a sensor shows in a window: bands [C, h, w] and where they are measurements [h, w]."""

SMALLEST = 96  # pixels: smaller scenes have no windows that could disagree
MEASURED = 0.25  # of a window that both must have measured, away from holes
UNIQUE = 0.75  # of the peak's height that no other peak may reach
COHERENT = 0.04  # pixels: the deviation to expect of a window if both images are alike but for noise
PREFERENCE = 1.25  # by how much sensors' own values may be less precise than what relates them, which is no longer pure
STRAIGHTENED = 2  # times that an affine is undone and what is left is looked for: within a window, it blurs the match
BANDS = 4  # more are averaged in neighbouring groups
SAMPLED = 2  # every such row and column is learned from
QUANTILES = np.linspace(0, 1, 129)


class Pair(NamedTuple):
    """What both sensors show in a window, comparable over windows: bands as ranks (heights as they are), trusted pixels."""

    window: Window
    reference: Array
    second: Array
    weights: tuple[Mask, Mask]
    own: tuple[Array, Array]
    """The mean of each one's bands as they are [H, W]."""


def lattice(height: int, width: int, settings: Registration) -> list[Window]:
    """Windows spread evenly over the scene, half overlapping where there is room for few; none if it is too small."""
    if min(height, width) < SMALLEST:
        return []
    side = min(settings.window, max(64, 2 * min(height, width) // 3))
    rows, columns = (max(3, 1 + math.ceil(2 * (length - side) / side)) for length in (height, width))
    while rows * columns > settings.windows:
        fewer_rows = columns == 2 or (rows > 2 and rows * width >= columns * height)
        rows, columns = (rows - 1, columns) if fewer_rows else (rows, columns - 1)
    ys, xs = (np.linspace(0, length - side, count).round().astype(int) for length, count in ((height, rows), (width, columns)))
    return [Window(int(y), int(x), side, side) for y in ys for x in xs]


def match(
    windows: Sequence[Window],
    read: Callable[[Window], tuple[View, View]],
    settings: Registration,
    kinds: tuple[Kind, Kind] = ("image", "image"),
) -> Match:
    """The shift of the second sensor, from windows read one by one; refused with a reason where it cannot be trusted."""
    if not windows:
        return Match(False, reason=f"the scene is smaller than {SMALLEST} pixels")
    pairs, unusable = prepare(windows, read, kinds)
    if not pairs:
        return Match(False, reason=f"no window can be used ({unusable[0].reason})", windows=unusable)
    if kinds == ("image", "image"):
        pairs = related_views(pairs, settings)
    estimates = estimated(pairs, settings, kinds)
    found = told(estimates, unusable, settings)
    if not any(found.shift.linear):
        return found if "surface" in kinds and "image" in kinds else sharpened(found, pairs, settings)
    for _ in range(STRAIGHTENED):
        straight = [undone(pair, found.shift, windows) for pair in pairs]
        left = told(estimated(straight, settings, kinds), unusable, settings)
        if not left.accepted:
            return left
        found = replace(left, shift=composed(found.shift, left.shift), windows=added(left.windows, found.shift, windows))
    return found


def estimated(pairs: Sequence[Pair], settings: Registration, kinds: tuple[Kind, Kind]) -> list[WindowEstimate]:
    """What each window says, by what its sensors have in common."""
    if kinds == ("image", "image"):
        return [match_images(pair, settings) for pair in pairs]
    return [(match_surfaces if kinds == ("surface", "surface") else match_edges)(pair, settings) for pair in pairs]


def told(estimates: Sequence[WindowEstimate], unusable: Sequence[WindowEstimate], settings: Registration) -> Match:
    """What all windows say together."""
    return consensus(sorted([*estimates, *unusable], key=lambda window: (window.y, window.x)), settings.agreement)


def prepare(
    windows: Sequence[Window], read: Callable[[Window], tuple[View, View]], kinds: tuple[Kind, Kind]
) -> tuple[list[Pair], list[WindowEstimate]]:
    """The windows that can be compared, and those that cannot, with reasons."""
    views = [tuple(finite(view) for view in read(window)) for window in windows]
    enough = [bool((trusted(first[1]) & trusted(second[1])).mean() >= MEASURED) for first, second in views]
    unusable = [doubtful(window, "mostly invalid") for window, ok in zip(windows, enough, strict=True) if not ok]
    usable = [view for view, ok in zip(views, enough, strict=True) if ok]
    references, seconds = (comparable([view[side] for view in usable], kinds[side]) for side in (0, 1))
    pairs = []
    for window, (first, second), *images in zip(itertools.compress(windows, enough), usable, references, seconds, strict=True):
        if min(float(np.ptp(image)) for image in images) < 1e-6:
            unusable.append(doubtful(window, "nothing to match"))
        else:
            own = fill(first[0].mean(0), first[1]), fill(second[0].mean(0), second[1])
            pairs.append(Pair(window, images[0], images[1], (trusted(first[1]), trusted(second[1])), own))
    return pairs, unusable


def finite(view: View) -> View:
    """At most BANDS float32 bands, 0 where there is no measurement; what is not finite is none."""
    bands, valid = view
    valid = valid & np.isfinite(bands).all(0)
    groups = np.array_split(bands, min(BANDS, len(bands)))
    return np.stack([sum(np.where(valid, band, 0).astype(np.float32) for band in group) / len(group) for group in groups]), valid


def comparable(views: Sequence[View], kind: Kind) -> list[Array]:
    """An image's bands as ranks over all windows, heights as they are; holes filled."""
    if kind == "surface" or not views:
        return [np.stack([fill(band, valid) for band in bands[:1]]) for bands, valid in views]
    samples = np.concatenate([bands[:, ::SAMPLED, ::SAMPLED][:, valid[::SAMPLED, ::SAMPLED]] for bands, valid in views], axis=1)
    scales = np.quantile(samples, QUANTILES, axis=1).T
    return [
        np.stack([fill(ranks(band, scale), valid) for band, scale in zip(bands, scales, strict=True)]) for bands, valid in views
    ]


def related_views(pairs: Sequence[Pair], settings: Registration) -> list[Pair]:
    """Images as what their values have to do with each other: learned over all windows, where the structure fits best so far."""
    plain = [structure(pair, settings) for pair in pairs]
    relation = max((related(pairs, at) for at in ((0, 0), whole(plain))), key=lambda found: found.strength)
    relation = related(pairs, whole([structure(related_view(pair, relation), settings) for pair in pairs]))
    return [related_view(pair, relation) for pair in pairs]


def match_images(pair: Pair, settings: Registration) -> WindowEstimate:
    """Images by their structure, with mutual information as the witness."""
    witness = most_informative(pair.reference[0], pair.second[0], pair.weights, reach(pair, settings))
    peak = structure(pair, settings)
    return judged(pair, peak, (peak.dx, peak.dy), witness, settings)


def sharpened(found: Match, pairs: Sequence[Pair], settings: Registration) -> Match:
    """An accepted translation as all its windows together tell it, where that is more precise than their mean. Where sensors
    see different things (layover, shadows) it is not: a fit of everything follows the strongest of them."""
    if not found.accepted or found.spread is None:
        return found
    used = {(window.y, window.x) for window in found.windows if window.used}
    inliers = [pair for pair in pairs if (pair.window.y, pair.window.x) in used]
    start = found.shift.dx, found.shift.dy
    own = pooled(((*pair.own, *pair.weights) for pair in inliers), start, own=True)
    related = pooled(((pair.reference[0], pair.second[0], *pair.weights) for pair in inliers), start, own=False)
    best = own if own.deviation < PREFERENCE * related.deviation else related
    beside = math.hypot(best.dx - start[0], best.dy - start[1])
    precise = best.deviation < min(COHERENT, found.spread) and beside < settings.agreement
    return replace(found, shift=Shift(best.dx, best.dy)) if precise else found


def undone(pair: Pair, shift: Shift, windows: Sequence[Window]) -> Pair:
    """The second image of a window as it is once a misregistration is undone; what comes from beyond it is not trusted."""
    y, x = np.mgrid[: pair.window.height, : pair.window.width] + 0.5
    columns, rows = shift.around(*middle(windows)) @ (x + pair.window.x, y + pair.window.y)
    at = rows - pair.window.y - 0.5, columns - pair.window.x - 0.5

    def there(image: NDArray, order: int) -> NDArray:
        return ndimage.map_coordinates(image, at, order=order, mode="nearest" if order > 1 else "constant", output=np.float32)

    return pair._replace(
        second=np.stack([there(band, 3) for band in pair.second]),
        weights=(pair.weights[0], there(pair.weights[1].astype(np.float32), 1) > 0.99),
        own=(pair.own[0], there(pair.own[1], 3)),
    )


def middle(windows: Sequence[Window]) -> tuple[float, float]:
    """The middle of the scene, which its windows span."""
    return max(w.x + w.width for w in windows) / 2, max(w.y + w.height for w in windows) / 2


def added(left: Sequence[WindowEstimate], shift: Shift, windows: Sequence[Window]) -> list[WindowEstimate]:
    """What every window says beside a misregistration that had been undone, as what it says of the sensor."""
    estimates = []
    for w in left:
        x, y = w.x + w.size / 2, w.y + w.size / 2
        there, below = shift.around(*middle(windows)) @ (x, y)
        dx, dy = there - x, below - y
        estimates.append(replace(w, dx=w.dx + dx, dy=w.dy + dy, second_dx=w.second_dx + dx, second_dy=w.second_dy + dy))
    return estimates


def composed(first: Shift, rest: Shift) -> Shift:
    """A misregistration, and what was left of it once it had been undone, as one."""
    both = first.around(0, 0) @ rest.around(0, 0)
    return Shift(both.c, both.f, (both.a - 1, both.b, both.d, both.e - 1))


def whole(peaks: Sequence[Peak]) -> tuple[int, int]:
    """Where most peaks are, in whole pixels."""
    dx, dy = densest(np.array([(peak.dx, peak.dy) for peak in peaks]), 1.0)
    return round(dx), round(dy)


def related(pairs: Sequence[Pair], at: tuple[int, int]) -> Relation:
    """The relation of both sensors if the second one is shifted like this."""

    def sample(pair: Pair) -> tuple[NDArray, NDArray]:
        here, there = common(pair.reference.shape[1:], at[1], at[0])
        both = (pair.weights[0][here] & pair.weights[1][there])[::SAMPLED, ::SAMPLED]
        first, second = pair.reference[:, *here], pair.second[:, *there]
        return first[:, ::SAMPLED, ::SAMPLED][:, both], second[:, ::SAMPLED, ::SAMPLED][:, both]

    return learn(sample(pair) for pair in pairs)


def related_view(pair: Pair, relation: Relation) -> Pair:
    """The bands of each sensor reduced to the one image that tells about the other."""
    reference, second = value(relation.reference, pair.reference), value(relation.second, pair.second)
    return pair._replace(reference=reference[None], second=second[None])


def match_surfaces(pair: Pair, settings: Registration) -> WindowEstimate:
    """Heights against heights, from no shift and from where the structure fits: the fit that leaves less."""
    peak = structure(pair, settings)
    starts = ((0.0, 0.0), (peak.dx, peak.dy))
    fits = [fit_surface(pair.reference[0], pair.second[0], pair.weights, start) for start in starts]
    best = min(fits, key=lambda fit: fit.remains)
    return judged(pair, peak, (best.dx, best.dy), (peak.dx, peak.dy), settings, best.vertical)


def match_edges(pair: Pair, settings: Registration) -> WindowEstimate:
    """An image against a surface: they have nothing in common but where they change."""
    steep = [ranks(image, np.quantile(image, QUANTILES)) for image in (steepness(pair.reference), steepness(pair.second))]
    witness = most_informative(steep[0], steep[1], pair.weights, reach(pair, settings))
    peak = structure(pair, settings)
    return judged(pair, peak, (peak.dx, peak.dy), witness, settings)


def reach(pair: Pair, settings: Registration) -> int:
    """The largest shift that can be told in this window."""
    return int(min(settings.search, pair.window.height // 4))


def structure(pair: Pair, settings: Registration) -> Peak:
    """Where the edges of both images correlate best."""
    return locate(descriptor(pair.reference), descriptor(pair.second), pair.weights, reach(pair, settings))


def judged(
    pair: Pair,
    peak: Peak,
    first: tuple[float, float],
    second: tuple[float, float],
    settings: Registration,
    vertical: float | None = None,
) -> WindowEstimate:
    """Both estimates of a window, of which the first is the better one, and whether they count."""
    gap = math.hypot(first[0] - second[0], first[1] - second[1])
    reason = None
    if max(map(abs, first)) > reach(pair, settings):
        reason = f"beyond the search: more than {reach(pair, settings)} px"
    elif peak.rival > UNIQUE:
        reason = f"peak not unique: another one has {peak.rival:.0%} of its height"
    elif not gap <= settings.agreement:
        reason = f"estimates differ: by {gap:.2f} px"
    return WindowEstimate(
        pair.window.y,
        pair.window.x,
        pair.window.height,
        *first,
        *second,
        vertical=vertical,
        before=peak.before,
        after=peak.after,
        used=reason is None,
        reason=reason,
    )


def doubtful(window: Window, reason: str) -> WindowEstimate:
    """A window that is not even compared."""
    return WindowEstimate(window.y, window.x, window.height, reason=reason)
