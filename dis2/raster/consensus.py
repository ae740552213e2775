"""What many windows say together: the shift on which enough of them agree, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dis2.raster.grid import Shift
from dis2.raster.growth import growing

LEAST = 3  # windows that must agree
SHARE = 1 / 3  # of the windows that could be matched which must agree
WITHIN = 0.8  # of the agreement asked of windows: the difference and scatter that their mean may have


@dataclass(frozen=True)
class WindowEstimate:
    """What one window says by two estimators (`second_dx`, `second_dy`: the witness), and why it does not count."""

    y: int
    x: int
    size: int
    dx: float = math.nan
    dy: float = math.nan
    second_dx: float = math.nan
    second_dy: float = math.nan
    vertical: float | None = None
    before: float = math.nan
    after: float = math.nan
    used: bool = False
    reason: str | None = None

    @property
    def middle(self) -> tuple[float, float]:
        """Half-way between its two estimates."""
        return (self.dx + self.second_dx) / 2, (self.dy + self.second_dy) / 2


@dataclass(frozen=True)
class Match:
    """The shift of one sensor if it is to be trusted, else the reason. Over the windows that count: how far each estimator
    scatters (spread), how far the two lie apart (gap), and how well the images fit before and after."""

    accepted: bool
    shift: Shift = Shift()
    reason: str | None = None
    windows: Sequence[WindowEstimate] = field(default=())
    spread: float | None = None
    second_spread: float | None = None
    gap: float | None = None
    score_before: float | None = None
    score_after: float | None = None
    vertical: float | None = None


def consensus(windows: Sequence[WindowEstimate], agreement: float) -> Match:
    """The shift that most windows share within `agreement` pixels, an affine where they show it; refused if they are too few."""
    agreeing = [window for window in windows if window.used]
    matched = [window for window in windows if not math.isnan(window.dx)]
    needed = max(LEAST, math.ceil(SHARE * len(matched)))
    if len(agreeing) < needed:
        return Match(
            False, reason=f"only {len(agreeing)} of {len(windows)} windows {why(windows)}; {needed} needed", windows=windows
        )
    needed = max(needed, math.ceil(0.6 * len(agreeing)))
    places = places_of(agreeing, windows)
    middles, first = (np.array(said) for said in zip(*((w.middle, (w.dx, w.dy)) for w in agreeing), strict=True))
    growth = growing(places, middles, first, agreement)
    if growth and growth.inside.sum() >= needed:
        return settled(leave(windows, agreeing, growth.inside), growth.shift, agreement)
    inside = np.hypot(*(middles - densest(middles, agreement)).T) <= agreement
    left = leave(windows, agreeing, inside)
    if inside.sum() < needed:
        return Match(False, reason=f"windows disagree: {inside.sum()} of {len(agreeing)} share a shift", windows=left)
    dx, dy = first[inside].mean(0).tolist()
    return settled(left, Shift(dx, dy), agreement)


def places_of(some: Sequence[WindowEstimate], windows: Sequence[WindowEstimate]) -> NDArray:
    """The middles [n, 2] of some windows, from the middle of all, which is that of the scene."""
    ends = np.array([(window.x, window.y, window.x + window.size, window.y + window.size) for window in windows])
    middle = (ends.min(0)[:2] + ends.max(0)[2:]) / 2
    return np.array([(window.x + window.size / 2, window.y + window.size / 2) for window in some]) - middle


def densest(points: NDArray, radius: float) -> NDArray:
    """The mean of the points around the one that has most of them within a radius."""
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    return points[distances[(distances <= radius).sum(1).argmax()] <= radius].mean(0)


def settled(windows: Sequence[WindowEstimate], shift: Shift, agreement: float) -> Match:
    """A shift if the windows that count scatter little around it and the witness tells the same."""
    inliers = [window for window in windows if window.used]
    told = np.array([(window.dx, window.dy, window.second_dx, window.second_dy) for window in inliers])
    grown = places_of(inliers, windows) @ np.reshape(shift.linear, (2, 2)).T
    first, second = told[:, :2] - grown, told[:, 2:] - grown
    spread, second_spread = (float(np.sqrt(((said - said.mean(0)) ** 2).sum(1).mean())) for said in (first, second))
    gap = float(np.hypot(*(second - first).mean(0)))
    if max(gap, spread) > WITHIN * agreement:
        reason = f"the estimators differ by {gap:.2f} px and the windows by {spread:.2f} px"
        return Match(False, reason=reason, windows=windows, spread=spread, second_spread=second_spread, gap=gap)
    verticals = [window.vertical for window in inliers if window.vertical is not None]
    return Match(
        accepted=True,
        shift=shift,
        windows=windows,
        spread=spread,
        second_spread=second_spread,
        gap=gap,
        score_before=float(np.mean([window.before for window in inliers])),
        score_after=float(np.mean([window.after for window in inliers])),
        vertical=float(np.median(verticals)) if verticals else None,
    )


def leave(
    windows: Sequence[WindowEstimate], agreeing: Sequence[WindowEstimate], inside: NDArray[np.bool_]
) -> list[WindowEstimate]:
    """The same windows, where those that do not lie inside no longer count."""
    outliers = [window for window, ok in zip(agreeing, inside, strict=True) if not ok]
    return [replace(w, used=False, reason="apart from the other windows") if w in outliers else w for w in windows]


def why(windows: Sequence[WindowEstimate]) -> str:
    """The commonest reason of windows that do not count."""
    reasons = [w.reason.split(":")[0] for w in windows if w.reason]
    return f"count ({max(sorted(set(reasons)), key=reasons.count)})" if reasons else "count"
