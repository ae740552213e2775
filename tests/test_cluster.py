"""A real dask cluster prepares what this process prepares; one that is not there is one line."""

import sys
from pathlib import Path

import numpy as np
import pytest
from rasterio.shutil import copy

from dis2 import cluster as module
from dis2.cluster import connected
from dis2.errors import UserError
from dis2.raster import moments as moments_module
from dis2.tiles import store as store_module
from dis2.tiles.cut import cut, from_anywhere
from dis2.tiles.statistics import statistics
from tests.made import data_of, raster
from tests.tiles.test_cut_by_several import SIDE, files, left, prepared


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster of two processes."""
    from dask.distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs=50) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Several shards and several parts of a small scene."""
    monkeypatch.setattr(store_module, "SHARD_SIDES", (256,))
    monkeypatch.setattr(moments_module, "SIDE", 64)


def test_a_cluster_cuts_the_same_bytes_and_takes_the_same_statistics(tmp_path, scheduler, monkeypatch):
    """Its workers were started in another folder than ours."""
    monkeypatch.chdir(tmp_path)
    bog = prepared(Path(), SIDE)
    cut(*bog)
    once = files(bog[-1])
    cut(*bog, scheduler=scheduler)
    assert files(bog[-1]) == once and left(bog[-1]) == ["bog.manifest.json", "bog.zarr"]
    for name, where in (("here", None), ("there", scheduler)):
        statistics(data_of(bog[0].scenes), bog[-1].parent, Path(name), where)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_only_files_that_are_here_are_given_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tif").touch()
    chips = {"one": {"sensors": {"thermal": "a.tif", "lidar": "s3://fens/b.tif"}, "labels": "a.tif"}}
    data = from_anywhere(data_of({"bog": {"split": "train", "chips": chips}, "fen": {"sensors": {"thermal": "a.tif"}}}), "bog")
    (chip,) = data.scenes["bog"].chips.values()
    assert chip.sensors == {"thermal": (f"{tmp_path}/a.tif",), "lidar": ("s3://fens/b.tif",)} and list(data.scenes) == ["bog"]
    assert chip.labels.file == f"{tmp_path}/a.tif" and not data.scenes["bog"].sensors


def test_what_a_worker_finds_wrong_is_said_as_here(tmp_path, scheduler):
    bog = prepared(tmp_path, SIDE, labels=raster(tmp_path / "bad.tif", np.full((1, SIDE, SIDE), 77, "uint8")))
    with pytest.raises(UserError, match="77 is no class"):
        cut(*bog, scheduler=scheduler)
    assert left(bog[-1]) == []


def test_workers_open_only_what_the_config_allows_whatever_this_process_may(tmp_path, scheduler):
    (data, *told) = prepared(tmp_path, SIDE)
    (plain,) = data.scenes["bog"].sensors["lidar"]
    copy(plain, tmp_path / "virtual.tif", driver="VRT")
    made = data.scenes["bog"].model_copy(
        update={"sensors": {**data.scenes["bog"].sensors, "lidar": (f"{tmp_path}/virtual.tif",)}}
    )
    cut(data, *told)
    wanted = files(told[-1])
    virtual = data.model_copy(update={"scenes": {"bog": made}})
    with pytest.raises(UserError, match=rf"^{tmp_path}/virtual.tif: points to other files; data.allow: \[vrt\]"):
        cut(virtual, *told, scheduler=scheduler)
    cut(virtual.model_copy(update={"allow": ("vrt",)}), *told, scheduler=scheduler)
    assert files(told[-1]) == wanted


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.3)
    with pytest.raises(UserError, match=r"^preparation.scheduler: tcp://127.0.0.1:9: Timed out.*; start it, or leave") as caught:
        connected("tcp://127.0.0.1:9").__enter__()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="preparation.scheduler: here: .*; start it, or leave the key out"):
        connected("here").__enter__()


def test_without_distributed_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(UserError, match=r"needs dask.distributed, which is not installed; pip install 'dis2\[cluster\]'"):
        connected("tcp://host:8786").__enter__()
