"""Public data sets in their true formats: from files to a store, pixel by pixel, and what is known to be wrong with them."""

from collections import Counter

import numpy as np
import pytest
import yaml
from PIL import Image

from dis2.cli import main
from dis2.config.data import IGNORE
from dis2.config.plan import Plan
from dis2.config.run import read_run
from dis2.errors import UserError
from dis2.files import read_json, write_json
from dis2.models.registry import METHODS, method_of
from dis2.raster.check import check
from dis2.raster.grid import Window
from dis2.raster.register import register
from dis2.raster.sources import ALLOWED, NO_CURL
from dis2.tiles.cut import cut
from dis2.tiles.statistics import statistics
from dis2.tiles.store import open_store, store_path
from tests import datasets
from tests.datasets import AUGSBURG, CONFIG, DFC2020, SIDE, eroded

WHOLE = Window(0, 0, SIDE, SIDE)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def potsdam(root):
    return datasets.potsdam(root)


@pytest.fixture(scope="module")
def vaihingen(root):
    return datasets.vaihingen(root)


@pytest.fixture(scope="module")
def ombria(root):
    return datasets.ombria(root)


@pytest.fixture
def read(root, monkeypatch, tmp_path):
    """The run of a config whose data lie there, with other values."""
    monkeypatch.setenv("DIS2_DATA", str(root))

    def it(config, **changes):
        told = yaml.safe_load((CONFIG / config).read_text()) if isinstance(config, str) else config
        for path, value in changes.items():
            *parents, last = path.split("__")
            place = told
            for parent in parents:
                place = place[parent]
            place[last] = value
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(told, sort_keys=False))
        run = read_run([file], METHODS)
        Plan(run, method_of).check_files([str(file)])
        return run

    return it


def stored(run, scene, folder):
    """The store of a scene that was checked before."""
    check(run.data, run.grid, scene, folder / "checked.json")
    write_json(folder / "shifts.json", {"sensors": {}})
    cut(run.data, run.grid, scene, folder / "shifts.json", folder / f"{scene}.zarr")
    return open_store(folder / f"{scene}.zarr")


@pytest.mark.parametrize("name", ["2_11", "4_12", "6_7", "2_10"])
def test_potsdam_without_clutter_by_whole_labels_whatever_their_colours(potsdam, read, tmp_path, name):
    run = read("potsdam.yaml")
    store = stored(run, name, tmp_path)
    assert np.array_equal(store.labels(WHOLE), np.where(potsdam[name] == 5, IGNORE, potsdam[name]))
    assert run.data.scenes[name].split == ("validation" if name == "2_10" else "train")
    assert store.image("irrg", WHOLE)[0].shape == (3, SIDE, SIDE) and store.image("ndsm", WHOLE)[0].dtype == np.uint8


def test_potsdam_tests_on_eroded_labels_unless_it_is_told_otherwise(potsdam, read, tmp_path):
    store = stored(read("potsdam.yaml"), "7_13", tmp_path)
    unscored = eroded(potsdam["7_13"])[1] | (potsdam["7_13"] == 5)
    assert np.array_equal(store.labels(WHOLE), np.where(unscored, IGNORE, potsdam["7_13"]))
    whole = "potsdam/5_Labels_all/top_potsdam_{scene}_label.tif"
    kept = read("potsdam.yaml", data__listing__labels=whole, data__ignore=["#000000"])
    assert np.array_equal(stored(kept, "7_13", tmp_path / "kept").labels(WHOLE), potsdam["7_13"])
    assert list(kept.data.classes)[-1] == "clutter"


def test_potsdam_s_lossy_labels_are_refused_where_no_tolerance_is_told(potsdam, read, tmp_path):
    with pytest.raises(UserError, match=r"top_potsdam_4_12_label.tif: colour #\w{6} at row .* is no class; .*data.tolerance"):
        stored(read("potsdam.yaml", data__tolerance=0), "4_12", tmp_path)


def test_potsdam_in_other_sensors_with_heights_above_the_ground_that_is_found(potsdam, read, tmp_path):
    sensors = {
        "rgb": {"bands": 3},
        "infrared": {"bands": 1, "take": [1]},
        "ndsm": {"bands": 1, "kind": "surface", "ground": 40, "scaling": {"clip": [0, 30], "unit": "m"}},
    }
    files = {
        "rgb": "potsdam/2_Ortho_RGB/top_potsdam_{scene}_RGB.tif",
        "infrared": "potsdam/3_Ortho_IRRG/top_potsdam_{scene}_IRRG.tif",
        "ndsm": "potsdam/1_DSM/dsm_potsdam_{scene:02}.tif",
    }
    run = read("potsdam.yaml", data__sensors=sensors, data__listing__sensors=files)
    store = stored(run, "2_10", tmp_path)
    heights = store.image("ndsm", WHOLE)[0][0]
    assert np.abs(heights - np.where(potsdam["2_10"] == 1, 8, 0)).max() < 1
    own = stored(read("potsdam.yaml"), "2_10", tmp_path / "own").image("irrg", WHOLE)[0]
    assert np.array_equal(store.image("infrared", WHOLE)[0][0], own[0])


def test_vaihingen_has_heights_above_its_ground(vaihingen, read, tmp_path):
    run = read("vaihingen.yaml", data__sensors__ndsm__ground=40)
    for name in ("area1", "area2"):
        store, labels = stored(run, name, tmp_path), vaihingen[name]
        unscored = (labels == 5) | (eroded(labels)[1] & (name == "area2"))
        assert np.array_equal(store.labels(WHOLE), np.where(unscored, IGNORE, labels))
        assert np.abs(store.image("ndsm", WHOLE)[0][0] - np.where(labels == 1, 8, 0)).max() < 1
    assert {split: len(run.data.scenes_of(split)) for split in ("train", "validation", "test")} == {
        "train": 15,
        "validation": 1,
        "test": 17,
    }


@pytest.mark.parametrize("config", ["vaihingen.yaml", "potsdam.yaml"])
def test_labels_in_colour_are_read_by_the_command_line_too_which_opens_plain_files_alone(
    config, vaihingen, potsdam, root, monkeypatch, tmp_path
):
    monkeypatch.setenv("DIS2_DATA", str(root))
    for name in (ALLOWED, NO_CURL):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
    scene, out = {"vaihingen.yaml": "area2", "potsdam.yaml": "4_12"}[config], tmp_path / "found.json"
    assert main(["check", "--config", str(CONFIG / config), "--scene", scene, "--out", str(out)]) == 0
    assert read_json(out)["faults"] == []


def test_files_that_are_still_packed_are_told(vaihingen, read, root):
    (root / "vaihingen/dsm").rename(root / "vaihingen/dsm_away")
    (root / "vaihingen/dsm.zip").touch()
    try:
        with pytest.raises(UserError, match=r"matching_area1.tif: no such file, but \S*dsm.zip is there; unpack it") as error:
            read("vaihingen.yaml")
        lines = str(error.value).splitlines()
        assert len(lines) == 22 and "13 more files such as these" in lines[-2] and "the data: ISPRS Vaihingen" in lines[-1]
    finally:
        (root / "vaihingen/dsm.zip").unlink()
        (root / "vaihingen/dsm_away").rename(root / "vaihingen/dsm")


def test_rasters_of_a_tile_that_differ_in_shape_are_one_line(vaihingen, read, root, tmp_path):
    path = root / "vaihingen/dsm/dsm_09cm_matching_area3.tif"
    before = path.read_bytes()
    datasets.geotiff(path, np.zeros((1, SIDE, SIDE - 1), "float32"))
    try:
        with pytest.raises(UserError, match=r"area3.tif: 64 x 63 pixels, but .*area3.tif of the same chip .* has 64 x 64"):
            check(read("vaihingen.yaml").data, read("vaihingen.yaml").grid, "area3", tmp_path / "checked.json")
    finally:
        path.write_bytes(before)


def prepared(run, tiles):
    """The statistics of a run whose scenes are checked, registered and cut."""
    for scene in run.data.scenes:
        check(run.data, run.grid, scene, tiles / "checked.json")
        register(run.data, run.grid, scene, tiles / "shifts.json")
        cut(run.data, run.grid, scene, tiles / "shifts.json", store_path(tiles, scene))
    statistics(run.data, tiles, tiles / "statistics.json")
    return read_json(tiles / "statistics.json")


def assert_relative(bands, valid, chip):
    """Bands are those of the chip in deviations from their mean over what was measured."""
    for band, values in zip(bands, chip, strict=True):
        measured = values[valid].astype(float)
        assert band[valid] == pytest.approx((measured - measured.mean()) / measured.std(), abs=1e-4)
        assert band[valid].mean() == pytest.approx(0, abs=1e-5) and not band[~valid].any()


def test_ombria_s_radar_is_told_against_its_chip_and_nowhere_but_where_optical_was_measured(ombria, read, tmp_path):
    run = read("ombria.yaml")
    found = prepared(run, tmp_path)
    chips = Counter({scene.split: 0 for scene in run.data.scenes.values()})
    for name, scene in run.data.scenes.items():
        store, chips[scene.split] = open_store(store_path(tmp_path, name)), chips[scene.split] + len(scene.chips)
        for chip, place in store.chips.items():
            made = ombria[chip]
            assert np.array_equal(store.labels(place), made["flood"] // 255)
            seen = np.concatenate([made["s2_before"], made["s2_after"]], -1).any(-1)
            optical, measured = store.image("optical", place)
            assert np.array_equal(measured, seen) and seen[:, 4:].all() and not seen[:, :4].any()
            assert np.array_equal(optical[3:], np.moveaxis(made["s2_after"], -1, 0))
            radar, measured = store.image("radar", place)
            assert np.array_equal(measured, seen)
            assert_relative(radar, seen, [made["s1_before"], made["s1_after"]])
    assert chips == {"train": 160, "validation": 16, "test": 29} and len(run.data.scenes) == 10
    assert found["sensors"]["radar"]["pixels"] == found["sensors"]["optical"]["pixels"] == 160 * 16 * 12
    assert found["sensors"]["radar"]["mean"] == pytest.approx([0, 0], abs=1e-5)
    train = [chip for scene in run.data.scenes.values() if scene.split == "train" for chip in scene.chips]
    assert found["classes"]["flood"] == sum(int((ombria[chip]["flood"][:, 4:] == 255).sum()) for chip in train)


def test_ombria_s_four_sensors_are_each_measured_where_its_own_optical_image_is(ombria, read, tmp_path):
    run = read("ombria4.yaml")
    found = prepared(run, tmp_path)["sensors"]
    for name in run.data.scenes:
        store = open_store(store_path(tmp_path, name))
        for chip, place in store.chips.items():
            made = ombria[chip]
            before, after = (made[kind].any(-1) for kind in ("s2_before", "s2_after"))
            assert before.sum() == 12 * 12 and after.sum() == 16 * 12
            assert np.array_equal(store.labels(place), made["flood"] // 255)
            for sensor, seen in (("optical_before", before), ("optical_after", after)):
                image, measured = store.image(sensor, place)
                assert np.array_equal(measured, seen)
                assert np.array_equal(image, np.moveaxis(made[sensor.replace("optical", "s2")], -1, 0))
            for sensor in ("radar_before", "radar_after"):
                image, measured = store.image(sensor, place)
                assert np.array_equal(measured, before)
                assert_relative(image, before, [made[sensor.replace("radar", "s1")]])
    assert {sensor: one["pixels"] for sensor, one in found.items()} == {
        "radar_before": 160 * 144,
        "radar_after": 160 * 144,
        "optical_before": 160 * 144,
        "optical_after": 160 * 192,
    }


def test_patches_of_two_satellites_are_chips_of_their_season(root, read, tmp_path):
    made = datasets.dfc2020(root)
    store = stored(read(DFC2020), "spring", tmp_path)
    assert list(store.chips) == ["0", "1", "2"]
    for number, place in enumerate(store.chips.values()):
        assert np.array_equal(store.labels(place), made["spring", number] - 1)
    reflectance = store.image("s2", store.chips["1"])[0]
    assert reflectance.shape == (13, SIDE, SIDE) and 0.5 < reflectance.max() < 0.6
    (root / "dfc/ROIs0000_winter/s1_0/ROIs0000_winter_s1_0_p2.tif").unlink()
    with pytest.raises(UserError, match="sensors.s1: scene winter: 2 of 3 chips have a file like .*, not 2; add these files"):
        read(DFC2020)


def test_cubes_of_matlab_are_rasters_band_by_band(root, read, tmp_path):
    made = datasets.augsburg(root)
    run = read(AUGSBURG)
    store = stored(run, "city", tmp_path)
    for sensor, name in (("hyper", "data_HS_LR"), ("radar", "data_SAR_HR"), ("height", "data_DSM")):
        assert np.array_equal(store.image(sensor, WHOLE)[0], np.moveaxis(np.atleast_3d(made[name]), 2, 0))
    assert np.array_equal(store.labels(WHOLE), np.where(made["TestImage"], made["TestImage"].astype(int) - 1, IGNORE))
    assert all(file.endswith(".mat") for file in Plan(run, method_of).files("city"))


def test_a_jpeg_of_heights_is_what_the_data_set_packs(potsdam, root):
    path = root / "potsdam/1_DSM_normalisation/dsm_potsdam_07_09_normalized_lastools.jpg"
    assert Image.open(path).mode == "L"
