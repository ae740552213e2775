"""Rasters as small pictures for people: sensors, classes, confidence and errors as indexed PNGs."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dis2.config.data import IGNORE
from dis2.raster.grid import Window

SIDE = 768  # pixels of a picture's longer side at most
CLEAR = 255  # the palette's transparent entry: nothing is known there
CONFIDENCE = ("#00224e", "#434e6c", "#7d7c78", "#bcaf6f", "#fee838")  # cividis: even steps for every kind of sight
RIGHT, WRONG = "#e4e6dd", "#b3200f"

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def step_of(height: int, width: int) -> int:
    """Every so many pixels one is shown."""
    return max(1, -(-max(height, width) // SIDE))


def thinned(read: Callable[[Window], NDArray[Any]], height: int, width: int, step: int) -> NDArray[Any]:
    """Every step-th pixel of a raster, read in bands of rows so that memory does not grow with its height."""
    rows = max(step, 512 // step * step)
    bands = (read(Window(y, 0, min(rows, height - y), width)) for y in range(0, height, rows))
    return np.concatenate([band[..., ::step, ::step] for band in bands], axis=-2)


def sensor_png(bands: NDArray[Any], valid: Mask, surface: bool) -> bytes:
    """How a sensor is drawn: a surface as hill-shade, fewer than three bands in grey, else bands 3, 2 and 1 in colour."""
    if surface:
        return grey_png(hillshade(bands[0], valid), valid)
    if len(bands) < 3:
        return grey_png(stretched(bands[0], valid), valid)
    colours = np.stack([stretched(bands[band], valid) for band in (2, 1, 0)], axis=-1)
    picture = Image.fromarray(colours).quantize(CLEAR, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = (picture.getpalette() or [])[: 3 * CLEAR]
    return indexed_png(np.where(valid, np.asarray(picture), CLEAR).astype(np.uint8), palette)


def stretched(band: NDArray[Any], valid: Mask) -> Pixels:
    """A band as bytes, from its 2nd to its 98th percentile."""
    values = np.where(valid, band, 0).astype(np.float32)
    low, high = np.percentile(values[valid], (2, 98)) if valid.any() else (0.0, 1.0)
    return (np.clip((values - low) / max(high - low, 1e-9), 0, 1) ** 0.8 * 254).astype(np.uint8)


def hillshade(heights: NDArray[Any], valid: Mask) -> Pixels:
    """Light from the north-west on slopes as steep as makes them plain, whatever the units."""
    level = float(np.median(heights[valid])) if valid.any() else 0.0
    down, right = np.gradient(np.where(valid, heights, level).astype(np.float32))
    steep = float(np.percentile(np.hypot(down, right)[valid], 90)) if valid.any() else 0.0
    down, right = down / max(steep, 1e-9), right / max(steep, 1e-9)
    light = (1 + 0.7 * (right + down)) / np.sqrt(1 + down**2 + right**2) / 1.6
    return (np.clip(light, 0, 1) * 254).astype(np.uint8)


def grey_png(values: Pixels, valid: Mask) -> bytes:
    return indexed_png(np.where(valid, values, CLEAR).astype(np.uint8), [level for level in range(CLEAR) for _ in range(3)])


def class_png(classes: Pixels, colors: tuple[str, ...]) -> bytes:
    """Class indices in the classes' colours; pixels without a class are clear."""
    return indexed_png(np.where(classes == IGNORE, CLEAR, classes).astype(np.uint8), [v for color in colors for v in rgb(color)])


def error_png(predicted: Pixels, truth: Pixels) -> bytes:
    """Where a map is right and where wrong; clear where the truth or the map is not known."""
    known = (predicted != IGNORE) & (truth != IGNORE)
    return indexed_png(np.where(known, predicted != truth, CLEAR).astype(np.uint8), [*rgb(RIGHT), *rgb(WRONG)])


def confidence_png(confidence: NDArray[np.float32]) -> bytes:
    """Confidence from 0 to 1 in 32 steps; clear where it is not a number."""
    known = np.isfinite(confidence)
    levels = np.where(known, np.clip(np.nan_to_num(confidence), 0, 1) * 31, CLEAR).round().astype(np.uint8)
    stops = np.array([rgb(color) for color in CONFIDENCE], float)
    places = np.linspace(0, len(stops) - 1, 32)
    palette = np.stack([np.interp(places, range(len(stops)), channel) for channel in stops.T], axis=-1)
    return indexed_png(levels, palette.round().astype(int).ravel().tolist())


def share_right(predicted: Pixels, truth: Pixels) -> float | None:
    """The share of labelled pixels that a map has right."""
    known = (predicted != IGNORE) & (truth != IGNORE)
    return float((predicted == truth)[known].mean()) if known.any() else None


def rgb(color: str) -> tuple[int, int, int]:
    """The three numbers of #rrggbb."""
    red, green, blue = bytes.fromhex(color[1:7])
    return red, green, blue


def indexed_png(pixels: Pixels, palette: list[int]) -> bytes:
    """A PNG with a palette, whose entry 255 is transparent."""
    picture = Image.frombytes("P", pixels.shape[::-1], np.ascontiguousarray(pixels).tobytes())
    clear = bool((pixels == CLEAR).any())
    picture.putpalette(palette + [0] * (768 - len(palette)) if clear else palette)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, **({"transparency": CLEAR} if clear else {}))
    return stream.getvalue()


def smaller_png(png: bytes, width: int = 960) -> bytes:
    """A picture with at most so many columns and 128 colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def data_uri(png: bytes) -> str:
    """A picture as it stands in a page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
