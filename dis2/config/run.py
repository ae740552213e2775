"""The one validated description of a run: all sections together, and how a config file becomes it."""

from __future__ import annotations

import json
import os
import re
import types
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dis2.combinations import combinations, name_of, parse
from dis2.config.base import MOST_SEEDS, Section
from dis2.config.data import SPLITS, Chip, Data, Scene, on_network
from dis2.config.evaluation import EvaluationSettings
from dis2.config.grid import GridOrPixels, GridSettings
from dis2.config.listing import Listing, scenes_of
from dis2.config.model import MOST_DECODED, ModelSettings
from dis2.config.prediction import PredictionSettings
from dis2.config.preparation import Preparation
from dis2.config.report import ReportSettings
from dis2.config.simulate import Simulate
from dis2.config.training import TrainingSettings
from dis2.errors import UserError

RESULTS = Path("results")
Seed = Annotated[int, Field(ge=0, lt=MOST_SEEDS)]


class Run(Section):
    """A whole run. Stages are given only the sections that they read."""

    data_root: str = Field(
        "", description="folder that the rasters' paths start from (default: $DIS2_DATA, else the working folder)"
    )
    data: Data
    simulate: Simulate | None = Field(None, description="makes the scenes itself: the built-in landscape")
    grid: GridOrPixels = Field(GridSettings(), description="`pixels`, or how sensors come to one grid")
    preparation: Preparation = Field(Preparation(), description="where rasters are prepared; changes no result")
    model: ModelSettings = Field(ModelSettings(), description="the networks' size")
    training: TrainingSettings = Field(TrainingSettings(), description="the recipe that all methods share")
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="how models are measured")
    prediction: PredictionSettings = Field(PredictionSettings(), description="how maps are made")
    report: ReportSettings = Field(ReportSettings(), description="what the report shows")
    methods: tuple[str, ...] = Field(
        ("dis2", "sensor-dropout"), min_length=1, description="dis2 and the rivals it is measured against"
    )
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, description="every method is trained once for each seed")
    _places: dict[tuple[str, str], str] = PrivateAttr({})

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = (info.context or {}).get("methods", methods)
        for method in methods:
            if method not in known:
                raise ValueError(f"{method!r} is not a method; there are {', '.join(known)}{_nearest(method, known)}")
        return methods

    @field_validator("methods", "seeds")
    @classmethod
    def _once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("an entry is listed twice")
        return values

    @model_validator(mode="before")
    @classmethod
    def _simulated_scenes(cls, raw: Any) -> Any:
        """The scenes that `simulate` makes are scenes like any others: their files are filled in here."""
        if not isinstance(raw, dict) or not isinstance(raw.get("simulate"), dict) or not isinstance(raw.get("data"), dict):
            return raw
        scenes, sensors = raw["simulate"].get("scenes"), raw["simulate"].get("sensors")
        if not isinstance(scenes, dict) or not isinstance(sensors, dict):
            return raw
        if raw["data"].get("scenes"):
            raise ValueError("data.scenes: not used beside simulate, which makes its own scenes; remove one of the two")
        folder = RESULTS / str(raw["data"].get("name")) / "scenes"
        made = {name: _simulated(folder / str(name), scene, sensors) for name, scene in scenes.items() if isinstance(scene, dict)}
        return {**raw, "data": {**raw["data"], "scenes": made}}

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Run:
        sensors = tuple(self.data.sensors)
        if self.simulate and set(self.simulate.sensors) != set(sensors):
            raise ValueError(f"simulate.sensors: must name the sensors of data.sensors ({', '.join(sensors)})")
        if self.grid.reference is not None and self.grid.reference not in sensors:
            raise ValueError(f"grid.reference: {self.grid.reference!r} is not one of the sensors ({', '.join(sensors)})")
        if not self.grid.pixels and (chips := [name for name, scene in self.data.scenes.items() if scene.chips]):
            raise ValueError(f"data.scenes.{chips[0]}.chips: chips need `grid: pixels`")
        if self.model.own_decoders and len(sensors) > MOST_DECODED:
            raise ValueError(
                f"model.own_decoders: for up to {MOST_DECODED} sensors, data.sensors has {len(sensors)}; leave it out"
            )
        self._check_methods((info.context or {}).get("methods", {}))
        self._check_splits()
        self._check_files()
        self._check_report()
        return self

    def _check_methods(self, known: Mapping[str, Any]) -> None:
        has = len(self.data.sensors)
        for method in self.methods:
            if method in known and known[method].sensors not in (None, has):
                takes = f"takes {known[method].sensors} sensors, data.sensors has {has} ({', '.join(self.data.sensors)})"
                raise ValueError(f"methods: {method!r} {takes}; leave it out")
            if method in known and known[method].whole_batch and self.training.parts > 1:
                told = f"training.devices x accumulate: {self.training.parts}: {method} looks at the whole batch at once"
                raise ValueError(f"{told}; set both to 1, or leave it out of methods")
            if method in known and known[method].choice and self.training.unlabelled and not self.training.distillation:
                told = f"{method} learns from tiles without labels by distillation alone"
                raise ValueError(f"training.unlabelled: {told}; add `distillation: true`")

    def _check_splits(self) -> None:
        if not self.data.scenes:
            raise ValueError("data.scenes: empty; list at least one scene")
        for split in SPLITS:
            if not self.data.scenes_of(split):
                if self.data.split.by == "block" and split in self.data.split.parts:
                    raise ValueError(
                        "data.scenes: none has labels and no split of its own, so there are no blocks to deal; add one"
                    )
                remedy = "add it to data.split.parts" if self.data.split.by == "block" else "use data.split.by: block"
                raise ValueError(f"data.scenes: no scene with split: {split}; give at least one, or {remedy}")
        every = set(self.data.sensors)
        for name, scene in self.data.trained.items():
            if not scene.labelled and not (self.training.unlabelled and set(scene.has) == every):
                remedy = "or every sensor and `training: {unlabelled: 0.3}` to be learned from without (or no split)"
                raise ValueError(f"data.scenes.{name}.labels: missing; a scene that trains has labels, {remedy}")
        if not any(scene.labelled and set(scene.has) == every for scene in self.data.trained.values()):
            raise ValueError("data.scenes: no training scene has labels and every sensor, which the teacher needs; add one")

    def _check_files(self) -> None:
        """No footprint is in two splits; the same rasters with labels of other pixels, as some publish them, may be."""
        seen: dict[tuple[Any, ...], tuple[str, str]] = {}
        for name, scene in self.data.scenes.items():
            split = "all splits" if self.data.is_dealt(name) else scene.split
            for chip in scene.footprints.values():
                if split is None or chip.labels is None:
                    continue
                grid = chip.sensors.get(self.grid.reference or "") or chip.sensors[self.data.in_order(chip.sensors)[0]]
                before, other = seen.setdefault((*chip.labels.model_dump().values(), *grid), (name, split))
                if other != split:
                    told = f"in {split}, but {chip.labels.file} and its rasters are those of {before}, in {other}"
                    raise ValueError(f"data.scenes.{name}: {told}; correct the files, or leave one of the two out")

    def _check_report(self) -> None:
        for key, named in (("scenes", self.report.scenes), ("explain", self.report.explain or ())):
            for scene in named:
                if scene not in self.data.scenes:
                    near = _nearest(scene, self.data.scenes)
                    raise ValueError(f"report.{key}.{scene}: not one of the scenes ({', '.join(self.data.scenes)}){near}")
        for scene, shown in self.report.scenes.items():
            for combination in shown:
                try:
                    parts = parse(combination, tuple(self.data.sensors))
                except ValueError as error:
                    raise ValueError(f"report.scenes.{scene}: {error}") from None
                if missing := [s for s in parts if s not in self.data.scenes[scene].has]:
                    raise ValueError(f"report.scenes.{scene}: the scene has no {missing[0]}, so {combination!r} cannot be mapped")
                if combination != name_of(parts):
                    raise ValueError(
                        f"report.scenes.{scene}: write {combination!r} as {name_of(parts)}, in the order of the sensors"
                    )

    @property
    def folder(self) -> Path:
        """Where everything that is made goes."""
        return RESULTS / self.data.name

    @property
    def maps(self) -> dict[str, tuple[str, ...]]:
        """The scenes to map and their combinations: by default the first test scene, with all sensors and each one missing."""
        scenes = self.report.scenes or {self.data.scenes_of("test")[0]: ()}
        return {scene: shown or self._full_and_each_missing(scene) for scene, shown in scenes.items()}

    @property
    def mappable(self) -> dict[str, tuple[str, ...]]:
        """The scenes to map, and every other test scene that could be mapped instead."""
        return {it: self._full_and_each_missing(it) for it in self.data.scenes_of("test")} | self.maps

    @property
    def explained(self) -> tuple[str, ...]:
        """The scenes for which is told what each sensor gives: by default the first mapped one that has labels."""
        labelled = [s for s in self.maps if any(chip.labels for chip in self.data.scenes[s].footprints.values())]
        return tuple(labelled[:1]) if self.report.explain is None else self.report.explain

    def _full_and_each_missing(self, scene: str) -> tuple[str, ...]:
        sensors = self.data.in_order(self.data.scenes[scene].has)
        return tuple(name_of(c) for c in combinations(sensors) if len(c) >= max(1, len(sensors) - 1))

    def place_of(self, scene: str, chip: str) -> str:
        """Where the config tells of a scene, or chip of it: its key, or where it is listed."""
        listed = self._places.get((scene, chip))
        return f"data.listing: {listed}" if listed else f"data.scenes.{scene}"

    def rooted(self) -> Run:
        """The same run with the rasters' paths starting from the data root."""
        root = _root(self.data_root)
        if not root or self.simulate:
            return self
        scenes = {name: _rooted(scene, Path(root)) for name, scene in self.data.scenes.items()}
        return self.model_copy(update={"data": self.data.model_copy(update={"scenes": scenes})})


def _root(told: Any) -> str:
    """The folder that the rasters' paths start from, the same however it is written: Snakemake tells files by their paths."""
    root = told or os.environ.get("DIS2_DATA")
    return os.path.realpath(str(root)) if root else ""


def _listed(raw: Mapping[str, Any], file: str) -> tuple[Mapping[str, Any], dict[tuple[str, str], str]]:
    """The config with the scenes that its listing makes in place of it, and where each is listed."""
    data = raw.get("data")
    if not isinstance(data, Mapping) or data.get("listing") is None:
        return raw, {}
    if data.get("scenes"):
        raise UserError(f"{file}: data.scenes: not used beside data.listing, which makes the scenes; remove one of the two")
    try:
        made = scenes_of(Listing.model_validate(data["listing"]), Path(_root(raw.get("data_root"))))
    except ValidationError as error:
        raise UserError(*faults(error, file, ("data", "listing"))) from None
    except UserError as error:
        source = f" The data: {data['source']}" if data.get("source") else ""
        raise UserError(f"{file}: data.listing: {error}.{source}" if source else f"{file}: data.listing: {error}") from None
    unlisted = {key: value for key, value in data.items() if key != "listing"}
    return {**raw, "data": {**unlisted, "scenes": made.scenes}}, made.places


def _simulated(folder: Path, scene: Mapping[str, Any], sensors: Iterable[str]) -> dict[str, Any]:
    lacks = scene.get("lacks") or ()
    files = {sensor: str(folder / f"{sensor}.tif") for sensor in sensors if sensor not in lacks}
    return {"split": scene.get("split"), "sensors": files, "labels": str(folder / "labels.tif")}


def _rooted(scene: Scene, root: Path) -> Scene:
    def under(file: str) -> str:
        return file if on_network(file) else str(root / file)

    def chip(it: Chip | Scene) -> dict[str, Any]:
        labels = it.labels and it.labels.model_copy(update={"file": under(it.labels.file)})
        return {"sensors": {s: tuple(map(under, files)) for s, files in it.sensors.items()}, "labels": labels}

    chips = {name: it.model_copy(update=chip(it)) for name, it in scene.chips.items()}
    return scene.model_copy(update={**chip(scene), "chips": chips})


def read_run(files: Iterable[Path], known_methods: Mapping[str, Any], merged: Mapping[str, Any] | None = None) -> Run:
    """The run that config files describe; `merged` is what Snakemake made of them and of its command line."""
    paths = [Path(file) for file in files]
    raw: dict[str, Any] = {}
    for path in paths:
        raw = {**raw, **read_yaml(path)}
    name = ", ".join(map(str, paths)) or "--config"
    try:
        told, places = _listed(merged if merged is not None else raw, name)
        run = Run.model_validate(dict(told), context={"methods": known_methods})
    except ValidationError as error:
        raise UserError(*faults(error, name)) from None
    run._places = places
    return run.rooted()


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which a key that is given twice is a fault: plain loaders keep the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for inner, _ in node.value:
            key, where = self.construct_object(inner, deep=True), f"{node.start_mark.name}: line {inner.start_mark.line + 1}"
            if not isinstance(key, str):
                raise UserError(f"{where}: YAML reads this key as {key!r}; put it in quotes")
            if key in seen:
                raise UserError(f"{where}: {key!r} is given twice; give each name once")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A config file as plain values."""
    try:
        with path.open(encoding="utf-8") as stream:
            value = yaml.load(stream, _UniqueKeys)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the path of a config file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; give the path of a YAML config file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise UserError(f"{path}: {where}not YAML ({getattr(error, 'problem', None) or 'unreadable'}); mend the line") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: empty or not a mapping; a config begins with data:")
    return value


def section(name: str, value: Any) -> Any:
    """One section of a run from plain values (a stage's `--settings`)."""
    try:
        field = Run.model_fields[name]
        return TypeAdapter[Any](Annotated[field.annotation, field]).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UserError(*faults(error, "--settings", (name,))) from None


def schema() -> str:
    """The JSON schema of a config file."""
    return json.dumps(Run.model_json_schema(), indent=2) + "\n"


def faults(error: ValidationError, file: str, prefix: tuple[str, ...] = ()) -> list[str]:
    """One line per fault: file, key path, what is wrong, what is allowed, the nearest valid key."""
    found = error.errors()
    inner = {one["loc"][:end] for one in found for end in range(len(one["loc"]))}
    return [_fault(dict(one), file, prefix) for one in found if not (one["type"] == "too_short" and one["loc"] in inner)]


def _fault(one: dict[str, Any], file: str, prefix: tuple[str, ...]) -> str:
    where = [*prefix, *(str(part) for part in one["loc"] if part != "[key]")]
    message = one["msg"].removeprefix("Value error, ")
    path = ".".join(where)
    if one["type"] == "extra_forbidden":
        valid = _keys_at(where[:-1])
        return f"{file}: {path}: unknown key{_nearest(where[-1], valid)}; valid here: {', '.join(valid)}"
    if one["type"] == "missing":
        return f"{file}: {path}: missing; add this key"
    if one["type"] == "value_error" and re.match(r"[\w.+-]+: ", message):
        return f"{file}: {path + '.' if path else ''}{message}"
    got = "" if one["type"] == "value_error" else f", {_short(one['input'])} given"
    return f"{file}: {path + ': ' if path else ''}{message[0].lower()}{message[1:]}{got}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _nearest(word: str, valid: Iterable[str]) -> str:
    near = get_close_matches(word, list(valid), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _keys_at(where: list[str]) -> list[str]:
    """The keys that the model at a path has."""
    kind: Any = Run
    for part in where:
        kind = _inner(
            kind.model_fields[part].annotation if _is_model(kind) and part in kind.model_fields else typing.get_args(kind)[-1]
        )
    return list(kind.model_fields) if _is_model(kind) else []


def _inner(kind: Any) -> Any:
    """What an Optional or Annotated type is about."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _inner(next(arg for arg in typing.get_args(kind) if arg is not type(None)))
    return _inner(typing.get_args(kind)[0]) if typing.get_origin(kind) is typing.Annotated else kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
