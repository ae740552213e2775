"""From Python, without files: `dis2.load(folder).predict({"sar": array})` maps whichever sensors there are, of any size."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dis2.config.data import Sensor
from dis2.config.prediction import PredictionSettings
from dis2.errors import UserError
from dis2.models.files import Model
from dis2.models.files import load as load_model
from dis2.prediction.fit import strangeness
from dis2.prediction.mapper import Mapper
from dis2.prediction.maps import NOTHING
from dis2.prediction.stitch import stitch
from dis2.raster.grid import Window, windows
from dis2.raster.scaling import scale_by
from dis2.raster.scene import derived

UNSCALED = (1.0, 0.0)
"""Arrays tell no factor and offset of their own, as files may."""


@dataclass(frozen=True)
class Map:
    """What a model says of every pixel."""

    classes: NDArray[np.uint8]
    """[H, W]: positions in `names`; 255 where no sensor was measured"""
    confidence: NDArray[np.float32]
    """[H, W]: the probability of that class; NaN where no sensor was measured"""
    probabilities: NDArray[np.float32]
    """[K, H, W]: of each class; NaN where no sensor was measured"""
    names: tuple[str, ...]


class Predictor:
    """A trained model that maps arrays, on a GPU where there is one unless it is told where."""

    def __init__(self, model: Model, where: torch.device | None = None):
        self.model, self.where = model, where

    @property
    def sensors(self) -> dict[str, int]:
        """Bands of each sensor that it knows."""
        return self.model.card.sensors

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.card.classes

    def predict(
        self,
        images: Mapping[str, Any],
        valid: Mapping[str, Any] | None = None,
        settings: PredictionSettings = PredictionSettings(),  # noqa: B008 (it is immutable)
    ) -> Map:
        """A map from arrays [bands, H, W] of some sensors on one grid, with the numbers that files of the sensor hold.

        A factor and an offset that files tell of themselves, which the config does not replace, are to be applied before. Where
        a sensor measured is told by `valid` [H, W], by the mask of a masked array, and by the numbers themselves: neither nodata
        nor anything that is not finite is a measurement. Scaling by the config and normalisation are those of the training.
        Numbers unlike those of training are warned of.
        """
        readers = self._readers(images, valid or {})
        height, width = next(iter(readers.values())).valid.shape
        overlap = round(settings.tile * settings.overlap)
        whole, covered = Window(0, 0, height, width), list(windows(height, width, settings.tile, overlap))
        specs = self.model.card.rasters
        shown = {s: derived(it, specs[s], height, width) for s, it in readers.items()}
        for sensor, reader in shown.items():
            line, _ = strangeness(self.model, sensor, reader, (height, width), sensor, "the model")
            if line:
                warnings.warn(line, stacklevel=2)
        mapper = Mapper(self.model, shown, [tuple(readers)], self.where)
        probabilities = np.empty((len(self.classes), height, width), np.float32)
        predictions = mapper.predictions(covered, whole, settings.batch, lambda count: None)
        for band, values in stitch(predictions, height, width, settings.tile, overlap):
            probabilities[:, *band.slices] = values[len(readers) :].cpu().numpy()
        nothing = ~np.any([reader.valid for reader in readers.values()], 0)
        classes = np.where(nothing, NOTHING, probabilities.argmax(0)).astype(np.uint8)
        probabilities[:, nothing] = np.nan
        return Map(classes, probabilities.max(0), probabilities, self.classes)

    def _readers(self, images: Mapping[str, Any], valid: Mapping[str, Any]) -> dict[str, Array]:
        """The sensors that are given, in the model's order."""
        if not images:
            raise UserError(f"no sensor given; give an array for one of {', '.join(self.sensors)}")
        for name in (*images, *valid):
            if name not in self.sensors:
                raise UserError(f"{name}: not a sensor of the model, which knows {', '.join(self.sensors)}")
        if lone := [name for name in valid if name not in images]:
            raise UserError(f"{lone[0]}: validity without an image; give both, or neither")
        readers = {s: Array(s, self.model.card.rasters[s], images[s], valid.get(s)) for s in self.sensors if s in images}
        first, *others = readers
        for other in others:
            if (here := readers[other].valid.shape) != (there := readers[first].valid.shape):
                raise UserError(f"{other}: {_sized(here)} pixels, but {first} has {_sized(there)}; bring them to one grid")
        if not any(reader.valid.any() for reader in readers.values()):
            raise UserError(f"{', '.join(readers)}: no pixel is a measurement; look at nodata and validity")
        return readers


class Array:
    """An array of one sensor, read as a raster of it is."""

    def __init__(self, sensor: str, spec: Sensor, image: Any, valid: Any):
        self.bands: NDArray[Any] = np.ma.getdata(image) if np.ma.isMaskedArray(image) else np.asarray(image)
        shape = self.bands.shape
        if self.bands.ndim != 3 or len(self.bands) != spec.bands or not self.bands.size:
            raise UserError(f"{sensor}: has the shape {list(shape)}, but the model expects [{spec.bands}, height, width]")
        if self.bands.dtype.kind not in "biuf":
            raise UserError(f"{sensor}: holds {self.bands.dtype}; give real numbers")
        if valid is not None and np.shape(valid) != shape[1:]:
            raise UserError(f"{sensor}: validity has the shape {list(np.shape(valid))}, but the image needs {list(shape[1:])}")
        self.unit: str | None = spec.scaling.unit
        self.count, self.scale = spec.bands, scale_by([UNSCALED] * spec.bands, spec.scaled)
        self.dtype = np.dtype(np.float32) if self.scale else self.bands.dtype
        known = ~np.ma.getmaskarray(image) if np.ma.isMaskedArray(image) else np.ones(shape, bool)
        if spec.nodata is not None:
            known &= ~np.isnan(self.bands) if np.isnan(spec.nodata) else self.bands != spec.nodata
        self.valid: NDArray[np.bool_] = (np.all if spec.unmeasured == "any" else np.any)(known, axis=0)
        if valid is not None:
            self.valid &= np.asarray(valid, bool)
        for row in range(shape[1]):  # in rows, since scaled numbers may need several times the memory
            self.valid[row] &= np.isfinite(self._values(slice(row, row + 1), slice(None)))[:, 0].all(0)

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Bands [C, h, w] and validity [h, w]."""
        return self._values(*window.slices), self.valid[window.slices]

    def _values(self, rows: slice, columns: slice) -> NDArray[Any]:
        bands = self.bands[:, rows, columns]
        return self.scale(bands) if self.scale else bands


def load(folder: str | PathLike[str]) -> Predictor:
    """A trained model, from the folder that `dis2 train` or `dis2 distill` wrote."""
    return Predictor(load_model(Path(folder)))


def _sized(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
