r"""Zion's five folds by gradient boosting on pixels and their neighbourhoods: the floor under every network.

    snakemake prepare --cores all --configfile config/zion.yaml --config data_root=FOLDER
    python benchmarks/zion_floor.py [--split validation --folds 0 1 2] [--kinds values means spreads] \
      [--tiles results/zion/tiles] [--out results/zion/floor.csv]

Each combination of sensors has its own classifier (scikit-learn), trained on at most DRAWN pixels of each class of the training
blocks. Neighbourhoods hold no pixel of another split. Scored is what networks are scored on: every pixel of the split that has a
class and that all sensors measured, all folds in one confusion matrix. Prints a line a fold and combination, writes all matrices.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from sklearn.ensemble import HistGradientBoostingClassifier

from dis2.combinations import combinations, name_of
from dis2.config.data import IGNORE, Data
from dis2.config.run import read_run
from dis2.files import whole
from dis2.metrics import accuracy, confusion, iou, miou
from dis2.models.registry import METHODS
from dis2.raster.grid import Window
from dis2.tiles.split import in_split
from dis2.tiles.store import Store, open_store

ROOT = Path(__file__).parents[1]
CONFIG, SCENE = ROOT / "config" / "zion.yaml", "zion"
SIDES = (3, 9, 27)
"""Neighbourhoods whose mean and spread are features."""
DRAWN = 4000
"""Training pixels of each class: rare classes count as much as others."""
KINDS = {"values": slice(0, 1), "means": slice(1, None, 2), "spreads": slice(2, None, 2)}
"""Kinds of features, where `features_of` has them."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tiles", type=Path, default=ROOT / "results" / "zion" / "tiles", help="folder with zion.zarr")
    arguments.add_argument("--out", type=Path, default=ROOT / "results" / "zion" / "floor.csv", help="the confusion matrices")
    arguments.add_argument("--split", choices=("validation", "test"), default="test", help="the blocks that are scored")
    arguments.add_argument("--folds", type=int, nargs="+", default=list(range(5)), help="of the five")
    arguments.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS), help="the features of each band")
    given = arguments.parse_args()
    data, store = read_run([CONFIG], METHODS).data, open_store(given.tiles / f"{SCENE}.zarr")
    found: dict[str, Any] = {name_of(sensors): [] for sensors in combinations(tuple(data.sensors))}
    for fold in given.folds:
        split = data.split.model_copy(update={"fold": fold})
        for name, matrix in matrices(data.model_copy(update={"split": split}), store, given.split, given.kinds):
            found[name].append(matrix)
            print(f"fold {fold}  {name:<28}  accuracy {accuracy(matrix):.3f}  mIoU {miou(matrix):.3f}", flush=True)
    names = tuple(data.classes)
    print(f"\n{'all folds':<28}  accuracy  mIoU  " + "  ".join(names))
    for name, folds in found.items():
        matrix = np.sum(folds, 0)
        classes = "  ".join(f"{value:{len(label)}.3f}" for label, value in zip(names, iou(matrix), strict=True))
        print(f"{name:<28}  {accuracy(matrix):8.3f}  {miou(matrix):.3f}  {classes}")
    write(found, names, given.folds, given.out)


def matrices(data: Data, store: Store, scored: str, kinds: list[str]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """The confusion matrix of every combination on the blocks of one split in the data's fold."""
    place = Window(0, 0, store.grid.height, store.grid.width)
    labels = store.labels(place)
    measured = np.logical_and.reduce([store.valid(sensor, place) for sensor in data.sensors]) & (labels != IGNORE)
    used = {split: in_split(data, SCENE, split, place, *labels.shape) & measured for split in ("train", scored)}
    drawn = balanced(labels, used["train"], np.random.default_rng(data.split.fold))
    features = {split: seen_by_sensor(data, store, split, place, kinds) for split in used}
    for sensors in combinations(tuple(data.sensors)):
        train, asked = (np.concatenate([features[split][sensor] for sensor in sensors]) for split in used)
        model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.1, random_state=0)
        model.fit(train.reshape(len(train), -1)[:, drawn].T, labels.ravel()[drawn])
        predicted = model.predict(asked[:, used[scored]].T)
        yield name_of(sensors), confusion(labels[used[scored]], predicted, len(data.classes))


def balanced(labels: NDArray[np.uint8], used: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of at most DRAWN pixels of each class."""
    places = [np.flatnonzero(used & (labels == index)) for index in np.unique(labels[used])]
    return np.concatenate([rng.choice(place, min(DRAWN, len(place)), replace=False) for place in places])


def seen_by_sensor(data: Data, store: Store, split: str, place: Window, kinds: list[str]) -> dict[str, NDArray[np.float32]]:
    """The features [f, h, w] of each sensor, as if there were only the pixels of a split."""
    mine = in_split(data, SCENE, split, place, place.height, place.width)
    layers = range(1 + 2 * len(SIDES))
    kept = sorted(layer for kind in set(kinds) for layer in layers[KINDS[kind]])
    found = {}
    for sensor in data.sensors:
        bands, valid = store.image(sensor, place)
        found[sensor] = np.concatenate([features_of(band, valid & mine)[kept] for band in bands])
    return found


def features_of(band: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A band itself, and the mean and spread of its valid pixels around each one [f, h, w]."""
    values = np.where(valid, band, 0).astype(np.float64)
    values -= values[valid].mean()
    values[~valid] = 0
    layers = [values]
    for side in SIDES:
        share, total, squares = (uniform_filter(it, side, mode="constant") for it in (valid.astype(float), values, values**2))
        share = np.maximum(share, 0.5 / side**2)
        mean = total / share
        layers += [mean, np.sqrt(np.maximum(squares / share - mean**2, 0))]
    return np.stack(layers).astype(np.float32)


def write(found: dict[str, list[NDArray[np.int64]]], classes: tuple[str, ...], folds: list[int], out: Path) -> None:
    """A line for each combination, fold and true class: how often it was given each class."""
    with whole(out) as part:
        lines = [",".join(("combination", "fold", "truth", *classes))]
        for name, by_fold in found.items():
            for fold, matrix in zip(folds, by_fold, strict=True):
                lines += [",".join(map(str, (name, fold, *row))) for row in zip(classes, *matrix.T.tolist(), strict=True)]
        part.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
