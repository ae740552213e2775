"""The shards of an array: windows are read straight from them, and each is written at once, laid out as Zarr v3 has it.

A shard is its chunks, each a Blosc buffer, and then an index of their (offset, size); chunks and index end with a CRC-32C.
That takes less than half of what zarr-python does with the same files: see `benchmarks/store.py`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from dis2.raster.grid import Window, blocks, intersection

CODEC, LEVEL = "lz4", 5
SHUFFLES = {"shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}
CHECKSUM = 4
EMPTY = 2**64 - 1
"""The offset of a chunk that was not written because it holds nothing but the fill value."""


class Damaged(Exception):
    """A shard is not what was written: which one, and why."""


@dataclass(frozen=True)
class Layout:
    """How an array (band, y, x), or (y, x), lies in files. Only its last shards and chunks reach over its end."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fill: int
    chunks: tuple[int, ...]
    shards: tuple[int, ...]

    @property
    def bands(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def chunk(self) -> tuple[int, int, int]:
        """The shape of a chunk, with bands."""
        depth, height, width = (1, *self.chunks)[-3:]
        return depth, height, width

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks a shard has: [bands, rows, columns]."""
        return tuple(shard // chunk for shard, chunk in zip((1, *self.shards)[-3:], self.chunk, strict=True))

    @property
    def shuffle(self) -> tuple[str, int]:
        """Bits are shuffled (those of two values at once where they are of 8 bit), or from 32 bit on bytes; and of how many."""
        return "bitshuffle" if self.dtype.itemsize <= 2 else "shuffle", max(2, self.dtype.itemsize)

    def places(self, under: Window | None = None) -> Iterator[Window]:
        """What each shard covers; or just those that a window touches."""
        return blocks(self.shape[-2], self.shape[-1], self.shards[-1], under)

    def file(self, place: Window) -> str:
        """The file of a shard in its store."""
        y, x = place.y // self.shards[-1], place.x // self.shards[-1]
        return f"{self.name}/c/{y}/{x}" if len(self.shape) == 2 else f"{self.name}/c/0/{y}/{x}"


class Shards:
    """An array that is open for reading. The index of a shard is read once; nothing else is kept."""

    def __init__(self, store: Path, layout: Layout, written: Container[str]):
        self.store, self.layout, self.written = store, layout, written
        self._indices: dict[str, NDArray[np.uint64]] = {}

    def read(self, window: Window) -> NDArray[Any]:
        """The values of a window: [C, h, w] or [h, w]."""
        out = np.empty((self.layout.bands, window.height, window.width), self.layout.dtype)
        for place in self.layout.places(under=window):
            name = self.layout.file(place)
            try:
                self._read(name, place, window, out)
            except FileNotFoundError:
                if name in self.written:
                    raise Damaged(f"{name} is gone") from None
                out[:, *_common(window, place)[1].slices] = self.layout.fill
            except OSError as error:
                raise Damaged(f"{name} cannot be read ({error.strerror})") from None
            except ValueError as error:
                raise Damaged(f"{name} cannot be read ({error})") from None
        return out.reshape(*self.layout.shape[:-2], *out.shape[1:])

    def _read(self, name: str, place: Window, window: Window, out: NDArray[Any]) -> None:
        """Fills in what a window shares with a shard."""
        depth, side, _ = self.layout.chunk
        shared = _common(window, place)[0]
        chunk = np.empty(self.layout.chunk, self.layout.dtype)
        with FileIO(self.store / name) as file:
            if name not in self._indices:
                self._indices[name] = self._index(file)
            for cell in blocks(place.height, place.width, side, under=shared):
                inside, here = _common(shared, cell)
                here = here._replace(y=here.y + place.y + shared.y - window.y, x=here.x + place.x + shared.x - window.x)
                for first in range(0, len(out), depth):
                    number = first // depth, cell.y // side, cell.x // side
                    self._fill(chunk, file, *map(int, self._indices[name][number]))
                    out[first : first + depth, *here.slices] = chunk[: len(out) - first, *inside.slices]

    def _index(self, file: FileIO) -> NDArray[np.uint64]:
        """The (offset, size) of every chunk of a shard: [bands, rows, columns, 2]."""
        size = 16 * math.prod(self.layout.grid) + CHECKSUM
        return np.frombuffer(_checked(file, max(0, file.seek(0, 2) - size), size), "<u8").reshape(*self.layout.grid, 2)

    def _fill(self, chunk: NDArray[Any], file: FileIO, offset: int, size: int) -> None:
        """Puts into a chunk what a shard holds at a place."""
        if offset == EMPTY:
            chunk[:] = self.layout.fill
        else:
            blosc.decompress(_checked(file, offset, size), chunk)


def write_shard(store: Path, layout: Layout, place: Window, values: NDArray[Any], where: NDArray[np.bool_] | None = None) -> None:
    """Writes a whole shard of values [C, h, w], or [h, w], that count where they are valid [h, w].

    What counts nowhere, or is the fill value, takes no space; a shard of nothing else has no file.
    """
    assert list(layout.places(under=place)) == [place], f"{place} is not a shard"
    values = values.reshape(layout.bands, place.height, place.width)
    mask = np.ones((place.height, place.width), bool) if where is None else where
    index = np.full((*layout.grid, 2), EMPTY, "<u8")
    chunk = np.empty(layout.chunk, layout.dtype)
    path = store / layout.file(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number in np.ndindex(*layout.grid):
            begin, y, x = (n * size for n, size in zip(number, layout.chunk, strict=True))
            part = values[begin : begin + layout.chunk[0], y : y + layout.chunk[1], x : x + layout.chunk[2]]
            chunk[:] = layout.fill
            np.copyto(
                chunk[*(slice(size) for size in part.shape)], part, where=mask[y : y + part.shape[1], x : x + part.shape[2]]
            )
            if (chunk != layout.fill).any():
                index[number] = file.tell(), file.write(_with_checksum(_compressed(chunk, layout)))
        file.write(_with_checksum(index.tobytes()))
    if (index == EMPTY).all():
        path.unlink()


def _compressed(chunk: NDArray[Any], layout: Layout) -> bytes:
    shuffle, size = layout.shuffle
    return blosc.compress(chunk, CODEC.encode(), LEVEL, SHUFFLES[shuffle], 0, size)


def _with_checksum(body: bytes) -> bytes:
    return body + google_crc32c.value(body).to_bytes(CHECKSUM, "little")


def _checked(file: FileIO, offset: int, size: int) -> bytes:
    """The bytes at a place without the checksum that they end with, if it is theirs."""
    file.seek(offset)
    body, checksum = file.read(size - CHECKSUM), file.read(CHECKSUM)
    if checksum != google_crc32c.value(body).to_bytes(CHECKSUM, "little"):
        raise ValueError("its checksum does not fit")
    return body


def _common(window: Window, place: Window) -> tuple[Window, Window]:
    """What a window shares with a place that it is known to touch: in the place's pixels, and in the window's."""
    common = intersection(window, place)
    assert common is not None
    return common
