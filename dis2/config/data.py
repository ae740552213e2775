"""The data of a run: its sensors, classes and scenes, and which pixels train, validate and test."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_serializer, field_validator, model_validator

from dis2.combinations import MOST_SENSORS
from dis2.config.base import FilesBySensor, Name, Section, SensorName, SplitName, one_or_more
from dis2.config.listing import Listing

SPLITS: tuple[SplitName, ...] = get_args(SplitName)
PALETTE = ("#c8553d", "#8d99ae", "#2a6f97", "#1b512d", "#9bc53d", "#d9b88f", "#7b2d8b", "#f2c14e", "#4a4e69", "#00a6a6")
IGNORE = 255
"""The label in a tile store of a pixel that has no class."""


NETWORK = "not a plain file; data.allow: [network] lets URLs and GDAL's /vsi paths be read"


def on_network(file: str) -> bool:
    """Is it a URL, or one of GDAL's virtual paths, which may stand for one?"""
    return "://" in file or file.startswith("/vsi")


class Scaling(Section):
    """From the numbers in a file to the values that are used: linear, then decibels, then clipped."""

    factor: float | None = Field(None, description="numbers are multiplied by it (default: the file's own scale and offset)")
    offset: float | None = Field(None, description="and this is added, instead of the file's own scale and offset")
    decibels: Literal["power", "amplitude"] | None = Field(
        None, description="10 log10 of a power, 20 log10 of an amplitude; of zero there is none, unless clipped"
    )
    clip: tuple[float | None, float | None] | None = Field(
        None, description="[lowest, highest] value, of heights above the ground (ground) where they are taken; null: no limit"
    )
    unit: str | None = Field(None, description="of the values (default: dB after decibels, else what the file says)")

    @model_validator(mode="after")
    def _makes_sense(self) -> Scaling:
        low, high = self.clip or (None, None)
        if not all(math.isfinite(value) for value in (self.factor, self.offset, low, high) if value is not None):
            raise ValueError("a number is not finite; leave it out (clip: null) where there is no limit")
        if self.factor == 0:
            raise ValueError("factor: 0 leaves nothing of the values")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"clip: [{low:g}, {high:g}] holds nothing; give the lower value first")
        return self

    @property
    def linear(self) -> bool:
        """Does it say more than the file itself?"""
        return self.factor is not None or self.offset is not None


Radius = Annotated[int, Field(ge=0)]


class Sensor(Section):
    """One named source of rasters."""

    bands: int = Field(ge=1, description="how many bands its files have together, or how many are taken")
    take: tuple[int, ...] = Field((), description="the bands that are taken, in this order; 1 is the first (default: all)")
    kind: Literal["image", "surface"] = Field(
        "image", description="surface: heights, registered to surfaces by Nuth and Kääb (the first one, if the reference is none)"
    )
    relief: Annotated[tuple[Radius, ...], one_or_more(Radius)] = Field(
        (0,),
        min_length=1,
        description="take heights relative to their mean within this many pixels (0: as they are); of several, each as a band",
    )
    ground: int = Field(
        0,
        ge=0,
        description="surface: take heights above the ground, found below all that is narrower than this many pixels (0: not)",
    )
    relative: bool = Field(
        False,
        description="take values in deviations from the mean of their own scene or chip: where each was stretched by itself, say",
    )
    nodata: float | None = Field(None, description="the value of no measurement where the files do not declare it")
    resampling: Literal["nearest", "bilinear", "cubic", "average"] = Field("bilinear", description="how it comes to the grid")
    unmeasured: Literal["any", "all"] = Field("any", description="a pixel is no measurement if any band is nodata, or if all are")
    within: str | None = Field(None, description="it measures nothing where that sensor's files, if there, have no measurement")
    scaling: Scaling = Field(Scaling(), description="what its values are (default: what the file says by its scale and offset)")

    @model_validator(mode="after")
    def _makes_sense(self) -> Sensor:
        if self.take and (len(set(self.take)) < len(self.take) or min(self.take) < 1):
            raise ValueError("take: each band once, and the first one is 1")
        if self.ground and self.kind != "surface":
            raise ValueError("ground: only heights (kind: surface) are above the ground; remove it")
        if len(set(self.relief)) < len(self.relief):
            raise ValueError("relief: each radius once; remove one")
        if self.relative and any(self.relief):
            raise ValueError("relative: heights cannot be relative to what is around (relief) as well; remove one")
        if self.take and len(self.take) != self.bands:
            raise ValueError(f"take: {len(self.take)} bands, but bands: {self.bands}; mend one")
        return self

    @property
    def channels(self) -> int:
        """How many bands a network is shown of it."""
        return self.bands * len(self.relief)

    @property
    def scaled(self) -> Scaling:
        """What is done to the numbers of its files by themselves: limits of heights above the ground come after that."""
        return self.scaling.without("clip") if self.ground else self.scaling

    @property
    def cut(self) -> dict[str, Any]:
        """What of this its tiles depend on, as plain values: all but how heights are shown to a network."""
        return self.model_dump(mode="json", exclude={"relief"}, exclude_defaults=True)

    @field_serializer("nodata", when_used="json")
    def _as_json_can_hold_it(self, nodata: float | None) -> float | str | None:
        return nodata if nodata is None or math.isfinite(nodata) else str(nodata)


class ClassLabel(Section):
    """One class: which label values mean it, and its colour on maps."""

    values: tuple[int | str, ...] = Field(
        (), description="label values, or colours such as '#ffffff' of labels in colour (default: the position in the list)"
    )
    color: str | None = Field(None, pattern=r"^#[0-9a-fA-F]{6}$", description="#rrggbb on maps and in the report")


def _alike(values: Iterable[int | str]) -> list[str]:
    """Label values that mean the same as the same list: in order, and colours in lower case."""
    return sorted(str(it) if color_of(it) is None else str(it).lower() for it in values)


def color_of(value: int | str) -> int | None:
    """A label value such as '#ff0000' as 0xff0000; None if it is no colour."""
    return int(value[1:], 16) if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value) else None


class Labels(Section):
    """Where a scene's labels are: a raster, or a vector file whose attribute tells the class."""

    file: str = Field(description="a raster, or a vector file of polygons")
    attribute: str | None = Field(None, description="vector files: the attribute that holds a class's name or value")
    band: int | None = Field(None, ge=1, description="rasters of several bands: the one with the classes; 1 is the first")
    resampling: Literal["nearest", "mode"] | None = Field(
        None, description="rasters: the nearest pixel, or the most frequent value (default: mode where they are much finer)"
    )


Labelled = Annotated[
    Labels | None,
    BeforeValidator(
        lambda labels: {"file": labels} if isinstance(labels, str) else labels, json_schema_input_type=str | Labels | None
    ),
]
"""A path alone is labels, too."""


class Chip(Section):
    """Rasters of one footprint: a list of files per sensor whose bands follow each other, and labels if known."""

    sensors: FilesBySensor = Field(description="files of each sensor that is there")
    labels: Labelled = Field(None, description="a path, or {file: path, attribute: name} for a vector file")

    @property
    def files(self) -> tuple[str, ...]:
        """Every file it is made from."""
        rasters = [file for files in self.sensors.values() for file in files]
        return tuple(rasters + ([self.labels.file] if self.labels else []))


class Scene(Section):
    """One place: its rasters as one footprint, or (`grid: pixels`) as many chips."""

    split: SplitName | None = Field(
        None, description="needed where splits are by scene; none: only mapped, or (by block) dealt where there are labels"
    )
    sensors: FilesBySensor = Field({}, description="files of each sensor that is there")
    labels: Labelled = Field(None, description="a path, or {file: path, attribute: name} for a vector file")
    chips: dict[Name, Chip] = Field({}, description="with `grid: pixels`, instead of sensors and labels")

    @model_validator(mode="after")
    def _sensors_or_chips(self) -> Scene:
        if bool(self.sensors) == bool(self.chips):
            raise ValueError("give either sensors (with labels) or chips")
        return self

    @property
    def footprints(self) -> dict[str, Chip]:
        """Its chips; a scene of one footprint is a single chip without a name."""
        return self.chips or {"": Chip(sensors=self.sensors, labels=self.labels)}

    @property
    def has(self) -> tuple[str, ...]:
        """The sensors of which it has any file."""
        return tuple({sensor: None for chip in self.footprints.values() for sensor in chip.sensors})

    @property
    def labelled(self) -> bool:
        return any(chip.labels for chip in self.footprints.values())

    @property
    def files(self) -> tuple[str, ...]:
        """Every file it is made from."""
        return tuple(file for chip in self.footprints.values() for file in chip.files)


class Split(Section):
    """Which pixels train, validate and test: whole scenes, or blocks kept apart by a gap."""

    by: Literal["scene", "block"] = "scene"
    parts: tuple[SplitName, ...] = Field(
        SPLITS, description="block: what blocks are dealt to; a split that is left out has scenes that name it as theirs"
    )
    size: int = Field(256, ge=16, description="block: its side in pixels")
    gap: int = Field(
        32, ge=0, description="block: no pixel within this distance of a test (validation) block validates or trains (trains)"
    )
    folds: int = Field(5, ge=3, description="block: blocks are dealt to this many folds")
    fold: int = Field(
        0, ge=0, description="block: this fold tests, the next one validates (this one if no block tests), others train"
    )
    seed: int = Field(0, description="block: deals the blocks")
    labels: float = Field(
        1.0, gt=0, le=1, description="share of the training labels that are used, in patches: what would fewer labels give?"
    )

    @field_validator("parts")
    @classmethod
    def _some_train(cls, parts: tuple[SplitName, ...]) -> tuple[SplitName, ...]:
        if "train" not in parts or len(parts) < 2 or len(parts) > len(set(parts)):
            raise ValueError("blocks are dealt to train, and to validation or test or both; name each once")
        return parts

    @model_validator(mode="after")
    def _fold_exists(self) -> Split:
        if self.gap > self.size:
            raise ValueError(f"gap: {self.gap} pixels is more than a block of {self.size}; make it smaller")
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} is not one of {self.folds} folds: the first is 0")
        return self


TwoOrMore = Annotated[tuple[str, ...], Field(min_length=2)] | Annotated[dict[Name, ClassLabel], Field(min_length=2)]
"""Classes by their names alone, or with what each one is."""


class Data(Section):
    """Everything that is told about the rasters themselves."""

    name: Name = Field(description="the data set: results go to results/<name>/")
    sensors: dict[SensorName, Sensor] = Field(
        min_length=2, max_length=MOST_SENSORS, description="two sensors to eight, in the order of combinations"
    )
    classes: dict[Name, ClassLabel] = Field(min_length=2, description="two classes or more; a plain list of names will do")
    ignore: tuple[int | str, ...] = Field(
        (IGNORE,), description="label values or colours that have no class and are not scored; a class's name: all of its values"
    )
    tolerance: int = Field(
        0, ge=0, le=127, description="labels in colour: as far as this from a colour, in red, green and blue, is that colour"
    )
    allow: tuple[Literal["vrt", "network"], ...] = Field(
        (),
        description="rasters besides plain files: vrt (those that point to other files), network (URLs, and /vsi paths of GDAL)",
    )
    scenes: dict[Name, Scene] = Field({}, description="one entry a scene (made by `simulate` where that section is given)")
    listing: Listing | None = Field(None, description="makes `scenes`: from a table, or from names and patterns of their files")
    source: str = Field("", description="where the rasters can be had: told where one of them is missing")
    split: Split = Field(Split(), description="by scene, or by block with a gap")

    @field_validator("sensors", mode="before")
    @classmethod
    def _combinations_can_be_counted(cls, sensors: Any) -> Any:
        if isinstance(sensors, Mapping) and len(sensors) > MOST_SENSORS:
            told = f"{len(sensors)} sensors have {2 ** len(sensors) - 1:,} combinations, and each is scored"
            raise ValueError(f"{told}; give at most {MOST_SENSORS}: dates or bands of one instrument can be files of one sensor")
        return sensors

    @field_validator("classes", mode="before", json_schema_input_type=TwoOrMore)
    @classmethod
    def _a_list_is_enough(cls, classes: Any) -> Any:
        if isinstance(classes, list):
            if len(set(map(str, classes))) < len(classes):
                raise ValueError("a class is listed twice")
            if wrong := [name for name in classes if not isinstance(name, str)]:
                raise ValueError(f"{wrong[0]!r} is not the name of a class; list names, or give each one its values")
            return {name: {} for name in classes}
        return classes

    @model_validator(mode="before")
    @classmethod
    def _an_ignored_class_is_none(cls, raw: Any) -> Any:
        """Its values are ignored; those of the others stay what they were with it."""
        if not isinstance(raw, dict) or not isinstance(ignore := raw.get("ignore"), (list, tuple)):
            return raw
        classes = dict.fromkeys(raw["classes"]) if isinstance(raw.get("classes"), list) else raw.get("classes")
        if not isinstance(classes, dict) or not (dropped := [name for name in classes if name in ignore]):
            return raw
        told = {name: dict(spec or {}) if isinstance(spec, dict | None) else spec for name, spec in classes.items()}
        if not all(isinstance(spec, dict) for spec in told.values()):
            return raw
        told = {name: {"values": [i, name], **spec} for i, (name, spec) in enumerate(told.items())}
        values = [value for name in dropped for value in told[name]["values"] if value not in ignore]
        kept = {name: spec for name, spec in told.items() if name not in dropped}
        return {**raw, "classes": kept, "ignore": [*ignore, *values]}

    @model_validator(mode="after")
    def _fits_together(self) -> Data:
        if len(self.classes) > 250:
            raise ValueError(f"classes: {len(self.classes)} given, at most 250 are possible")
        for name, scene in self.scenes.items():
            self._check_scene(name, scene)
        for name, sensor in self.sensors.items():
            if sensor.within is not None and (sensor.within == name or sensor.within not in self.sensors):
                raise ValueError(f"sensors.{name}.within: {sensor.within!r} is not another of the sensors")
        values = [value for spec in self.values.values() for value in spec]
        if wrong := [it for it in (*values, *self.ignore) if str(it).startswith("#") and color_of(it) is None]:
            raise ValueError(f"classes: {wrong[0]!r} is no colour; write red, green and blue as '#rrggbb'")
        told = [it if color_of(it) is None else str(it).lower() for it in (*values, *self.ignore)]
        if doubled := sorted({str(value) for value in told[: len(values)] if told.count(value) > 1}):
            raise ValueError(f"classes: label value {doubled[0]} has two meanings; give each value to one class (or to ignore)")
        return self

    def _check_scene(self, name: str, scene: Scene) -> None:
        from difflib import get_close_matches

        for sensor in scene.has:
            if sensor not in self.sensors:
                near = get_close_matches(sensor, self.sensors, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"scenes.{name}.sensors.{sensor}: not one of the sensors ({', '.join(self.sensors)}){hint}")
        if not scene.has:
            raise ValueError(f"scenes.{name}.sensors: empty; a scene has at least one of {', '.join(self.sensors)}")
        if self.split.by == "block" and scene.split in self.split.parts:
            remedy = f"remove it, or leave {scene.split} out of data.split.parts"
            raise ValueError(f"scenes.{name}.split: blocks of the scenes are dealt to {scene.split}; {remedy}")
        if scene.split not in (None, "train") and not scene.labelled:
            raise ValueError(f"scenes.{name}.labels: missing; a scene that validates or tests has labels (or give it no split)")

    @property
    def values(self) -> dict[str, tuple[int | str, ...]]:
        """The label values that mean each class."""
        return {name: spec.values or (index, name) for index, (name, spec) in enumerate(self.classes.items())}

    @property
    def cut(self) -> dict[str, dict[str, Any]]:
        """What of this tiles depend on besides scenes, as plain values by the section where it stands."""
        sensors = {f"data.sensors.{name}": sensor.cut for name, sensor in self.sensors.items()}
        classes = {f"data.classes.{name}": {"values": _alike(values)} for name, values in self.values.items()}
        allowed = {"tolerance": self.tolerance} if self.label_colors else {}
        return sensors | classes | {"data": {"ignore": _alike(self.ignore)} | allowed}

    @property
    def label_colors(self) -> dict[int, int]:
        """The class of each colour (as 0xrrggbb) where labels are in colour, IGNORE for ignored ones; else empty."""
        known = {color_of(v): i for i, values in enumerate(self.values.values()) for v in values}
        known |= {color_of(v): IGNORE for v in self.ignore}
        return {color: index for color, index in known.items() if color is not None}

    @property
    def colors(self) -> tuple[str, ...]:
        return tuple(spec.color or PALETTE[i % len(PALETTE)] for i, spec in enumerate(self.classes.values()))

    def scenes_of(self, *splits: str) -> tuple[str, ...]:
        """The scenes in which any of the splits has pixels."""
        parts = not set(splits).isdisjoint(self.split.parts)
        return tuple(name for name, it in self.scenes.items() if it.split in splits or (parts and self.is_dealt(name)))

    @property
    def trained(self) -> dict[str, Scene]:
        """The scenes to learn from."""
        return {name: self.scenes[name] for name in self.scenes_of("train")}

    def is_dealt(self, scene: str) -> bool:
        """Whether blocks of a scene are dealt to splits: it has labels, and no split of its own."""
        return self.split.by == "block" and self.scenes[scene].split is None and self.scenes[scene].labelled

    def only(self, scenes: Iterable[str]) -> Data:
        """The same data with just these scenes: what a stage that reads no other should depend on."""
        return self.model_copy(update={"scenes": {name: self.scenes[name] for name in scenes}})

    def seen_by(self, sensors: Iterable[str]) -> Data:
        """The same data as if there were only these sensors; one will do."""
        return self.model_copy(update={"sensors": {sensor: self.sensors[sensor] for sensor in self.in_order(sensors)}})

    def in_order(self, sensors: Iterable[str]) -> tuple[str, ...]:
        """These sensors in config order."""
        wanted: Sequence[str] = tuple(sensors)
        return tuple(sensor for sensor in self.sensors if sensor in wanted)
