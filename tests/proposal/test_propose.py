"""A proposed config is one that runs, says what it is unsure of, and uses each file or tells why not."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.shutil import copy

from dis2.cli import main
from dis2.config.run import read_run
from dis2.models.registry import METHODS
from dis2.raster.check import check
from dis2.raster.sources import allowing
from tests import datasets
from tests.made import NEXT_UTM, PLACE, UTM, damage, raster
from tests.proposal.made import SIDE, image, land

TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}


@pytest.fixture(autouse=True)
def untimed(monkeypatch):
    """Networks are timed where whole workflows run."""
    monkeypatch.setattr("dis2.proposal.estimate.seconds_a_step", lambda *_: {"teacher": 1.0, "dis2": 2.0, "sensor-dropout": 3.0})


def proposed(folder, out, *words):
    """The run that a folder's config describes, and its text."""
    assert main(["init", str(folder), "--out", str(out), *words]) == 0
    return read_run([out], METHODS), out.read_text()


def mess(folder):
    """Six places with a camera at 1 m, heights at 2 m and labels; one lacks its labels, one its heights; much else lies about."""
    for number, place in enumerate(["Nord see", "west", "öst", "mitte", "süd", "far"]):
        rng, at = np.random.default_rng(number), PLACE @ Affine.translation(500 * number, 0)
        labels = land(rng).astype(int)
        light = np.stack([rng.normal(40 + 60 * labels[0], 5) for _ in range(3)]).astype("uint16")
        raster(folder / "images" / f"cam_{place}_v1.tif", light, at)
        if place != "mitte":
            high = (2 * labels[:, ::2, ::2] + 700).astype("float32")
            high[0, 0, :4] = -9999
            raster(folder / "heights" / f"dem-{place}.tif", high, at @ Affine.scale(2))
        if place != "far":
            raster(folder / "truth" / f"{place}_labels.tif", np.where(labels == 2, 7, labels).astype("uint8"), at, nodata=255)
    raster(folder / "preview.png.tif", np.zeros((3, 20, 20), "uint8"), crs=None)
    raster(folder / "elsewhere.tif", np.random.default_rng(9).normal(size=(2, 9, 9)), crs=NEXT_UTM)
    raster(folder / "heights" / "empty_x.tif", np.zeros((1, 8, 8), "uint8"), nodata=0)
    damage(raster(folder / "images" / "damaged.tif", np.random.default_rng(1).normal(size=(3, 64, 64)), **TILES))
    for name in ("read me.txt", "all.zip", ".DS_Store", "images/cam_west_v1.tfw"):
        (folder / name).write_text("1")


def test_a_folder_with_a_mess_in_it_becomes_scenes_and_each_other_file_is_told(tmp_path, capsys):
    mess(tmp_path / "mess")
    run, text = proposed(tmp_path / "mess", tmp_path / "mine.yaml")
    data = run.data
    assert {it.kind: it.bands for it in data.sensors.values()} == {"image": 3, "surface": 1}
    assert [sensor.nodata for sensor in data.sensors.values() if sensor.kind == "surface"] == [-9999]
    assert data.values == {"class_0": (0,), "class_1": (1,), "class_7": (7,)} and data.ignore == (255,)
    assert {name: len(scene.sensors) for name, scene in data.scenes.items()} == {
        "Nord_see": 2,
        "mitte": 1,
        "sud": 2,
        "west": 2,
        "ost": 2,
        "far": 2,
    }
    splits = {name: scene.split for name, scene in data.scenes.items()}
    assert (
        sorted(map(str, splits.values())) == ["None", "test", "train", "train", "train", "validation"] and splits["far"] is None
    )
    assert {name: splits[name] for name in run.maps} == {"west": "test", "far": None}
    out = capsys.readouterr().out
    for file, why in (
        ("preview.png.tif", "has no CRS"),
        ("elsewhere.tif", "matches no footprint"),
        ("heights/empty_x.tif", "no valid pixel"),
        ("images/damaged.tif", "the file is damaged"),
        ("read me.txt", "no raster"),
        ("all.zip", "unpack it"),
    ):
        assert f"{file}: " in text and f"not used: {file}: " in out and why in text.split(f"{file}: ")[1].split("\n")[0]


def test_places_may_differ_in_zone_resolution_and_type_where_names_tell_what_belongs_together(tmp_path):
    """Two valleys, each in its zone: radar at 1 and 2 m, heights in degrees of other sizes, labels of two types."""
    for number, (place, crs) in enumerate({"north valley": UTM, "south valley": NEXT_UTM}.items()):
        rng, folder = np.random.default_rng(number), tmp_path / "in" / place
        labels = land(rng).astype(("uint8", "int16")[number])
        raster(folder / "S1 vv vh.tif", rng.normal(size=(2, SIDE, SIDE)), PLACE @ Affine.scale(1 + number), crs)
        raster(folder / "S2 image.tif", rng.normal(size=(4, SIDE, SIDE)), crs=crs)
        degrees = Affine(3e-4 + 2e-6 * number, 0, 9 + 6 * number, 0, -3e-4, 48)
        raster(folder / "dem.tif", rng.normal(700, 9, (1, SIDE, SIDE)), degrees, "EPSG:4326")
        raster(folder / "labels.tif", labels, crs=crs)
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert sorted((it.kind, it.bands) for it in run.data.sensors.values()) == [("image", 2), ("image", 4), ("surface", 1)]
    assert {name: len(scene.sensors) for name, scene in run.data.scenes.items()} == {"north_valley": 3, "south_valley": 3}
    assert all(scene.labels for scene in run.data.scenes.values()) and "Not used" not in text


def test_chips_without_georeferencing_are_split_by_their_order_and_colours_are_classes(tmp_path):
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], "uint8")
    for number in range(45):
        rng, form = np.random.default_rng(number), {"crs": None, "transform": Affine.identity()}
        labels = land(rng, 32)[0]
        for kind in ("before", "after"):
            radar = rng.integers(1, 255, (1, 32, 32), dtype="uint8")
            if kind == "after":
                radar[0, 0, :2] = 0, 255
            raster(tmp_path / "in" / f"radar_{kind}" / f"{number:04}.tif", radar, **form)
        raster(tmp_path / "in" / "gt" / f"{number:04}.tif", np.moveaxis(palette[labels], -1, 0), **form)
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml", "--name", "floods")
    assert run.grid.pixels and run.data.name == "floods" and list(run.data.sensors) == ["after", "before"]
    chips = {name: list(map(int, scene.chips)) for name, scene in run.data.scenes.items()}
    assert chips == {"train": [*range(27)], "validation": [*range(27, 36)], "test": [*range(36, 45)]}
    assert run.data.label_colors == {0x0000FF: 0, 0xFF0000: 1, 0: 255}
    assert [line.strip().split(":")[0] for line in text.splitlines() if "add relative: true" in line] == ["after"]


def test_a_folder_of_test_and_validation_alone_trains_on_no_test_and_says_so(tmp_path, capsys):
    for number in range(8):
        place = tmp_path / "in" / ("test", "validation")[number % 2] / str(number)
        for name, values in (("opt", image(3)), ("sar", image(2)), ("labels", land(np.random.default_rng(number)))):
            raster(place / f"{name}.tif", values, PLACE @ Affine.translation(500 * number, 0))
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert run.data.scenes_of("test") == tuple(f"test_{number}" for number in (0, 2, 4, 6))
    told = "what is called test tests; as none is called train, the others are split by place"
    assert f"# {told}\n" in text and f"splits: {told}\n" in capsys.readouterr().out


def test_the_colour_of_nodata_is_ignored(tmp_path):
    rng = np.random.default_rng(0)
    palette = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255]], "uint8")
    for place in "abc":
        raster(tmp_path / "in" / f"{place}_optical.tif", rng.integers(1, 255, (3, 128, 128), dtype="uint8"))
        raster(tmp_path / "in" / f"{place}_radar.tif", rng.integers(1, 9000, (1, 128, 128), dtype="uint16"))
        raster(tmp_path / "in" / f"{place}_labels.tif", np.moveaxis(palette[land(rng, 128)[0]], -1, 0), nodata=255)
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert run.data.label_colors == {0x0000FF: 0, 0xFF0000: 1, 0xFFFFFF: 255}


def test_one_place_is_split_by_blocks_and_bands_in_files_are_one_sensor(tmp_path):
    rng = np.random.default_rng(0)
    for band in (2, 3, 4, 10):
        raster(tmp_path / "in" / f"sat_B{band}.tif", rng.integers(1, 9000, (1, 128, 128), dtype="uint16"))
    raster(tmp_path / "in" / "dsm_cm.tif", rng.normal(40_000, 200, (1, 128, 128)).astype("float32"))
    raster(tmp_path / "in" / "landcover.tif", land(rng, 128))
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    (scene,) = run.data.scenes.values()
    assert [file[-7:] for file in scene.sensors["sat"]] == ["_B2.tif", "_B3.tif", "_B4.tif", "B10.tif"]
    (height,) = (sensor for sensor in run.data.sensors.values() if sensor.kind == "surface")
    assert height.scaling.factor == 0.01 and "taken for centimetres" in text and height.relief == (0,)
    assert run.data.split.by == "block" and run.data.split.size**2 * 30 < 128**2 < run.data.split.size**2 * 128


@pytest.mark.parametrize(
    ("lowest", "highest", "factor"), [(3000, 8500, 0.01), (24_000, 36_000, 0.01), (3000, 3400, None), (-3, 85, None)]
)
def test_heights_are_proposed_in_the_unit_in_which_the_check_believes_them(tmp_path, lowest, highest, factor):
    """Lowlands in centimetres look like mountains in metres, but for what lies so near to each other."""
    rng = np.random.default_rng(0)
    raster(tmp_path / "in" / "sat.tif", rng.integers(1, 9000, (3, 128, 128), dtype="uint16"))
    raster(tmp_path / "in" / "dem.tif", np.linspace(lowest, highest, 128**2, dtype="float32").reshape(1, 128, 128))
    raster(tmp_path / "in" / "landcover.tif", land(rng, 128))
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert [sensor.scaling.factor for sensor in run.data.sensors.values() if sensor.kind == "surface"] == [factor]
    (scene,) = run.data.scenes
    check(run.data, run.grid, scene, tmp_path / "checked.json")


@pytest.mark.parametrize(("unit", "factor"), [(1, None), (100, 0.01)])
def test_what_is_no_measurement_tells_nothing_of_the_unit_of_heights(tmp_path, unit, factor):
    heights = unit * np.linspace(240, 360, 128**2, dtype="float32").reshape(1, 128, 128)
    heights[0, :9] = -9999
    raster(tmp_path / "in" / "sat.tif", image(3, 128))
    raster(tmp_path / "in" / "dem.tif", heights)
    raster(tmp_path / "in" / "landcover.tif", land(np.random.default_rng(1), 128))
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    (height,) = (sensor for sensor in run.data.sensors.values() if sensor.kind == "surface")
    assert (height.nodata, height.scaling.factor) == (-9999, factor)


def test_places_without_labels_beside_one_that_is_split_by_blocks_are_only_mapped(tmp_path):
    rng = np.random.default_rng(0)
    for number, place in enumerate(["north", "south"]):
        at = PLACE @ Affine.translation(500 * number, 0)
        raster(tmp_path / "in" / f"cam_{place}.tif", rng.integers(1, 9000, (3, 128, 128), dtype="uint16"), at)
        raster(tmp_path / "in" / f"dem_{place}.tif", rng.normal(700, 9, (1, 128, 128)).astype("float32"), at)
    raster(tmp_path / "in" / "labels_south.tif", land(rng, 128), at)
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert set(run.data.scenes) == {"north", "south"} and run.data.scenes_of("train", "validation", "test") == ("south",)
    assert list(run.maps) == ["south", "north"]


def test_labels_of_which_place_nobody_can_tell_are_asked_about(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, bands in (("cam_north", 3), ("cam_south", 3), ("dem_north", 1), ("dem_south", 1)):
        raster(tmp_path / "in" / f"{name}.tif", rng.normal(700, 9, (bands, 64, 64)).astype("float32"), crs=None)
    raster(tmp_path / "in" / "labels.tif", land(rng), crs=None)
    assert main(["init", str(tmp_path / "in"), "--out", str(tmp_path / "mine.yaml")]) == 2
    assert "labels.tif: are these labels of north or south? put the name of its place" in capsys.readouterr().err


def test_what_would_be_refused_later_is_told_by_the_config(tmp_path):
    holes, wide = image(2), image(1)
    holes[0, :4], wide[0, 0] = np.nan, np.float32(-3.4028235e38)
    for number in range(4):
        at = PLACE @ Affine.translation(500 * number, 0)
        for name, values in (("2019", holes), ("no", image(3)), ("relief", wide), ("labels", land(np.random.default_rng(0)))):
            raster(tmp_path / "in" / f"{number}" / f"{name}.tif", values, at)
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert set(run.data.sensors) == {"2019", "no", "relief"} and run.grid.reference == "no"
    assert np.isnan(run.data.sensors["2019"].nodata) and run.data.sensors["relief"].nodata == float(wide.min())
    assert "NaN is taken for no measurement" in text and "stands where" not in text


def test_labels_for_training_and_for_testing_are_scenes_of_one_place(tmp_path):
    datasets.augsburg(tmp_path)
    run, text = proposed(tmp_path, tmp_path / "mine.yaml")
    place, tested = run.data.scenes.values()
    assert place.sensors == tested.sensors and {len(files) for files in place.sensors.values()} == {1} and len(place.sensors) == 3
    assert [Path(scene.labels.file).name for scene in (place, tested)] == ["TrainImage.mat", "TestImage.mat"]
    assert run.data.scenes_of("validation") == ("all",) and run.data.scenes_of("test") == ("all_test",)
    assert len(run.data.classes) == 7 and run.data.ignore == (0,) and "Not used" not in text


def test_labels_of_two_splits_may_be_of_many_places(tmp_path):
    for number in range(4):
        at = PLACE @ Affine.translation(500 * number, 0)
        for name, bands in (("opt", 3), ("sar", 2)):
            raster(tmp_path / "in" / f"{name}_{'abcd'[number]}.tif", image(bands), at)
    for name in ("gt_train", "gt_test"):
        raster(tmp_path / "in" / f"{name}.tif", np.tile(land(np.random.default_rng(0)), 30))
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert run.data.scenes_of("train") == run.data.scenes_of("validation") == tuple("abcd")
    assert run.data.scenes_of("test") == ("a_test", "b_test", "c_test", "d_test")


@pytest.mark.parametrize("names", [("TRLabel", "TSLabel"), ("gt_train", "gt_test"), ("labels-training", "labels-testing")])
def test_labels_tell_their_split_in_many_ways(tmp_path, names):
    rng = np.random.default_rng(0)
    for name in ("optical", "radar"):
        raster(tmp_path / "in" / f"{name}.tif", rng.normal(size=(2 + len(name), 64, 64)).astype("float32"))
    for name in names:
        raster(tmp_path / "in" / f"{name}.tif", land(rng))
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert [Path(scene.labels.file).stem for scene in run.data.scenes.values()] == list(names)


@pytest.mark.parametrize(("steep", "relief"), [(0.5, (0,)), (9.0, (0, 4))])
def test_hills_are_shown_with_their_slopes(tmp_path, steep, relief):
    image, at = np.random.default_rng(0).integers(1, 9000, (3, 128, 128), dtype="uint16"), PLACE @ Affine.scale(30)
    raster(tmp_path / "in" / "sat.tif", image, at)
    raster(tmp_path / "in" / "dem.tif", 1000 + steep * np.indices((1, 128, 128))[2].astype("float32"), at)
    raster(tmp_path / "in" / "landcover.tif", land(np.random.default_rng(1), 128), at)
    run, _ = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert [sensor.relief for sensor in run.data.sensors.values() if sensor.kind == "surface"] == [relief]


def test_potsdam_as_it_is_unpacked_is_three_sensors_by_tile(tmp_path):
    datasets.potsdam(tmp_path / "in")
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert sorted(it.bands for it in run.data.sensors.values()) == [1, 3, 3] and len(run.data.scenes) == 38
    for tile, scene in run.data.scenes.items():
        padded = "_".join(part.zfill(2) for part in tile.split("_"))
        files = sorted(file.rsplit("/")[-1] for (file,) in scene.sensors.values())
        assert files == [f"dsm_potsdam_{padded}.tif", f"top_potsdam_{tile}_IRRG.tif", f"top_potsdam_{tile}_RGB.tif"]
    assert len(run.data.label_colors) == 7 and "5_Labels_all/top_potsdam_4_12_label.tif: called like labels, but" in text


@pytest.mark.parametrize(
    ("made", "line"),
    [
        ([], "no labels found"),
        (["labels.tif"], "fewer than two sensors found (none)"),
        (["labels.tif", "cam.tif"], "fewer than two sensors found ("),
        (
            ["labels.tif", "cam.tif", "unplaced"],
            "no labels found (not used: labels.tif: has no CRS, others have: give it one); name",
        ),
    ],
)
def test_a_folder_that_lacks_what_it_needs_is_one_line(tmp_path, capsys, made, line):
    (tmp_path / "in").mkdir()
    for name in made:
        values = land(np.random.default_rng(0)) if name == "labels.tif" else np.random.default_rng(0).normal(size=(2, SIDE, SIDE))
        if name != "unplaced":
            crs = None if name == "labels.tif" and "unplaced" in made else UTM
            raster(tmp_path / "in" / name, values.astype("uint8" if name == "labels.tif" else "float32"), crs=crs)
    assert main(["init", str(tmp_path / "in"), "--out", str(tmp_path / "mine.yaml")]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1 and not (tmp_path / "mine.yaml").exists()


def pair(folder, kinds=("opt", "sar"), side=SIDE, **form):
    """Four places of two sensors and labels."""
    for number in range(4):
        at = {"transform": PLACE @ Affine.translation(500 * number, 0)} | form
        for bands, kind in enumerate(kinds, 2):
            raster(folder / f"{number}" / f"{kind}.tif", image(bands, side if kind == kinds[-1] else SIDE), **at)
        raster(folder / f"{number}" / "labels.tif", land(np.random.default_rng(number)), **at)


def test_more_sensors_than_may_be_are_refused_before_anything_is_timed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dis2.proposal.estimate.seconds_a_step", None)
    for day in range(1, 27):
        raster(tmp_path / "in" / f"cam_202001{day:02}.tif", image(2))
    raster(tmp_path / "in" / "labels.tif", land(np.random.default_rng(0)))
    assert main(["init", str(tmp_path / "in"), "--out", str(tmp_path / "mine.yaml")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'in'}: 26 sensors found (" in said and "at most 8 may be; list dates of one place" in said
    assert said.count("\n") == 1 and not (tmp_path / "mine.yaml").exists()


def test_a_name_that_is_none_is_refused_at_once(tmp_path, capsys):
    assert main(["init", str(tmp_path), "--out", str(tmp_path / "mine.yaml"), "--name", "my data"]) == 2
    assert capsys.readouterr().err.startswith("dis2 init: --name: 'my data' is not a name: use letters")


@pytest.mark.parametrize("name", ["two\nlines: #x", "a\u2028b\x85c", 'q"uo\\te \U0001f30d'])
def test_a_folder_may_be_called_anything(tmp_path, capsys, name):
    pair(tmp_path / name)
    (tmp_path / name / "note\n.txt").write_text("1")
    run, text = proposed(tmp_path / name, tmp_path / "mine.yaml")
    assert all(Path(file).is_file() for scene in run.data.scenes.values() for file in scene.files)
    said = capsys.readouterr()
    assert "not used: note\\n.txt: no raster\n" in said.out and not said.err and "# Not used: note\\n.txt" in text


def test_rasters_that_point_to_others_are_allowed(tmp_path, monkeypatch, capsys):
    pair(tmp_path / "in")
    for number in range(4):
        sar = tmp_path / "in" / f"{number}" / "sar.tif"
        copy(sar.rename(tmp_path / f"{number}.tif"), sar.with_suffix(".vrt"), driver="VRT")
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert run.data.allow == ("vrt",) and "# 0/sar.vrt points to other files" in text and not capsys.readouterr().err
    with allowing(run.data.allow):
        check(run.data, run.grid, "0", tmp_path / "checked.json")


@pytest.mark.parametrize(
    ("folder", "made", "line"),
    [
        ("in{1}", {}, "in{1}/0/opt.tif: Snakemake takes what is in braces for a wildcard; rename the file or folder"),
        ("in", {"crs": None, "side": 32}, "0/sar.tif: 32 x 32 pixels, but {}/0/opt.tif of the same chip (0) has 64 x 64"),
    ],
)
def test_what_the_next_step_refuses_is_told_at_once(tmp_path, capsys, folder, made, line):
    pair(tmp_path / folder, **made)
    assert main(["init", str(tmp_path / folder), "--out", str(tmp_path / "mine.yaml")]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"dis2 init: {tmp_path}/mine.yaml: data.scenes.0: ") and (tmp_path / "mine.yaml").exists()
    assert line.replace("{}", str(tmp_path / folder)) in said and "part" not in said


def test_no_config_is_overwritten(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("mine")
    assert main(["init", str(tmp_path), "--out", str(tmp_path / "mine.yaml")]) == 2
    assert "is there already" in capsys.readouterr().err and (tmp_path / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("odd", "told"), [((1,), "1/dsm.tif not in metres, as others are: mend that"), ((0, 1, 2, 3), "taken for")]
)
def test_heights_are_centimetres_only_where_most_files_say_so(tmp_path, odd, told):
    pair(tmp_path / "in")
    for number in range(4):
        high = np.random.default_rng(number).normal(400, 3, (1, SIDE, SIDE)) * (100 if number in odd else 1)
        at = PLACE @ Affine.translation(500 * number, 0)
        raster(tmp_path / "in" / f"{number}" / "dsm.tif", high.astype("float32"), at)
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    height = run.data.sensors["dsm"]
    assert told in text and height.scaling.factor == (0.01 if len(odd) == 4 else None) and height.relief == (0,)


def test_centimetres_above_the_ground_are_so_though_most_files_could_be_metres(tmp_path):
    pair(tmp_path / "in")
    for number, highest in enumerate((500, 550, 520, 2500)):
        high = np.linspace(0, highest, SIDE**2, dtype="float32").reshape(1, SIDE, SIDE)
        raster(tmp_path / "in" / f"{number}" / "ndsm.tif", high, PLACE @ Affine.translation(500 * number, 0))
    run, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert run.data.sensors["ndsm"].scaling.factor == 0.01 and "taken for centimetres" in text


def test_what_most_places_have_and_one_lacks_is_told(tmp_path, capsys):
    pair(tmp_path / "in")
    (tmp_path / "in/2/sar.tif").unlink()
    (tmp_path / "in/3/labels.tif").unlink()
    (tmp_path / "in/tiles.csv").write_text("chip,scene\n")
    proposed(tmp_path / "in", tmp_path / "mine.yaml")
    said = capsys.readouterr().out
    assert "sar: 3 of 4 footprints, not 2\n" in said and "labels: 3 of 4 footprints, not 3\n" in said and "opt:" not in said
    assert "not used: tiles.csv: a table: if it says which chips are of which scene or split, " in said


def test_a_value_of_one_file_alone_is_asked_about(tmp_path):
    pair(tmp_path / "in")
    labels = land(np.random.default_rng(1))
    labels[0, 5, 5] = 9
    raster(tmp_path / "in/1/labels.tif", labels, PLACE @ Affine.translation(500, 0))
    _, text = proposed(tmp_path / "in", tmp_path / "mine.yaml")
    assert "class_9: {values: [9]}    # 0.0% of one file alone, 1/labels.tif: is it a class?\n" in text
    assert text.count("of one file alone") == 1
