"""The registration stage: how far every sensor of a scene lies beside the reference, found or refused, and shown."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.files import digest, whole, write_json
from dis2.raster.consensus import Match
from dis2.raster.grid import Grid, Shift, Window
from dis2.raster.match import Kind, View, lattice, match
from dis2.raster.scene import open_sensor, reference_sensor, scene_grid
from dis2.raster.shifts import NOT_LOOKED_FOR
from dis2.raster.structure import ranks

SHOWN = 384  # pixels a side of the part in the middle of the scene that the picture shows


class Found(NamedTuple):
    """How a sensor lies beside another one, which lies as its own shift says."""

    to: str
    match: Match


def register(data: Data, grid: GridSettings, scene: str, out: Path, picture: Path | None = None) -> None:
    """Write the shift of every sensor that the scene has, and a picture of the scene before and after."""
    reference = reference_sensor(data, grid, scene)
    place = scene_grid(data, grid, scene)
    skipped = "chips share a pixel grid" if grid.pixels else None if grid.registration.enabled else "registration is disabled"
    if skipped:
        untouched = Found(reference, Match(False, reason=f"not looked for: {skipped}"))
        found = {**dict.fromkeys(data.in_order(data.scenes[scene].has), untouched), reference: the_reference(reference)}
    else:
        found = find(data, grid, scene, place)
    sensors = {
        sensor: described(it, place, NOT_LOOKED_FOR if skipped else method(data, it.to, sensor)) for sensor, it in found.items()
    }
    if picture:
        draw(data, grid, scene, place, found, picture)
    drawn = {"picture": digest(picture)} if picture else {}
    write_json(out, {"scene": scene, "reference": reference, "sensors": sensors, **drawn})


def the_reference(sensor: str) -> Found:
    """The sensor to which others are registered."""
    return Found(sensor, Match(True, reason="the reference"))


def find(data: Data, grid: GridSettings, scene: str, place: Grid) -> dict[str, Found]:
    """Each sensor beside the reference. Those of another kind have little in common with it: the first of them that can be
    registered to it, or else the first of them as it is, is what the others of that kind are registered to."""
    reference, kinds = reference_sensor(data, grid, scene), {name: sensor.kind for name, sensor in data.sensors.items()}
    sensors = data.in_order(data.scenes[scene].has)
    found = {reference: the_reference(reference)}

    def beside(sensor: str, *others: str) -> Found:
        """Beside the first of the others to which it can be registered; else what was found of the very first."""
        tried = []
        for to in others:
            tried.append(Found(to, match_sensor(data, grid, scene, sensor, to, found[to].match.shift, place)))
            if tried[-1].match.accepted:
                return tried[-1]
        return tried[0]

    for sensor in sensors:
        if sensor != reference and kinds[sensor] == kinds[reference]:
            found[sensor] = beside(sensor, reference)
    strangers = [sensor for sensor in sensors if kinds[sensor] != kinds[reference]]
    for sensor in strangers:
        found[sensor] = beside(sensor, reference)
        if found[sensor].match.accepted:
            break
    tried = [sensor for sensor in strangers if sensor in found]
    first = max(tried, key=lambda sensor: found[sensor].match.accepted, default=reference)
    for sensor in strangers:
        if sensor != first:
            found[sensor] = beside(sensor, first, *(() if sensor in tried else (reference,)))
    return {sensor: found[sensor] for sensor in sensors}


def match_sensor(data: Data, grid: GridSettings, scene: str, sensor: str, to: str, moved: Shift, place: Grid) -> Match:
    """One sensor against another one, put right by its own shift; both read window by window."""
    kinds: tuple[Kind, Kind] = (data.sensors[to].kind, data.sensors[sensor].kind)
    with ExitStack() as stack:
        first = stack.enter_context(open_sensor(data, grid, scene, to, place, moved))
        second = stack.enter_context(open_sensor(data, grid, scene, sensor, place))

        def read(window: Window) -> tuple[View, View]:
            return first.read(window), second.read(window)

        return match(lattice(place.height, place.width, grid.registration), read, grid.registration, kinds)


def method(data: Data, to: str, sensor: str) -> str:
    """By what a sensor is compared to another."""
    kinds = {data.sensors[to].kind, data.sensors[sensor].kind}
    if to == sensor:
        return "reference"
    if kinds == {"surface"}:
        return "edge structure and Nuth and Kääb"
    return "edge structure and mutual information" + (" of gradient magnitudes" if "surface" in kinds else "")


def described(found: Found, place: Grid, method: str) -> dict[str, Any]:
    """What was found as JSON can hold it, shifts also in units of the CRS."""
    result, transform = found.match, place.transform
    shift = result.shift
    described = {
        "to": found.to,
        "accepted": result.accepted,
        "shift": {"dx": shift.dx, "dy": shift.dy, **({"linear": shift.linear} if any(shift.linear) else {})},
        "units": {
            "dx": transform.a * shift.dx + transform.b * shift.dy,
            "dy": transform.d * shift.dx + transform.e * shift.dy,
        },
        "method": method,
        "reason": result.reason,
        "spread": result.spread,
        "second_spread": result.second_spread,
        "gap": result.gap,
        "before": result.score_before,
        "after": result.score_after,
        "vertical": result.vertical,
        "windows": [asdict(window) for window in result.windows],
    }
    return dict(plain(described))


def plain(value: Any) -> Any:
    """The same with numbers to four digits after the point, or all that matter of small ones, and nothing for what is not one."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return (round(value, 4) if abs(value) >= 0.1 else float(f"{value:.4g}")) + 0.0 if math.isfinite(value) else None
    return value


def draw(data: Data, grid: GridSettings, scene: str, place: Grid, found: dict[str, Found], picture: Path) -> None:
    """A row per sensor: a checkerboard with what it was compared to before and after, and what every window says."""
    from matplotlib.figure import Figure

    others = {sensor: it for sensor, it in found.items() if sensor != it.to}
    figure = Figure(figsize=(12, 4.2 * max(1, len(others))), layout="constrained")
    axes = figure.subplots(max(1, len(others)), 3, squeeze=False)
    height, width = min(SHOWN, place.height), min(SHOWN, place.width)
    middle = Window((place.height - height) // 2, (place.width - width) // 2, height, width)
    for row, (sensor, it) in zip(axes, others.items(), strict=False):
        base = grey(data, grid, scene, it.to, place, middle, found[it.to].match.shift)
        for axis, shift, when in ((row[0], Shift(), "before"), (row[1], it.match.shift, "after")):
            axis.imshow(checkerboard(base, grey(data, grid, scene, sensor, place, middle, shift)), cmap="gray", vmin=0, vmax=1)
            axis.set_title(f"{it.to} and {sensor}, {when}", fontsize=10)
            axis.set_axis_off()
        draw_windows(row[2], it.match, place, sensor)
    with whole(picture) as part:
        figure.savefig(part, format="png", dpi=80)


def draw_windows(axis: Any, result: Match, place: Grid, sensor: str) -> None:
    """An arrow per window, as far as it says the sensor lies off, many times longer than true."""
    axis.set(xlim=(0, place.width), ylim=(place.height, 0), aspect="equal", xticks=[], yticks=[])
    for window in result.windows:
        if math.isnan(window.dx):
            continue
        right, down = window.middle
        x, y = window.x + window.size / 2, window.y + window.size / 2
        color = "#1b6b3a" if window.used else "#c9c9c9"
        axis.quiver(x, y, right, down, angles="xy", scale_units="width", scale=40, color=color, width=0.008)
    says = (
        f"dx {result.shift.dx:+.2f}, dy {result.shift.dy:+.2f} px, spread {result.spread:.2f}"
        if result.accepted
        else "left as it is"
    )
    axis.set_title(f"{sensor}: {says}", fontsize=10)
    counted = sum(window.used for window in result.windows)
    axis.set_xlabel(result.reason or f"{counted} of {len(result.windows)} windows agree (green)", fontsize=8, wrap=True)


def grey(
    data: Data, grid: GridSettings, scene: str, sensor: str, place: Grid, window: Window, shift: Shift
) -> NDArray[np.float32]:
    """A part of a sensor as one image from 0 to 1; holes are NaN."""
    with open_sensor(data, grid, scene, sensor, place, shift) as reader:
        bands, valid = reader.read(window)
    if not valid.any():
        return np.full(valid.shape, np.nan, np.float32)
    ranked = [ranks(band, np.quantile(band[valid], np.linspace(0, 1, 65))) for band in bands[:3]]
    return np.where(valid, (np.mean(ranked, axis=0) + 1) / 2, np.nan).astype(np.float32)


def checkerboard(first: NDArray, second: NDArray, fields: int = 8) -> NDArray:
    """Fields of one image and the other in turn: edges run through where they fit."""
    rows, columns = (np.arange(side) * fields // side for side in first.shape)
    return np.where((rows[:, None] + columns) % 2 == 0, first, second)
