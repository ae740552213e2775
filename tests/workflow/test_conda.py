"""Environments: what they ask a solver for, how Snakemake makes and uses them, and the container that holds them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow import conda
from tests.workflow.project import ROOT, Project

ENVIRONMENTS = sorted((ROOT / "workflow/envs").glob("*.yaml"))
PYTHON = f'#!/bin/sh\necho "$*" >> "$CONDA_PREFIX/ran"\nexec {sys.executable} "$@"\n'
"""An environment's Python: it notes what it runs, and runs it by the interpreter of the tests."""


@pytest.fixture(scope="module")
def channel(tmp_path_factory) -> dict[str, str]:
    """The environment variable that names a folder in place of conda-forge."""
    variable = {conda.CHANNEL: str(tmp_path_factory.mktemp("channel"))}
    assert asked(variable, "channel", PYTHON, *map(str, ENVIRONMENTS)).returncode == 0
    return variable


@pytest.fixture
def machine(channel, tmp_path) -> dict[str, str]:
    """The environment variables of a machine with a `conda` of local files."""
    bin = tmp_path / "conda/bin"
    bin.mkdir(parents=True)
    (bin / "conda").write_text(f'#!/bin/sh\nexec {sys.executable} {conda.__file__} "$@"\n')
    (bin / "conda").chmod(0o755)
    (bin / "activate").write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n')
    return {**os.environ, **channel, "PATH": f"{bin}:{os.environ['PATH']}", conda.ROOT: str(bin.parent)}


def asked(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """What the solver answers."""
    command = [sys.executable, conda.__file__, *words]
    return subprocess.run(command, env={**os.environ, **variables}, text=True, capture_output=True, timeout=120)


def solved(environment: Path, channel: dict[str, str], **more: str) -> dict[str, list[str]]:
    """Version and build of what an environment file comes to."""
    return json.loads(asked(channel | more, "solve", str(environment)).stdout)


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_a_real_solver_takes_the_pinned_versions_from_a_local_channel_though_it_has_later_ones(file, channel):
    found = {name: version for name, (version, _) in solved(file, channel, CONDA_OVERRIDE_CUDA="12.9").items()}
    pinned = dict(pin.split("=")[:2] for pin in re.findall(r"^  - ([^:\s]+=\S+)$", file.read_text(), re.M))
    assert pinned and {name: found[name] for name in pinned} == pinned | {"python": f"{pinned['python']}.1"}


@pytest.mark.parametrize(
    ("name", "machine", "build"),
    [
        ("train", {}, "cpu_0"),
        ("train", {"CONDA_OVERRIDE_CUDA": "12.9"}, "cpu_0"),
        ("train-gpu", {"CONDA_OVERRIDE_CUDA": "12.9"}, "cuda_0"),
    ],
)
def test_which_build_of_pytorch_is_solved_for_is_said_by_the_file_and_not_by_the_machine(channel, name, machine, build):
    assert solved(ROOT / f"workflow/envs/{name}.yaml", channel, **machine)["pytorch"] == ["2.13.0", build]


def test_without_a_gpu_the_cuda_build_is_refused_not_replaced(channel):
    answer = asked(channel, "solve", str(ROOT / "workflow/envs/train-gpu.yaml"))
    assert answer.returncode == 1 and "__cuda" in answer.stderr, answer.stderr


@pytest.mark.slow
def test_snakemake_makes_and_activates_an_environment_from_a_local_channel_and_another_one_when_the_file_changes(source, machine):
    wanted = ("--use-conda", "--until", "check")
    first = run(source, machine, *wanted)
    assert first.returncode == 0, first.stdout
    (made,) = environments(source)
    stages = [line.split()[2] for line in (made / "ran").read_text().splitlines()]
    assert sorted(stages) == ["check"] * 3 + ["simulate"] * 3
    assert re.search(r"^total +0$", run(source, machine, *wanted).stdout, re.M)
    source.edit("workflow/envs/prepare.yaml", "  - scipy=1.17.1\n", "")
    again = run(source, machine, *wanted)
    assert again.returncode == 0 and "Software environment definition has changed" in again.stdout, again.stdout
    (other,) = set(environments(source)) - {made}
    assert len((other / "ran").read_text().splitlines()) == 6


@pytest.mark.slow
def test_without_conda_the_flag_fails_in_one_line_that_says_what_to_do(source):
    folders = [folder for folder in os.environ["PATH"].split(":") if not Path(folder, "conda").exists()]
    ran = run(source, {**os.environ, "PATH": ":".join(folders)}, "--use-conda")
    said = [line for line in ran.stdout.splitlines() if not line.startswith("Using workflow specific profile")]
    assert ran.returncode == 1 and len(said) == 1 and said[0].startswith("--use-conda: there is no conda here; leave it out")


@pytest.mark.slow
@pytest.mark.parametrize(("format", "file"), [("dockerfile", "Dockerfile"), ("apptainer", "apptainer.def")])
def test_the_container_that_is_kept_is_what_snakemake_writes(source, machine, format, file):
    """It finds the environments in the container by their hashes: a changed file means to write it again."""
    command = source.command("--containerize", format, config=None)
    ran = subprocess.run(command, cwd=source.folder, env=machine, text=True, capture_output=True)
    again = f"write it again: snakemake --containerize {format} > workflow/{file}"
    assert ran.returncode == 0 and ran.stdout == (ROOT / "workflow" / file).read_text(), again


def run(project: Project, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Snakemake on a machine with these environment variables."""
    command = project.command(*words)
    return subprocess.run(
        command, cwd=project.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
    )


def environments(project: Project) -> list[Path]:
    """The conda environments that jobs have run in."""
    return [ran.parent for ran in project.path(".snakemake/conda").glob("*/ran")]
