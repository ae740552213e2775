"""How a model is measured."""

from pydantic import Field

from dis2.config.base import Section


class EvaluationSettings(Section):
    """The protocol's part that is a choice."""

    tile: int = Field(256, ge=32, multiple_of=16, description="side of the windows that are scored")
    batch: int = Field(4, ge=1, description="windows at once")
    block: int = Field(128, ge=16, description="side of the blocks of pixels from which intervals of differences are drawn")
    bins: int = Field(15, ge=2, description="bins of the calibration error")
    threads: int = Field(1, ge=1, description="CPU threads")
