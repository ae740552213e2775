"""Where rasters are prepared. It changes no result, so it belongs to no stage's settings: a change of it runs nothing again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dis2.config.base import Section


class Preparation(Section):
    """How much of this machine, or of which cluster, takes part, and what becomes of scenes that cannot be prepared."""

    processes: int = Field(1, ge=1, description="processes that cut one scene; more than one help where few scenes are large")
    scheduler: str | None = Field(
        None,
        description="a running dask scheduler, such as tcp://host:8786, whose workers see the same files: tiles and statistics",
    )
    broken: Literal["stop", "skip"] = Field(
        "stop",
        description="where the check finds the rasters of a scene wrong: stop, or do without the scene, which the report names",
    )
