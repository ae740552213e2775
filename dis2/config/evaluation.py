"""How a model is measured."""

from typing import Annotated

from pydantic import Field

from dis2.config.base import Section

Share = Annotated[float, Field(gt=0, lt=1)]


class PartialSettings(Section):
    """What one sensor loses while the others are whole."""

    windows: int = Field(64, ge=0, description="at most so many windows are scored with partial loss (0: none)")
    clouds: tuple[Share, ...] = Field((0.25, 0.5, 0.75), description="shares of a window that clouds hide")
    noise: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.5, 1.0, 2.0), description="deviations of added noise, in those of the band"
    )
    misregistration: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 4), description="pixels by which a sensor lies beside"
    )
    seed: int = Field(0, ge=0, description="where the clouds are, and all else that is random")


class EvaluationSettings(Section):
    """The protocol's part that is a choice."""

    tile: int = Field(256, ge=32, multiple_of=16, description="side of the windows that are scored")
    batch: int = Field(4, ge=1, description="windows at once")
    block: int = Field(128, ge=16, description="side of the blocks of pixels from which intervals of differences are drawn")
    erosion: int = Field(0, ge=0, description="pixels that are not scored so near to another class")
    similarity: bool = Field(True, description="how much fused features are like the teacher's (CKA), where there is one")
    partial: PartialSettings = Field(PartialSettings(), description="clouds, noise and misregistration of one sensor")
    bins: int = Field(15, ge=2, description="bins of the calibration error")
    threads: int = Field(1, ge=1, description="CPU threads")
