"""How the workflow itself grows: what planning a thousand scenes costs, and what many tiny scenes cost on top of their work.

python benchmarks/scale.py                # plan 1,000 scenes, and prepare 200
python benchmarks/scale.py --execute 0    # plan alone
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
BESIDE = ("Snakefile", "constraints.txt", "dis2", "profiles", "workflow")
SIDE = 64
"""Pixels of a tiny scene's side."""


def project(folder: Path, scenes: int) -> None:
    """A folder from which the workflow runs, with a config of as many built-in scenes."""
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    config = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    splits = ("train", "validation", "test")
    config["simulate"] |= {"size": SIDE, "scenes": {f"s{i:05}": {"split": splits[min(i, 2)]} for i in range(scenes)}}
    config["report"] = {"scenes": {"s00002": ["optical+sar+dsm"]}}
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def run(folder: Path, *words: str) -> tuple[dict[str, float], str]:
    """Seconds, CPU seconds and the largest process of a command and all that it starts, and what it says."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *words],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        sys.exit(done.stdout[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.monotonic() - started, "cpu_seconds": cpu, "peak_mb": after.ru_maxrss / 1024}, done.stdout


def planned(scenes: int) -> dict[str, float]:
    """The cost of a dry run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, scenes)
        cost, said = run(folder, "-n", "--quiet", "rules")
        jobs = int(re.findall(r"^total\s+(\d+)", said, re.M)[-1])
        return {"scenes": scenes, "jobs": jobs, **cost, "cpu_ms_a_job": 1000 * cost["cpu_seconds"] / jobs}


def executed(scenes: int) -> dict[str, float]:
    """The cost of preparing tiny scenes, and how much of it is Snakemake's: its CPU seconds without those of the stages."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, scenes)
        cost, _ = run(folder, "prepare")
        rows = [file.read_text().splitlines() for file in (folder / "results").rglob("benchmarks/**/*.tsv")]
        stages = sum(float(dict(zip(head.split("\t"), row.split("\t"), strict=True))["cpu_time"]) for head, row in rows)
        own = cost["cpu_seconds"] - stages
        return {
            "scenes": scenes,
            "jobs": len(rows),
            **cost,
            "stages_cpu_seconds": stages,
            "own_cpu_ms_a_job": 1000 * own / len(rows),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", type=int, default=1000, metavar="N", help="scenes to plan (default 1000)")
    parser.add_argument("--execute", type=int, default=200, metavar="N", help="scenes to prepare (default 200)")
    arguments = parser.parse_args()
    for what, count in ((planned, arguments.plan), (executed, arguments.execute)):
        if count:
            print(json.dumps({"what": what.__name__, **{key: round(value, 2) for key, value in what(count).items()}}), flush=True)


if __name__ == "__main__":
    main()
