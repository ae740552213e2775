"""Shards are what Zarr v3 says they are, in others' opinion too, and no byte of theirs changes without being noticed."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec

from dis2.raster.grid import Window
from dis2.tiles.shards import Damaged, Layout, Shards, write_shard

CELL = 8
DTYPES = ("bool", "uint8", "int16", "uint16", "float32", "float64")


def layout(height, width, bands=0, dtype="uint16", depth=2, side=2 * CELL, fill=0):
    """An array of small chunks; without bands where there are none."""
    deep = -(-bands // depth) * depth
    shape, chunks, shards = ((bands, height, width), (depth, CELL, CELL), (deep, side, side))
    cut = slice(None) if bands else slice(1, None)
    return Layout("a", shape[cut], np.dtype(dtype), fill, chunks[cut], shards[cut])


def by_zarr(folder, it):
    """The array as zarr-python makes it, still without shards."""
    shuffle, size = it.shuffle
    codecs = [BloscCodec(cname="lz4", shuffle=shuffle, typesize=size), Crc32cCodec()]
    shape = {"shape": it.shape, "dtype": it.dtype, "chunks": it.chunks, "shards": it.shards, "fill_value": it.fill}
    return zarr.create_group(folder).create_array("a", compressors=codecs, **shape)


def written(folder, it, values, where=None):
    for place in it.places():
        write_shard(folder, it, place, values[..., *place.slices], None if where is None else where[place.slices])
    return Shards(folder, it, files(folder))


def files(folder):
    return {file.relative_to(folder).as_posix() for file in Path(folder).rglob("*") if file.is_file()}


def some(it, seed=0):
    """Values with holes of the fill value as large as a chunk."""
    rng = np.random.default_rng(seed)
    values = (rng.integers(0, 200, it.shape) % (2 if it.dtype == bool else 200)).astype(it.dtype)
    values[..., : rng.integers(0, it.shape[-2]), : rng.integers(0, it.shape[-1])] = it.fill
    return values


@st.composite
def cases(draw):
    height, width, bands = draw(st.integers(1, 45)), draw(st.integers(1, 45)), draw(st.integers(0, 5))
    it = layout(height, width, bands, draw(st.sampled_from(DTYPES)), depth=draw(st.integers(1, 3)))
    y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    window = Window(y, x, draw(st.integers(1, height - y)), draw(st.integers(1, width - x)))
    return it, window, draw(st.integers(0, 99))


@given(cases())
@settings(max_examples=60, deadline=None)
def test_zarr_and_tensorstore_read_what_is_written_and_any_window_of_it_is_read(case):
    it, window, seed = case
    values = some(it, seed)
    where = np.random.default_rng(seed).random(it.shape[-2:]) > 0.3
    with TemporaryDirectory() as folder:
        theirs = by_zarr(folder, it)
        shards = written(Path(folder), it, values, where)
        wanted = np.where(where, values, np.zeros((), it.dtype))
        assert np.array_equal(theirs[...], wanted)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/a"}}
        assert np.array_equal(tensorstore.open(spec).result().read().result(), wanted)
        found = shards.read(window)
        assert found.dtype == it.dtype and np.array_equal(found, wanted[..., *window.slices])


@given(cases())
@settings(max_examples=40, deadline=None)
def test_what_zarr_writes_is_read(case):
    it, window, seed = case
    with TemporaryDirectory() as folder:
        by_zarr(folder, it)[...] = some(it, seed)
        assert np.array_equal(Shards(Path(folder), it, files(folder)).read(window), some(it, seed)[..., *window.slices])


def test_what_is_nowhere_valid_takes_no_space(tmp_path):
    it = layout(32, 16, bands=1)
    values, where = np.ones(it.shape, "uint16"), np.zeros((32, 16), bool)
    where[16:24, :8] = True
    shards = written(tmp_path, it, values, where)
    assert files(tmp_path) == {"a/c/0/1/0"} and np.array_equal(shards.read(Window(0, 0, 32, 16))[0], where)
    full = written(tmp_path / "full", it, np.random.default_rng(0).integers(1, 60000, it.shape, dtype="uint16"))
    assert len((tmp_path / "a/c/0/1/0").read_bytes()) < len((full.store / "a/c/0/1/0").read_bytes()) / 3


def test_a_part_of_a_shard_is_not_written_as_if_it_were_one(tmp_path):
    with pytest.raises(AssertionError, match="not a shard"):
        write_shard(tmp_path, layout(32, 32), Window(0, 0, 8, 16), np.ones((8, 16), "uint16"))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_byte_of_a_shard_changes_without_being_noticed(data):
    it = layout(16, 16, bands=2, dtype="float32")
    with TemporaryDirectory() as folder:
        written(Path(folder), it, some(it))
        file = Path(folder, "a/c/0/0/0")
        whole = file.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        changed = whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :]
        file.write_bytes(data.draw(st.sampled_from([changed, whole[:place], whole + b"more", b""])))
        with pytest.raises(Damaged, match=r"^a/c/0/0/0 cannot be read \(its checksum does not fit\)$"):
            Shards(Path(folder), it, files(folder)).read(Window(0, 0, 16, 16))


def test_a_shard_that_is_gone_is_not_taken_for_an_empty_one(tmp_path):
    it = layout(16, 40, fill=7)
    shards = written(tmp_path, it, np.ones(it.shape, "uint16"))
    (tmp_path / "a/c/0/1").unlink()
    assert (shards.read(Window(0, 0, 16, 16)) == 1).all()
    with pytest.raises(Damaged, match="a/c/0/1 is gone"):
        shards.read(Window(0, 10, 16, 20))
    never = Shards(tmp_path, it, files(tmp_path))
    assert (never.read(Window(0, 16, 16, 16)) == 7).all()
