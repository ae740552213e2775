"""The manifest beside a store: a digest of every file of it, written last. Without one that fits, nothing counts as a store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dis2.errors import UserError
from dis2.files import read_json, whole

FORMAT = 1
THREADS = 4
"""Files that are read at once: a digest is slower than most disks."""

MEND = "the store is damaged: delete it and run tile again"

_fitting: dict[Path, list[tuple[str, int, int, int]]] = {}
"""The stores that this process has found to fit, and what their files looked like then."""


def manifest_of(path: Path) -> Path:
    """The manifest beside a store."""
    return path.with_name(f"{path.stem}.manifest.json")


def seal(part: Path, path: Path) -> None:
    """Gives a store that was written aside its name, and then its manifest: from now on it counts, and an older one is gone."""
    with whole(manifest_of(path)) as manifest:
        told = {"store": path.name, "format": FORMAT, "files": digests(part)}
        manifest.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        manifest_of(path).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)


def files_of(path: Path) -> dict[str, str]:
    """What the manifest of a store says: its files and their digests."""
    if not path.is_dir():
        raise UserError(f"{path}: no such store; run `dis2 tile`")
    if not manifest_of(path).is_file():
        raise UserError(f"{path}: not whole, for {manifest_of(path).name} is not beside it; run `dis2 tile` again")
    manifest = read_json(manifest_of(path))
    written = manifest.get("format") if isinstance(manifest, dict) else None
    if written != FORMAT:
        raise UserError(f"{path}: written in format {written}, this version reads {FORMAT}; run `dis2 tile` again")
    if not isinstance(manifest.get("files"), dict):
        raise UserError(f"{path}: {manifest_of(path).name} lists no files; {MEND}")
    return manifest["files"]


def fit(path: Path) -> None:
    """Refuses a store that does not fit its manifest, naming the file; what has not changed since is not read twice."""
    told = files_of(path)
    stats = [(file, file.stat()) for file in (manifest_of(path), *_files(path))]
    looks = [(str(file), stat.st_ino, stat.st_size, stat.st_mtime_ns) for file, stat in stats]
    if _fitting.get(path) == looks:
        return
    if wrong := _misfits(path, told):
        more = f" (nor do {len(wrong) - 1} more)" if wrong[1:] else ""
        raise UserError(f"{path}: {wrong[0]} does not fit the manifest{more}; {MEND}")
    _fitting[path] = looks


def check(paths: Iterable[Path]) -> None:
    """Reads stores whole: says which of them are as they were written, and of the others which files are not."""
    wrong: list[str] = []
    for path in paths:
        try:
            told = files_of(path)
            found = [f"{path}: {name} does not fit the manifest; {MEND}" for name in _misfits(path, told)]
        except UserError as error:
            found = [str(error)]
        if not found:
            print(f"{path}: whole, {len(told)} files fit the manifest")
        wrong += found
    if wrong:
        raise UserError(*wrong)


def digests(path: Path) -> dict[str, str]:
    """The digest of every file of a store."""
    files = _files(path)
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip((file.relative_to(path).as_posix() for file in files), pool.map(_digest, files), strict=True))


def digest_of(path: Path) -> str:
    """A store in one word, from its manifest."""
    return hashlib.sha256(json.dumps(read_json(manifest_of(path))["files"], sort_keys=True).encode()).hexdigest()[:16]


def _misfits(path: Path, told: dict[str, str]) -> list[str]:
    """The files that are not what they should be, or missing, or more."""
    found = digests(path)
    return sorted(name for name in told.keys() | found.keys() if told.get(name) != found.get(name))


def _files(path: Path) -> list[Path]:
    """The files of a store; hidden ones (a workflow's timestamp) are none of its."""
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); check the disk and its permissions") from None
