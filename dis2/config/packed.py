"""Files that are not there: they may be in the archive in which a data set is passed on, or beside where they are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path
from zipfile import BadZipFile, ZipFile

ARCHIVES = (".zip", ".rar")
"""Only the first kind is looked into."""
DEEP, MANY = 3, 20_000
"""Folders below one another, and files, that are looked through for one that is not where it should be."""


def missing(file: str) -> str:
    """What is said of a file that is not there."""
    if told := packed(file):
        return f"no such file, but {told}"
    if there := elsewhere(file):
        return f"no such file, but {there} is there; correct the path, or move it"
    return "no such file; correct the path, or data_root ($DIS2_DATA) before it"


def elsewhere(file: str) -> Path | None:
    """A file of that name, whatever its capital letters, in the nearest folder that there is, or not far below it."""
    path = Path(file)
    near = next((folder for folder in path.parents if folder.is_dir()), Path())
    with suppress(OSError):
        found = _files_below(near, near.stat().st_mtime_ns).get(path.name.lower(), [])
        return max(found, key=lambda other: _shared(path, other), default=None)
    return None


def _shared(one: Path, other: Path) -> int:
    """How many of the folders at the end are called alike."""
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: _alike(*pair), pairs))


@lru_cache(64)
def _files_below(folder: Path, changed: int) -> dict[str, list[Path]]:
    """The first files of a folder and of those in it, DEEP at most, by name; as they were when the folder was changed last."""
    found: dict[str, list[Path]] = {}
    entries = islice(_entries(folder, DEEP), MANY)
    for path in entries:
        found.setdefault(path.name.lower(), []).append(path)
    return found


def _entries(folder: Path, deep: int) -> Iterator[Path]:
    """Files, those of nearer folders first."""
    inner = []
    with suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_file():
                yield folder / entry.name
            elif deep and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                inner.append(folder / entry.name)
    for below in inner:
        yield from _entries(below, deep - 1)


def packed(file: str) -> str | None:
    """What to unpack so that a file is there that is missing; None where no archive near it seems to hold it.

    Names are compared whatever their capital letters.
    """
    path = Path(file)
    near = next((folder for folder in path.parents if folder.is_dir()), Path())
    beside = [archive for it in (path, *path.parents) for archive in _archives(it.parent) if _alike(archive.stem, it.name)]
    for archive in dict.fromkeys([*beside, *_archives(near)]):
        if members := _members(archive).get(path.name.lower()):
            fitting = [member for member in members if _alike(member, _end(path, member))]
            member = max(fitting, key=len, default=path.name)
            renamed = f", and rename {member} to {_end(path, member)}" if fitting and member != _end(path, member) else ""
            return f"{archive} has it; unpack that to {path.parents[member.count('/')]}{renamed}"
    return f"{beside[0]} is there; unpack it, and what is packed in it" if beside else None


def _end(path: Path, member: str) -> str:
    """The end of a path, with as many folders as a member of an archive has."""
    return "/".join(path.parts[-1 - member.count("/") :])


def _alike(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _archives(folder: Path) -> list[Path]:
    """The archives in a folder by name."""
    with suppress(OSError):
        return _archives_of(folder, folder.stat().st_mtime_ns)
    return []


@lru_cache(64)
def _archives_of(folder: Path, changed: int) -> list[Path]:
    """As they were when the folder was changed last."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ARCHIVES and path.is_file())


@lru_cache(64)
def _members(archive: Path) -> dict[str, list[str]]:
    """The files in an archive, by the name alone."""
    found: dict[str, list[str]] = {}
    with suppress(OSError, BadZipFile), ZipFile(archive) as opened:
        for member in opened.namelist():
            found.setdefault(member.rsplit("/", 1)[-1].lower(), []).append(member)
    return found
