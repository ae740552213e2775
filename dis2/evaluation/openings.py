"""How often the test split was looked at: a choice that is made on it leaves its mark."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

NAME = "openings.jsonl"


@dataclass(frozen=True)
class Openings:
    """Evaluations on the test split of some tiles, and how many different models they were of."""

    count: int
    models: int


def opened(tiles: Path, folder: Path, method: str, seed: int) -> None:
    """Writes down, beside the tiles, that the test split is looked at with a model; appended at once, so jobs do not meet."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    line = {
        "method": method,
        "seed": seed,
        "weights": digest.hexdigest()[:16],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        with (tiles / NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        print(
            f"{tiles / NAME}: cannot be written ({error.strerror}); this opening of the test split is not counted",
            file=sys.stderr,
        )


def openings(tiles: Path) -> Openings:
    """What was written down; a line that was cut short counts as one, too."""
    path = tiles / NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    models = set()
    for line in lines:
        try:
            models.add(json.loads(line)["weights"])
        except (ValueError, KeyError):
            models.add(line)
    return Openings(len(lines), len(models))
