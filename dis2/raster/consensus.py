"""What many windows say together: the shift on which enough of them agree, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dis2.raster.grid import Shift

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
    """The shift of one sensor if it is to be trusted, else the reason; spread and scores are over the windows that count."""

    accepted: bool
    shift: Shift = Shift()
    reason: str | None = None
    windows: Sequence[WindowEstimate] = field(default=())
    spread: float | None = None
    score_before: float | None = None
    score_after: float | None = None
    vertical: float | None = None


def consensus(windows: Sequence[WindowEstimate], agreement: float) -> Match:
    """The shift that most windows share within `agreement` pixels; refused where they are too few."""
    agreeing = [window for window in windows if window.used]
    matched = [window for window in windows if not math.isnan(window.dx)]
    needed = max(LEAST, math.ceil(SHARE * len(matched)))
    if len(agreeing) < needed:
        return Match(
            False, reason=f"only {len(agreeing)} of {len(windows)} windows {why(windows)}; {needed} needed", windows=windows
        )
    middles = np.array([window.middle for window in agreeing])
    inside = np.hypot(*(middles - densest(middles, agreement)).T) <= agreement
    windows = marked(windows, [w for w, ok in zip(agreeing, inside, strict=True) if not ok])
    inliers = [window for window in windows if window.used]
    if len(inliers) < max(needed, 0.6 * len(agreeing)):
        return Match(False, reason=f"windows disagree: {len(inliers)} of {len(agreeing)} share a shift", windows=windows)
    return settled(windows, inliers, agreement)


def densest(points: NDArray, radius: float) -> NDArray:
    """The mean of the points around the one that has most of them within a radius."""
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    return points[distances[(distances <= radius).sum(1).argmax()] <= radius].mean(0)


def settled(windows: Sequence[WindowEstimate], inliers: Sequence[WindowEstimate], agreement: float) -> Match:
    """The mean of the first estimator over the windows that count, if their scatter and the witness let it pass."""
    first = np.array([(window.dx, window.dy) for window in inliers])
    second = np.array([(window.second_dx, window.second_dy) for window in inliers])
    dx, dy = (float(value) for value in first.mean(0))
    spread = float(np.sqrt(((first - (dx, dy)) ** 2).sum(1).mean()))
    gap = float(np.hypot(*(second.mean(0) - (dx, dy))))
    if max(gap, spread) > WITHIN * agreement:
        reason = f"the estimators differ by {gap:.2f} px and the windows by {spread:.2f} px"
        return Match(False, reason=reason, windows=windows, spread=spread)
    verticals = [window.vertical for window in inliers if window.vertical is not None]
    return Match(
        accepted=True,
        shift=Shift(dx, dy),
        windows=windows,
        spread=spread,
        score_before=float(np.mean([window.before for window in inliers])),
        score_after=float(np.mean([window.after for window in inliers])),
        vertical=float(np.median(verticals)) if verticals else None,
    )


def marked(windows: Sequence[WindowEstimate], outliers: Sequence[WindowEstimate]) -> list[WindowEstimate]:
    """The same windows, where outliers no longer count."""
    return [replace(w, used=False, reason="apart from the other windows") if w in outliers else w for w in windows]


def why(windows: Sequence[WindowEstimate]) -> str:
    """The commonest reason of windows that do not count."""
    reasons = [w.reason.split(":")[0] for w in windows if w.reason]
    return f"count ({max(sorted(set(reasons)), key=reasons.count)})" if reasons else "count"
