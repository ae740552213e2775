"""How networks are trained: one recipe for every method, so that comparisons are fair."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dis2.config.base import Section, SensorName

DISTILLATION_TERMS = ("compensation", "features", "logits", "disentanglement")
"""The terms of methods that start from a teacher."""

VIEWS = ("views", "even_views")
"""The settings that decide in which combinations of sensors a tile is shown."""


class LossWeights(Section):
    """The weight of every named term of the loss; 0 leaves a term out."""

    cross_entropy: float = Field(1.0, ge=0)
    dice: float = Field(1.0, ge=0)
    scales: float = Field(0.4, ge=0, description="deep supervision, the mean over the levels")
    auxiliary: float = Field(0.8, ge=0, description="each sensor's own decoder, the mean over the sensors")
    compensation: float = Field(0.2, ge=0, description="compensated features towards the teacher's, with certainty")
    features: float = Field(1.0, ge=0, description="fused features, token and penultimate towards the teacher's")
    logits: float = Field(0.2, ge=0, description="KL from the teacher and from the student's own full view")
    disentanglement: float = Field(0.1, ge=0, description="compensated features no more like their source than the teacher's are")


INDIFFERENT = ("cache", "cache_mb", "workers", "save_every", "tensorboard")
"""Settings by which the same tiles come another way, or are told of elsewhere: no result changes, nothing trains again."""


Strength = Annotated[float, Field(ge=0)]
VARIED = 0.1
"""How strongly a sensor's values are varied in training if nothing is said of it."""


class TrainingSettings(Section):
    """A budget is steps x batch tiles; rivals get the teacher's steps on top of the student's."""

    tile: int = Field(128, ge=32, multiple_of=16, description="side of a training tile in grid pixels")
    batch: int = Field(8, ge=1, description="tiles per step")
    teacher_steps: int = Field(1000, ge=1, description="steps of the teacher")
    student_steps: int = Field(2000, ge=1, description="steps of the student; a rival trains for both together")
    devices: int = Field(
        1, ge=1, description="GPUs (or, where there is none, processes) that share each batch; more than one: on the same machine"
    )
    accumulate: int = Field(1, ge=1, description="parts that a device works through one after the other, to need less memory")
    learning_rate: float = Field(6e-3, gt=0)
    inherited_rate: float = Field(1.0, gt=0, le=1, description="share of the learning rate for parts copied from the teacher")
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of averaged weights, such as 0.98; these are then validated and kept (0: none)"
    )
    validate_every: int = Field(250, ge=1, description="steps between validations; the best one is kept")
    patience: int = Field(
        0, ge=0, description="stop after this many validations without a better one (0: never; the rate then has not fallen yet)"
    )
    validation_tiles: int = Field(64, ge=1, description="at most this many fixed tiles are validated on")
    save_every: int = Field(50, ge=1, description="steps between the states that a killed run resumes from")
    threads: int = Field(1, ge=1, description="CPU threads of a training (results are bit-equal at the same number)")
    cache: Literal["memory", "disk", "none"] = Field(
        "memory", description="where scenes are kept unpacked: in memory, on disk beside the training's state, or nowhere"
    )
    cache_mb: int = Field(4000, ge=0, description="the scenes of a split are kept up to this size, else read from the stores")
    workers: int = Field(
        0, ge=0, description="processes that read tiles from stores or disk (0: the training's own; changes no result)"
    )
    aligned: bool = Field(False, description="tiles begin on multiples of 128 pixels: fewer places, but less to read")
    views: int = Field(
        3,
        ge=3,
        description="how many combinations a step shows a tile in: all sensors, one alone, others (7: each one of three sensors)",
    )
    even_views: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the other views that is drawn evenly; the rest goes to combinations that validate worse",
    )
    balance: float = Field(0.5, ge=0, le=1, description="rare classes weigh more, by this power of their rarity (0: all alike)")
    zoom: float = Field(
        1.0, ge=1, le=4, description="tiles cover up to this many times more or less ground on a side, resampled (1: as it is)"
    )
    photometric: Strength | dict[SensorName, Strength] = Field(
        VARIED, description="strength of gain, offset and noise (in standard deviations) of all sensors, or of some by name"
    )
    speckle: dict[SensorName, Annotated[float, Field(gt=0)]] = Field(
        {}, description="looks of the speckle that a radar's tiles are seen through, such as {sar: 4} (none: as they are)"
    )
    unlabelled: float = Field(
        0.0, ge=0, lt=1, description="share of tiles drawn where every sensor was measured, labels or not, by methods that distil"
    )
    tensorboard: bool = Field(False, description="also write events for TensorBoard, to events/ beside the model")
    distillation: bool = Field(
        False,
        description="dis2 also learns from the teacher; else it only starts from it (its worth: benchmarks/choices.md)",
    )
    weights: LossWeights = Field(LossWeights(), description="the weight of every term of the loss")

    @property
    def parts(self) -> int:
        """In how many parts a batch is learned from."""
        return self.devices * self.accumulate

    def strength(self, sensor: str) -> float:
        """How strongly a sensor's values are varied."""
        return self.photometric.get(sensor, VARIED) if isinstance(self.photometric, dict) else self.photometric

    @model_validator(mode="after")
    def _batch_can_be_shared(self) -> TrainingSettings:
        if self.batch % self.parts:
            raise ValueError(f"batch: {self.batch} cannot be shared by {self.devices} devices in {self.accumulate} parts each")
        return self
