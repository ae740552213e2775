"""Tiny files in the true formats and folders of public data sets; what is in them is made here, by a seed."""

import csv
import shutil
from pathlib import Path

import numpy as np
import rasterio
import yaml
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import Affine
from scipy.io import savemat

CONFIG = Path(__file__).parents[1] / "config"
PALETTE = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], "uint8")
"""ISPRS: impervious, building, low vegetation, tree, car, clutter."""
SIDE = 64
NOWHERE = Affine.identity()
SPECKS = (252, 255, 0)


def geotiff(path, bands, crs=None, transform=NOWHERE, **form):
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size, **form) as out:
        out.write(bands)


def land(rng, side=SIDE, classes=6):
    """Class indices in patches of 8 pixels."""
    return np.kron(rng.integers(0, classes, (side // 8, side // 8)), np.ones((8, 8), int))


def names_of(config):
    listing = yaml.safe_load((CONFIG / config).read_text())["data"]["listing"]
    return [name for names in listing["scenes"].values() for name in names]


def eroded(labels):
    """Colours [h, w, 3] whose class boundaries are black."""
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return np.where(edge[..., None], 0, PALETTE[labels]).astype("uint8"), edge


def potsdam(root):
    """The class indices of each tile; 4_12 packed with loss and cars of 6_7 in another yellow, as they are passed on."""
    made = {}
    for number, name in enumerate(names_of("potsdam.yaml")):
        rng, folder = np.random.default_rng(number), root / "potsdam"
        place = {"crs": CRS.from_epsg(32633), "transform": Affine(0.05, 0, 366_000 + 300 * number, 0, -0.05, 5_808_000)}
        labels = made[name] = land(rng)
        colors = PALETTE[labels].astype(int)
        colors = np.abs(colors - rng.integers(0, 60, colors.shape)) if name == "4_12" else colors
        colors[(labels == 4) & (name == "6_7")] = SPECKS
        for kind, count in (("2_Ortho_RGB/top_potsdam_{}_RGB", 3), ("3_Ortho_IRRG/top_potsdam_{}_IRRG", 3)):
            geotiff(folder / f"{kind.format(name)}.tif", rng.integers(0, 256, (count, SIDE, SIDE), dtype="uint8"), **place)
        geotiff(folder / f"5_Labels_all/top_potsdam_{name}_label.tif", np.moveaxis(colors.astype("uint8"), -1, 0), **place)
        bordered = np.moveaxis(eroded(labels)[0], -1, 0)
        geotiff(folder / f"5_Labels_all_noBoundary/top_potsdam_{name}_label_noBoundary.tif", bordered, **place)
        padded = "_".join(part.zfill(2) for part in name.split("_"))
        heights = np.where(labels == 1, 8, 0) + 35 + rng.normal(size=labels.shape) / 50
        geotiff(folder / f"1_DSM/dsm_potsdam_{padded}.tif", heights[None].astype("float32"), **place)
        normalised = folder / f"1_DSM_normalisation/dsm_potsdam_{padded}_normalized_lastools.jpg"
        normalised.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(12 * (heights - 34), 0, 255).astype("uint8")).save(normalised)
    return made


def vaihingen(root):
    """The class indices of each image; heights are those of a slope with what stands on it."""
    made = {}
    for number, name in enumerate(names_of("vaihingen.yaml")):
        rng, folder = np.random.default_rng(number), root / "vaihingen"
        labels = made[name] = land(rng)
        geotiff(folder / f"top/top_mosaic_09cm_{name}.tif", rng.integers(0, 256, (3, SIDE, SIDE), dtype="uint8"))
        slope = 260 + 0.02 * np.arange(SIDE)[:, None]
        geotiff(folder / f"dsm/dsm_09cm_matching_{name}.tif", (slope + np.where(labels == 1, 8, 0))[None].astype("float32"))
        geotiff(folder / f"labels/top_mosaic_09cm_{name}.tif", np.moveaxis(PALETTE[labels], -1, 0))
        geotiff(folder / f"labels_eroded/top_mosaic_09cm_{name}_noBoundary.tif", np.moveaxis(eroded(labels)[0], -1, 0))
    return made


def ombria(root, side=16):
    """Radar, optical images and floods of each chip. On the left nothing was seen from above, neither before nor after, and radar
    holds a constant; at the top it was cloudy before; and one band may be 0 where others are not."""
    made, folder = {}, root / "ombria"
    for kind in ("s1_before", "s1_after", "s2_before", "s2_after", "flood"):
        (folder / kind).mkdir(parents=True)
    shutil.copy(CONFIG / "ombria-scenes.csv", folder / "tiles.csv")
    for row in csv.DictReader((folder / "tiles.csv").open()):
        rng = np.random.default_rng(int(row["tile"]))
        chip = {kind: rng.integers(1, 256, (side, side), dtype="uint8") for kind in ("s1_before", "s1_after")}
        chip |= {kind: rng.integers(1, 256, (side, side, 3), dtype="uint8") for kind in ("s2_before", "s2_after")}
        chip["flood"] = (255 * land(rng, side, 2)).astype("uint8")
        chip["s2_before"][-1, -1, 0], chip["s2_before"][:4] = 0, 0
        for kind in ("s1_before", "s1_after", "s2_before", "s2_after"):
            chip[kind][:, :4] = 0 if kind.startswith("s2") else 77
        for kind, values in chip.items():
            Image.fromarray(values).save(folder / kind / f"{row['tile']}.png")
        made[row["tile"]] = chip
    return made


def dfc2020(root, patches=3):
    """Sentinel-1 in decibels, 13 bands of Sentinel-2, and labels, by patches with their own place."""
    made = {}
    for season in ("autumn", "spring", "winter"):
        for patch in range(patches):
            rng = np.random.default_rng(patch)
            place = {"crs": CRS.from_epsg(32631), "transform": Affine(10, 0, 500_000 + 2560 * patch, 0, -10, 5_000_000)}
            labels = made[season, patch] = land(rng, classes=10) + 1
            for kind, bands in (
                ("s1", rng.normal(-12, 4, (2, SIDE, SIDE)).astype("float32")),
                ("s2", rng.integers(0, 6000, (13, SIDE, SIDE), dtype="uint16")),
                ("dfc", labels[None].astype("uint8")),
            ):
                stem = f"ROIs0000_{season}"
                geotiff(root / "dfc" / stem / f"{kind}_0" / f"{stem}_{kind}_0_p{patch}.tif", bands, **place)
    return made


DFC2020 = {
    "data": {
        "name": "dfc",
        "sensors": {"s1": {"bands": 2}, "s2": {"bands": 13, "scaling": {"factor": 0.0001}}},
        "classes": {name: {"values": [n]} for n, name in enumerate("abcdefghij", 1)},
        "listing": {
            "scenes": {"train": ["spring"], "validation": ["autumn"], "test": ["winter"]},
            "sensors": {
                kind: f"dfc/ROIs0000_{{scene}}/{kind}_0/ROIs0000_{{scene}}_{kind}_0_p{{chip}}.tif" for kind in ("s1", "s2")
            },
            "labels": "dfc/ROIs0000_{scene}/dfc_0/ROIs0000_{scene}_dfc_0_p{chip}.tif",
        },
    },
    "grid": "pixels",
}


def augsburg(root):
    """A hyperspectral cube, radar and heights on one grid, each an array of its own file, and labels of two kinds."""
    rng, folder = np.random.default_rng(0), root / "augsburg"
    folder.mkdir(parents=True)
    labels = land(rng, classes=8)
    train = np.where(rng.random(labels.shape) < 0.2, labels, 0)
    made = {
        "data_HS_LR": rng.integers(0, 9000, (SIDE, SIDE, 40), dtype="uint16"),
        "data_SAR_HR": rng.normal(size=(SIDE, SIDE, 4)),
        "data_DSM": rng.normal(480, 5, (SIDE, SIDE)),
        "TrainImage": train.astype("uint8"),
        "TestImage": np.where(train, 0, labels).astype("uint8"),
    }
    for name, array in made.items():
        savemat(folder / f"{name}.mat", {name: array})
    return made


AUGSBURG = {
    "data": {
        "name": "augsburg",
        "sensors": {"hyper": {"bands": 40}, "radar": {"bands": 4}, "height": {"bands": 1, "kind": "surface"}},
        "classes": {f"c{n}": {"values": [n]} for n in range(1, 8)},
        "ignore": [0],
        "scenes": {
            "city": {
                "sensors": {
                    "hyper": "augsburg/data_HS_LR.mat",
                    "radar": "augsburg/data_SAR_HR.mat:data_SAR_HR",
                    "height": "augsburg/data_DSM.mat",
                },
                "labels": "augsburg/TestImage.mat",
            }
        },
        "split": {"by": "block", "size": 16, "gap": 2},
    },
    "grid": "pixels",
}
