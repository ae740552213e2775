"""What many windows say together: the shift on which enough of them agree, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dis2.raster.grid import Shift

LEAST = 3  # windows that must agree
SHARE = 1 / 3  # of the windows that could be matched which must agree
FLOOR = 0.02  # pixels: no estimate is trusted beyond this


@dataclass(frozen=True)
class WindowEstimate:
    """What one window says by two independent estimators (the second one: `second_dx`, `second_dy`), and why it does not count."""

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
    """The shift of one sensor if it is to be trusted, else the reason why not; spread and scores are over the windows that count."""

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
        return Match(False, reason=f"only {len(agreeing)} of {len(windows)} windows {why(windows)}; {needed} needed", windows=windows)
    middles = np.array([window.middle for window in agreeing])
    distances = np.hypot(*(middles[:, None] - middles[None]).transpose(2, 0, 1))
    core = middles[distances[(distances <= agreement).sum(1).argmax()] <= agreement].mean(0)
    inside = np.hypot(*(middles - core).T) <= agreement
    windows = marked(windows, [w for w, ok in zip(agreeing, inside, strict=True) if not ok])
    inliers = [window for window in windows if window.used]
    if len(inliers) < max(needed, 0.6 * len(agreeing)):
        return Match(False, reason=f"windows disagree: {len(inliers)} of {len(agreeing)} share a shift", windows=windows)
    return settled(windows, inliers, agreement)


def settled(windows: Sequence[WindowEstimate], inliers: Sequence[WindowEstimate], agreement: float) -> Match:
    """The mean of both estimators over the windows that count, each weighted by how well its windows agree."""
    estimates = np.array([[(w.dx, w.dy), (w.second_dx, w.second_dy)] for w in inliers])  # [n, estimator, xy]
    means = estimates.mean(0)
    weights = 1 / (estimates.var(0, ddof=1).sum(1) / len(inliers) + FLOOR**2)
    dx, dy = (float(value) for value in weights @ means / weights.sum())
    spread = float(np.sqrt(((estimates.mean(1) - (dx, dy)) ** 2).sum(1).mean()))
    gap = float(np.hypot(*(means[0] - means[1])))
    if max(gap, spread) > agreement / 2:
        reason = f"both estimators differ by {gap:.2f} px and windows by {spread:.2f} px"
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
