"""The common pixel grid of a scene and how sensors come to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from dis2.config.base import Section
from dis2.config.registration import Registration


class GridSettings(Section):
    """`grid: pixels` for chips without georeferencing; else the reference sensor's grid, or an explicit CRS and resolution."""

    pixels: bool = Field(False, description="chips that share a pixel grid: nothing is registered or warped")
    reference: str | None = Field(None, description="the sensor whose grid is the scene's (default: the first one)")
    crs: str | None = Field(None, description="an explicit CRS instead, such as EPSG:32633; needs resolution")
    resolution: float | None = Field(None, gt=0, description="the side of a pixel in units of the CRS")
    registration: Registration = Field(Registration(), description="how misregistration between sensors is found")

    @model_validator(mode="after")
    def _crs_and_resolution(self) -> GridSettings:
        if self.crs and not self.resolution:
            raise ValueError("resolution: missing; an explicit crs needs the side of a pixel in its units")
        return self


GridOrPixels = Annotated[
    GridSettings,
    BeforeValidator(
        lambda grid: {"pixels": True} if grid == "pixels" else grid, json_schema_input_type=Literal["pixels"] | GridSettings
    ),
]
"""The word alone is a grid, too."""
