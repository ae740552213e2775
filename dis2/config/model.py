"""The networks' size."""

from pydantic import Field, model_validator

from dis2.config.base import Section

STUDENT_PARTS = ("compensation", "certainty", "own_decoders")
"""What the student alone has: a teacher or a rival is the same whatever these are."""
MOST_DECODED = 5
"""Sensors of which each combination may have its own decoder: 31 of them."""


class ModelSettings(Section):
    """Sizes that every method shares, so that comparisons are fair."""

    width: int = Field(16, ge=4, multiple_of=4, description="channels of level 1; levels 2 to 4 have 2, 4 and 8 times as many")
    depth: int = Field(2, ge=1, description="transformer layers at level 4")
    heads: int = Field(4, ge=1, description="attention heads of the transformer")
    class_chunk: int = Field(0, ge=0, description="classes decoded at once (0: all); fewer need less memory")
    tile: int | None = Field(None, ge=32, multiple_of=16, description="the one size of image of `paper` (default: training.tile)")
    hierarchy: bool = Field(True, description="fuse every level (false, an ablation: the coarsest one alone)")
    compensation: bool = Field(True, description="fill the slots of missing sensors (false, an ablation: leave them empty)")
    classwise: bool = Field(False, description="attend to and decode each class by itself (its worth: benchmarks/choices.md)")
    certainty: bool = Field(False, description="sensors say how sure they are of what fills slots (likewise)")
    own_decoders: bool = Field(
        False, description=f"dis2 has a decoder for each combination of up to {MOST_DECODED} sensors (likewise)"
    )

    @property
    def fused_levels(self) -> int:
        """How many levels are fused, the coarsest one and those below it."""
        return 4 if self.hierarchy else 1

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSettings":
        if 8 * self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide {8 * self.width} channels (8 times the width)")
        return self
