"""What is installed: every dependency is pinned, and conda environments hold the same versions."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PINS = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
CONDA_NAMES = {"pytorch": "torch", "dask-core": "dask", "matplotlib-base": "matplotlib"}
ENVIRONMENTS = sorted((ROOT / "workflow/envs").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_dependency_and_every_extra_is_pinned():
    wanted = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]
    assert not {re.split("[<>=]", name)[0] for name in wanted} - set(PINS)


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_a_conda_environment_has_the_pinned_versions_from_conda_forge_alone(file):
    environment = yaml.safe_load(file.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    listed = [it for entry in environment["dependencies"] for it in (entry["pip"] if isinstance(entry, dict) else [entry])]
    versions = dict(re.split("==?", it, maxsplit=1) for it in listed if "=" in it)
    versions.pop("python")
    assert {name: version.split("=")[0] for name, version in versions.items()} == {
        name: PINS[CONDA_NAMES.get(name, name)] for name in versions
    }


def test_preparing_needs_no_deep_learning_and_the_gpu_build_is_asked_for_by_name():
    text = {file.stem: file.read_text() for file in ENVIRONMENTS}
    assert "torch" not in text["prepare"]
    assert "pytorch=2.13.0=cuda" in text["train-gpu"] and "pytorch=2.13.0=cpu" in text["train"]


def test_stages_of_the_light_environment_do_without_torch():
    stages = ("raster.simulate", "raster.check", "raster.register", "tiles.cut", "tiles.statistics", "report.page")
    code = f"import sys; sys.modules['torch'] = None; import {', '.join(f'dis2.{stage}' for stage in stages)}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
