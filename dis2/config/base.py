"""What every section of the config is built from."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Immutable, and closed: an unknown key is a fault, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _plain(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name) or ".." in name:
        raise ValueError(f"{name!r} is not a name: use letters, digits, '_', '-' and '.', beginning with a letter or digit")
    return name


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} names a part of the tile store: choose another name")
    return name


RESERVED = ("labels", "valid", "x", "y", "spatial_ref", "truth")

Name = Annotated[str, Field(strict=True), AfterValidator(_plain)]
"""A name that is safe as a file name, on a command line and in a page."""

SensorName = Annotated[Name, AfterValidator(_not_reserved)]

SplitName = Literal["train", "validation", "test"]
