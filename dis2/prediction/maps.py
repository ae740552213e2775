"""Map files: the classes with their colours and names, how sure they are, and which sensors were measured where."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import rasterio
import rasterio.shutil
import torch
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow
from torch import Tensor

from dis2.combinations import name_of
from dis2.files import whole
from dis2.raster.grid import Grid, Window

NOTHING = 255
"""The class, and the confidence, of a pixel that no sensor measured."""

PERCENT = 0.01
"""Confidence is kept in whole percent; the file declares this scale."""


@dataclass
class Map:
    """The open files of one map."""

    classes: DatasetWriter
    confidence: DatasetWriter
    sensors: DatasetWriter
    empty: bool = True
    """Has no pixel a class yet?"""

    def write(self, band: Window, probabilities: Tensor, measured: Tensor) -> None:
        """A band of rows: probabilities [K, h, w], and where each sensor was measured [S, h, w]."""
        certainty, index = probabilities.max(0)
        nothing = ~measured.any(0)
        self.empty = self.empty and bool(nothing.all())
        layers = {
            self.classes: index[None].masked_fill(nothing, NOTHING),
            self.confidence: (certainty / PERCENT).round()[None].masked_fill(nothing, NOTHING),
            self.sensors: measured,
        }
        for file, values in layers.items():
            file.write(values.to(torch.uint8).cpu().numpy(), window=RasterWindow(band.x, band.y, band.width, band.height))


@contextmanager
def open_map(out: Path, place: Grid, classes: Sequence[str], colors: Sequence[str], sensors: Sequence[str]) -> Iterator[Map]:
    """A map to be written from top to bottom: `out`, with `.confidence` and `.sensors` files beside it, whole or not there."""
    with ExitStack() as stack:
        parts = [stack.enter_context(whole(path)) for path in files_of(out)]  # named last, when all three are made
        made = Map(
            stack.enter_context(layer(parts[0], place, ["class"], NOTHING, overviews="MODE")),
            stack.enter_context(layer(parts[1], place, ["confidence"], NOTHING, overviews="AVERAGE")),
            stack.enter_context(layer(parts[2], place, sensors, None, overviews="MODE")),
        )
        made.classes.write_colormap(1, {index: rgb(color) for index, color in enumerate(colors)})
        made.classes.update_tags(1, **{f"class_{index}": name for index, name in enumerate(classes)})
        made.classes.update_tags(sensors=name_of(sensors))
        made.confidence.scales = (PERCENT,)
        yield made


def files_of(out: Path) -> list[Path]:
    """The files of a map: classes, confidence, sensors."""
    return [out, beside(out, "confidence"), beside(out, "sensors")]


def beside(out: Path, layer: str) -> Path:
    """`map.tif` and `confidence` make `map.confidence.tif`."""
    return out.with_name(f"{out.stem}.{layer}{out.suffix}")


def rgb(color: str) -> tuple[int, int, int]:
    """The parts of #rrggbb."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


@contextmanager
def layer(part: Path, place: Grid, bands: Sequence[str], nodata: int | None, overviews: str) -> Iterator[DatasetWriter]:
    """A file of bytes, drafted in rows and then made a cloud-optimised GeoTIFF (without a CRS, a plain one)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a pixel grid is no mistake
        draft = part.with_suffix(".draft")
        try:
            with rasterio.open(
                draft,
                "w",
                driver="GTiff",
                dtype="uint8",
                count=len(bands),
                height=place.height,
                width=place.width,
                crs=place.crs,
                transform=place.transform,
                nodata=nodata,
                blockysize=1,
                compress="lzw",
                bigtiff="if_safer",
            ) as file:
                file.descriptions = tuple(bands)
                yield file
            form = {"driver": "COG", "overview_resampling": overviews} if place.crs else {"driver": "GTiff", "tiled": True}
            rasterio.shutil.copy(draft, part, compress="deflate", bigtiff="if_safer", **form)
        finally:
            draft.unlink(missing_ok=True)
