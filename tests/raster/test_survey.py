"""Every file of a folder is either a raster of which the truth is told, or told of with a reason."""

import numpy as np
import pytest
import rasterio
from scipy.io import savemat

from dis2.raster.survey import survey
from tests.made import UTM, raster

VALUES = np.arange(12, dtype="uint8").reshape(1, 3, 4)


def test_what_is_seen_of_rasters_is_what_is_in_them(tmp_path):
    heights = np.where(VALUES == 5, -9999, VALUES * 1.5 + 0.5).astype("float32")
    raster(tmp_path / "a" / "heights.tif", heights, nodata=-9999)
    raster(tmp_path / "b.tif", np.concatenate([VALUES] * 3) * 0, crs=None, alpha=np.arange(12).reshape(3, 4) > 2)
    seen = {one.path: one for one in survey(tmp_path)[0]}
    high = seen["a/heights.tif"]
    assert (high.bands, high.dtype, high.crs, high.resolution, high.nodata) == (1, "float32", UTM.to_string(), 1, -9999)
    assert (high.low, high.high, high.valid) == (0.5, 17, 11 / 12) and not high.values
    dark = seen["b.tif"]
    assert (dark.bands, dark.alpha, dark.crs, dark.zeros, dark.valid) == (3, True, None, 1, 9 / 12)
    assert dark.values == {0: 9}


def test_values_and_colours_are_counted_while_they_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr("dis2.raster.survey.SIDE", 2)
    raster(tmp_path / "few.tif", VALUES % 3)
    colors = np.zeros((3, 3, 4), "uint8")
    colors[0], colors[2, 1] = 255, 16
    raster(tmp_path / "colors.tif", colors)
    raster(tmp_path / "many.tif", np.arange(100, dtype="uint8").reshape(1, 10, 10))
    seen = {one.path: one.values for one in survey(tmp_path)[0]}
    assert seen == {"few.tif": {0: 4, 1: 4, 2: 4}, "colors.tif": {0xFF0000: 8, 0xFF0010: 4}, "many.tif": {}}


def test_arrays_of_a_matlab_file_are_rasters_each(tmp_path):
    savemat(tmp_path / "one.mat", {"cube": np.zeros((4, 5, 3)), "note": "text"})
    savemat(tmp_path / "two.MAT", {"a": np.zeros((4, 5)), "b": np.ones((4, 5))})
    savemat(tmp_path / "none.mat", {"note": "text"})
    seen, others = survey(tmp_path)
    assert [(one.path, one.bands) for one in seen] == [("one.mat", 3), ("two.MAT:a", 1), ("two.MAT:b", 1)]
    assert others == {"none.mat": "no array of rows and columns"}


def test_other_files_are_told_with_a_reason_and_what_belongs_to_rasters_is_not(tmp_path):
    raster(tmp_path / "a.tif", VALUES)
    for name in (
        "a.tfw",
        "a.tif.aux.xml",
        ".hidden.tif",
        "notes.txt",
        "more.zip",
        "fields.gpkg",
        "broken.tif",
        "also\xa0broken\n.tif",
    ):
        (tmp_path / name).write_text("1\n" * 6)
    seen, others = survey(tmp_path)
    assert [one.path for one in seen] == ["a.tif"]
    for broken in ("broken.tif", "also\xa0broken\n.tif"):
        assert others.pop(broken).startswith("not a readable raster")
    assert others == {
        "notes.txt": "no raster",
        "more.zip": "unpack it",
        "fields.gpkg": "labels as shapes: write labels: {file: ..., attribute: ...} in the config",
    }


def test_what_links_lead_back_to_is_looked_at_once_by_its_own_name_and_what_lies_elsewhere_too(tmp_path):
    for name in ("in/a/1.tif", "in/b/2.tif", "elsewhere/3.tif"):
        raster(tmp_path / name, VALUES)
    links = {"in/a/parent": "..", "in/a/top": "../..", "in/a/next": "../b", "in/c": "../elsewhere", "elsewhere/back": "../in"}
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    seen, others = survey(tmp_path / "in")
    assert [one.path for one in seen] == ["a/1.tif", "b/2.tif", "c/3.tif"]
    assert others == dict.fromkeys(("a/next", "a/parent", "a/top", "c/back"), "leads back to what is looked at already")


def test_a_cube_with_a_header_is_a_raster_whatever_its_ending(tmp_path):
    with rasterio.open(tmp_path / "cube.dat", "w", driver="ENVI", width=4, height=3, count=5, dtype="float32") as cube:
        cube.write(np.zeros((5, 3, 4), "float32"))
    seen, others = survey(tmp_path)
    assert [(one.path, one.bands) for one in seen] == [("cube.dat", 5)] and not others


@pytest.mark.parametrize(("odd", "told"), [([], ""), ([np.nan], "NaN"), ([np.nan, -np.inf], "infinity")])
def test_what_is_no_number_where_something_should_be_measured_is_told(tmp_path, odd, told):
    values = VALUES.astype("float32")
    values[0, 0, : len(odd)] = odd
    raster(tmp_path / "a.tif", values)
    (one,) = survey(tmp_path)[0]
    assert one.untold == told and (one.low, one.high) == (len(odd), 11)
