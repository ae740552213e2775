"""How sensors that lie beside the reference are found and put right."""

from __future__ import annotations

from pydantic import Field

from dis2.config.base import Section


class Registration(Section):
    """The search for each sensor's shift; what cannot be trusted is refused, and the georeferencing kept as it is."""

    enabled: bool = Field(True, description="look for shifts between the sensors of a scene; false: trust the georeferencing")
    search: float = Field(16, ge=1, le=64, description="the largest shift looked for, in pixels of the grid")
    window: int = Field(256, ge=96, le=1024, description="side of the windows that are matched; small scenes use smaller ones")
    windows: int = Field(25, ge=4, le=400, description="at most this many windows, spread evenly over the scene")
    agreement: float = Field(0.5, gt=0, le=2, description="by how many pixels two estimates, or two windows, may differ")
