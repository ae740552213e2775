"""Files that are still in the .zip in which a data set is passed on: which one to unpack, and where to."""

from __future__ import annotations

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
        if member := _members(archive).get(path.name):
            root = file.removesuffix(member).rstrip("/")
            return f"{archive} has it; unpack that to {root if file.endswith(f'/{member}') else path.parent}"
    return f"{found[0]} is there; unpack it, and what is packed in it" if found else None


@lru_cache(64)
def _members(archive: Path) -> dict[str, str]:
    """The files in an archive, by the name alone."""
    try:
        with ZipFile(archive) as opened:
            return {name.rsplit("/", 1)[-1]: name for name in opened.namelist()}
    except (OSError, BadZipFile):
        return {}
