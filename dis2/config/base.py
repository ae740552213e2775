"""What every section of the config is built from."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """Immutable, and closed: an unknown key is a fault, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def without(self, *keys: str) -> Self:
        """The same as if the config had not these keys."""
        return self.model_copy(update={key: type(self).model_fields[key].get_default() for key in keys})


def checked_name(name: str) -> str:
    """The name, if it is one."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name) or ".." in name:
        raise ValueError(f"{name!r} is not a name: use letters, digits, '_', '-' and '.', beginning with a letter or digit")
    return name


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} names a part of the tile store: choose another name")
    return name


MOST_SEEDS = 2**63
"""Seeds are smaller."""
RESERVED = ("labels", "valid", "x", "y", "spatial_ref", "truth")

Name = Annotated[str, Field(strict=True), AfterValidator(checked_name)]
"""A name that is safe as a file name, on a command line and in a page."""

SensorName = Annotated[Name, AfterValidator(_not_reserved)]


def _listed(one: Any) -> Any:
    return (one,) if isinstance(one, str | int) else one


def one_or_more(kind: Any) -> BeforeValidator:
    """For a list of this kind: one alone may stand without a list."""
    return BeforeValidator(_listed, json_schema_input_type=kind | tuple[kind, ...])


FilesBySensor = dict[str, Annotated[tuple[str, ...], one_or_more(str)]]
"""Lists of files, or patterns of them; one alone may stand without a list."""

SplitName = Literal["train", "validation", "test"]
