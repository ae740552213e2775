"""The doctor says what would fail, and no more; its exit code is the worst of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from dis2 import doctor as module
from dis2.cli import main
from dis2.device import CHOICE
from dis2.doctor import Finding, Grade, conda, disk, examined, gpu, lock, slurm, table, versions

ROOT = Path(__file__).parents[1]


def program(folder: Path, name: str, script: str, monkeypatch) -> None:
    """A program that is found first."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.fixture
def bare(monkeypatch):
    """A machine without conda and SLURM."""
    monkeypatch.setattr(module.shutil, "which", lambda name: None)


def test_a_bare_machine_can_run_the_plain_command(bare, monkeypatch):
    monkeypatch.setenv(CHOICE, "0")
    findings = [gpu(), conda(), slurm()]
    assert {finding.grade for finding in findings} == {Grade.WELL}
    assert [finding.found.split(":")[0] for finding in findings] == ["DIS2_GPU=0", "none", "none"]


def test_a_gpu_that_is_granted_but_not_seen_is_a_failure(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    found = gpu()
    assert found.grade is Grade.FAILURE and found.found.startswith("CUDA_VISIBLE_DEVICES=3") and "DIS2_GPU=0" in found.remedy


@pytest.mark.parametrize(
    ("script", "grade"),
    [
        ("echo conda 25.1.0", Grade.WELL),
        ("echo conda 24.7.0", Grade.WARNING),
        ("exit 1", Grade.WARNING),
        ("echo hm", Grade.WARNING),
    ],
)
def test_conda_is_asked_for_its_version(tmp_path, monkeypatch, script, grade):
    program(tmp_path, "conda", script, monkeypatch)
    assert conda().grade is grade


@pytest.mark.parametrize(
    ("script", "grade"), [("echo 'short* gpu:2'; echo 'long (null)'", Grade.WELL), ("exit 1", Grade.WARNING)]
)
def test_slurm_is_asked_for_its_partitions(tmp_path, monkeypatch, script, grade):
    program(tmp_path, "sbatch", "exit 1", monkeypatch)
    program(tmp_path, "sinfo", script, monkeypatch)
    found = slurm()
    assert found.grade is grade and (grade or found.found.startswith("partitions short* gpu:2, long;"))


def test_other_versions_than_the_pinned_ones_are_a_warning(tmp_path):
    (tmp_path / "constraints.txt").write_text("numpy==1.0\nzarr==3.1.6\n")
    grades = {finding.what: finding.grade for finding in versions(tmp_path / "constraints.txt")}
    assert grades.pop("numpy") is Grade.WARNING and set(grades.values()) == {Grade.WELL}
    assert {finding.grade for finding in versions(tmp_path / "none")} == {Grade.WELL}


@pytest.mark.parametrize(("free", "grade"), [(500e9, Grade.WELL), (5e9, Grade.WARNING), (0.5e9, Grade.FAILURE)])
def test_a_disk_that_is_nearly_full_is_said(tmp_path, monkeypatch, free, grade):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: module.shutil._ntuple_diskusage(1e12, 0, free))
    assert disk(tmp_path).grade is grade and not list(tmp_path.iterdir())


def test_results_that_cannot_be_written_are_a_failure():
    found = disk(Path("/proc"))
    assert found.grade is Grade.FAILURE and found.found.startswith("/proc: cannot be written (") and "permissions" in found.remedy


def test_a_lock_is_a_run_s_own_or_was_left_by_a_killed_one(tmp_path):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    assert lock(tmp_path).grade is Grade.WELL
    (tmp_path / ".snakemake/locks/0.input.lock").touch()
    assert lock(tmp_path).grade is Grade.FAILURE and "snakemake --unlock" in lock(tmp_path).remedy
    command = [sys.executable, "-c", "print(flush=True); input()", "snakemake"]
    running = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        running.stdout.readline()
        assert lock(tmp_path).grade is Grade.WARNING and f"process {running.pid})" in lock(tmp_path).found
    finally:
        running.communicate()


def test_a_wrong_config_is_a_failure_and_a_right_one_is_counted(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / "config/tiny.yaml").read_text().replace("width: 8", "widht: 8"))
    last = {config: list(examined(tmp_path, config))[-1] for config in (wrong, ROOT / "config/tiny.yaml")}
    assert last[wrong].grade is Grade.FAILURE and "did you mean width?" in last[wrong].found
    assert "3 scenes, 3 sensors, dis2, sensor-dropout" in last[ROOT / "config/tiny.yaml"].found


def test_the_table_has_a_line_a_finding_with_the_remedy_below():
    lines = table([Finding("disk", "full", Grade.FAILURE, "make room"), Finding("machine", "fine")]).splitlines()
    assert lines == ["disk     failure  full", "                  make room", "machine  ok       fine"]


def test_the_command_exits_with_the_worst_grade(tmp_path, monkeypatch, capsys, bare):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CHOICE, "0")
    assert main(["doctor"]) in (Grade.WELL, Grade.WARNING)
    assert main(["doctor", "--config", "absent.yaml"]) == Grade.FAILURE
    assert "absent.yaml: cannot be read" in capsys.readouterr().out
