"""How maps are made."""

from pydantic import Field

from dis2.config.base import Section


class PredictionSettings(Section):
    """Sliding windows that overlap."""

    tile: int = Field(256, ge=32, multiple_of=16, description="side of a sliding window")
    overlap: float = Field(0.25, ge=0, le=0.75, description="share of a window that its neighbours see too")
    batch: int = Field(4, ge=1, description="windows at once")
    threads: int = Field(1, ge=1, description="CPU threads")
