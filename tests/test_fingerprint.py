"""Fingerprints: an edit changes the stages that run the edited code, and no other."""

import os
import shutil
from pathlib import Path

import pytest

from dis2 import fingerprint as module
from dis2.fingerprint import PACKAGE, closure, fingerprint, pins
from dis2.models.registry import METHODS, TEACHER

PREPARE = ("dis2.raster.simulate", "dis2.raster.check", "dis2.raster.register", "dis2.tiles.cut", "dis2.tiles.statistics")
EVALUATE, PREDICT, REPORT = "dis2.evaluation.evaluate", "dis2.prediction.predict", "dis2.report.page"


def training(name: str) -> tuple[str, ...]:
    """The modules that train a method."""
    return "dis2.training.train", *(TEACHER if name == "teacher" else METHODS[name]).modules


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the package to edit."""
    copy = tmp_path / "dis2"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", copy)
    module.imports.cache_clear()
    yield copy
    module.imports.cache_clear()


def changed(path: Path, *stages: tuple[str, ...]) -> list[bool]:
    """Which of these fingerprints an edit changes."""
    before = [fingerprint(*stage) for stage in stages]
    path.write_bytes(path.read_bytes() + b"\n# edited\n")
    module.imports.cache_clear()
    return [one != fingerprint(*stage) for one, stage in zip(before, stages, strict=True)]


def test_an_edit_of_the_losses_changes_every_training_and_no_tiling(package):
    stages = [training("teacher"), training("dis2"), training("sensor-dropout"), *((name,) for name in PREPARE), (REPORT,)]
    assert changed(package / "losses.py", *stages) == [True] * 3 + [False] * (len(PREPARE) + 1)


@pytest.mark.parametrize("name", ["page.py", "templates"])
def test_an_edit_of_the_report_or_its_templates_changes_only_the_report(package, name):
    path = package / "report" / name
    path = path if path.is_file() else next(it for it in path.iterdir() if it.is_file())
    stages = [(REPORT,), training("dis2"), (EVALUATE,), (PREDICT,), *((name,) for name in PREPARE)]
    assert changed(path, *stages) == [True] + [False] * (len(stages) - 1)


def test_an_edit_of_one_method_or_of_the_list_of_methods_changes_no_other(package):
    stages = [training("teacher"), training("dis2"), training("sensor-dropout"), (EVALUATE,), (PREDICT,)]
    rival = package.joinpath(*METHODS["sensor-dropout"].objective.split(".")[1:]).with_suffix(".py")
    assert changed(rival, *stages) == [False, False, True, False, False]
    specialists = package / "models/rivals/specialist.py"
    assert changed(specialists, *stages, training("specialist")) == [False] * 5 + [True]
    assert changed(package / "models/registry.py", *stages) == [False] * 5


def test_an_edit_of_the_command_line_or_of_the_plan_changes_no_stage(package):
    stages = [training("dis2"), (EVALUATE,), (PREDICT,), (REPORT,), *((name,) for name in PREPARE)]
    assert not any(changed(package / "cli.py", *stages))
    assert not any(changed(package / "config/plan.py", *stages))


def test_preparing_runs_no_deep_learning_code():
    files = {path.relative_to(PACKAGE).parts[0] for path in closure(*PREPARE)}
    assert not files & {"models", "training", "evaluation", "prediction", "report", "losses.py"}


def test_times_and_places_do_not_count_but_contents_names_and_imports_in_functions_do(package):
    stage = package / "stage.py"
    stage.write_text("def run():\n    from .errors import UserError\n    return UserError\n")
    before = fingerprint("dis2.stage")
    assert package / "errors.py" in closure("dis2.stage")
    os.utime(stage, (0, 0))
    assert fingerprint("dis2.stage") == before
    assert changed(package / "errors.py", ("dis2.stage",)) == [True]


def test_a_stage_that_is_not_there_is_an_error():
    with pytest.raises(ModuleNotFoundError, match="dis2.nowhere"):
        fingerprint("dis2.nowhere")


def test_pins_are_those_of_the_packages_asked_for(tmp_path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("numpy==2.0\nruff==1.0\ntorch==3.0\ntorchmetrics==1.0\n")
    assert pins(constraints, "torch", "numpy") == ["numpy==2.0", "torch==3.0"]
