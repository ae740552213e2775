"""Tiles for training and scoring: drawn at random, or fixed windows, of any sensors that are there."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import IGNORE, Data
from dis2.errors import UserError
from dis2.raster.grid import Window, blocks, windows
from dis2.tiles.augment import Draw, Sample, padded, resized, turned
from dis2.tiles.cache import Arrays, in_memory, mapped, on_disk
from dis2.tiles.manifest import digest_of
from dis2.tiles.split import in_split, labels_used
from dis2.tiles.store import CHUNK, Store, check_cut, open_store, store_path

CELL = 16
"""Class-aware drawing knows, for every cell of this side, which classes it holds."""
STRIP = 64 * CELL
"""Labels are looked through in windows of this side, so that memory does not grow with the scene."""
LATTICE = CHUNK // 2
"""Aligned tiles start on multiples of this many pixels: so they touch fewer chunks of the store."""


class Scenes:
    """The stores of a split. Pixels of other splits are neither labelled nor valid, so nothing can leak.

    What fits `cache_bytes` as plain arrays is kept so: in memory or, where a folder is given, in files there.
    """

    def __init__(self, data: Data, tiles: Path, split: str, cache_bytes: int = 0, folder: Path | None = None):
        self.data, self.split = data, split
        self.stores = {scene: open_store(store_path(tiles, scene)) for scene in data.scenes_of(split)}
        for store in self.stores.values():
            check_cut(store, data)
        kept = self.stores if sum(self._bytes(store) for store in self.stores.values()) <= cache_bytes else {}
        self.folders = {scene: self._on_disk(store, folder) for scene, store in kept.items()} if folder else {}
        self.in_memory = bool(kept) and not folder
        self.cache = {
            scene: in_memory(store.grid.height, self._strips(store)) if self.in_memory else mapped(self.folders[scene])
            for scene, store in kept.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"cache": {}, "in_memory": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In another process files are mapped again, and what was kept in memory is read from the stores."""
        self.__dict__ = state | {"cache": {scene: mapped(folder) for scene, folder in state["folders"].items()}}

    def _bytes(self, store: Store) -> int:
        """What a scene takes as plain arrays."""
        sizes = [store.dtype(sensor).itemsize * store.bands[sensor] + 1 for sensor in self._has(store)]
        return store.grid.height * store.grid.width * (1 + sum(sizes))

    def _has(self, store: Store) -> list[str]:
        return [sensor for sensor in self.data.sensors if sensor in store.bands]

    def _on_disk(self, store: Store, folder: Path) -> Path:
        told = [digest_of(store.path), self.data.split.model_dump(), self._has(store)]
        key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        name = f"{store.scene}@{self.split}"
        return on_disk(folder, name, key, store.grid.height, self._strips(store))

    def _strips(self, store: Store) -> Iterator[Arrays]:
        """The scene from top to bottom, as it is cached: bands [h, C, W], validity and labels [h, W]."""
        height, width = store.grid.height, store.grid.width
        for y in range(0, height, CHUNK):
            it, has = self._read(store, Window(y, 0, min(CHUNK, height - y), width)), self._has(store)
            images = {sensor: np.moveaxis(it.images[sensor], 0, 1) for sensor in has}
            yield images | {f"valid/{sensor}": it.valid[sensor] for sensor in has} | {"labels": it.labels}

    def sample(self, scene: str, window: Window) -> Sample:
        """A window of a scene."""
        store = self.stores[scene]
        if scene not in self.cache:
            return self._read(store, window)
        kept, slices = self.cache[scene], window.slices
        images, valid = {}, {}
        for sensor in self.data.sensors:
            if sensor in store.bands:
                images[sensor] = np.moveaxis(kept[sensor][slices[0], :, slices[1]], 0, 1)
                valid[sensor] = kept[f"valid/{sensor}"][slices]
            else:
                images[sensor], valid[sensor] = self._absent(sensor, window)
        return Sample(images, valid, kept["labels"][slices], scene, window)

    def tile(self, draw: Draw, size: int) -> Sample:
        """A tile as it was decided on, filled up or resampled to a size."""
        ground = padded(self.sample(draw.scene, draw.window), draw.side or size)
        return turned(resized(ground, size) if draw.side else ground, draw.way)

    def tile_bytes(self, draw: Draw, size: int) -> int:
        """What such a tile takes in memory, or more."""
        widest = max([4, *(store.dtype(sensor).itemsize for store in self.stores.values() for sensor in self._has(store))])
        pixel = 1 + sum(sensor.bands * widest + 1 for sensor in self.data.sensors.values())
        return pixel * max(size, draw.window.height) * max(size, draw.window.width)

    def _read(self, store: Store, window: Window) -> Sample:
        here, told = self._here(store, window), self._labelled(store, window)
        images, valid = {}, {}
        for sensor in self.data.sensors:
            if sensor in store.bands:
                bands, measured = store.image(sensor, window)
                images[sensor], valid[sensor] = np.where(measured & here, bands, np.zeros((), bands.dtype)), measured & here
            else:
                images[sensor], valid[sensor] = self._absent(sensor, window)
        return Sample(images, valid, np.where(told, store.labels(window), IGNORE).astype(np.uint8), store.scene, window)

    def _absent(self, sensor: str, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """What a sample holds of a sensor that its scene lacks."""
        shape = (window.height, window.width)
        return np.zeros((self.data.sensors[sensor].bands, *shape), np.float32), np.zeros(shape, bool)

    def _here(self, store: Store, window: Window) -> NDArray[np.bool_]:
        return in_split(self.data, store.scene, self.split, window, store.grid.height, store.grid.width)

    def _labelled(self, store: Store, window: Window) -> NDArray[np.bool_]:
        return labels_used(self.data, store.scene, self.split, window, store.grid.height, store.grid.width)

    def labels(self, scene: str, window: Window) -> NDArray[np.uint8]:
        """The labels of a window alone."""
        if scene in self.cache:
            return self.cache[scene]["labels"][window.slices]
        store = self.stores[scene]
        return np.where(self._labelled(store, window), store.labels(window), IGNORE).astype(np.uint8)

    def measured(self, scene: str, window: Window) -> NDArray[np.bool_]:
        """Where each sensor has measurements that the split may show: [N, h, w]."""
        store, nothing = self.stores[scene], np.zeros((window.height, window.width), bool)
        if scene in self.cache:
            kept = self.cache[scene]
            return np.stack([kept[f"valid/{s}"][window.slices] if s in store.bands else nothing for s in self.data.sensors])
        found = np.stack([store.valid(s, window) if s in store.bands else nothing for s in self.data.sensors])
        return np.asarray(found & self._here(store, window))

    def fixed(self, size: int, at_most: int | None = None) -> list[tuple[str, Window]]:
        """Windows that cover every chip and hold labels of the split; an even choice of them where there are too many."""
        found = []
        for scene, store in self.stores.items():
            for chip in store.chips.values():
                for window in windows(chip.height, chip.width, size):
                    place = Window(chip.y + window.y, chip.x + window.x, window.height, window.width)
                    if (self.labels(scene, place) != IGNORE).any():
                        found.append((scene, place))
        if not found:
            raise UserError(f"{self.split}: no labelled pixel in scenes {', '.join(self.stores)}; check labels and data.split")
        if at_most is None or len(found) <= at_most:
            return found
        return [found[i] for i in np.linspace(0, len(found) - 1, at_most).round().astype(int)]


def fresh(window: Window, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a window that no earlier window of its scene has covered; `seen` is brought up to date."""
    new = ~seen[window.slices]
    seen[window.slices] = True
    return new


class Sampler:
    """Draws training tiles: half of them anywhere, half where a class drawn at random is, so that rare classes are met.

    A tile may cover up to `zoom` times more or less ground on a side; a share may need no label, where every sensor was measured.
    """

    def __init__(
        self, scenes: Scenes, size: int, whole_only: bool, aligned: bool = False, zoom: float = 1.0, unlabelled: float = 0.0
    ):
        self.scenes, self.size, self.whole_only = scenes, size, whole_only
        self.aligned, self.zoom, self.unlabelled = aligned, zoom, unlabelled
        stores = scenes.stores
        usable = [s for s in stores if not whole_only or set(stores[s].sensors) >= set(scenes.data.sensors)]
        if not usable:
            raise UserError("data.scenes: no training scene has every sensor, which the teacher needs; add one")
        cells = [self._cells(scene) for scene in usable]
        places, holds, whole = (np.concatenate(parts) for parts in zip(*cells, strict=True))
        labelled = holds.any(1)
        self.places, self.holds, self.whole = places[labelled], holds[labelled], places[whole]
        self.cells_of = {index: np.flatnonzero(held) for index, held in enumerate(self.holds.T)}
        self.names = usable
        self.classes = np.flatnonzero(self.holds.any(0))
        if not len(self.classes):
            told = f"no labelled training pixel that a sensor measured in scenes {', '.join(usable)}"
            raise UserError(f"{told}; check labels, nodata and data.split")

    def _cells(self, scene: str) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Cells that may be drawn: (scene, chip, row, column), the classes that they hold, and has each every sensor?

        Labels count where any sensor measured (for whole samples, every one).
        """
        store, places, holds, whole = self.scenes.stores[scene], [], [], []
        index = list(self.scenes.stores).index(scene)
        for number, chip in enumerate(store.chips.values()):
            for strip in blocks(chip.height, chip.width, STRIP):
                place = strip._replace(y=chip.y + strip.y, x=chip.x + strip.x)
                measured = self.scenes.measured(scene, place)
                complete = np.asarray(measured.all(0))
                seen = complete if self.whole_only else measured.any(0)
                labels = np.where(seen, self.scenes.labels(scene, place), IGNORE)
                for cell in blocks(strip.height, strip.width, CELL):
                    found = np.bincount(labels[cell.slices].ravel(), minlength=256)[: len(self.scenes.data.classes)]
                    every = bool(self.unlabelled) and bool(complete[cell.slices].all())
                    if found.any() or every:
                        places.append((index, number, strip.y + cell.y, strip.x + cell.x))
                        holds.append(found > 0)
                        whole.append(every)
        kinds = len(self.scenes.data.classes)
        return np.array(places, np.int64).reshape(-1, 4), np.array(holds, bool).reshape(-1, kinds), np.array(whole, bool)

    def draw(self, rng: np.random.Generator) -> Sample:
        """One tile around a cell, turned and mirrored at random; smaller chips are padded with what is invalid."""
        return self.scenes.tile(self.place(rng), self.size)

    def place(self, rng: np.random.Generator) -> Draw:
        """Which tile comes next; nothing is read."""
        scene_index, chip_index, y, x = self._cell(rng)
        side = round(self.size * self.zoom ** rng.uniform(-1, 1)) if self.zoom > 1 else self.size
        scene = list(self.scenes.stores)[scene_index]
        chip = list(self.scenes.stores[scene].chips.values())[chip_index]
        back = rng.integers(0, max(1, side - CELL + 1), 2)
        top = self._start(chip.y, chip.height, int(y), int(back[0]), side)
        left = self._start(chip.x, chip.width, int(x), int(back[1]), side)
        window = Window(top, left, min(side, chip.height), min(side, chip.width))
        return Draw(scene, window, int(rng.integers(8)), side)

    def _cell(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Where the next tile is to be: (scene, chip, row, column)."""
        if self.unlabelled and len(self.whole) and rng.random() < self.unlabelled:
            return self.whole[rng.integers(len(self.whole))]
        cells: NDArray[np.int64] | int = len(self.places)
        if rng.random() < 0.5:
            cells = self.cells_of[rng.choice(self.classes)]
        return self.places[int(rng.choice(cells))]

    def _start(self, begin: int, length: int, cell: int, back: int, side: int) -> int:
        """Where along one side of a chip a tile with a cell starts: on the lattice if that is wanted, never outside."""
        step = (LATTICE if side >= LATTICE else math.gcd(LATTICE, side)) if self.aligned else 1
        at = (begin + cell - back) // step * step
        if at + side < begin + cell + CELL:
            at += step
        return int(np.clip(at, begin, begin + max(0, length - side)))


def stacked(samples: Sequence[Sample]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]], NDArray[np.uint8]]:
    """A batch: images [B, C, h, w] and validity [B, h, w] by sensor, labels [B, h, w]."""
    images = {sensor: np.stack([sample.images[sensor] for sample in samples]) for sensor in samples[0].images}
    valid = {sensor: np.stack([sample.valid[sensor] for sample in samples]) for sensor in samples[0].valid}
    return images, valid, np.stack([sample.labels for sample in samples])


def batches(windows_: Sequence[tuple[str, Window]], size: int) -> Iterator[list[tuple[str, Window]]]:
    """Neighbours of equal shape, at most `size` at once."""
    group: list[tuple[str, Window]] = []
    for scene, window in windows_:
        if group and (len(group) == size or group[0][1][2:] != window[2:]):
            yield group
            group = []
        group.append((scene, window))
    if group:
        yield group
