"""Arrays of MATLAB files: plain numbers are read, nothing else is, and what cannot be read is one line."""

import numpy as np
import pytest
from scipy.io import savemat

from dis2.errors import UserError
from dis2.raster.cube import arrays_of
from dis2.raster.warp import open_raster

CUBE = np.arange(4 * 5 * 3, dtype="int16").reshape(4, 5, 3)


class Trap:
    """Would say so if it were made anew from a file."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_the_only_raster_needs_no_name_and_others_do(tmp_path):
    one, several = tmp_path / "one.mat", tmp_path / "several.mat"
    savemat(one, {"cube": CUBE, "wavelengths": np.arange(3.0), "about": "a text", "more": {"a": 1}})
    savemat(several, {"cube": CUBE, "flat": CUBE[..., 0], "there": CUBE[..., 0] > 7})
    with open_raster(one) as source:
        assert source.shape == (4, 5) and np.array_equal(source.read(), np.moveaxis(CUBE, 2, 0)) and source.dtypes[0] == "int16"
    with open_raster(f"{several}:there") as source:
        assert source.dtypes == ("uint8",) and np.array_equal(source.read(1), CUBE[..., 0] > 7)
    with pytest.raises(UserError, match=r"3 arrays .* \(cube \(4 x 5 x 3\), .*\); name one, as in .*several.mat:NAME"):
        open_raster(several)
    with pytest.raises(UserError, match=r"several.mat:cub: no array of numbers named 'cub'; there are: cube"):
        open_raster(f"{several}:cub")


def test_the_ending_may_be_in_capitals(tmp_path):
    savemat(tmp_path / "A.MAT", {"cube": CUBE, "flat": CUBE[..., 0]})
    with open_raster(f"{tmp_path}/A.MAT:cube") as source:
        assert np.array_equal(source.read(), np.moveaxis(CUBE, 2, 0))


def test_a_file_that_was_changed_is_read_anew(tmp_path):
    path = tmp_path / "a.mat"
    for values in (CUBE, CUBE[:, :4] + 1):
        savemat(path, {"cube": values})
        with open_raster(path) as source:
            assert np.array_equal(source.read(), np.moveaxis(values, 2, 0))


def test_structs_cells_and_texts_are_no_rasters(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"cell": np.array([[CUBE, "x"], ["y", "z"]], object), "struct": {"cube": CUBE}, "text": ["ab", "cd"]})
    assert arrays_of(path) == {}
    with pytest.raises(UserError, match="a.mat: no array of rows and columns, or of rows, columns and bands; save one"):
        open_raster(path)
    with pytest.raises(UserError, match="no array of numbers named 'cell'"):
        open_raster(f"{path}:cell")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(512),
            "MATLAB 7.3, which is HDF5; save it with -v7",
        ),
        (b"no matlab file at all".ljust(200), "no readable MATLAB file"),
        (b"", "no readable MATLAB file"),
    ],
)
def test_what_is_no_readable_file_is_one_line(tmp_path, content, line):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match=line):
        open_raster(tmp_path / "a.mat")
    with pytest.raises(UserError, match="b.mat: no such file"):
        open_raster(tmp_path / "b.mat")


def test_a_pickle_is_never_loaded(tmp_path):
    import pickle

    (tmp_path / "a.mat").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="no readable MATLAB file"):
        open_raster(tmp_path / "a.mat")
