"""The tile stage by one process and by several: total CPU, wall time, memory, and whether they write the same bytes.

    python benchmarks/tiling.py [--side 10980] [--processes 1 2] [--rounds 2]

A made-up raster of four bands of 16 bit, as large as a Sentinel-2 tile, reprojected from one UTM zone to the next,
as `python -m dis2 tile` does it with all that belongs to it: start, warp, compression, digests.
CPU seconds are those of all processes together, the least of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window
from scipy.ndimage import zoom

BANDS, BLOCK = 4, 1000


class Run(NamedTuple):
    """What one run took, and what it wrote."""

    cpu: float
    wall: float
    peak: int
    files: dict[str, str]


def source(path: Path, side: int) -> None:
    """Smooth values with a sensor's noise, in the 33rd zone near its western border."""
    rng = np.random.default_rng(2026)
    size = {"count": BANDS, "height": side, "width": side, "dtype": "uint16", "crs": "EPSG:32633"}
    place = Affine(10, 0, 200_000, 0, -10, 5_400_000)
    with rasterio.open(path, "w", "GTiff", transform=place, tiled=True, bigtiff="if_safer", **size) as file:
        for y in range(0, side, BLOCK):
            for x in range(0, side, BLOCK):
                window = Window(x, y, min(BLOCK, side - x), min(BLOCK, side - y))
                smooth = zoom(rng.normal(1000, 300, (BANDS, 10, 10)), (1, window.height / 10, window.width / 10), order=1)
                noise = rng.normal(0, 20, smooth.shape)
                file.write(np.clip(smooth + noise, 0, 65535).astype(np.uint16), window=window)


def settings(folder: Path) -> str:
    """The sections that the tile stage reads."""
    scene = {"sensors": {"optical": [str(folder / "optical.tif")]}}
    data = {"sensors": {"optical": {"bands": BANDS}, "other": {"bands": 1}}, "classes": ["land", "water"]}
    told = {
        "data": {"name": "tiling", "scenes": {"one": scene}, **data},
        "grid": {"crs": "EPSG:32632", "resolution": 10},
    }
    (folder / "settings.json").write_text(json.dumps(told))
    (folder / "shifts.json").write_text('{"sensors": {"optical": {"shift": {"dx": 0.4, "dy": -1.3}}}}')
    return f"@{folder / 'settings.json'}"


def run(folder: Path, processes: int) -> Run:
    """One run of the command; what its processes took is told when it has ended."""
    out = folder / f"{processes}.zarr"
    words = ["tile", "--settings", settings(folder), "--scene", "one", "--shifts", str(folder / "shifts.json"), "--out", str(out)]
    started = time.perf_counter()
    command = subprocess.Popen([sys.executable, "-m", "dis2", *words, "--processes", str(processes)], stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(command.pid, 0)
    if status:
        sys.exit(f"dis2 tile --processes {processes} failed")
    files = json.loads((folder / f"{processes}.manifest.json").read_text())["files"]
    return Run(used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss // 1024, files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10980, help="of the source, in pixels (default 10980)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="numbers of processes (default 1 2)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each (default 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = get_context("spawn").Process(target=source, args=(folder / "optical.tif", arguments.side))
        made.start()  # apart, since a command's peak memory begins with that of the process that starts it
        made.join()
        runs: dict[int, list[Run]] = {processes: [] for processes in arguments.processes}
        for _ in range(arguments.rounds):
            for processes, done in runs.items():
                done.append(run(folder, processes))
    show(runs, arguments.side)


def show(runs: dict[int, list[Run]], side: int) -> None:
    first = next(iter(runs.values()))
    print(f"\n{side} x {side} x {BANDS} uint16 from one UTM zone to the next, {len(first)} runs of each\n")
    print(f"{'processes':>9} {'CPU s':>7} {'of one':>7} {'wall s':>7} {'peak MiB':>9}  same bytes")
    for processes, done in runs.items():
        cpu, wall = min(it.cpu for it in done), min(it.wall for it in done)
        share = cpu / min(it.cpu for it in first)
        same = all(it.files == first[0].files for it in done)
        peak = max(it.peak for it in done)
        print(f"{processes:>9} {cpu:>7.1f} {share:>7.2f} {wall:>7.1f} {peak:>9}  {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
