"""Do rasters fit a model and each other? What does not is told in one line that names both sides, before anything is computed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import Data
from dis2.errors import UserError
from dis2.models.files import Model
from dis2.prediction.rasters import Rasters
from dis2.raster.check import kind_faults
from dis2.raster.grid import Window, blocks
from dis2.raster.warp import Reader, grid_of, open_raster

WINDOWS, SIDE, THINNED = 16, 256, 4
"""So many windows of this side are looked at, spread evenly over the map, and of their rows and columns every so many."""
ROUNDING = 1e-5
"""By this share of a value float32 may carry it over an edge."""
FEW, MOST = 0.05, 0.99
"""Shares of values beyond those of training from which on it is said, and from which on no map is made."""
FLAT, MANY = 0.01, 256
"""By this share of training's deviation or less, so many values vary so little that they are likely told in another unit."""
COARSER = 2.0
"""By this much pixels may be larger or smaller than the model's before it is said."""


def check_fit(model: Model, folder: Path, rasters: Rasters) -> None:
    """Refuses rasters that are not what the model knows, or that lie apart; says what is strange about others."""
    for sensor in rasters.sensors:
        _check_kind(rasters, sensor)
        with rasters.open(sensor) as reader:
            _check_bands(model, folder, rasters, sensor, reader.count)
        _check_place(rasters, sensor)
    _check_pixels(model, folder, rasters)
    _check_sensors(model, folder, rasters)
    for sensor in rasters.sensors:
        _check_values(model, folder, rasters, sensor)


def check_classes(model: Model, folder: Path, data: Data) -> None:
    """Are the model's classes those of the config?"""
    if model.card.classes != tuple(data.classes):
        has, wants = ", ".join(model.card.classes), ", ".join(data.classes)
        raise UserError(f"{folder}: classes: the model has {has}, the config {wants}; give the config that it was trained by")


def _check_kind(rasters: Rasters, sensor: str) -> None:
    for file in rasters.files(sensor):
        with open_raster(file) as source:
            for fault in kind_faults(file, source):
                raise UserError(f"{fault} ({sensor})")


def _check_bands(model: Model, folder: Path, rasters: Rasters, sensor: str, count: int) -> None:
    if count == (bands := model.card.sensors.get(sensor)):
        return
    wants = f"expects {sensor} to have {bands}" if bands else f"knows no {sensor}, only {', '.join(model.card.sensors)}"
    raise UserError(f"{' + '.join(rasters.files(sensor))}: bands: {count} given, but the model {folder} {wants}")


def _check_place(rasters: Rasters, sensor: str) -> None:
    if rasters.grid.pixels:
        return
    first = rasters.files(rasters.anchor)[0]
    for file in rasters.files(sensor):
        if not grid_of(first).overlaps(grid_of(file)):
            raise UserError(f"{file} ({sensor}): does not overlap {first} ({rasters.anchor}); give rasters of one place")


def _check_pixels(model: Model, folder: Path, rasters: Rasters) -> None:
    own, trained = rasters.place.resolution, model.card.resolution
    if rasters.place.crs and trained and not 1 / COARSER <= own / trained <= COARSER:
        _warn(f"the map's pixels are {own:.6g} wide ({rasters.place.crs}), but {folder} was trained on pixels of {trained:.6g}")


def _check_sensors(model: Model, folder: Path, rasters: Rasters) -> None:
    lacking = [sensor for sensor in model.card.sensors if sensor not in rasters.sensors]
    if model.card.method == "teacher" and lacking:
        _warn(f"{folder}: a teacher, which learned with every sensor; without {', '.join(lacking)} a student's map means more")


def _check_values(model: Model, folder: Path, rasters: Rasters, sensor: str) -> None:
    """Where hardly a value of a band is such as training saw, no map would mean anything."""
    given, size = f"{' + '.join(rasters.files(sensor))}: {sensor}", (rasters.place.height, rasters.place.width)
    with rasters.open(sensor) as reader:
        line, share = strangeness(model, sensor, reader, size, given, str(folder))
    if share > MOST:
        raise UserError(line)
    if line:
        _warn(line)


def strangeness(model: Model, sensor: str, reader: Reader, size: tuple[int, int], given: str, known: str) -> tuple[str, float]:
    """What is strange about values beside those of training, if anything, and the share of a band that lies beyond these."""
    told = model.card.statistics[sensor]
    mean, std, low, high = (np.asarray(told[key], np.float64)[:, None] for key in ("mean", "std", "low", "high"))
    values = _some(model, sensor, reader, size) * std + mean  # [C, n]
    if not values.size:
        return "", 0.0
    edge = ROUNDING * (np.abs(mean) + std)
    beyond = ((values < low - edge) | (values > high + edge)).mean(1)  # [C]
    flat = (values.std(1) < FLAT * std[:, 0]) & (values.shape[1] >= MANY)
    strange = int(beyond.argmax() if beyond.max() > FEW else flat.argmax())
    if beyond.max() <= FEW and not flat.all():
        return "", 0.0
    here, there = (f"{a.min():.4g} to {b.max():.4g}" for a, b in ((values[strange],) * 2, (low[strange], high[strange])))
    what = f"{beyond[strange]:.0%} lie beyond" if beyond.max() > FEW else "hardly vary beside"
    band = strange % reader.count + 1
    line = f"{given}: values of band {band} ({here}) {what} those that {known} knows ({there}); the same unit?"
    return line, float(beyond.max())


def _some(model: Model, sensor: str, reader: Reader, size: tuple[int, int]) -> NDArray[np.float32]:
    """Measured values of some windows as the network takes them, standardised: [C, n]."""
    found = [np.zeros((model.card.channels[sensor], 0), np.float32)]
    for window in _spread(*size):
        bands, mask = reader.read(window)
        images, _ = model.prepare({sensor: bands[None]}, {sensor: mask[None]})
        thin = slice(None, None, THINNED)
        found.append(images[sensor][0].cpu().numpy()[:, thin, thin][:, mask[thin, thin]])
    return np.concatenate(found, 1)


def _spread(height: int, width: int) -> list[Window]:
    """An even choice of windows."""
    every = list(blocks(height, width, SIDE))
    return [every[i] for i in np.unique(np.linspace(0, len(every) - 1, WINDOWS).round().astype(int))]


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)
