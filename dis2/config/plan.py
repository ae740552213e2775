"""What a run comes to: which files are made for what, and the part of the config that each job depends on, and no more."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Container, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from dis2.combinations import combinations, name_of
from dis2.config.base import Section
from dis2.config.data import NETWORK, ClassLabel, Data, Scene, Sensor, Split, on_network
from dis2.config.model import STUDENT_PARTS
from dis2.config.outline import exemplified, outline
from dis2.config.packed import is_missing, missing
from dis2.config.run import Run
from dis2.config.training import DISTILLATION_TERMS, INDIFFERENT, VIEWS, TrainingSettings
from dis2.errors import FAULTS, UserError, first_of
from dis2.files import on_disk, whole

BRACES = re.compile(r"\{.+\}")
ZEROS = "teacher-zeros"
"""The teacher fed zeros where a sensor is missing: scored beside the methods, but not trained."""

LONGEST = 60_000
"""Longer settings, of thousands of chips, go through a file: no system takes a command line of any length."""


class Plan:
    """The jobs of a run as plain values for the rules; what they depend on of a method is told by its name's `Method`."""

    def __init__(self, run: Run, method_of: Callable[[str], Any]):
        self.run, self.data, self.method_of = run, run.data, method_of
        self.specialists = tuple(method for method in run.methods if method_of(method).specialists)
        self.folder = run.folder.as_posix()
        self.seed = run.seeds[0]
        self.prepared = tuple(dict.fromkeys([*self.data.scenes_of("train", "validation", "test"), *run.maps, *run.explained]))

    @property
    def trained(self) -> tuple[str, ...]:
        """The methods to train: the teacher too, where one starts from it."""
        return (*(["teacher"] if any(self.method_of(name).teacher for name in self.run.methods) else []), *self.run.methods)

    @property
    def scored(self) -> tuple[str, ...]:
        """What is evaluated: every method, and the teacher as the measure of what robustness is worth."""
        return (*self.run.methods, *([ZEROS] if "teacher" in self.trained else []))

    @property
    def explained(self) -> list[str]:
        """Method and scene of what is explained: by the project's own method, or else the first."""
        method = "dis2" if "dis2" in self.run.methods else self.run.methods[0]
        return [f"{method}/{scene}" for scene in self.run.explained]

    @property
    def combinations(self) -> tuple[str, ...]:
        """All combinations of the sensors by name."""
        return tuple(name_of(sensors) for sensors in combinations(tuple(self.data.sensors)))

    def without(self, scenes: Container[str]) -> Plan:
        """The plan as if the config had not these scenes."""
        data = self.data.only(name for name in self.data.scenes if name not in scenes)
        maps = {name: shown for name, shown in self.run.maps.items() if name in data.scenes}
        explain = self.run.report.explain and tuple(name for name in self.run.report.explain if name in data.scenes)
        report = self.run.report.model_copy(update={"scenes": maps, "explain": explain})
        run = self.run.model_copy(update={"data": data, "report": report})
        return Plan(run, self.method_of)

    def folders(self, method: str, seed: object) -> list[str]:
        """Where the networks of a method lie under `models/`: one, or one for each combination."""
        one = f"{method}/{seed}"
        return [f"{one}/{name}" for name in self.combinations] if method in self.specialists else [one]

    @staticmethod
    def model(scored: str) -> str:
        """The method whose model is scored under a name."""
        return "teacher" if scored == ZEROS else scored

    def rasters(self, scene: str) -> list[str]:
        """The files of a scene's sensors; what is on the network is none, and its changes are not seen."""
        chips = self._scene(scene).footprints.values()
        listed = [file for chip in chips for files in chip.sensors.values() for file in files if not on_network(file)]
        return list(dict.fromkeys(map(on_disk, listed)))

    def files(self, scene: str) -> list[str]:
        """The files of a scene: of its sensors, and its labels."""
        return list(dict.fromkeys(on_disk(file) for file in self._scene(scene).files if not on_network(file)))

    def _scene(self, name: str) -> Scene:
        if name not in self.data.scenes:
            raise UserError(f"{name}: not one of the scenes ({', '.join([*self.data.scenes][:FAULTS])})")
        return self.data.scenes[name]

    def check_files(self, configs: Iterable[str], only: Collection[str] | None = None) -> None:
        """One line for each file that the config names, for some scenes or all, and no rule can take."""
        if self.run.simulate:
            return
        told = ", ".join(configs)
        scenes = [(name, scene) for name, scene in self.data.scenes.items() if only is None or name in only]
        chips = [(self.run.place_of(name, key), chip) for name, scene in scenes for key, chip in scene.footprints.items()]
        listed = dict.fromkeys((place, on_disk(file)) for place, chip in chips for file in chip.files)
        wrong = [(place, file) for place, file in listed if self._is_wrong(file)]
        faults = first_of(wrong, "files", lambda it: f"{it[0]}: {it[1]}: {self._fault_of(it[1])}")
        if faults and self.data.source:
            faults.append(f"the data: {self.data.source}")
        if faults:
            raise UserError(*(f"{told}: {fault}" for fault in faults))

    def simulated(self) -> dict[tuple[str, ...], list[str]]:
        """The scenes to simulate by the sensors that they have."""
        return _grouped((self.data.scenes[name].has, name) for name in (self.run.simulate.scenes if self.run.simulate else ()))

    def mapped(self) -> dict[tuple[str, ...], list[str]]:
        """The scenes to map by their combinations; where broken ones are skipped, those that may take their place too."""
        mapped = self.run.maps if self.run.preparation.broken == "stop" else self.run.mappable
        return _grouped((names, scene) for scene, names in mapped.items())

    def simulate_settings(self, scene: str) -> str:
        """The classes, and the one scene; what it is used for does not change it."""
        assert self.run.simulate
        one = self.run.simulate.scenes[scene].model_copy(update={"split": "train"})
        sensors = {name: Sensor(bands=sensor.bands) for name, sensor in self.data.sensors.items()}
        data = Data(name=self.data.name, sensors=sensors, classes={name: ClassLabel() for name in self.data.classes})
        return self._told(data=data, simulate=self.run.simulate.model_copy(update={"scenes": {scene: one}}))

    def scene_settings(self, scene: str, *sections: str) -> str:
        """One scene's files; what it is used for, how classes look and how a network is shown heights do not matter."""
        one = self.data.scenes[scene].model_copy(update={"split": None})
        return self._told(data=self._splitless.model_copy(update={"scenes": {scene: one}}), **self._named(sections))

    @cached_property
    def _splitless(self) -> Data:
        sensors = {name: sensor.model_copy(update={"relief": (0,)}) for name, sensor in self.data.sensors.items()}
        return _plain(self.data).model_copy(update={"split": Split(), "sensors": sensors})

    def split_settings(self, splits: Iterable[str], *sections: str) -> str:
        """The scenes of these splits without their files, which their stores stand for."""
        return self._told(data=self._scenes_of(*splits), **self._named(sections))

    def training_settings(self, method: str) -> str:
        """The scenes to learn from and the recipe, with what other methods alone have of it as if it were not in the config."""
        way, model, training = self.method_of(method), self.run.model, self.run.training.without(*INDIFFERENT)
        if method != "dis2":
            model = model.without(*STUDENT_PARTS)
        if not way.choice:
            training = training.without("distillation")
        if not way.teacher:
            weights = training.weights.without(*DISTILLATION_TERMS)
            training = training.without("unlabelled").model_copy(update={"weights": weights})
        training = training.without(*(name for name in VIEWS if name not in way.views))
        if method == "teacher":
            training = training.without("student_steps")
        return self._told(data=self._scenes_of("train", "validation"), model=model, training=training)

    def indifferent_settings(self) -> str:
        """What a training is told besides, of which nothing that it makes depends."""
        kept = self.run.training.model_fields_set.intersection(INDIFFERENT)
        return self._told(training=TrainingSettings(**{name: getattr(self.run.training, name) for name in kept}))

    def _scenes_of(self, *splits: str) -> Data:
        return _fileless(_plain(self.data), self.data.scenes_of(*splits))

    def all_settings(self) -> str:
        """All prepared scenes, without their files."""
        return self._told(data=_fileless(_plain(self.data), self.prepared))

    def map_settings(self, scene: str) -> str:
        """One scene's files, and how maps look."""
        one = self.data.scenes[scene].model_copy(update={"split": None})
        data = self.data.model_copy(update={"scenes": {scene: one}, "split": Split(), "source": ""})
        return self._told(data=data, **self._named(("grid", "prediction")))

    def report_settings(self) -> str:
        """All that is said about the data, and what to show of it."""
        shown = self.run.report.model_copy(update={"scenes": self.run.maps})
        outlined = {name: exemplified(scene) for name, scene in self.data.scenes.items()}
        return self._told(data=self.data.model_copy(update={"scenes": outlined, "source": ""}), report=shown)

    def _is_wrong(self, file: str) -> bool:
        return "network" not in self.data.allow if on_network(file) else bool(BRACES.search(file)) or is_missing(file)

    def _fault_of(self, file: str) -> str:
        """Why a rule cannot take a file, and what to do."""
        if on_network(file):
            return NETWORK
        if BRACES.search(file):
            return "Snakemake takes what is in braces for a wildcard; rename the file or folder"
        return missing(file)

    def _named(self, sections: Iterable[str]) -> dict[str, Section]:
        return {name: getattr(self.run, name) for name in sections}

    def _told(self, **sections: Section) -> str:
        """Sections as `--settings` takes them, in the config's order: that of sensors and classes means something."""
        values = {name: value.model_dump(mode="json", exclude_defaults=True) for name, value in sections.items()}
        text = json.dumps(values, separators=(",", ":"))
        if len(text) <= LONGEST:
            return text
        path = Path(self.folder, "settings", f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json")
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            with whole(path) as part:
                part.write_text(text, encoding="utf-8")
        return f"@{path}"


def _plain(data: Data) -> Data:
    """The data whatever the colours of its classes and where it can be had."""
    classes = {name: spec.model_copy(update={"color": None}) for name, spec in data.classes.items()}
    return data.model_copy(update={"classes": classes, "source": ""})


def _fileless(data: Data, names: Iterable[str]) -> Data:
    """The data with just these scenes, and in them a sensor's name for its files and no chips."""
    return data.model_copy(update={"scenes": {name: outline(data.scenes[name]) for name in names}, "allow": ()})


def _grouped(pairs: Iterable[tuple[tuple[str, ...], str]]) -> dict[tuple[str, ...], list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups
