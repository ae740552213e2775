"""Files that are whole or not there: written beside their final name and renamed."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from dis2.errors import UserError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside the final one to write to; it takes the final name only when the block ends without an error."""
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            part.unlink()


def check_writable(path: Path) -> None:
    """Says before long work, and not after it, that a file cannot be written there; nothing is left of the trial."""
    new = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()


def unwritable(path: Path, error: OSError) -> UserError:
    """The one line for a disk that is full, missing or closed to us."""
    reason = error.strerror or " ".join(str(error).split())
    return UserError(f"{path}: cannot be written ({reason}); check the disk and its permissions")


def write_json(path: Path, value: Any) -> None:
    """Writes JSON that a person can read."""
    with whole(path) as part:
        part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """A JSON file of this project, or the one line that says what is wrong with it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it") from None
    except ValueError:
        raise UserError(f"{path}: damaged (not JSON); delete it and run the stage that writes it again") from None
