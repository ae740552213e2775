"""What belongs together in folders as people have them: names alone, or names and where rasters lie."""

import numpy as np
import pytest
from affine import Affine

from dis2.proposal.grouping import overlap, sorted_out
from dis2.raster.survey import survey
from tests.made import PLACE, raster
from tests.proposal.made import image, land

LAND = land(np.random.default_rng(0))


def grouped(folder, files):
    """What is found in a folder of these files: (name, raster, how far east), and the sensors' names with their footprints."""
    for name, values, east in files:
        raster(folder / name, values, None if east is None else PLACE @ Affine.translation(east, 0))
    found = sorted_out(*survey(folder), folder)
    return found, {group.name: list(group.files) for group in found.sensors}


def test_labels_are_what_is_called_so_and_masks_of_clouds_are_neither_labels_nor_sensors(tmp_path):
    files = [
        (f"{folder}/Bolivia_{i}_{kind}.tif", values, 500 * i)
        for i in range(2)
        for folder, kind, values in (
            ("S1", "S1Hand", image(2)),
            ("S2", "S2Hand", image(4)),
            ("label", "LabelHand", LAND),
            ("water", "WaterHand", LAND),
            ("clouds", "cloud_mask", LAND),
        )
    ]
    found, sensors = grouped(tmp_path, files)
    assert sensors == {"s1_s1hand": ["0", "1"], "s2_s2hand": ["0", "1"]}
    assert {one.path for one in found.labels.every} == {f"label/Bolivia_{i}_LabelHand.tif" for i in range(2)}
    assert found.unused["water/Bolivia_0_WaterHand.tif"].startswith("few whole numbers")
    assert found.unused["clouds/Bolivia_1_cloud_mask.tif"] == "a mask, or tells of quality"


def test_chips_of_background_alone_keep_their_labels(tmp_path):
    kinds = {"opt": image(3), "sar": image(2)}
    files = [(f"{kind}/chip_{i}.tif", values, 500 * i) for i in range(4) for kind, values in kinds.items()]
    files += [(f"mask/chip_{i}.tif", LAND * (i == 3), 500 * i) for i in range(4)]
    assert list(grouped(tmp_path, files)[0].labels.files) == ["0", "1", "2", "3"]


def test_landsat_is_not_land_cover(tmp_path):
    files = [(f"{kind}_{i}.tif", image(bands), 500 * i) for i in range(2) for kind, bands in (("LC08", 5), ("S1", 2))]
    files += [(f"lc_{i}.tif", LAND, 500 * i) for i in range(2)]
    assert grouped(tmp_path, files)[1] == {"lc08": ["0", "1"], "s1": ["0", "1"]}


def test_words_by_which_labels_are_called_are_places_and_no_sensors(tmp_path):
    kinds = {"rgb": image(3), "dsm": image(1), "labels": LAND}
    files = [
        (f"{kind}/{city}/00{i}.tif", values, None)
        for city in ("berlin", "munich")
        for i in range(3)
        for kind, values in kinds.items()
    ]
    places = [f"{city}_{i}" for city in ("berlin", "munich") for i in range(3)]
    assert grouped(tmp_path, files)[1] == {"rgb": places, "dsm": places}


@pytest.mark.parametrize("words", [("pre", "post"), ("t1", "t2"), ("dsm", "dtm")])
def test_what_goes_with_every_place_is_a_sensor_though_labels_are_called_so(tmp_path, words):
    files = [(f"{word}_{i}.tif", image(1), 500 * i) for i in range(3) for word in words]
    files += [(f"labels_{words[1]}_{i}.tif", LAND, 500 * i) for i in range(3)]
    assert grouped(tmp_path, files)[1] == dict.fromkeys(words, ["0", "1", "2"])


def test_one_raster_of_labels_or_of_heights_may_cover_many_places(tmp_path):
    files = [(f"{place}/s1.tif", image(2), 500 * i) for i, place in enumerate("abc")]
    files += [("region_dem.tif", np.tile(image(1), 30), 0), ("region_landcover.tif", np.tile(LAND, 30), 0)]
    found, sensors = grouped(tmp_path, files)
    assert list(found.labels.files) == ["a", "b", "c"] and len({one.path for one in found.labels.every}) == 1
    assert sensors == {"s1": ["a", "b", "c"], "region_dem": ["a", "b", "c"]}


def test_a_mask_of_one_value_and_what_lies_elsewhere_are_told(tmp_path):
    files = [(f"{kind}_{i}.tif", image(bands), 500 * i) for i in range(2) for kind, bands in (("opt", 3), ("sar", 2))]
    files += [(f"aoi_mask/{i}.tif", LAND * 0 + 1, 500 * i) for i in range(2)] + [
        ("labels/0.tif", LAND, 0),
        ("far.tif", image(4), 9000),
    ]
    found, sensors = grouped(tmp_path, files)
    assert (
        list(found.labels.files) == ["0"]
        and found.labels.values == {0, 1, 2}
        and sensors == {"opt": ["0", "1"], "sar": ["0", "1"]}
    )
    assert set(found.unused) == {"aoi_mask/0.tif", "aoi_mask/1.tif", "far.tif"}


def test_clouds_are_labels_where_nothing_else_is(tmp_path):
    files = [(f"{kind}_{i}.tif", image(bands), 500 * i) for i in range(2) for kind, bands in (("opt", 3), ("sar", 2))]
    assert list(grouped(tmp_path, files + [(f"cloud_mask_{i}.tif", LAND, 500 * i) for i in range(2)])[0].labels.files) == [
        "0",
        "1",
    ]


@pytest.mark.parametrize("names", [("before", "after"), ("dsm", "dtm"), ("s2_2019", "s2_2021")])
def test_rasters_of_one_place_are_its_sensors(tmp_path, names):
    bands = 1 if "dsm" in names else 3
    found, sensors = grouped(tmp_path, [(f"{name}.tif", image(bands), 0) for name in names] + [("labels.tif", LAND, 0)])
    assert len(sensors) == 2 and found.footprints == list(found.labels.files)


def test_overlap_is_the_share_of_the_smaller_one(tmp_path):
    for name, side, east in (("a", 64, 0), ("b", 32, 48), ("c", 64, 500)):
        raster(tmp_path / f"{name}.tif", image(1, side), PLACE @ Affine.translation(east, 0))
    a, b, c = survey(tmp_path)[0]
    assert overlap(a, b) == overlap(b, a) == pytest.approx(0.5, abs=0.05) and overlap(a, c) == 0


def test_moments_of_places_that_are_in_the_names_of_labels_are_sensors_and_events_are_places(tmp_path):
    events, moments = ("guatemala-volcano", "hurricane-harvey"), ("pre", "post")
    names = [f"{event}_{i}_{moment}" for event in events for i in range(3) for moment in moments]
    files = [(f"images/{name}.png", image(3).astype("uint8"), None) for name in names]
    files += [(f"targets/{name}_target.png", LAND, None) for name in names]
    places = [f"{event.replace('-', '_')}_{i}" for event in events for i in range(3)]
    assert grouped(tmp_path, files)[1] == dict.fromkeys(moments, places)


def test_kinds_of_heights_are_sensors_of_places_however_few(tmp_path):
    files = [(f"{kind}_{i}.tif", image(1), None) for i in range(2) for kind in ("dsm", "dtm")]
    assert grouped(tmp_path, files + [(f"gt_{i}.tif", LAND, None) for i in range(2)])[1] == dict.fromkeys(
        ("dsm", "dtm"), ["0", "1"]
    )


def test_the_finest_of_the_files_of_a_sensor_stands_first(tmp_path):
    for i in range(2):
        raster(tmp_path / f"p{i}" / "S2_B01.tif", image(1, 32), PLACE @ Affine.translation(500 * i, 0) @ Affine.scale(2))
    kinds = {"S2_B02": image(1), "rgb": image(3), "labels": LAND}
    found, _ = grouped(tmp_path, [(f"p{i}/{kind}.tif", values, 500 * i) for i in range(2) for kind, values in kinds.items()])
    assert ["p1/S2_B02.tif", "p1/S2_B01.tif"] in [[one.path for one in group.files["p1"]] for group in found.sensors]


@pytest.mark.parametrize(("where", "stray"), [("a", "opticalold"), ("d", "x2019")])
def test_a_raster_that_is_called_otherwise_takes_its_sensor_from_no_place(tmp_path, where, stray):
    kinds = {"optical": image(4), "sar": image(2), "labels": LAND}
    files = [(f"{place}/{kind}.tif", values, 500 * i) for i, place in enumerate("abcd") for kind, values in kinds.items()]
    found, sensors = grouped(tmp_path, [*files, (f"{where}/{stray}.tif", image(4), 500 * "abcd".index(where))])
    assert sensors == {"optical": [*"abcd"], "sar": [*"abcd"]} and list(found.labels.files) == [*"abcd"]
    assert found.unused == {f"{where}/{stray}.tif": f"few places have one called so; {where}/optical.tif is used"}


def test_sensors_of_one_kind_may_be_missing_in_a_place(tmp_path):
    files = [(f"{place}/{kind}.tif", image(3), 500 * i) for i, place in enumerate("abc") for kind in ("before", "after")]
    files += [(f"{place}/labels.tif", LAND, 500 * i) for i, place in enumerate("abc")]
    found, sensors = grouped(tmp_path, [one for one in files if one[0] != "c/after.tif"])
    assert sensors == {"before": [*"abc"], "after": [*"ab"]} and not found.unused


def test_labels_that_are_not_used_are_told_with_those_of_the_same_place(tmp_path):
    kinds = {"opt/{}": image(3), "sar/{}": image(2), "labels/{}": LAND, "labels_eroded/{}": LAND}
    files = [(f"{kind.format(area)}.tif", it, 500 * i) for i, area in enumerate(["area1", "area2"]) for kind, it in kinds.items()]
    unused = grouped(tmp_path, files)[0].unused
    assert unused == {f"labels_eroded/{it}.tif": f"labels too, but labels/{it}.tif is used" for it in ("area1", "area2")}


@pytest.mark.parametrize("days", [("20200101", "20200103", "20200211"), ("20200101", "20200101", "20200211")])
def test_each_place_may_have_a_date_of_its_own_which_labels_do_not_tell(tmp_path, days):
    kinds = {"s2_{}": image(4), "s1_{}": image(2), "labels": LAND}
    placed = enumerate(zip("abc", days, strict=True))
    files = [(f"{at}/{kind.format(day)}.tif", it, 500 * i) for i, (at, day) in placed for kind, it in kinds.items()]
    found, sensors = grouped(tmp_path, files)
    assert sensors == {"s1": [*"abc"], "s2": [*"abc"]} and not found.unused


@pytest.mark.parametrize(("whole", "used"), [(3, "labels"), (1, "labels_noBoundary")])
def test_labels_without_boundaries_are_used_only_where_there_are_few_others(tmp_path, whole, used):
    kinds = {"opt": image(3), "sar": image(2), "labels_noBoundary": LAND}
    files = [(f"{kind}/area{i}.tif", values, None) for i in range(4) for kind, values in kinds.items()]
    files += [(f"labels/area{i}.tif", LAND, None) for i in range(whole)]
    assert {one.path.split("/")[0] for one in grouped(tmp_path, files)[0].labels.every} == {used}
