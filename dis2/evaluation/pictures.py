"""An explanation as tables and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dis2.files import whole
from dis2.prediction.maps import NOTHING

if TYPE_CHECKING:
    from dis2.evaluation.explain import Canvas, Explanation

COLUMNS = 4
"""Pictures side by side."""


def write_tables(told: Mapping[str, Any], out: Path) -> None:
    """`sensors.csv` and `levels.csv`: a line for each class and what is taken away."""
    for name, key in (("sensor", "without_sensor"), ("level", "without_level")):
        with whole(out / f"{name}s.csv") as part, part.open("w", newline="", encoding="utf-8") as stream:
            lines = csv.writer(stream)
            lines.writerow([name, "class", "pixels", "iou", "iou_lost", "margin_lost"])
            for taken, classes in told[key].items():
                for label, lost in classes.items():
                    lines.writerow([taken, label, told["pixels"][label], told["iou"][label], lost["iou"], lost["margin"]])


def write_evidence(found: Explanation, out: Path) -> None:
    """`evidence.npy`: what the coarsest level tells of each class, in percent, a layer a class; none where that is not known."""
    assert found.map is not None
    values = found.evidence.values if found.evidence else np.empty((0, *found.map.values.shape[1:]), np.float32)
    with whole(out / "evidence.npy") as part:
        np.save(part, np.where(np.isnan(values), NOTHING, np.nan_to_num(100 * values).round()).astype(np.uint8))


def draw(found: Explanation, told: Mapping[str, Any], colors: Sequence[str], out: Path) -> None:
    """`sensors.png` and `levels.png` show the tables, `losses.png` and `evidence.png` the scene."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("sensors", "levels", "losses", "evidence"):
        (out / f"{name}.png").unlink(missing_ok=True)
    title = f"{told['method']}, scene {told['scene']}"
    for name, key, what in (
        ("sensors", "without_sensor", "what each class loses without a sensor"),
        ("levels", "without_level", "what each class loses when a level says the same everywhere"),
    ):
        if told[key]:
            rows = list(told[key]) if name == "sensors" else [f"level {one} (1/{2 ** int(one)})" for one in told[key]]
            heat(told[key], rows, found.classes, f"{title}: {what}", out / f"{name}.png")
    if found.map and found.losses:
        maps(found.map, found.losses, found.sensors, colors, f"{title}: margin lost without", out / "losses.png", around=True)
    if found.map and found.evidence:
        maps(found.map, found.evidence, found.classes, colors, f"{title}: evidence of", out / "evidence.png", around=False)


def heat(table: Mapping[str, Any], rows: Sequence[str], classes: Sequence[str], title: str, path: Path) -> None:
    """Two tables in colour, with their figures: IoU lost in percent points, and margin lost."""
    figure = Figure(figsize=(3 + 1.7 * len(classes), 1.6 + 0.42 * len(rows)), layout="constrained")
    figure.suptitle(title, fontsize=11)
    kinds = ("iou", "IoU, points", 100, "{:+.1f}"), ("margin", "margin", 1, "{:+.2f}")
    for axis, (key, what, factor, form) in zip(figure.subplots(1, 2, sharey=True), kinds, strict=True):
        values = np.array([[_or_nan(row[name][key]) for name in classes] for row in table.values()]) * factor
        limit = max(float(np.nanmax(np.abs(values), initial=0)), 1e-9)
        axis.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right", fontsize=8)
        axis.set_yticks(range(len(rows)), rows, fontsize=9)
        axis.set_title(f"{what} lost", fontsize=9)
        for (y, x), value in np.ndenumerate(values):
            dark = abs(value) > 0.6 * limit
            text = "" if np.isnan(value) else form.format(value)
            axis.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    _save(figure, path)


def maps(
    shown: Canvas, layers: Canvas, names: Sequence[str], colors: Sequence[str], title: str, path: Path, around: bool
) -> None:
    """The map of all sensors, and beside it each layer: from 0 to 1, or around 0 to both sides."""
    rows = -(-(1 + len(names)) // COLUMNS)
    figure = Figure(figsize=(3.1 * COLUMNS, 0.5 + 3.3 * rows), layout="constrained")
    figure.suptitle(f"{title} ...", fontsize=11)
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).ravel())
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(shown.values[0], cmap=ListedColormap(list(colors)), vmin=-0.5, vmax=len(colors) - 0.5, interpolation="nearest")
    axes[0].set_title("map of all sensors", fontsize=9)
    limit = _limit(layers.values) if around else 1.0
    style = {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit} if around else {"cmap": "cividis", "vmin": 0, "vmax": 1}
    drawn = []
    for axis, name, values in zip(axes[1:], names, layers.values, strict=False):
        drawn.append(axis.imshow(values, interpolation="nearest", **style))
        axis.set_title(name, fontsize=9)
    figure.colorbar(drawn[-1], ax=axes, shrink=0.7, pad=0.01)
    _save(figure, path)


def _limit(values: NDArray[np.float32]) -> float:
    """What nearly all values stay within."""
    known = np.abs(values[~np.isnan(values)])
    return max(float(np.percentile(known, 98)), 1e-6) if known.size else 1.0


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _save(figure: Figure, path: Path) -> None:
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=110)
