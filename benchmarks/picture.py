"""The picture in the README: what the sensors of a scene see, its labels, and the student's maps with sensors missing.

python benchmarks/picture.py [results/builtin] [maple]
"""

import json
import sys
from pathlib import Path

import numpy as np
import rasterio
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dis2.raster.grid import Window
from dis2.tiles.store import open_store, store_path

OUT = Path(__file__).parent / "results" / "builtin.png"


def main(results: Path, scene: str) -> None:
    card = json.loads((results / "models" / "dis2" / "0" / "model.json").read_text())
    scores = json.loads((results / "evaluation" / "dis2" / "0.json").read_text())["combinations"]
    store = open_store(store_path(results / "tiles", scene))
    window = Window(0, 0, store.grid.height, store.grid.width)
    colors = np.array(
        [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in card["colors"]] + [[255] * 3] * (256 - len(card["colors"]))
    )
    maps = sorted((results / "maps" / "dis2" / scene).glob("*.confidence.tif"), key=lambda path: -path.name.count("+"))
    names = [path.name.removesuffix(".confidence.tif") for path in maps]
    columns = max(len(store.sensors) + 1, len(names))
    figure = Figure(figsize=(3.2 * columns, 6.8), layout="constrained")
    above, below = figure.subplots(2, columns)
    for axes, sensor in zip(above, store.sensors, strict=False):
        show(axes, shown(*store.image(sensor, window)), sensor)
    show(above[len(store.sensors)], colors[store.labels(window)].astype(np.uint8), "labels")
    for axes, name in zip(below, names, strict=False):
        with rasterio.open(results / "maps" / "dis2" / scene / f"{name}.tif") as source:
            show(axes, colors[source.read(1)].astype(np.uint8), f"{name}  (test mIoU {100 * scores[name]['scores']['miou']:.1f})")
    for axes in [*above, *below]:
        axes.axis("off")
    figure.legend(
        handles=[patch(color, name) for color, name in zip(card["colors"], card["classes"], strict=True)],
        loc="outside lower center",
        ncols=8,
    )
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=80)


def shown(bands: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Three bands as colours, fewer as grey; white where there is no measurement."""
    chosen = bands[[2, 1, 0]] if len(bands) >= 3 else bands[[0, 0, 0]]
    low, high = (np.percentile(chosen[:, valid], q, axis=1)[:, None, None] for q in (2, 98))
    picture = np.clip((chosen - low) / (high - low), 0, 1)
    return np.moveaxis(np.where(valid, picture, 1), 0, -1)


def show(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=10)


def patch(color: str, name: str):
    from matplotlib.patches import Patch

    return Patch(color=color, label=name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/builtin"), sys.argv[2] if len(sys.argv) > 2 else "maple")
