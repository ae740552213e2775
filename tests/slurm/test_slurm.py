"""The tiny workflow on a real SLURM: jobs get what their rules ask for, and a training that SLURM ends goes on from its state."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.slurm.cluster import Cluster, running
from tests.workflow.project import ROOT, TINY, Project, copied

pytestmark = [pytest.mark.slow, pytest.mark.service]

SECONDS = 420
"""A run that takes longer hangs: a minute and a half on two idle cores, more where others compute."""
PACKAGES = "apt-get install munge slurm-client slurmctld slurmd"
PARTITIONS = "partitions:\n  short: {max_runtime: 600}\n  gpu: {max_gpu: 2}\n"
PROMPT = {
    "latency-wait": "5",
    "seconds-between-status-checks": "1",
    "slurm-init-seconds-before-status-checks": "1",
    "slurm-partition-config": "partitions.yaml",
}
"""What a small cluster needs otherwise than a large one."""
LONGER = {"teacher_steps": 60, "student_steps": 60, "save_every": 2, "validate_every": 60}


@dataclass
class Run:
    """What came of the two runs: one whose training was granted two GPUs that it does not see, and one that was interrupted."""

    project: Project
    refused: str
    said: str
    jobs: list[dict[str, str]]

    def jobs_of(self, rule: str) -> list[dict[str, str]]:
        """The jobs of a rule as SLURM remembers them, in order."""
        return [job for job in self.jobs if re.match(rf"(rule|group)_{rule}(_|$)", job["Comment"])]

    def log(self, job: dict[str, str]) -> str:
        """What a job said."""
        return Path(job["StdOut"]).read_text()


@pytest.fixture(scope="module")
def cluster(needs) -> Iterator[Cluster]:
    if os.geteuid():
        pytest.skip("SLURM's daemons are started by root")
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        needs(program, PACKAGES)
    with running() as here:
        yield here


@pytest.fixture(scope="module")
def ran(cluster, tmp_path_factory) -> Run:
    """The tiny workflow, with a signal to the teacher as before its time limit, and the student cancelled."""
    project = copied(ROOT, tmp_path_factory.mktemp("slurm") / "project", everything=False)
    project.path("partitions.yaml").write_text(PARTITIONS)
    state = project.path("results/tiny/state")
    environment = {**cluster.environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project.folder)}
    first = [*command(project, devices=2), "--retries", "0", "--until", "train"]
    refused = subprocess.run(
        first, cwd=project.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
    )
    assert refused.returncode, refused.stdout
    log = project.path("snakemake.log")
    again = [*command(project), "--set-resources", "train:gpu=1", "distill:gpu=1"]
    with log.open("w") as stream:
        run = subprocess.Popen(again, cwd=project.folder, env=environment | {"DIS2_GPU": "0"}, stdout=stream, stderr=stream)
        try:
            until(lambda: (state / "teacher/0/state.json").exists(), run, log)
            cluster.ask("scancel", "--signal=TERM", running_job(cluster, "rule_train"))
            until(lambda: (state / "dis2/0/state.json").exists(), run, log)
            cluster.ask("scancel", running_job(cluster, "rule_distill"))
            assert run.wait(SECONDS) == 0, log.read_text()
        finally:
            run.kill()
    return Run(project, refused.stdout, log.read_text(), cluster.jobs())


def command(project: Project, **training: int) -> list[str]:
    """Snakemake as on a cluster, by its profile."""
    config = f"training={json.dumps(LONGER | training)}", "methods=[dis2]"
    options = [word for name, value in PROMPT.items() for word in (f"--{name}", value)]
    plain = project.command("--workflow-profile", "profiles/slurm", "--config", *config, config=TINY)
    return [*plain, "--slurm-no-account", "--slurm-keep-successful-logs", *options]


def running_job(cluster: Cluster, rule: str) -> str:
    """The number of the job of a rule that runs now."""
    (number,) = [job["JobId"] for job in cluster.jobs() if job["Comment"].startswith(rule) and job["JobState"] == "RUNNING"]
    return number


def until(true: Callable[[], bool], run: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for something that a run brings about."""
    end = time.monotonic() + SECONDS
    while not true():
        assert run.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def test_everything_is_made_by_jobs_of_the_cluster(ran):
    assert ran.project.path("results/tiny/report/index.html").stat().st_size > 10_000
    submitted = set(re.findall(r"SLURM jobid (\d+)", ran.refused + ran.said))
    assert submitted == {job["JobId"] for job in ran.jobs}
    for rule, number in {"scene": 2, "statistics": 1, "evaluate": 2, "predict": 1, "explain": 1, "report": 1}.items():
        assert [job["JobState"] for job in ran.jobs_of(rule)] == ["COMPLETED"] * number, rule


def test_jobs_get_the_partition_time_memory_and_gpus_that_their_rules_ask_for(ran):
    def asked(job: dict[str, str]) -> tuple[str, str, str, str]:
        memory = re.search(r"mem=(\w+)", job["TRES"])
        return job["Partition"], job["TimeLimit"], memory and memory[1], job.get("TresPerJob", "")

    assert [asked(job) for job in ran.jobs_of("statistics")] == [("short", "02:00:00", "4000M", "")]
    assert [asked(job) for job in ran.jobs_of("evaluate")] == [("short", "04:00:00", "8000M", "")] * 2
    first, _, second = [asked(job) for job in ran.jobs_of("train")]
    assert first == ("gpu", "1-00:00:00", "16000M", "gres:gpu:2")  # the training runs on two devices
    assert second == ("gpu", "1-00:00:00", "16000M", "gres:gpu:1")  # on one, at its second attempt


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch sees CUDA here")
def test_a_job_that_was_granted_a_gpu_and_sees_no_cuda_fails_in_one_line(ran):
    said = re.findall(r"^dis2 .*$", ran.log(ran.jobs_of("train")[0]), re.M)
    assert len(said) == 1 and re.match(
        r"dis2 train: CUDA_VISIBLE_DEVICES=0,1: a GPU is there for this job, but .*DIS2_GPU=0", said[0]
    )


@pytest.mark.parametrize(("rule", "ends", "first"), [("train", "FAILED", 1), ("distill", "CANCELLED", 0)])
def test_a_training_that_slurm_ends_saves_and_the_next_attempt_goes_on_from_there(ran, rule, ends, first):
    stopped, finished = ran.jobs_of(rule)[first:]
    assert (stopped["JobState"], finished["JobState"]) == (ends, "COMPLETED")
    step = re.search(r"stopped by signal 15 after step (\d+)", ran.log(stopped))
    assert step and f"going on from step {step[1]}\n" in ran.log(finished)
