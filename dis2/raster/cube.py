"""Arrays in MATLAB files, as hyperspectral cubes are passed on: opened as rasters without georeferencing."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from dis2.errors import UserError
from dis2.files import on_disk

NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
"""MATLAB's classes that are plain numbers. Nothing else of a file is ever read: no object, no function, no cell."""
KNOWN: set[str] = set()
"""The arrays that this process holds as rasters in memory."""


def open_cube(file: str) -> rasterio.DatasetReader:
    """`cube.mat`, if it holds one array, or `cube.mat:name`: rows and columns, or rows, columns and bands."""
    path = on_disk(file)
    status = os.stat(path)
    key = hashlib.sha256(f"{os.path.abspath(path)} {file} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    memory = f"/vsimem/dis2/{key}.tif"
    with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
        if key not in KNOWN:
            _write(memory, _array(path, file[len(path) + 1 :], file))
            KNOWN.add(key)
        return rasterio.open(memory)


def arrays_of(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's numeric arrays of two or three dimensions by name."""
    from scipy.io import whosmat

    try:
        listed = whosmat(path)
    except NotImplementedError:
        raise UserError(f"{path}: MATLAB 7.3, which is HDF5; save it with -v7, or convert it to GeoTIFF") from None
    except Exception as error:  # whatever a damaged file makes scipy's parser stumble over
        raise UserError(f"{path}: no readable MATLAB file ({type(error).__name__}); give a .mat of version 4 to 7.2") from None
    return {name: shape for name, shape, kind in listed if kind in NUMBERS and len(shape) in (2, 3) and min(shape) > 0}


def _array(path: str, name: str, file: str) -> NDArray[Any]:
    """One array of a file [rows, columns(, bands)]."""
    from scipy.io import loadmat

    there = arrays_of(path)
    rasters = {key: shape for key, shape in there.items() if min(shape[:2]) > 1}
    told = ", ".join(f"{key} ({' x '.join(map(str, shape))})" for key, shape in there.items()) or "none"
    if not name and not there:
        raise UserError(f"{path}: no array of rows and columns, or of rows, columns and bands; save one as a variable by itself")
    if not name and len(rasters) != 1:
        raise UserError(f"{path}: {len(rasters)} arrays of rows and columns ({told}); name one, as in {path}:NAME")
    if name and name not in there:
        raise UserError(f"{file}: no array of numbers named {name!r}; there are: {told}")
    name = name or next(iter(rasters))
    try:
        array = np.asarray(loadmat(path, variable_names=[name])[name])
    except Exception as error:  # as above
        raise UserError(f"{path}: {name} cannot be read ({type(error).__name__}); the file is damaged: replace it") from None
    if array.dtype.kind not in "buif":
        raise UserError(f"{path}: {name} holds {array.dtype} values; give real numbers")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _write(memory: str, array: NDArray[Any]) -> None:
    bands = np.moveaxis(np.atleast_3d(array), 2, 0)  # [C, rows, columns]
    form = {"driver": "GTiff", "interleave": "band", "tiled": True, "BIGTIFF": "IF_SAFER"}
    size = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(memory, "w", **form, **size) as out:
        for number, band in enumerate(bands, 1):
            out.write(band, number)
