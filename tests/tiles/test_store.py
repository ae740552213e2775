"""A tile store is whole or refused, keeps what is put in, and opens georeferenced elsewhere."""

import errno
import json
import resource
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from affine import Affine

from dis2.errors import UserError
from dis2.processes import spawned
from dis2.raster.grid import Grid, Window
from dis2.tiles.manifest import digest_of, manifest_of
from dis2.tiles.store import SHARD_BYTES, Header, new_store, open_store, shard_side
from tests.made import PLACE, UTM, store

TURNED = PLACE @ Affine.rotation(20)


def made(tiles, name="bog", side=40, bands=2, dtype="uint16", **more):
    rng = np.random.default_rng(bands)
    sensors = {
        "thermal": rng.integers(0, 100, (bands, side, side)).astype(dtype),
        "lidar": rng.normal(size=(1, side, side)).astype("float32"),
    }
    return store(tiles, name, sensors, rng.integers(0, 3, (side, side), dtype="uint8"), **more), sensors


def header(side=40):
    return Header(
        "bog",
        Grid(UTM, PLACE, side, side),
        {"thermal": (1, "float32")},
        "thermal",
        ("mud", "sand"),
        {},
        {"": Window(0, 0, side, side)},
        True,
    )


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 3, 40])
def test_what_is_written_is_read_again_in_its_type(tmp_path, bands, dtype):
    path, sensors = made(tmp_path, bands=bands, dtype=dtype)
    there, window = open_store(path), Window(3, 5, 20, 30)
    image, valid = there.image("thermal", window)
    assert image.dtype == dtype and np.array_equal(image, sensors["thermal"][:, 3:23, 5:35]) and valid.all()
    assert there.bands == {"thermal": bands, "lidar": 1} and there.grid == Grid(UTM, PLACE, 40, 40)
    assert max(there.group["thermal"].chunks) <= 256 and there.group["thermal"].chunks[0] <= 32


def test_a_scene_of_several_shards_is_whole(tmp_path):
    path, sensors = made(tmp_path, side=300, bands=1)
    image, valid = open_store(path).image("thermal", Window(0, 0, 300, 300))
    assert np.array_equal(image, sensors["thermal"]) and valid.all()


def test_invalid_pixels_hold_zeros_and_pixels_without_labels_no_class(tmp_path):
    bands, there = np.full((1, 8, 8), np.nan, "float32"), np.zeros((8, 8), bool)
    path = store(tmp_path, "bog", {"thermal": bands}, valid={"thermal": there})
    image, valid = open_store(path).image("thermal", Window(0, 0, 8, 8))
    assert not image.any() and not valid.any() and (open_store(path).labels(Window(0, 0, 8, 8)) == 255).all()


@pytest.mark.parametrize(
    ("height", "bands", "itemsize", "side"),
    [(100, 1, 1, 256), (300, 1, 1, 512), (9000, 4, 2, 2048), (9000, 12, 4, 1024), (9000, 4000, 4, 256)],
)
def test_a_shard_is_as_large_as_its_bytes_and_its_scene_allow(height, bands, itemsize, side):
    assert shard_side(Grid(UTM, PLACE, height, 50), bands, itemsize) == side
    assert side**2 * bands * itemsize <= SHARD_BYTES or side == 256


def test_validity_is_written_by_the_task_that_writes_the_bands(tmp_path):
    with new_store(tmp_path / "bog.zarr", header(300)) as writer:
        assert writer.valid["thermal"].shards == writer.arrays["thermal"].shards[1:]


@pytest.mark.parametrize("transform", [PLACE, TURNED], ids=["north-up", "turned"])
def test_xarray_opens_it_with_its_place_and_types(tmp_path, transform):
    import rioxarray  # noqa: F401

    path, sensors = made(tmp_path, transform=transform)
    there = xr.open_zarr(path, consolidated=False)
    assert there["thermal"].rio.crs == UTM and there["labels"].rio.crs == UTM
    assert there["thermal"].rio.transform() == pytest.approx(transform)
    assert there["thermal"].dtype == "uint16" and there["labels"].dtype == "uint8" and there["thermal"].dims[1:] == ("y", "x")
    assert np.array_equal(there["thermal"], sensors["thermal"])
    valid = xr.open_zarr(path, group="valid", consolidated=False)["lidar"]
    assert valid.values.all() and valid.rio.crs == UTM and valid.rio.transform() == pytest.approx(transform)


@pytest.mark.parametrize("transform", [PLACE, TURNED], ids=["north-up", "turned"])
def test_odc_geo_finds_its_place(tmp_path, transform):
    import odc.geo.xr  # noqa: F401

    path, _ = made(tmp_path, transform=transform)
    for group, name in ((None, "thermal"), (None, "labels"), ("valid", "lidar")):
        box = xr.open_zarr(path, group=group, consolidated=False)[name].odc.geobox
        assert box.shape == (40, 40) and box.crs.to_epsg() == UTM.to_epsg()
        assert tuple(box.affine) == pytest.approx(tuple(transform))


def test_a_sensor_s_unit_is_said_where_others_look_for_it(tmp_path):
    with new_store(tmp_path / "bog.zarr", replace(header(), units={"thermal": "kelvin"})) as writer:
        writer.write("thermal", Window(0, 0, 40, 40), np.ones((1, 40, 40), "float32"), np.ones((40, 40), bool))
    there = xr.open_zarr(tmp_path / "bog.zarr", consolidated=False)
    assert there["thermal"].attrs["units"] == "kelvin" and "units" not in there["labels"].attrs


def test_a_store_is_read_in_another_process_as_here(tmp_path):
    path, sensors = made(tmp_path, side=300)
    with spawned(1, "", reader, open_store(path)) as crew:
        crew.give(crew.members[0], "thermal", Window(7, 0, 290, 280))
        image, valid = crew.take(crew.members[0])
    assert np.array_equal(image, sensors["thermal"][:, 7:297, :280]) and valid.all()


def reader(there):
    return there.image


def test_xarray_opens_chips_without_a_place(tmp_path):
    path, sensors = made(tmp_path, crs=None, transform=Affine.identity())
    assert np.array_equal(xr.open_zarr(path, consolidated=False)["lidar"], sensors["lidar"]) and open_store(path).grid.crs is None


def edit(path):
    file = max(path.rglob("c/**/*"), key=lambda it: it.is_file() and it.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    return file


def delete(path):
    (path / "lidar" / "zarr.json").unlink()
    return path / "lidar" / "zarr.json"


def add(path):
    (path / "lidar" / "more").write_text("")
    return path / "lidar" / "more"


@pytest.mark.parametrize("change", [edit, delete, add])
def test_a_store_with_a_changed_file_is_refused_by_its_name(tmp_path, change):
    path, _ = made(tmp_path)
    changed = change(path)
    with pytest.raises(UserError) as caught:
        open_store(path)
    assert (
        str(path) in str(caught.value)
        and changed.relative_to(path).as_posix() in str(caught.value)
        and "\n" not in str(caught.value)
    )


def test_damage_that_is_met_later_is_one_line(tmp_path):
    path, _ = made(tmp_path)
    there = open_store(path)
    edit(path)
    with pytest.raises(UserError, match="cannot be read .* the store is damaged") as caught:
        for sensor in there.sensors:
            there.image(sensor, Window(0, 0, 40, 40))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (None, "not whole, for bog.manifest.json is not beside it"),
        ("{", "not JSON"),
        ("[]", "format"),
        ('{"format": 99}', "format 99, this version reads"),
        ('{"format": 1}', "lists no files"),
    ],
)
def test_a_store_without_its_manifest_is_refused(tmp_path, manifest, told):
    path, _ = made(tmp_path)
    manifest_of(path).unlink() if manifest is None else manifest_of(path).write_text(manifest)
    with pytest.raises(UserError, match=told) as caught:
        open_store(path)
    assert "run" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("window", [Window(-1, 0, 8, 8), Window(0, 33, 8, 8), Window(33, 0, 8, 8)])
def test_a_window_that_reaches_beyond_the_scene_is_refused(tmp_path, window):
    tiles = tmp_path / "tiles"
    made(tiles)
    with pytest.raises(ValueError, match="reaches beyond the 40 x 40 pixels"):
        open_store(tiles / "bog.zarr").valid("thermal", window)


def test_a_missing_store_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such store; run `dis2 tile`"):
        open_store(tmp_path / "bog.zarr")


def test_a_writer_that_is_killed_leaves_nothing_that_looks_whole(tmp_path):
    writing = new_store(tmp_path / "bog.zarr", header())
    writer = writing.__enter__()
    writer.write("thermal", Window(0, 0, 40, 40), np.ones((1, 40, 40), "float32"), np.ones((40, 40), bool))
    assert left(tmp_path) == [".bog.zarr.part"]
    with pytest.raises(UserError, match="no such store"):
        open_store(tmp_path / "bog.zarr")
    path, _ = made(tmp_path)
    assert left(tmp_path) == ["bog.manifest.json", "bog.zarr"] and open_store(path).scene == "bog"
    del writing


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), ValueError("no number")], ids=["full", "error"]
)
def test_a_failed_write_leaves_the_old_store_and_no_part(tmp_path, fault):
    path, _ = made(tmp_path)
    with (
        pytest.raises(UserError if isinstance(fault, OSError) else ValueError, match=str(fault.args[-1])),
        new_store(path, header()),
    ):
        raise fault
    assert left(tmp_path) == ["bog.manifest.json", "bog.zarr"] and open_store(path).labelled


def test_a_full_disk_is_one_line_and_leaves_no_part(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with (
            pytest.raises(UserError, match=r"bog\.zarr: cannot be written") as caught,
            new_store(tmp_path / "bog.zarr", header()) as writer,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
            noise = np.random.default_rng(0).normal(size=(1, 40, 40)).astype("float32")
            writer.write("thermal", Window(0, 0, 40, 40), noise, np.ones((40, 40), bool))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value) and left(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), new_store(tmp_path / "file" / "bog.zarr", header()):
        pass


def test_the_digest_tells_stores_apart_by_what_they_hold(tmp_path):
    (first, _), (again, _), (other, _) = made(tmp_path / "a"), made(tmp_path / "b"), made(tmp_path / "c", bands=1)
    assert digest_of(first) == digest_of(again) != digest_of(other)
    assert json.loads(manifest_of(first).read_text())["store"] == "bog.zarr"
