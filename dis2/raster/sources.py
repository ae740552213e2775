"""Which rasters are opened: those whose pixels are their own, and those that point elsewhere only where the config allows it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import rasterio

from dis2.config.data import NETWORK, on_network

ALLOWED = "DIS2_ALLOWED_RASTERS"
"""What the config of this process and of those that it starts allows; unset (a file that a user names by hand): everything."""
INDIRECT = {"VRT", "DERIVED", "GTI", "MRF", "STACIT", "STACTA"}
"""GDAL's formats of files that name others."""
REMOTE = {"DAAS", "EEDA", "EEDAI", "HTTP", "NGW", "OGCAPI", "PLMOSAIC", "PostGISRaster", "WCS", "WMS", "WMTS"}
"""GDAL's formats of services."""
_HELD: set[str] = set()
"""Files in memory that this process has made itself, such as labels whose colours it has told apart."""
_HERE: ContextVar[tuple[str, ...] | None] = ContextVar("allowed", default=None)
"""What a block allows."""
POINTERS = ("<VRTDataset", "<MRF_META", "<OGRVRTDataSource", "<GDALTileIndexDataset")
SERVICES = ("<GDAL_WMS", "<GDAL_WMTS", "<WCS_GDAL", "<WMT_MS_Capabilities", "<WMS_")
"""How their files begin: some ask the network as soon as they are opened."""
NO_CURL = "CPL_VSIL_CURL_ALLOWED_FILENAME"
"""The one file that GDAL may fetch, also for a file that points to it."""


def allow(kinds: Iterable[str]) -> None:
    """From now on only this is opened besides plain files."""
    os.environ[ALLOWED] = ",".join(kinds)
    if "network" in _kinds():
        os.environ.pop(NO_CURL, None)
    else:
        os.environ[NO_CURL] = "none"


@contextmanager
def allowing(kinds: Iterable[str]) -> Iterator[None]:
    """Within a block, and in its thread alone, only this is opened: a cluster's workers serve several configs at once."""
    before = _HERE.set(tuple(kinds))
    try:
        with rasterio.Env(**{} if "network" in _kinds() else {NO_CURL: "none"}):
            yield
    finally:
        _HERE.reset(before)


@contextmanager
def held(file: str) -> Iterator[str]:
    """Within a block a file that this process has made in memory is opened, whatever the config allows."""
    _HELD.add(file)
    try:
        yield file
    finally:
        _HELD.discard(file)


def refusal(file: str, driver: str = "") -> str | None:
    """Why a raster is not opened, by its name and first bytes or by the format that GDAL found, and what would allow it."""
    kinds, text = _kinds(), "" if driver else _beginning(file)
    remote = on_network(file) and file not in _HELD
    if "network" not in kinds and (remote or driver in REMOTE or text.startswith(SERVICES)):
        return NETWORK
    if "vrt" not in kinds and (driver in INDIRECT or text.startswith(POINTERS)):
        return "points to other files; data.allow: [vrt] lets it be read if you trust it"
    return None


def _kinds() -> Sequence[str]:
    here = _HERE.get()
    return os.environ.get(ALLOWED, "vrt,network").split(",") if here is None else here


def _beginning(file: str) -> str:
    if not os.path.isfile(file):
        return ""
    with open(file, "rb") as stream:
        return stream.read(1000).decode(errors="replace").lstrip("\ufeff \t\r\n")
