"""What rasters are taken for, by their names, bands and values."""

from collections import Counter

import pytest

from dis2.proposal.kinds import apart_from_labels, has_few_values, is_height, train_and_test
from dis2.raster.survey import Seen


def seen(path, bands=1, values=(), **told):
    """A raster of this name, with these values where they are few."""
    told = {"dtype": "uint8", "crs": "EPSG:32612", "resolution": 10.0, "valid": 1.0} | told
    size = {"height": 8, "width": 8, "nodata": None, "alpha": False, "low": 0.0, "high": 9.0, "zeros": 0.0}
    return Seen(path, bands, values=Counter(values), **told, **size)


def test_what_is_called_labels_is_taken_for_them_and_what_else_has_few_values_is_not():
    labels, water, image = seen("gt_1.tif", values=[0, 1]), seen("water_1.tif", values=[0, 1]), seen("s2_1.tif", 4)
    assert apart_from_labels([image, labels, water], {}) == ([labels], [image, water], {})
    assert apart_from_labels([image, water], {}) == ([water], [image], {})


def test_a_raster_without_valid_pixels_or_without_the_crs_of_the_others_is_told():
    labels, empty, nowhere = seen("gt_1.tif", values=[0, 1]), seen("s2_1.tif", 4, valid=0.0), seen("sar_1.tif", 2, crs=None)
    assert apart_from_labels([labels, empty, nowhere], {"a.txt": "no raster"})[2] == {
        "a.txt": "no raster",
        "sar_1.tif": "has no CRS, others have: give it one",
        "s2_1.tif": "no valid pixel",
    }


@pytest.mark.parametrize(("bands", "why"), [(1, "not of 2 to"), (4, "of 4 bands: name one in a config")])
def test_why_what_is_called_labels_is_not_taken_for_them_is_told(bands, why):
    labels, odd = seen("gt_1.tif", values=[0, 1]), seen("labels_2.tif", bands)
    assert why in apart_from_labels([labels, odd], {})[2]["labels_2.tif"]


def test_heights_are_called_so_and_have_one_band_and_few_values_do_not_make_them_a_mask():
    assert is_height(seen("nDSM_3.tif")) and not is_height(seen("dsm_rgb.tif", 3)) and not is_height(seen("sar.tif"))
    assert has_few_values(seen("mask.tif", values=[0, 1])) and not has_few_values(seen("dsm.tif", values=[0, 1]))


def test_labels_of_one_place_for_training_and_for_testing_are_told_apart():
    train, test, image = seen("gt_train.mat"), seen("gt_test.mat"), seen("hsi.mat", 9)
    assert train_and_test([test, train], [image]) == (train, test)
    assert train_and_test([train, seen("other_test.mat")], [image]) == (None, None)
    assert train_and_test([train, test], [seen("hsi_train.mat", 9)]) == (None, None)
