"""What this machine has, and what would fail on it: one table, before anything is run."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dis2 import __version__
from dis2.errors import UserError
from dis2.files import check_folder

PACKAGES = ("torch", "lightning-fabric", "numpy", "rasterio", "snakemake", "zarr")
CONDA = (24, 7, 1)
"""The oldest conda that Snakemake takes."""
SCANT, TOO_LITTLE = 20.0, 1.0
"""Gigabytes on the disk of the results: a warning, a failure."""
SECONDS = 20
"""A program that does not answer within this time hangs."""


class Grade(IntEnum):
    """How bad something is; the worst one is the exit code."""

    WELL = 0
    WARNING = 1
    FAILURE = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what was found and, unless all is well, what to do."""

    what: str
    found: str
    grade: Grade = Grade.WELL
    remedy: str = ""


def doctor(folder: Path, config: Path | None) -> int:
    """Prints the table; the answer is the worst grade in it."""
    findings = list(examined(folder, config))
    print(table(findings))
    return int(max(finding.grade for finding in findings))


def examined(folder: Path, config: Path | None) -> Iterator[Finding]:
    """All that is looked at, in the order in which it matters."""
    yield Finding("machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_memory():.0f} GB of memory")
    yield from versions(folder / "constraints.txt")
    yield from (gpu(), conda(), slurm(), disk(folder), lock(folder))
    if config:
        yield from settings(config)


def table(findings: list[Finding]) -> str:
    """Findings in columns, the remedy below what it is for."""
    wide = max(len(finding.what) for finding in findings)
    lines = []
    for it in findings:
        lines.append(f"{it.what:{wide}}  {it.grade.name.lower() if it.grade else 'ok':7}  {it.found}")
        lines += [f"{'':{wide}}           {it.remedy}"] if it.remedy else []
    return "\n".join(lines)


def versions(constraints: Path) -> Iterator[Finding]:
    """What is installed, beside what the project was tested with."""
    yield Finding("dis2", f"{__version__}, Python {platform.python_version()}")
    pins = dict(line.split("==") for line in constraints.read_text().splitlines()) if constraints.is_file() else {}
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(name, "not installed", Grade.FAILURE, 'pip install -c constraints.txt -e ".[dev]"')
            continue
        other = name in pins and found.split("+")[0] != pins[name]
        told = f"{found}, tested with {pins[name]}" if other else found
        yield Finding(name, told, Grade.WARNING if other else Grade.WELL, "pip install -c constraints.txt -e ." if other else "")


def gpu() -> Finding:
    """Where networks would run."""
    try:
        import torch

        from dis2.device import CHOICE, device

        if device().type == "cpu":
            why = f"{CHOICE}=0" if os.environ.get(CHOICE) == "0" else "none seen"
            return Finding("GPU", f"{why}: networks run on CPUs")
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        return Finding("GPU", f"{torch.cuda.get_device_name()}, {memory:.0f} GB, CUDA {torch.version.cuda}")
    except UserError as error:
        found, _, remedy = str(error).partition("; ")
        return Finding("GPU", found, Grade.FAILURE, remedy)
    except ImportError:
        return Finding("GPU", "not known without PyTorch", Grade.FAILURE, 'pip install -c constraints.txt -e ".[dev]"')


def conda() -> Finding:
    """Would `--use-conda` work?"""
    if not shutil.which("conda"):
        return Finding("conda", "none: run without --use-conda, in this environment")
    said = _answer("conda", "--version")
    number = re.search(r"(\d+)\.(\d+)\.(\d+)", said or "")
    if not number:
        return Finding("conda", "does not answer", Grade.WARNING, "run without --use-conda, or mend `conda --version`")
    old = tuple(map(int, number.groups())) < CONDA
    remedy = "--use-conda needs 24.7.1 or later: conda update -n base conda" if old else ""
    return Finding("conda", number[0], Grade.WARNING if old else Grade.WELL, remedy)


def slurm() -> Finding:
    """Would `--workflow-profile profiles/slurm` work?"""
    if not shutil.which("sbatch"):
        return Finding("SLURM", "none: jobs run on this machine")
    partitions = _answer("sinfo", "--noheader", "--format", "%P %G")
    if partitions is None:
        return Finding(
            "SLURM", "sinfo does not answer", Grade.WARNING, "run on this machine, or ask for the cluster's login node"
        )
    try:
        plugin = version("snakemake-executor-plugin-slurm")
    except PackageNotFoundError:
        remedy = 'pip install -c constraints.txt -e ".[slurm]"'
        return Finding("SLURM", "Snakemake's plugin is not installed", Grade.WARNING, remedy)
    listed = ", ".join(dict.fromkeys(line.replace(" (null)", "") for line in partitions.splitlines()))
    return Finding("SLURM", f"partitions {listed}; plugin {plugin}")


def disk(folder: Path) -> Finding:
    """Is there room for results, and may they be written?"""
    results = folder / "results"
    place = results if results.is_dir() else folder
    free = shutil.disk_usage(place).free / 1e9
    try:
        check_folder(place)
    except UserError as error:
        found, _, remedy = str(error).partition("; ")
        return Finding("disk", found, Grade.FAILURE, remedy)
    grade = Grade.FAILURE if free < TOO_LITTLE else Grade.WARNING if free < SCANT else Grade.WELL
    return Finding(
        "disk", f"{free:.1f} GB free under {place}", grade, "make room, or link results/ to another disk" if grade else ""
    )


def lock(folder: Path) -> Finding:
    """Does a run that was killed keep others out?"""
    locks = folder / ".snakemake/locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return Finding("lock", "none")
    if running := _runs_in(folder):
        return Finding(
            "lock", f"held by a run in this folder (process {running}): a second one would refuse", Grade.WARNING, "wait"
        )
    remedy = "if none runs on another machine either: snakemake --unlock, then the same command again"
    return Finding("lock", "left by a run that was killed: every run would refuse", Grade.FAILURE, remedy)


def settings(config: Path) -> Iterator[Finding]:
    """Is this config right, and are its files there?"""
    from dis2.config.plan import Plan
    from dis2.config.run import read_run
    from dis2.models.registry import METHODS, method_of

    try:
        run = read_run([config], METHODS)
        Plan(run, method_of).check_files([str(config)])
    except UserError as error:
        for line in error.lines:
            yield Finding("config", line, Grade.FAILURE)
        return
    yield Finding("config", f"{config}: {len(run.data.scenes)} scenes, {len(run.data.sensors)} sensors, {', '.join(run.methods)}")


def _runs_in(folder: Path) -> int | None:
    """The process of a Snakemake that works in a folder of this machine."""
    here = folder.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"snakemake" in (process / "cmdline").read_bytes() and (process / "cwd").resolve(strict=True) == here:
                return int(process.name)
        except OSError:
            continue
    return None


def _answer(*command: str) -> str | None:
    """What a program says, if it does."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def _memory() -> float:
    """Gigabytes of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
