"""How a model is measured."""

from pydantic import Field

from dis2.config.base import Section


class EvaluationSettings(Section):
    """The protocol's part that is a choice."""

    tile: int = Field(256, ge=32, multiple_of=16, description="side of the windows that are scored")
    batch: int = Field(4, ge=1, description="windows at once")
    bins: int = Field(15, ge=2, description="bins of the calibration error")
    threads: int = Field(1, ge=1, description="CPU threads")
