"""Which pixels of a scene train, validate and test."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import SPLITS, Data
from dis2.raster.grid import Window

PATCH = 64
"""Labels are used or not in patches of this side, as somebody would draw them."""


def in_split(data: Data, scene: str, split: str, window: Window, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a window [h, w] that a split may use, labels and imagery alike."""
    if not data.is_dealt(scene):
        return np.full((window.height, window.width), data.scenes[scene].split == split)
    splits = _dealt(data, scene, height, width)
    mine = SPLITS.index(split)
    here = _at(splits, data, window, 0, 0) == mine
    for dy in (-data.split.gap, 0, data.split.gap):
        for dx in (-data.split.gap, 0, data.split.gap):
            here &= _at(splits, data, window, dy, dx) <= mine
    return here


def labels_used(data: Data, scene: str, split: str, window: Window, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a window [h, w] whose labels a split may use: of training, in patches, as many as the config says.

    A smaller share is a part of every larger one.
    """
    here = in_split(data, scene, split, window, height, width)
    if split != "train" or data.split.labels == 1:
        return here
    dealer = np.random.default_rng([data.split.seed, zlib.crc32(scene.encode()), 1])
    used = dealer.random((-(-height // PATCH), -(-width // PATCH))) < data.split.labels
    rows, columns = (np.arange(at, at + size) // PATCH for at, size in ((window.y, window.height), (window.x, window.width)))
    return here & used[np.ix_(rows, columns)]


def _dealt(data: Data, scene: str, height: int, width: int) -> NDArray[np.int64]:
    """The split of each block: one fold tests, the next validates, others train. It begins anywhere, so small scenes differ."""
    size, folds = data.split.size, data.split.folds
    rows, columns = -(-height // size), -(-width // size)
    dealer = np.random.default_rng([data.split.seed, zlib.crc32(scene.encode())])
    folded = (dealer.permutation(rows * columns).reshape(rows, columns) + dealer.integers(folds)) % folds
    splits = np.zeros_like(folded)
    for offset, split in enumerate(split for split in reversed(SPLITS[1:]) if split in data.split.parts):
        splits[folded == (data.split.fold + offset) % folds] = SPLITS.index(split)
    return splits


def _at(splits: NDArray[np.int64], data: Data, window: Window, dy: int, dx: int) -> NDArray[np.int64]:
    """The split of the block that each pixel of a window, moved by (dy, dx), lies in; the scene's edge is no border."""
    rows = (np.arange(window.y, window.y + window.height) + dy) // data.split.size
    columns = (np.arange(window.x, window.x + window.width) + dx) // data.split.size
    return splits[np.clip(rows, 0, splits.shape[0] - 1)[:, None], np.clip(columns, 0, splits.shape[1] - 1)[None]]
