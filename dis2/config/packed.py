"""Files that are not there: they may be in the archive in which a data set is passed on, or beside where they are looked for."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from dis2.config.data import on_network
from dis2.files import on_disk

ARCHIVES = (".zip", ".rar")
"""Only the first kind is looked into."""
MANY = 200
"""Folders that are looked into for a file that is not where it should be."""


def missing(file: str) -> str:
    """What is said of a file that is not there."""
    if told := packed(file):
        return f"no such file, but {told}"
    if there := elsewhere(file):
        return f"no such file, but {there} is there; correct the path, or move it"
    return "no such file; correct the path, or data_root ($DIS2_DATA) before it"


def is_missing(file: str) -> bool:
    """Whether a plain file is not there."""
    return not on_network(file) and not Path(on_disk(file)).exists()


def elsewhere(file: str) -> Path | None:
    """The one file called so, whatever its capital letters, in the nearest folder that there is, or in one of its folders.

    The folders on the way are called so, too: files of other scenes often have the same name.
    """
    path = Path(file)
    near = _nearest(path)
    if near.resolve() in (Path("/"), Path(os.path.expanduser("~"))):
        return None
    tail = path.relative_to(near).parts
    inner = [near / name for name in _names(near) if not name.startswith(".") and (len(tail) > 1 or _alike(name, near.name))]
    found = {there for folder in (near, *inner[:MANY]) if (there := _below(folder, tail)) and there.is_file()}
    return found.pop() if len(found) == 1 else None


def _nearest(path: Path) -> Path:
    """The nearest folder above a path that there is."""
    return next((folder for folder in path.parents if folder.is_dir()), Path())


def _below(folder: Path, tail: tuple[str, ...]) -> Path | None:
    """What is called so in a folder, each part whatever its capital letters."""
    for part in tail:
        name = next((name for name in _names(folder) if _alike(name, part)), None)
        if name is None:
            return None
        folder /= name
    return folder


def _names(folder: Path) -> list[str]:
    """What is in a folder, if it is one."""
    with suppress(OSError):
        return _names_of(folder, folder.stat().st_mtime_ns)
    return []


@lru_cache(256)
def _names_of(folder: Path, changed: int) -> list[str]:
    """As it was when the folder was changed last."""
    return sorted(os.listdir(folder))


def packed(file: str) -> str | None:
    """What to unpack so that a file is there that is missing; None where no archive near it seems to hold it.

    Names are compared whatever their capital letters.
    """
    path = Path(file)
    beside = [archive for it in (path, *path.parents) for archive in _archives(it.parent) if _alike(archive.stem, it.name)]
    for archive in dict.fromkeys([*beside, *_archives(_nearest(path))]):
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
    found = (folder / name for name in _names(folder) if name.lower().endswith(ARCHIVES))
    return [path for path in found if path.is_file()]


@lru_cache(64)
def _members(archive: Path) -> dict[str, list[str]]:
    """The files in an archive, by the name alone."""
    found: dict[str, list[str]] = {}
    with suppress(OSError, BadZipFile), ZipFile(archive) as opened:
        for member in opened.namelist():
            found.setdefault(member.rsplit("/", 1)[-1].lower(), []).append(member)
    return found
