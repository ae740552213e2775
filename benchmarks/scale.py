"""How the workflow itself grows: what planning many scenes costs, at once, in batches, or again in each job of a cluster, what
many tiny scenes cost on top of their work, and how much of rasters on a server is sent.

python benchmarks/scale.py                              # plan 1,000 scenes, prepare 200, and read from a server
python benchmarks/scale.py --only planned --scenes 3000
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.shutil import copy

ROOT = Path(__file__).parents[1]
BESIDE = ("Snakefile", "constraints.txt", "dis2", "profiles", "workflow")
SIDE = 64
"""Pixels of a tiny scene's side."""
NOTHING = """#!/bin/bash
stage=$3
while [ $# -gt 0 ]; do
    case $1 in --out) out=$2 ;; --picture) touch "$2" ;; esac
    shift
done
case $stage in
    simulate) touch "$out"/{optical,sar,dsm,labels}.tif "$out/truth.json" ;;
    tile) mkdir "$out" && touch "${out%.zarr}.manifest.json" ;;
    *) touch "$out" ;;
esac
"""
"""Takes the place of Python for the stages."""


def project(folder: Path, scenes: int) -> None:
    """A folder from which the workflow runs, with a config of as many built-in scenes."""
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    config = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    splits = ("train", "validation", "test")
    config["simulate"] |= {"size": SIDE, "scenes": {f"s{i:05}": {"split": splits[min(i, 2)]} for i in range(scenes)}}
    config["report"] = {"scenes": {"s00002": ["optical+sar+dsm"]}}
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(json.dumps(config))  # YAML too, and read much faster


def run(folder: Path, *words: str, path: str = "") -> tuple[dict[str, float], str]:
    """Seconds, CPU seconds and the largest process of a command and all that it starts, and what it says."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *words],
        cwd=folder,
        env={**os.environ, "PATH": path + os.environ["PATH"]},
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


def batched(scenes: int) -> dict[str, float]:
    """The cost of a dry run of the first of ten batches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, scenes)
        cost, said = run(folder, "prepare", "-n", "--quiet", "rules", "--batch", "prepare=1/10")
        return {"scenes": scenes, "jobs": int(re.findall(r"^total\s+(\d+)", said, re.M)[-1]), **cost}


def started(scenes: int) -> dict[str, float]:
    """What each job of a cluster costs before its work begins: there the workflow is read anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, scenes)
        cost, _ = run(folder, "results/tiny/checked/s00001.json", "-n", "--quiet", "rules")
        return {"scenes": scenes, **cost}


def hollow(scenes: int) -> dict[str, float]:
    """What Snakemake alone costs to prepare scenes: stages do nothing but make their files, without a byte in them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, scenes)
        (folder / "bin").mkdir()
        (folder / "bin/python").write_text(NOTHING)
        (folder / "bin/python").chmod(0o755)
        cost, _ = run(folder, "prepare", path=f"{folder}/bin:")
        jobs = sum(1 for _ in (folder / "results/tiny/benchmarks").rglob("*.tsv"))
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


def sent(side: int) -> dict[str, float]:
    """How often each byte of two rasters on a server is sent to the stages that prepare a scene."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sensor, bands in (("optical", 4), ("radar", 2)):
            cog(folder / "served" / f"{sensor}.tif", rng.integers(1, 4000, (bands, side, side)))
        cog(folder / "labels.tif", rng.integers(0, 2, (1, side, side)))
        (folder / "sent").touch()
        server = [sys.executable, ROOT / "tests/raster/server.py", folder / "served", folder / "sent"]
        with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
            try:
                url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
                (folder / "served.yaml").write_text(yaml.safe_dump(served(url)))
                return {"side": side, **dict(times_sent(folder))}
            finally:
                process.kill()


def times_sent(folder: Path) -> Iterator[tuple[str, float]]:
    """Each stage, and the bytes that it was sent to those that there are."""
    size, before = sum(file.stat().st_size for file in (folder / "served").iterdir()), 0
    for stage, more in (("check", ()), ("register", ()), ("tile", ("--shifts", "register.json"))):
        out = "tile.zarr" if stage == "tile" else f"{stage}.json"
        words = ["--config", "served.yaml", "--scene", "moor", *more, "--out", out]
        subprocess.run([sys.executable, "-m", "dis2", stage, *words], cwd=folder, check=True)
        total = sum(map(int, (folder / "sent").read_text().split()))
        yield stage, (total - before) / size
        before = total


def cog(path: Path, values: np.ndarray) -> None:
    """A cloud-optimised GeoTIFF."""
    path.parent.mkdir(exist_ok=True)
    place = {"crs": CRS.from_epsg(32633), "transform": Affine(10, 0, 300_000, 0, -10, 5_300_000)}
    count, height, width = values.shape
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", count=count, height=height, width=width, dtype="uint16", **place) as plain:
            plain.write(values.astype("uint16"))
        copy(memory.name, path, driver="COG", compress="deflate")


def served(url: str) -> dict[str, object]:
    """A config whose rasters are on a server."""
    return {
        "data": {
            "name": "moor",
            "sensors": {"optical": {"bands": 4}, "radar": {"bands": 2}},
            "classes": ["mud", "reed"],
            "allow": ["network"],
            "scenes": {
                "moor": {"sensors": {it: f"{url}/{it}.tif" for it in ("optical", "radar")}, "labels": "labels.tif"},
            },
            "split": {"by": "block"},
        }
    }


MEASURES = {"planned": (planned, 1000), "batched": (batched, 10_000), "started": (started, 10_000), "hollow": (hollow, 200)}
MEASURES |= {"executed": (executed, 200), "sent": (sent, 2048)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="WHAT", help=", ".join(MEASURES))
    parser.add_argument("--scenes", type=int, metavar="N", help="how many scenes (of what is sent: pixels of a side)")
    arguments = parser.parse_args()
    for name in arguments.only:
        measure, usual = MEASURES[name]
        found = measure(arguments.scenes or usual)
        print(json.dumps({"what": name, **{key: round(value, 2) for key, value in found.items()}}), flush=True)


if __name__ == "__main__":
    main()
