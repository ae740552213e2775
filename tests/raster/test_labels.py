"""Labels of rasters and of polygons are the same classes, and what means nothing is one line."""

import json
import re

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer

from dis2.config.data import IGNORE, Labels
from dis2.errors import UserError
from dis2.raster.grid import Grid, Window
from dis2.raster.labels import open_labels
from tests import datasets
from tests.made import NEXT_UTM, PLACE, UTM, data_of, raster

pytestmark = pytest.mark.filterwarnings("ignore:'crs' was not provided")
GRID = Grid(UTM, PLACE, 20, 24)
CLASSES = {"mud": {"values": [10, "silt"]}, "reed": {}, "sand": {"values": [30, 31]}}
DATA = data_of({}, classes={name: spec | ({} if spec else {"values": [20]}) for name, spec in CLASSES.items()}, ignore=[0, 99])


def read(file, grid=GRID, attribute=None, window=None, data=DATA, resampling=None):
    with open_labels(Labels(file=str(file), attribute=attribute, resampling=resampling), data, grid) as reader:
        return reader.read(window or Window(0, 0, grid.height, grid.width))


def test_values_become_the_index_of_their_class(tmp_path):
    values = np.resize([10, 20, 30, 31, 0, 99], (1, 20, 24)).astype("int32")
    wanted = np.resize([0, 1, 2, 2, IGNORE, IGNORE], (20, 24))
    assert np.array_equal(read(raster(tmp_path / "a.tif", values)), wanted)
    assert np.array_equal(read(raster(tmp_path / "b.tif", values.astype("float32"))), wanted)


def test_without_values_a_class_is_its_place_in_the_list(tmp_path):
    values = np.resize([0, 1, 2, 255], (1, 20, 24)).astype("uint8")
    assert np.array_equal(read(raster(tmp_path / "a.tif", values), data=data_of({})), values[0])


NLCD = {
    "water": {"values": [11]},
    "developed": {"values": [21, 22, 23, 24]},
    "forest": {"values": [41, 42, 43]},
    "crop": {"values": [81, 82]},
}


def test_codes_of_a_land_cover_map_become_classes_and_some_are_ignored(tmp_path):
    codes = {11: 0, 21: 1, 22: 1, 23: 1, 24: 1, 41: 2, 42: 2, 43: 2, 81: 3, 82: 3, 12: IGNORE, 31: IGNORE, 0: IGNORE}
    values = np.resize(list(codes), (1, 20, 24)).astype("uint8")
    data = data_of({}, classes=NLCD, ignore=[0, 12, 31])
    assert np.array_equal(read(raster(tmp_path / "a.tif", values), data=data)[:, :], np.vectorize(codes.get)(values[0]))


@pytest.mark.parametrize(("resampling", "taken"), [(None, 0), ("mode", 0), ("nearest", 2)])
def test_much_finer_labels_are_taken_as_asked_for(tmp_path, resampling, taken):
    fine = np.full((1, 60, 72), 10, "uint8")
    fine[:, 1::3, 1::3] = 30  # in the middle of every pixel of the grid
    file = raster(tmp_path / "a.tif", fine, PLACE @ Affine.scale(1 / 3))
    assert (read(file, resampling=resampling) == taken).all()


def test_the_mode_does_not_count_what_has_no_value_but_does_what_is_ignored(tmp_path):
    fine = np.full((1, 60, 72), 7, "uint8")
    fine[:, ::3, ::3] = 10
    fine[:, 30:] = 99
    fine[:, 30::3, ::3] = 10
    labels = read(raster(tmp_path / "a.tif", fine, PLACE @ Affine.scale(1 / 3), nodata=7), resampling="mode")
    assert (labels[:10] == 0).all() and (labels[10:] == IGNORE).all()


def test_nodata_and_what_lies_beyond_the_raster_have_no_class(tmp_path):
    values = np.full((1, 10, 10), 10, "uint8")
    values[0, 0] = 7
    labels = read(raster(tmp_path / "a.tif", values, PLACE @ Affine.translation(5, 5), nodata=7))
    assert (labels[6:15, 5:15] == 0).all() and (labels != IGNORE).sum() == 90


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.full((1, 20, 24), 11, "uint8"), "label value 11 is no class; known: 0, 10, 20, 30, 31, 99"),
        (np.full((1, 20, 24), 10.5, "float32"), "label value 10.5 is no class"),
        (np.full((3, 20, 24), 10, "uint8"), "3 bands; labels have one band"),
    ],
    ids=["unknown", "fraction", "colours"],
)
def test_a_raster_that_tells_no_classes_is_one_line(tmp_path, values, told):
    with pytest.raises(UserError, match=told) as caught:
        read(raster(tmp_path / "a.tif", values))
    assert "a.tif" in str(caught.value) and "\n" not in str(caught.value)


def box(left, top, right, bottom, transform=PLACE):
    """A rectangle in pixels of the grid."""
    return shapely.Polygon([transform @ corner for corner in ((left, top), (right, top), (right, bottom), (left, bottom))])


def polygons(path, boxes, values, crs="EPSG:32633", name="cover"):
    pyogrio.raw.write(path, shapely.to_wkb(np.array(boxes)), [np.array(values)], [name], geometry_type="Polygon", crs=crs)
    return path


BOXES = [box(0, 0, 12, 10), box(6, 4, 20, 16), box(2, 12, 5, 18), shapely.Polygon()]
WANTED = np.full((20, 24), IGNORE)
WANTED[0:10, 0:12], WANTED[4:16, 6:20], WANTED[12:18, 2:5] = 0, 2, 1


@pytest.mark.parametrize("values", [["mud", "sand", "reed", "mud"], ["silt", "30", "20", "0"]], ids=["names", "values"])
@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_polygons_become_classes_and_the_later_one_wins(tmp_path, values, suffix):
    file = polygons(tmp_path / f"a.{suffix}", BOXES, values)
    assert np.array_equal(read(file, attribute="cover"), WANTED)
    window = Window(3, 5, 11, 13)
    assert np.array_equal(read(file, attribute="cover", window=window), WANTED[window.slices])


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_an_attribute_may_be_a_number(tmp_path, dtype):
    file = polygons(tmp_path / "a.gpkg", BOXES, np.array([10, 31, 20, 99], dtype))
    assert np.array_equal(read(file, attribute="cover"), WANTED)


def test_polygons_of_another_crs_come_to_their_place(tmp_path):
    there = shapely.segmentize(BOXES[0], 1)
    away = Transformer.from_crs(UTM.to_wkt(), NEXT_UTM.to_wkt(), always_xy=True)
    moved = shapely.transform(there, lambda xy: np.column_stack(away.transform(xy[:, 0], xy[:, 1])))
    labels = read(polygons(tmp_path / "a.gpkg", [moved], ["mud"], crs="EPSG:32632"), attribute="cover")
    assert (labels[1:9, 1:11] == 0).all() and (labels[:, 13:] == IGNORE).all() and (labels[11:] == IGNORE).all()


def test_without_georeference_polygons_are_in_columns_and_rows(tmp_path):
    file = polygons(tmp_path / "a.shp", [box(2, 3, 5, 9, Affine.identity())], ["mud"], crs=None)
    labels = read(file, Grid(None, Affine.identity(), 20, 24), "cover")
    assert (labels[3:9, 2:5] == 0).all() and (labels == 0).sum() == 18


@pytest.mark.parametrize(
    ("attribute", "value", "crs", "told"),
    [
        ("covre", "mud", "EPSG:32633", "no attribute 'covre'; name one of those that there are: cover"),
        ("cover", "lava", "EPSG:32633", "cover = lava is no class; known: 10, silt, mud"),
        ("cover", "mud", None, "has no CRS"),
    ],
    ids=["attribute", "value", "CRS"],
)
def test_polygons_that_tell_no_classes_are_one_line(tmp_path, attribute, value, crs, told):
    with pytest.raises(UserError, match=told) as caught:
        read(polygons(tmp_path / "a.shp", BOXES[:1], [value], crs), attribute=attribute)
    assert "a.shp" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "no such file; correct the path"), (json.dumps([1]), "no readable vector file")],
    ids=["missing", "JSON"],
)
def test_a_vector_file_that_cannot_be_read_is_one_line(tmp_path, content, told):
    if content:
        (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(UserError, match=told) as caught:
        read(tmp_path / "a.geojson", attribute="cover")
    assert "\n" not in str(caught.value)


COLORED = {"mud": {"values": ["#ffffff"]}, "reed": {"values": ["#00FF00", "#008000"]}, "sand": {"values": ["#ffff00"]}}
PALETTE = np.array([[255, 255, 255], [0, 255, 0], [0, 128, 0], [255, 255, 0], [0, 0, 0]], "uint8")
MEANT = np.array([0, 1, 1, 2, IGNORE])


def painted(path, indices, transform=PLACE, **more):
    return raster(path, np.moveaxis(PALETTE[indices], -1, 0), transform, **more)


def colored(**more):
    return data_of({}, classes=COLORED, ignore=["#000000"], **more)


def test_colours_become_the_index_of_their_class(tmp_path, monkeypatch):
    monkeypatch.setattr("dis2.raster.labels.STRIP", 16)
    indices = np.random.default_rng(0).integers(0, 5, (20, 24))
    assert np.array_equal(read(painted(tmp_path / "a.tif", indices), data=colored()), MEANT[indices])
    pixels = Grid(None, Affine.identity(), 20, 24)
    assert np.array_equal(read(painted(tmp_path / "b.tif", indices, crs=None), pixels, data=colored()), MEANT[indices])
    seen = read(painted(tmp_path / "c.tif", indices, alpha=indices != 3), data=colored())
    assert np.array_equal(seen, np.where(indices == 3, IGNORE, MEANT[indices]))


@pytest.mark.parametrize("nodata", [0, 255])
def test_a_colour_is_measured_unless_all_its_bands_are_nodata(tmp_path, nodata):
    """Of ISPRS's colours each but white has a band of 0, and each a band of 255."""
    colors = np.concatenate([datasets.PALETTE, np.zeros((1, 3), "uint8")])
    unmeasured = (colors == nodata).all(1) | (np.arange(7) == 6)
    told = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colors]
    classes = {f"class_{n}": {"values": [told[n]]} for n in np.flatnonzero(~unmeasured)}
    indices = np.resize(np.arange(7), (20, 24))
    seen = read(
        raster(tmp_path / "a.tif", np.moveaxis(colors[indices], -1, 0), nodata=nodata),
        data=data_of({}, classes=classes, ignore=["#000000"]),
    )
    assert np.array_equal(seen, np.where(unmeasured, IGNORE, np.cumsum(~unmeasured) - 1)[indices])


@pytest.mark.parametrize("colored", [False, True])
def test_labels_whose_nodata_means_a_class_are_refused(tmp_path, colored):
    """Its pixels would have no class, and nobody would be told."""
    values = np.full((3 if colored else 1, 20, 24), 255, "uint8")
    file = raster(tmp_path / "a.tif", values, nodata=255)
    white = ["#FFFFFF"] if colored else [255]
    data = data_of({}, classes={"roads": {"values": white}, "trees": {"values": ["#00ff00" if colored else 1]}}, ignore=[])
    told = f"a.tif: nodata 255, no measurement, is also what means class roads ({white[0]}); remove it"
    with pytest.raises(UserError, match=re.escape(told)):
        read(file, data=data)
    with rasterio.open(file, "r+") as dataset:
        dataset.nodata = None
    assert (read(file, data=data) == 0).all()


@pytest.mark.parametrize(("tolerance", "refused"), [(0, False), (1, True)])
def test_nodata_that_is_as_good_as_the_colour_of_a_class_is_refused(tmp_path, tolerance, refused):
    file = raster(tmp_path / "a.tif", np.full((3, 20, 24), 255, "uint8"), nodata=255)
    classes = {"roads": {"values": ["#fefefe"]}, "trees": {"values": ["#00ff00"]}}
    data = data_of({}, classes=classes, tolerance=tolerance)
    if refused:
        with pytest.raises(UserError, match="is also what means class roads"):
            read(file, data=data)
    else:
        assert (read(file, data=data) == IGNORE).all()


def test_a_colour_that_is_clear_may_mean_nothing(tmp_path):
    indices = np.random.default_rng(0).integers(0, 4, (20, 24))
    clear = indices == 3
    bands = np.where(clear, 0, np.moveaxis(PALETTE[indices], -1, 0))
    data = data_of({}, classes=COLORED)
    seen = read(raster(tmp_path / "a.tif", bands, alpha=~clear), data=data)
    assert np.array_equal(seen, np.where(clear, IGNORE, MEANT[indices]))
    clear[19, 23], bands[:, 19, 23] = False, 0
    with pytest.raises(UserError, match="a.tif: colour #000000 at row 19, column 23 is no class"):
        read(raster(tmp_path / "a.tif", bands, alpha=~clear), data=data)


def test_colours_of_much_finer_labels_are_never_mixed(tmp_path):
    """Between white and green lies no third class, though yellow is the sum of their parts."""
    fine = np.random.default_rng(0).choice([0, 1], (80, 96), p=[0.6, 0.4])
    seen = read(painted(tmp_path / "a.tif", fine, PLACE @ Affine.scale(1 / 4)), data=colored())
    share = fine.reshape(20, 4, 24, 4).mean((1, 3))
    clear = share != 0.5
    assert np.array_equal(seen[clear], (share > 0.5)[clear].astype(int))


def test_a_wrong_colour_is_one_line_with_its_place_and_may_be_allowed_for(tmp_path):
    indices = np.zeros((20, 24), int)
    file = painted(tmp_path / "a.tif", indices)
    with rasterio.open(file, "r+") as out:
        bands = out.read()
        bands[:, 7, 3] = [252, 255, 0]
        out.write(bands)
    said = (
        "a.tif: colour #fcff00 at row 7, column 3 is no class; known: #000000, #008000, #00ff00, #ffff00, #ffffff; .*by up to 3"
    )
    with pytest.raises(UserError, match=said):
        read(file, data=colored())
    with pytest.raises(UserError, match=said):
        read(file, data=colored(tolerance=2))
    seen = read(file, data=colored(tolerance=3))
    assert seen[7, 3] == 2 and (np.delete(seen.ravel(), 7 * 24 + 3) == 0).all()


@pytest.mark.parametrize(("spoilt", "refused"), [(100, False), (300, True)])
def test_colours_of_which_many_are_far_from_all_that_mean_something_are_refused_though_none_is_too_far(tmp_path, spoilt, refused):
    """Of 480 pixels three tenths may be so, as in files that were packed with loss, or resampled."""
    bands = np.moveaxis(PALETTE[np.zeros((20, 24), int)], -1, 0).copy()
    bands.reshape(3, -1)[:, :spoilt] -= 90
    file, data = raster(tmp_path / "a.tif", bands), colored(tolerance=127)
    if refused:
        with pytest.raises(UserError, match="a.tif: 62% of its pixels are more than 64 from every colour of a class; give the"):
            read(file, data=data)
    else:
        assert (read(file, data=data) == MEANT[0]).all()


@pytest.mark.parametrize(("bands", "dtype"), [(1, "uint8"), (4, "uint8"), (3, "uint16")])
def test_labels_that_hold_no_colours_though_classes_do_are_one_line(tmp_path, bands, dtype):
    file = raster(tmp_path / "a.tif", np.zeros((bands, 20, 24), dtype), photometric="minisblack")
    with pytest.raises(UserError, match=f"a.tif: {bands} bands of {dtype}; labels in colour have red, green and blue in uint8"):
        read(file, data=colored())


def test_colours_that_classes_do_not_tell_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"3 bands; labels have one band .* or the classes' colours \(values: \['#ffffff'\]\)"):
        read(painted(tmp_path / "a.tif", np.zeros((20, 24), int)))
