"""What the viewer shows: a mapped scene's sensors and truth, and each map with its confidence and errors."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.combinations import combinations, name_of
from dis2.config.data import IGNORE
from dis2.prediction.manifest import maps_made
from dis2.raster.grid import Grid, Window
from dis2.raster.warp import warped
from dis2.report.findings import Findings
from dis2.report.pictures import (
    class_png,
    confidence_png,
    data_uri,
    error_png,
    rgb,
    sensor_png,
    share_right,
    step_of,
    thinned,
)
from dis2.tiles.store import Store, open_store, store_path

BUDGET = 12 * 2**20
"""Bytes of pictures in the page: scenes beyond it are only files beside it."""

PERCENT = 0.01
"""Confidence is kept in whole percent."""


@dataclass
class Shown:
    """One scene as the page holds it: picture names by what they show, and each map's share of right pixels."""

    scene: str
    height: int
    width: int
    step: int
    sensors: dict[str, str]
    truth: str | None
    maps: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that it adds to the page."""
        return sum(len(png) * 4 // 3 for png in self.pictures.values())

    def add(self, name: str, png: bytes) -> str:
        self.pictures[f"{self.scene}/{name}.png"] = png
        return f"{self.scene}/{name}.png"


def shown_scenes(findings: Findings, wanted: tuple[str, ...]) -> list[Shown]:
    """The scenes that were mapped, those of the settings first; what cannot be shown is noted."""
    folder = findings.results / "maps"
    mapped = {path.name for path in folder.glob("*/*") if path.is_dir() and path.name in findings.data.scenes}
    scenes = []
    for scene in [*(scene for scene in wanted if scene in mapped), *sorted(mapped - set(wanted))]:
        path = store_path(findings.results / "tiles", scene)
        if not path.is_dir():
            findings.notes.append(f"The maps of {scene} are not shown: its tile store is missing.")
        else:
            scenes.append(show(findings, open_store(path), scene))
    if missing := [scene for scene in wanted if scene not in mapped]:
        findings.notes.append(f"No map of {', '.join(missing)}.")
    return scenes


def show(findings: Findings, store: Store, scene: str) -> Shown:
    """One scene with the maps of every method."""
    data, grid = findings.data, store.grid
    step = step_of(grid.height, grid.width)
    truth = thinned(store.labels, grid.height, grid.width, step) if store.labelled else None
    shown = Shown(scene, -(-grid.height // step), -(-grid.width // step), step, {}, None)
    for sensor in data.in_order(store.sensors):
        bands = thinned(lambda window, it=sensor: store.image(it, window)[0], grid.height, grid.width, step)  # type: ignore[misc]
        valid = thinned(lambda window, it=sensor: store.valid(it, window), grid.height, grid.width, step)  # type: ignore[misc]
        shown.sensors[sensor] = shown.add(f"sensor-{sensor}", sensor_png(bands, valid, data.sensors[sensor].kind == "surface"))
    if truth is not None:
        shown.truth = shown.add("truth", class_png(truth, data.colors))
    for method in _by_lead(findings, [path.parent.name for path in (findings.results / "maps").glob(f"*/{scene}")]):
        folder = findings.results / "maps" / method / scene
        if not (files := maps_made(folder)):
            findings.notes.append(f"The maps of {scene} by {method} are not shown: no manifest tells that they are whole.")
            continue
        there = [name for name in findings.combinations if f"{name}.tif" in files]
        shown.maps[method] = {name: _map(shown, folder, files, method, name, grid, truth, data.colors) for name in there}
    return shown


def _by_lead(findings: Findings, methods: list[str]) -> list[str]:
    return sorted(
        methods, key=lambda method: (findings.methods.index(method) if method in findings.methods else len(methods), method)
    )


def _map(
    shown: Shown,
    folder: Path,
    files: Container[str],
    method: str,
    name: str,
    grid: Grid,
    truth: NDArray[np.uint8] | None,
    colors: tuple[str, ...],
) -> dict[str, Any]:
    """The pictures of one map: classes, confidence where there is one, and errors where the truth is known."""
    classes = read_bytes(folder / f"{name}.tif", grid, shown.step)
    told: dict[str, Any] = {"prediction": shown.add(f"{method}/{name}", class_png(classes, colors))}
    if (beside := f"{name}.confidence.tif") in files:
        percent = read_bytes(folder / beside, grid, shown.step)
        confidence = np.where(percent == IGNORE, np.nan, percent * PERCENT).astype(np.float32)
        told["confidence"] = shown.add(f"{method}/{name}.confidence", confidence_png(confidence))
    if truth is not None:
        told["error"] = shown.add(f"{method}/{name}.error", error_png(classes, truth))
        told["right"] = share_right(classes, truth)
    return told


def read_bytes(path: Path, grid: Grid, step: int) -> NDArray[np.uint8]:
    """Every step-th pixel of a one-band file on a grid; 255 where there is nothing."""
    with warped([str(path)], grid, "nearest", nodata=IGNORE) as reader:

        def read(window: Window) -> NDArray[Any]:
            bands, valid = reader.read(window)
            return np.where(valid, bands[0], IGNORE)

        return thinned(read, grid.height, grid.width, step).astype(np.uint8)


def within_budget(findings: Findings, scenes: list[Shown]) -> list[Shown]:
    """As many scenes as the page can hold, at least one; the others are named."""
    kept: list[Shown] = []
    for shown in scenes:
        if not kept or sum(it.size for it in kept) + shown.size <= BUDGET:
            kept.append(shown)
        else:
            findings.notes.append(
                f"{shown.scene} is not in the viewer, to keep the page small: its pictures are in figures/{shown.scene}/."
            )
    return kept


def viewer_data(findings: Findings, scenes: list[Shown]) -> dict[str, Any]:
    """All that the page's script needs: pictures, and the figures of every method and combination."""

    def picture(shown: Shown) -> Callable[[str | None], str | None]:
        return lambda name: data_uri(shown.pictures[name]) if name else None

    return {
        "sensors": findings.sensors,
        "classes": [
            {"name": name, "rgb": rgb(color)} for name, color in zip(findings.classes, findings.data.colors, strict=True)
        ],
        "full": findings.full,
        "split": findings.split,
        "scores": {
            method: {name_of(names): _figures(findings, method, name_of(names)) for names in combinations(findings.sensors)}
            for method in findings.methods
        },
        "scenes": {
            shown.scene: {
                "sensors": {sensor: picture(shown)(name) for sensor, name in shown.sensors.items()},
                "truth": picture(shown)(shown.truth),
                "maps": {
                    method: {
                        name: {
                            **{key: picture(shown)(made.get(key)) for key in ("prediction", "confidence", "error")},
                            "right": made.get("right"),
                        }
                        for name, made in maps.items()
                    }
                    for method, maps in shown.maps.items()
                },
            }
            for shown in scenes
        },
    }


def _figures(findings: Findings, method: str, combination: str) -> dict[str, Any]:
    """The numbers beside a combination's maps, in percent (means over seeds)."""

    def percent(*keys: str) -> float | None:
        value = findings.score(method, combination, *keys)
        return None if value is None else 100 * value.mean

    full, here = findings.score(method, findings.full, "miou"), findings.score(method, combination, "miou")
    drop = None if full is None or here is None else 100 * (here.mean - full.mean)
    overall = {key: percent(key) for key in ("miou", "oa", "f1", "ece")}
    return {**overall, "change": drop, "iou": [percent("iou", name) for name in findings.classes]}
