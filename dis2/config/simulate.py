"""What the built-in scenes are: which sensors see them, how badly, and which scene lacks what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dis2.config.base import Name, Section, SensorName


class SimulatedScene(Section):
    """One place that the simulator makes up."""

    split: Literal["train", "validation", "test"] = Field(description="what the scene is used for")
    lacks: tuple[SensorName, ...] = Field((), description="sensors that never saw this scene")


class Simulate(Section):
    """A small landscape per scene, seen by sensors in different grids: the data of a first run."""

    seed: int = Field(0, description="with the name of a scene, this fixes every pixel of it")
    size: int = Field(512, ge=64, description="side of a scene in pixels of the 1 m reference grid")
    sensors: dict[SensorName, Literal["multispectral", "radar", "height"]] = Field(
        description="what kind of sensor each name stands for. Multispectral sensors are the reference and registered exactly"
    )
    scenes: dict[Name, SimulatedScene] = Field(description="the scenes by name")
    misregistration: float = Field(
        4.0, ge=0, le=8, description="largest shift of a radar in metres; height sensors are off by at most half of it"
    )
    clouds: float = Field(0.1, ge=0, le=0.6, description="mean share of a multispectral image that clouds hide")
    looks: float = Field(4.0, gt=0, description="looks of the radar's speckle: the fewer, the grainier")

    @model_validator(mode="after")
    def _each_scene_is_seen(self) -> Simulate:
        for name, scene in self.scenes.items():
            if unknown := set(scene.lacks) - set(self.sensors):
                raise ValueError(f"scene {name!r} lacks {min(unknown)!r}, which is no sensor: use {', '.join(self.sensors)}")
            if set(scene.lacks) == set(self.sensors):
                raise ValueError(f"scene {name!r} lacks every sensor: leave it one at least")
        return self
