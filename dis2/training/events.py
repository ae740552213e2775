"""Loss and scores for TensorBoard, while a training runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dis2.errors import UserError


class Events:
    """Writes into a folder, or nowhere where none is given."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self.first = 1
        """The step that comes next: what was written of it, and of later ones, before a training was killed does not count."""
        self.writer: Any = None

    def __enter__(self) -> Events:
        if self.folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise UserError(
                    "training.tensorboard: true: tensorboard is not installed; `pip install tensorboard`, or set it to false"
                ) from None
            self.writer = SummaryWriter(str(self.folder), purge_step=self.first)
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, line: Mapping[str, Any]) -> None:
        """One step: its terms, its learning rate and, where it ends with a validation, the score of every combination."""
        if self.writer is None:
            return
        validation = line.get("validation", {})
        named = {name: value for name, value in line.items() if name not in ("step", "validation")}
        for name, value in {**named, **{f"validation/{name}": score for name, score in validation.items()}}.items():
            self.writer.add_scalar(name, value, line["step"])
