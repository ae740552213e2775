"""The manifest beside maps: the digest of every file, written last, so that no other map is taken for what was predicted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dis2.errors import UserError
from dis2.files import check_digest, digest, read_json, write_json

NAME = "manifest.json"


def seal(folder: Path, files: Iterable[Path]) -> None:
    """Writes down what was made in a folder."""
    write_json(folder / NAME, {"files": {path.name: digest(path) for path in files}})


def maps_made(folder: Path) -> set[str]:
    """The maps of a folder that are as they were made: any that was made and is not is an error that names it."""
    if not (folder / NAME).is_file():
        return set()
    told = read_json(folder / NAME)
    if not isinstance(told, dict) or not isinstance(told.get("files"), dict):
        raise UserError(f"{folder / NAME}: lists no files; delete it and run `dis2 predict` again")
    there = {name: sealed for name, sealed in told["files"].items() if (folder / name).is_file()}
    for name, sealed in there.items():
        check_digest(folder / name, sealed)
    return set(there)
