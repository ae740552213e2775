"""Files that are still in the .zip in which a data set is passed on: which one to unpack, and where to."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile


def packed(file: str) -> str | None:
    """What to unpack so that a file is there that is missing; None where no .zip near it seems to hold it."""
    path = Path(file)
    near = next(folder for folder in path.parents if folder.is_dir())
    beside = [Path(f"{folder}.zip") for folder in (path, *path.parents)]
    found = [archive for archive in beside if archive.is_file()]
    for archive in dict.fromkeys([*found, *sorted(near.glob("*.zip"))]):
        if members := _members(archive).get(path.name):
            fitting = [file.removesuffix(f"/{member}") for member in members if file.endswith(f"/{member}")]
            return f"{archive} has it; unpack that to {min([*fitting, str(path.parent)], key=len)}"
    return f"{found[0]} is there; unpack it, and what is packed in it" if found else None


@lru_cache(64)
def _members(archive: Path) -> dict[str, list[str]]:
    """The files in an archive, by the name alone."""
    found: dict[str, list[str]] = {}
    with suppress(OSError, BadZipFile), ZipFile(archive) as opened:
        for member in opened.namelist():
            found.setdefault(member.rsplit("/", 1)[-1], []).append(member)
    return found
