"""Bad input on its way through the stages and the workflow: one line and no store; odd but right input is handled."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from affine import Affine

from dis2.cli import main
from dis2.files import write_json
from dis2.raster.grid import Window
from dis2.tiles.store import open_store
from tests.made import CLASSES, PLACE, SENSORS, damage, raster, scene

TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
SIDE = 64
BRACES = "Snakemake takes what is in braces for a wildcard; rename the file or folder"
CONFIG = {
    "data": {"name": "marsh", "sensors": SENSORS, "classes": CLASSES, "split": {"by": "block", "size": 16, "gap": 2}},
    "grid": {"registration": {"enabled": False}},
}


def config_of(folder: Path, scenes) -> Path:
    """A config file of these scenes, whose splits are by block."""
    listed = {name: {key: value for key, value in it.items() if key != "split"} for name, it in scenes.items()}
    plain = {name: it | {"sensors": {key: list(files) for key, files in it["sensors"].items()}} for name, it in listed.items()}
    path = folder / "marsh.yaml"
    path.write_text(
        yaml.safe_dump({**CONFIG, "data": {**CONFIG["data"], "scenes": plain}}, allow_unicode=True, sort_keys=False),
        encoding="utf-8",
    )
    return path


def dis2(folder: Path, config: Path, stage: str, *words: object) -> int:
    """Runs a stage for scene pond as one would by hand."""
    return main([stage, "--config", str(config), "--scene", "pond", *map(str, words)])


@pytest.mark.parametrize("what", ["thermal", "labels"])
def test_a_file_that_is_damaged_after_the_check_is_one_line_and_leaves_no_store(tmp_path, capsys, what):
    bad = raster(tmp_path / "bad.tif", np.ones((1 + (what == "thermal"), SIDE, SIDE), "uint8"), **TILES)
    made = scene(tmp_path, SIDE)
    made = made | {"labels": bad} if what == "labels" else made | {"sensors": made["sensors"] | {"thermal": (bad,)}}
    config, out = config_of(tmp_path, {"pond": made}), tmp_path / "out"
    assert dis2(tmp_path, config, "check", "--out", out / "checked.json") == 0
    assert dis2(tmp_path, config, "register", "--out", out / "shifts.json") == 0
    damage(bad)
    before, _ = set(out.rglob("*")), capsys.readouterr()
    assert dis2(tmp_path, config, "tile", "--shifts", out / "shifts.json", "--out", out / "pond.zarr") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("tile pond: ")]
    assert len(said) == 1 and re.match(rf"dis2 tile: {re.escape(bad)}: .*; the file is damaged: replace it", said[0]), said
    assert set(out.rglob("*")) == before


def test_a_file_that_is_not_there_is_told_with_the_place_where_it_is_listed(tmp_path, capsys):
    """As the workflow tells it; a broken one is skipped, where that is wanted, with what is wrong of it."""
    config = config_of(tmp_path, {name: scene(tmp_path / name, SIDE) for name in ("pond", "mere")})
    for name in ("pond", "mere"):
        (tmp_path / name / "lidar.tif").unlink()
    assert dis2(tmp_path, config, "check", "--out", tmp_path / "checked.json") == 2
    line = f"dis2 check: {config}: data.scenes.pond: {tmp_path}/pond/lidar.tif: no such file; correct the path, or data_root"
    assert capsys.readouterr().err.splitlines()[-1].startswith(line) and not (tmp_path / "checked.json").exists()
    assert dis2(tmp_path, config, "check", "--out", tmp_path / "checked.json", "--broken", "skip") == 0
    assert "lidar.tif: no such file" in capsys.readouterr().err and (tmp_path / "checked.json").exists()


def test_a_turned_raster_comes_to_where_it_belongs(tmp_path):
    """Its values are a plane over the map, which every interpolation keeps."""
    turned = PLACE @ Affine.translation(20, 5) @ Affine.rotation(30)

    def plane(x, y):
        return 2 * (x - PLACE.c) - 3 * (y - PLACE.f)

    columns, rows = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    values = plane(*(turned @ np.stack([columns.ravel(), rows.ravel()]))).reshape(1, 30, 40)
    lidar = raster(tmp_path / "turned.tif", values.astype("float32"), turned)
    made = scene(tmp_path, SIDE)
    config = config_of(tmp_path, {"pond": made | {"sensors": made["sensors"] | {"lidar": (lidar,)}}})
    assert dis2(tmp_path, config, "check", "--out", tmp_path / "checked.json") == 0
    write_json(tmp_path / "shifts.json", {"sensors": {}})
    assert dis2(tmp_path, config, "tile", "--shifts", tmp_path / "shifts.json", "--out", tmp_path / "pond.zarr") == 0
    bands, valid = open_store(tmp_path / "pond.zarr").image("lidar", Window(0, 0, SIDE, SIDE))
    columns, rows = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    x, y = PLACE @ np.stack([columns.ravel(), rows.ravel()])
    inside = np.stack(~turned @ np.stack([x, y])).reshape(2, SIDE, SIDE)
    far = ((inside > 1) & (inside < np.array([39, 29])[:, None, None])).all(0)
    near = ((inside > -1) & (inside < np.array([41, 31])[:, None, None])).all(0)
    assert far.sum() > 900 and (valid >= far).all() and (valid <= near).all()
    np.testing.assert_allclose(bands[0][far], plane(x, y).reshape(SIDE, SIDE)[far], atol=1e-2)


def test_braces_in_paths_are_a_line_each_before_anything_runs(source):
    folder, ones = source.folder / "in", np.ones((1, SIDE, SIDE), "uint8")
    odd = [raster(folder / name, ones) for name in ("{scene}.tif", "a{b}c.tif", "not} {this one.tif")]
    made = scene(folder, SIDE)
    config = config_of(source.folder, {"pond": made | {"sensors": {"thermal": odd[1:], "lidar": odd[:1]}, "labels": odd[2]}})
    ran = source.run("-n", config=config.name)
    said = {line for line in ran.stdout.splitlines() if not line.startswith("Using workflow specific profile")}
    assert ran.returncode == 1 and said == {f"marsh.yaml: data.scenes.pond: {file}: {BRACES}" for file in odd[:2]}, ran.stdout


@pytest.mark.slow
def test_each_bad_scene_is_told_in_one_line_and_the_good_one_is_tiled(source):
    folder = source.folder / "in"
    scenes = {name: scene(folder / name, SIDE) for name in ("good", "corrupt", "colours", "abroad")}
    ones = np.ones((2, SIDE, SIDE), "uint8")
    damage(raster(folder / "corrupt/thermal.tif", ones, **TILES))
    raster(folder / "colours/lidar.tif", ones[:1].astype("uint16"), photometric="palette")
    raster(folder / "abroad/labels.tif", ones[:1], crs="EPSG:32733")
    ran = source.run("-k", "prepare", config=config_of(source.folder, scenes).name)
    said = sorted(line for line in ran.stdout.splitlines() if line.startswith("dis2 "))
    assert ran.returncode == 1 and len(said) == 3, ran.stdout
    for line, file in zip(said, ("abroad/labels", "colours/lidar", "corrupt/thermal"), strict=True):
        assert line.startswith(f"dis2 check: scene {file.split('/')[0]}: {folder}/{file}.tif"), line
    made = {path.relative_to(source.path("results/marsh")).parts[:2] for path in source.path("results/marsh").rglob("*.*")}
    assert {parts for parts in made if parts[0] not in ("logs", "benchmarks")} == {
        ("checked", "good.json"), ("registered", "good.json"), ("registered", "good.png"), ("tiles", "good.zarr"),
        ("tiles", "good.manifest.json"),
    }  # fmt: skip


@pytest.mark.slow
def test_files_may_have_any_name_without_braces(source):
    names = ("a b  c.tif", "Süd ☀/ü.tif", 'it\'s "so".tif', "$(touch made) `touch made`; #&*?[x]\\.tif")
    ones = np.ones((1, SIDE, SIDE), "uint8")
    odd = [raster(source.folder / "in" / name, ones) for name in names]
    made = {"sensors": {"thermal": odd[:2], "lidar": odd[2:3]}, "labels": odd[3]}
    ran = source.run("-k", "prepare", config=config_of(source.folder, {"pond": made}).name)
    assert ran.returncode == 0 and source.path("results/marsh/statistics.json").exists(), ran.stdout
    assert not source.path("made").exists()
