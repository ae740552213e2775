"""What a network makes of a sensor that is there, but cloudy, noisy or beside its place."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import nn

from dis2.config.evaluation import PartialSettings
from dis2.evaluation.chips import chip_of, widened
from dis2.metrics import Matrix, confusion
from dis2.models.inputs import inputs
from dis2.models.prediction import Prediction
from dis2.raster.grid import Window
from dis2.raster.landscape import noise
from dis2.tiles.dataset import Sample, Scenes
from dis2.training.validate import Scored

BUMPS = 24
"""Pixels across a cloud."""
SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))

Bands = tuple[NDArray[Any], NDArray[np.bool_]]
"""A sensor in a window: bands [C, h, w] and validity [h, w]."""
Key = tuple[str, str, float]
"""The kind of loss, the sensor, and how much of it."""


@dataclass(frozen=True)
class Place:
    """A window of a scene, wide enough to look beside it."""

    sample: Sample
    wide: Sample
    seed: int

    def generator(self, *key: str | int) -> Generator:
        """Random numbers that depend on nothing but the key."""
        return np.random.default_rng([self.seed, *(zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key)])

    def bands(self, sensor: str) -> Bands:
        return self.sample.images[sensor], self.sample.valid[sensor]

    @property
    def key(self) -> tuple[str, int, int]:
        return self.sample.scene, self.sample.window.y, self.sample.window.x


def clouded(place: Place, sensor: str, share: float) -> Bands:
    """A share of the window is hidden; more clouds hide what fewer hid, too."""
    image, valid = place.bands(sensor)
    clouds = noise(place.generator("clouds", sensor, *place.key), valid.shape, BUMPS)
    return image, valid & (clouds.ravel().argsort().argsort().reshape(valid.shape) >= share * valid.size)


def deviations(statistics: Mapping[str, Any]) -> NDArray[np.float32]:
    """The deviation of each band as it was measured, or of what stands out in it where a network sees nothing else: [C]."""
    radii = statistics["relief"]
    of = np.reshape(np.asarray(statistics["std"], np.float32), (len(radii), -1))  # [radii, C]
    return of[radii.index(0) if 0 in radii else 0]


def noisy(place: Place, sensor: str, deviation: float, spread: NDArray[np.floating]) -> Bands:
    """The same noise at every strength: a deviation in those of the bands [C]."""
    image, valid = place.bands(sensor)
    added = place.generator("noise", sensor, *place.key).standard_normal(image.shape, np.float32)
    return image + added * (deviation * spread[:, None, None]).astype(np.float32), valid


def displaced(place: Place, sensor: str, distance: float) -> Bands:
    """What the sensor sees so many pixels beside, on the same side in a whole scene; beyond its edge there is nothing."""
    dy, dx = SIDES[place.generator("side", sensor, place.sample.scene).integers(len(SIDES))]
    window, wide = place.sample.window, place.wide.window
    rows = np.arange(window.height) + window.y - wide.y + dy * int(distance)
    columns = np.arange(window.width) + window.x - wide.x + dx * int(distance)
    inside = ((rows >= 0) & (rows < wide.height))[:, None] & ((columns >= 0) & (columns < wide.width))[None]
    at = np.ix_(rows.clip(0, wide.height - 1), columns.clip(0, wide.width - 1))
    return place.wide.images[sensor][:, at[0], at[1]], place.wide.valid[sensor][at] & inside


class PartialLoss:
    """Scores all sensors with one of them damaged, on some of the windows; on the same pixels as without damage."""

    def __init__(
        self,
        scenes: Scenes,
        network: nn.Module,
        statistics: Mapping[str, dict[str, Any]],
        settings: PartialSettings,
        windows: Collection[tuple[str, Window]],
        zeros: bool,
    ):
        self.scenes, self.network, self.statistics, self.settings = scenes, network, statistics, settings
        self.windows, self.zeros, self.classes = set(windows), zeros, len(scenes.data.classes)
        self.whole: dict[str, Matrix] = {}
        """Without damage, by combination."""
        self.damaged: dict[Key, Matrix] = {}

    def begin(self, batch: Scored) -> None:
        """All damages of the windows that were chosen."""
        if not (kept := self._kept(batch)):
            return
        places = [self._place(batch.samples[index]) for index in kept]
        for sensor in self.scenes.data.sensors:
            spread = deviations(self.statistics[sensor])
            ways: dict[str, tuple[tuple[float, ...], Callable[[Place, str, float], Bands]]] = {
                "clouds": (self.settings.clouds, clouded),
                "noise": (self.settings.noise, partial(noisy, spread=spread)),
                "misregistration": (self.settings.misregistration, displaced),
            }
            for kind, (levels, way) in ways.items():
                for level in levels:
                    chosen = self._chosen(batch, kept, sensor, [way(place, sensor, level) for place in places])
                    self._add(self.damaged, (kind, sensor, level), batch, kept, chosen)

    def see(self, batch: Scored, combination: str, prediction: Prediction, chosen: NDArray[np.integer]) -> None:
        if kept := self._kept(batch):
            self._add(self.whole, combination, batch, kept, chosen[kept])

    def _kept(self, batch: Scored) -> list[int]:
        return [index for index, sample in enumerate(batch.samples) if (sample.scene, sample.window) in self.windows]

    def _place(self, sample: Sample) -> Place:
        margin = max(self.settings.misregistration, default=0)
        wide = widened(sample.window, chip_of(self.scenes.stores[sample.scene], sample.window), margin)
        return Place(sample, self.scenes.sample(sample.scene, wide), self.settings.seed)

    def _chosen(self, batch: Scored, kept: list[int], sensor: str, damaged: list[Bands]) -> NDArray[np.integer]:
        """The classes that the network gives when a sensor is damaged: [B, h, w]."""
        images, valid = ({name: x[kept] for name, x in told.items()} for told in (batch.images, batch.valid))
        raw, masks = (np.stack([bands[i] for bands in damaged]) for i in (0, 1))
        image, mask = inputs({sensor: raw}, {sensor: masks}, self.statistics, images[sensor].device)
        if self.zeros:
            images[sensor] = torch.where(mask[sensor], image[sensor], 0)
        else:
            images[sensor], valid[sensor] = image[sensor], mask[sensor]
        chosen: NDArray[np.integer] = self.network(images, valid).logits.argmax(1).cpu().numpy()
        return chosen

    def _add(self, counts: dict[Any, Matrix], key: Any, batch: Scored, kept: list[int], chosen: NDArray[np.integer]) -> None:
        mask = batch.primary[kept]
        matrix = confusion(batch.truth[kept][mask], chosen[mask], self.classes)
        counts[key] = counts[key] + matrix if key in counts else matrix
