"""Scenes kept as plain arrays, so that tiles are read without unpacking: in memory, or in files beside a training's state."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.files import unwritable

Arrays = dict[str, NDArray[Any]]
"""All of one scene, by name: [H, C, W] or [H, W]; a strip of them has fewer rows."""


def in_memory(height: int, strips: Iterable[Arrays]) -> Arrays:
    """All strips, one below the other."""
    kept: Arrays = {}
    row = 0
    for strip in strips:
        for name, part in strip.items():
            whole = kept.setdefault(name, np.empty((height, *part.shape[1:]), part.dtype))
            whole[row : row + len(part)] = part
        row += len(next(iter(strip.values())))
    return kept


def on_disk(folder: Path, name: str, key: str, height: int, strips: Iterable[Arrays]) -> Path:
    """The folder of a scene's arrays: as it was left under this key, or written now; that of any other key is removed."""
    path = folder / f"{name}@{key}"
    for old in folder.glob(f"{name}@*"):
        if old != path:
            shutil.rmtree(old, ignore_errors=True)
    if not path.is_dir():
        part = folder / f"{name}@part"
        try:
            _write(part, height, strips)
            part.rename(path)
        except OSError as error:
            raise unwritable(path, error) from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return path


def mapped(path: Path) -> Arrays:
    """The arrays of a folder, of which only what is looked at is read."""
    files = path.rglob("*.npy")
    return {file.relative_to(path).with_suffix("").as_posix(): np.load(file, mmap_mode="r") for file in files}


def _write(folder: Path, height: int, strips: Iterable[Arrays]) -> None:
    """Row after row, so that a full disk is an error and not, as it would be through a map, the end of the process."""
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for strip in strips:
            for name, part in strip.items():
                if name not in files:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    files[name] = stack.enter_context((folder / f"{name}.npy").open("wb"))
                    shape = {"shape": (height, *part.shape[1:]), "fortran_order": False, "descr": part.dtype.str}
                    np.lib.format.write_array_header_2_0(files[name], shape)
                files[name].write(np.ascontiguousarray(part).data)
