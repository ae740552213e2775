"""A results folder with made-up, seeded content, small and consistent: what the report is tested on."""

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from dis2.combinations import combinations, expected, name_of
from dis2.config.data import Data
from dis2.prediction.manifest import seal
from dis2.raster.grid import Grid, Window
from dis2.tiles.store import Header, new_store

SENSORS = {"optical": {"bands": 4}, "sar": {"bands": 2}, "dsm": {"bands": 1, "kind": "surface"}}
CLASSES = ("building", "paved", "water", "tree", "low_vegetation", "bare_soil")
SCENES = {"alder": "train", "hazel": "validation", "maple": "test", "willow": "test"}
METHODS = {"dis2": 0.86, "sensor-dropout": 0.78, "teacher-zeros": 0.62}
SIDE = 96
BLOCKS = 16


@pytest.fixture(scope="session")
def data() -> Data:
    scenes = {
        scene: {
            "split": split,
            "sensors": {sensor: f"{scene}/{sensor}.tif" for sensor in SENSORS},
            "labels": f"{scene}/labels.tif",
        }
        for scene, split in SCENES.items()
    }
    return Data.model_validate({"name": "made", "sensors": SENSORS, "classes": list(CLASSES), "scenes": scenes})


@pytest.fixture(scope="session")
def made_once(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("made") / "made"
    for method, quality in METHODS.items():
        write(results / f"evaluation/{method}/0.json", evaluation(method, 0, quality))
        if method != "teacher-zeros":
            write_model(results / f"models/{method}/0", method, quality)
    for scene in SCENES:
        write_registration(results, scene)
    truth = places(SIDE)
    write_store(results / "tiles/maple.zarr", data, truth)
    for method, combination in product(("dis2", "sensor-dropout"), ("optical+sar+dsm", "sar+dsm", "optical+sar")):
        write_map(results / f"maps/{method}/maple/{combination}.tif", truth, len(combination))
    for folder in (results / "maps").glob("*/maple"):
        seal(folder, folder.glob("*.tif"))
    write_explanation(results, "maple")
    return results


@pytest.fixture
def results(made_once: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made_once, tmp_path / "made"))


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def scores_of(confusion: np.ndarray, ece: float) -> dict:
    hits, truth, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    iou, f1 = hits / (truth + predicted - hits), 2 * hits / (truth + predicted)
    overall = hits.sum() / confusion.sum()
    chance = (truth * predicted).sum() / confusion.sum() ** 2
    return {
        "miou": iou.mean(),
        "f1": f1.mean(),
        "oa": overall,
        "kappa": (overall - chance) / (1 - chance),
        "ece": ece,
        "iou": dict(zip(CLASSES, iou.tolist(), strict=True)),
        "f1_per_class": dict(zip(CLASSES, f1.tolist(), strict=True)),
        "pixels": int(confusion.sum()),
    }


def evaluation(method: str, seed: int, quality: float) -> dict:
    """Every combination's confusion by block, worse with fewer sensors, and the scores that follow from it."""
    rng, places = np.random.default_rng([seed, len(method)]), np.random.default_rng(1)
    truth = places.integers(200, 400, (BLOCKS, len(CLASSES)))
    found, blocks = {}, {"side": 128, "places": [["maple", 0, 128 * i] for i in range(BLOCKS)], "truth": truth.tolist()}
    hit, predicted = {}, {}
    for combination in combinations(tuple(SENSORS)):
        right = quality - 0.14 * (len(SENSORS) - len(combination)) * (2 - quality) + rng.normal(0, 0.01)
        wrong = rng.dirichlet(np.ones(len(CLASSES)), len(CLASSES)) * (1 - right)
        share = wrong + right * np.eye(len(CLASSES))
        matrices = rng.multinomial(truth, share[None].repeat(BLOCKS, 0))  # [blocks, K, K]
        confusion = matrices.sum(0)
        scores, name = scores_of(confusion, float(rng.uniform(0.02, 0.12))), name_of(combination)
        hit[name], predicted[name] = matrices.diagonal(0, 1, 2).tolist(), matrices.sum(1).tolist()
        entry = {"confusion": confusion.tolist(), "scores": scores, "reliability": reliability(rng, right)}
        untempered = None if method == "teacher-zeros" else 2 * scores["ece"]
        found[name] = {**entry, "all_pixels": entry, "untempered": {"ece": untempered}}
    miou = {name: entry["scores"]["miou"] for name, entry in found.items()}
    worst = min(miou, key=miou.__getitem__)
    return {
        "method": method,
        "seed": seed,
        "split": "test",
        "sensors": list(SENSORS),
        "classes": list(CLASSES),
        "scenes": list(SCENES)[2:],
        "protocol": {"tile": 256, "pixels": 123456, "primary": "label there and all sensors valid"},
        "combinations": found,
        "blocks": {**blocks, "hit": hit, "predicted": predicted},
        "similarity": {name: {str(level): 0.4 + 0.05 * level + 0.1 * name.count("+") for level in range(1, 5)} for name in found},
        "partial": partial(miou, rng),
        "cost": {name: {"parameters": 1_000_000, "gflops": 2 + quality + name.count("+")} for name in found},
        "summary": {
            "mean_miou": float(np.mean(list(miou.values()))),
            "worst": {"combination": worst, "miou": miou[worst]},
            "expected": {str(p): expected(miou, tuple(SENSORS), p) for p in (0.05, 0.1, 0.2)},
            "drop": {name: miou["optical+sar+dsm"] - value for name, value in miou.items()},
        },
        "model": {"parameters": 1_234_567, "steps": 800, "seconds": 251.3, "seed": seed, "best_step": 700, "validation": miou},
    }


def reliability(rng: np.random.Generator, right: float) -> dict:
    """Six bins from a third on, a little surer than right."""
    sure = np.linspace(0.35, 0.95, 6)
    count = rng.integers(100, 900, 6)
    return {
        "count": [0, 0, 0, *count.tolist()],
        "right": [0, 0, 0, *(count * sure * (0.7 + 0.3 * right)).astype(int).tolist()],
        "confidence": [0.0, 0.0, 0.0, *(count * sure).tolist()],
    }


def partial(miou: dict[str, float], rng: np.random.Generator) -> dict:
    """Ever worse between all sensors and one less."""
    told: dict = {"settings": {}, "pixels": 1, "whole": {name: {"miou": score} for name, score in miou.items()}}
    for kind, levels in {"clouds": (0.25, 0.5, 0.75), "noise": (0.5, 1, 2), "misregistration": (1, 2, 4)}.items():
        for sensor in SENSORS:
            full, rest = miou["optical+sar+dsm"], miou[name_of(other for other in SENSORS if other != sensor)]
            told.setdefault(kind, {})[sensor] = {
                f"{level:g}": {"miou": full + (rest - full) * level / max(levels) * 0.8 + rng.normal(0, 0.004)}
                for level in levels
            }
    return told


def write_explanation(results: Path, scene: str) -> None:
    """Without sensor or level i the first class loses 10 i points, each next one a point less; there is no water."""
    folder = results / f"explained/dis2/{scene}"

    def lost(taken: int) -> dict:
        return {
            name: {"iou": None if name == "water" else 0.1 * taken - 0.01 * k, "margin": -0.25 * taken}
            for k, name in enumerate(CLASSES)
        }

    told = {
        "method": "dis2",
        "seed": 0,
        "scene": scene,
        "sensors": list(SENSORS),
        "classes": list(CLASSES),
        "truth": "labels",
        "pixels": {name: 1000 * (name != "water") for name in CLASSES},
        "iou": {name: None if name == "water" else 0.8 for name in CLASSES},
        "without_sensor": {sensor: lost(taken) for taken, sensor in enumerate(SENSORS)},
        "without_level": {str(level): lost(level) for level in range(1, 5)},
        "left_out": [],
    }
    write(folder / "explanation.json", told)
    evidence = np.random.default_rng(7).integers(0, 101, (len(CLASSES), 6, 9), np.uint8)
    evidence[:, 0, 0] = 255
    np.save(folder / "evidence.npy", evidence)


def write_model(folder: Path, method: str, quality: float) -> None:
    write(
        folder / "model.json",
        {"method": method, "seed": 0, "settings": {"training": {"batch": 8}}, "versions": {"torch": "2.13.0"}},
    )
    rng = np.random.default_rng(3)
    lines = []
    for step in range(10, 801, 10):
        line = {"step": step, "learning_rate": 1e-3, "loss": 2.2 * np.exp(-step / 250) + 0.5 + rng.normal(0, 0.04)}
        if step % 100 == 0:
            line["mean_miou"] = quality - 0.2 - 0.5 * np.exp(-step / 200)
        lines.append(json.dumps(line))
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")


def write_registration(results: Path, scene: str) -> None:
    rng = np.random.default_rng(len(scene))
    true = {
        sensor: {"dx": 0.0, "dy": 0.0} if sensor == "optical" else dict(zip(("dx", "dy"), rng.uniform(-4, 4, 2), strict=True))
        for sensor in SENSORS
    }
    found = {}
    for sensor, shift in true.items():
        accepted = not (scene == "hazel" and sensor == "sar")
        moved = (
            {key: value + rng.normal(0, 0.1) * (sensor != "optical") for key, value in shift.items()}
            if accepted
            else {"dx": 0.0, "dy": 0.0}
        )
        reason = "the reference" if sensor == "optical" else None if accepted else "2 of 25 windows agree, 8 are needed"
        windows = [{"used": bool(rng.random() > 0.2)} for _ in range(25)] if sensor != "optical" else []
        found[sensor] = {
            "accepted": accepted,
            "shift": moved,
            "method": "edge structure",
            "reason": reason,
            "spread": 0.12,
            "windows": windows,
        }
    write(results / f"registered/{scene}.json", {"scene": scene, "reference": "optical", "sensors": found})
    write(results / f"scenes/{scene}/truth.json", {"scene": scene, "shifts": true})
    Image.fromarray(rng.integers(0, 255, (120, 320), dtype=np.uint8)).save(results / f"registered/{scene}.png")


def places(side: int) -> np.ndarray:
    """Blobs of classes, with a corner that has no label."""
    y, x = np.mgrid[:side, :side] * (96 / side)
    field = np.sin(x / 9 + np.cos(y / 14) * 2) + np.cos(y / 11 - np.sin(x / 17) * 2)
    labels = np.digitize(field, (-1.2, -0.5, 0, 0.5, 1.2)).astype(np.uint8)
    labels[: side // 8, : side // 8] = 255
    return labels


def write_store(path: Path, data: Data, truth: np.ndarray) -> None:
    side = len(truth)
    grid = Grid(CRS.from_epsg(32633), Affine(1, 0, 500000, 0, -1, 5500000), side, side)
    rng = np.random.default_rng(5)
    header = Header(
        "maple",
        grid,
        {name: (spec.bands, "float32") for name, spec in data.sensors.items()},
        "optical",
        CLASSES,
        {},
        {"": Window(0, 0, side, side)},
        True,
    )
    with new_store(path, header) as writer:
        window = Window(0, 0, side, side)
        for name, spec in data.sensors.items():
            levels = rng.uniform(0, 1, (spec.bands, 256))
            bands = levels[:, truth] + rng.normal(0, 0.1, (spec.bands, side, side))
            valid = np.ones((side, side), bool)
            valid[side // 2 : side // 2 + 12, side // 3 : side // 3 + 20] = name != "optical"
            writer.write(name, window, bands.astype(np.float32), valid)
        writer.write_labels(window, truth)


def write_map(path: Path, truth: np.ndarray, quality: int) -> None:
    rng = np.random.default_rng(quality)
    predicted = np.where(rng.random(truth.shape) < 0.03 * quality + 0.4, truth, rng.integers(0, 6, truth.shape)).astype(np.uint8)
    predicted[truth == 255] = 0
    percent = rng.integers(30, 100, truth.shape).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": len(truth), "width": len(truth), "count": 1, "dtype": "uint8", "nodata": 255}
    place = {"crs": CRS.from_epsg(32633), "transform": Affine(1, 0, 500000, 0, -1, 5500000)}
    for name, values in ((path, predicted), (path.with_name(f"{path.stem}.confidence.tif"), percent)):
        with rasterio.open(name, "w", **profile, **place) as raster:
            raster.write(values, 1)
