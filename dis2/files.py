"""Files that are whole or not there: written beside their final name and renamed."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from dis2.errors import UserError

WRITERS = ("rasterio", "safetensors")
"""Libraries that write, and whose errors are not always the system's."""
SEAL = "seal"
"""The last key of a JSON file: a digest of the others."""
PAGE = 4096
"""A disk with fewer bytes than this is full."""


def on_disk(file: str) -> str:
    """The file that a path is about: `cube.mat:name` means an array in `cube.mat`."""
    return re.sub(r"(?<=\.mat):\w+$", "", file, flags=re.I)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside the final one to write to; it takes the final name only when the block ends without an error."""
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in WRITERS:
            raise unwritable(path, error) from None
        raise
    finally:
        with suppress(OSError):
            part.unlink()


def check_writable(path: Path) -> None:
    """Says before long work, and not after it, that a file cannot be written there; nothing is left of the trial."""
    check_folder(path.parent, path)
    if path.is_dir():
        raise unwritable(path, IsADirectoryError(errno.EISDIR, "it is a folder"))


def check_folder(folder: Path, told: Path | None = None) -> None:
    """Says that nothing can be written into a folder, or what could not be; nothing is left of the trial."""
    new = [it for it in (folder, *folder.parents) if not it.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(told or folder, error) from None
    finally:
        for it in new:
            with suppress(OSError):
                it.rmdir()


@contextmanager
def unchanged(files: Iterable[str]) -> Iterator[None]:
    """What a stage reads stays as it is meanwhile, or what it makes is of neither state."""
    before = {file: _looks(file) for file in files}
    yield
    if changed := [file for file, looks in before.items() if _looks(file) != looks]:
        raise UserError(f"{changed[0]}: changed while it was read; run the same command again when it is whole")


def _looks(file: str) -> tuple[int, int, int] | None:
    with suppress(OSError):
        stat = os.stat(on_disk(file))
        return stat.st_ino, stat.st_size, stat.st_mtime_ns
    return None


def unwritable(path: Path, error: Exception) -> UserError:
    """The one line for a disk that is full, missing or closed to us; not every library says which."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    with suppress(OSError):
        usage = shutil.disk_usage(path.parent)
        if usage.total and usage.free < PAGE:
            reason = os.strerror(errno.ENOSPC)
    return UserError(f"{path}: cannot be written ({reason}); check the disk and its permissions")


def digest(path: Path) -> str:
    """A file's bytes in one word."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def check_digest(path: Path, told: str | None) -> None:
    """Refuses a file that is not as it was written, if that is known."""
    try:
        found = told and digest(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it again") from None
    if found != told:
        raise UserError(f"{path}: damaged (other bytes than were written); delete it and run the stage that writes it again")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes JSON that a person can read."""
    with whole(path) as part:
        part.write_text(json.dumps(sealed(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """A JSON file of this project, or the one line that says what is wrong with it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it") from None
    except ValueError:
        raise UserError(f"{path}: damaged (not JSON); delete it and run the stage that writes it again") from None
    if isinstance(value, dict) and SEAL in value and sealed(value) != value:
        raise UserError(f"{path}: damaged (its seal does not fit); delete it and run the stage that writes it again")
    return {key: it for key, it in value.items() if key != SEAL} if isinstance(value, dict) else value


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """The value with a digest of all else in it, so that not a digit can change unseen."""
    rest = {key: it for key, it in value.items() if key != SEAL}
    return rest | {SEAL: hashlib.sha256(json.dumps(rest).encode()).hexdigest()[:16]}
