"""What a network gets right in each block of a scene: what a bootstrap draws from, since neighbouring pixels err alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.evaluation.chips import chip_of
from dis2.models.prediction import Prediction
from dis2.raster.grid import Window
from dis2.tiles.dataset import Scenes
from dis2.training.validate import Scored

MOST = 1000
"""Blocks that are told apart: where there would be more, they are larger, and then neighbouring chips are put together."""

Place = tuple[str, int, int]
"""A block's scene and its upper left pixel."""


class Blocks:
    """Primary pixels by block and class: how many are true, and with each combination how many predicted and how many hit.

    Blocks are squares on a lattice of each chip, whatever the windows. IoU, F1, accuracies and kappa follow from these three.
    """

    def __init__(self, scenes: Scenes, combinations: Sequence[str], side: int):
        self.scenes, self.names = scenes, list(combinations)
        self.side = fitting(side, [chip for store in scenes.stores.values() for chip in store.chips.values()])
        self.classes = len(scenes.data.classes)
        self.truth: dict[Place, NDArray[np.int64]] = {}
        """[K]"""
        self.found: dict[Place, NDArray[np.int64]] = {}
        """hit and predicted by combination: [N, 2, K]"""

    def begin(self, batch: Scored) -> None:
        for index, mask in enumerate(batch.primary):
            places, inside = self._inside(batch, index)
            counts = self._counted(inside[mask], batch.truth[index][mask], len(places))
            for place, count in zip(places, counts, strict=True):
                if count.any():
                    self.truth[place] = self.truth.get(place, 0) + count
                    self.found.setdefault(place, np.zeros((len(self.names), 2, self.classes), np.int64))

    def see(self, batch: Scored, combination: str, prediction: Prediction, chosen: NDArray[np.integer]) -> None:
        number = self.names.index(combination)
        for index, mask in enumerate(batch.primary):
            places, inside = self._inside(batch, index)
            right = mask & (chosen[index] == batch.truth[index])
            hit = self._counted(inside[right], chosen[index][right], len(places))
            predicted = self._counted(inside[mask], chosen[index][mask], len(places))
            for place, *counts in zip(places, hit, predicted, strict=True):
                if counts[1].any():
                    self.found[place][number] += counts

    def _counted(self, inside: NDArray[np.integer], classes: NDArray[np.integer], blocks: int) -> NDArray[np.int64]:
        """Pixels by block and class: [blocks, K]."""
        pairs = inside * self.classes + classes
        return np.bincount(pairs, minlength=blocks * self.classes).reshape(blocks, self.classes)

    def _inside(self, batch: Scored, index: int) -> tuple[list[Place], NDArray[np.int64]]:
        """The blocks that a window touches, and the number of the one that each of its pixels lies in: [h, w]."""
        sample = batch.samples[index]
        window, chip = sample.window, chip_of(self.scenes.stores[sample.scene], sample.window)
        rows = (np.arange(window.y, window.y + window.height) - chip.y) // self.side
        columns = (np.arange(window.x, window.x + window.width) - chip.x) // self.side
        down, right = np.unique(rows), np.unique(columns)
        places = [(sample.scene, int(chip.y + r * self.side), int(chip.x + c * self.side)) for r in down for c in right]
        return places, (rows - rows[0])[:, None] * len(right) + (columns - columns[0])[None]

    def told(self) -> dict[str, Any]:
        """The blocks in order as JSON holds them."""
        order = list(self.scenes.stores)
        places = sorted(self.truth, key=lambda place: (order.index(place[0]), *place[1:]))
        together = -(-len(places) // MOST) or 1
        groups = [places[i : i + together] for i in range(0, len(places), together)]
        truth = [sum(self.truth[place] for place in group).tolist() for group in groups]  # type: ignore[union-attr]
        found = np.array([sum(self.found[place] for place in group) for group in groups], np.int64)
        found = found.reshape(len(groups), len(self.names), 2, self.classes)
        return {
            "side": self.side,
            "places": [list(group[0]) for group in groups],
            "truth": truth,
            "hit": {name: found[:, i, 0].tolist() for i, name in enumerate(self.names)},
            "predicted": {name: found[:, i, 1].tolist() for i, name in enumerate(self.names)},
        }


def fitting(side: int, chips: Sequence[Window]) -> int:
    """The side, doubled until there are few enough blocks or each chip is one."""
    while side < max(max(chip.height, chip.width) for chip in chips):
        if sum(-(-chip.height // side) * -(-chip.width // side) for chip in chips) <= MOST:
            break
        side *= 2
    return side
