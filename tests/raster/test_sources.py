"""Rasters are read from where the config allows it: a range of a file on a server, and nothing else unless it is said."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy

from dis2.errors import UserError
from dis2.processes import spawned
from dis2.raster.grid import Window
from dis2.raster.sources import allow, allowing
from dis2.raster.warp import grid_of, open_raster, warped
from tests.made import raster

SIDE = 2048


@dataclass
class Server:
    """A folder on a server, and what the server has sent of it."""

    url: str
    log: Path

    @property
    def sent(self) -> int:
        """Bytes."""
        return sum(map(int, self.log.read_text().splitlines()))


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    log = tmp_path / "sent"
    log.touch()
    command = [sys.executable, Path(__file__).with_name("server.py"), tmp_path, log]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(f"http://127.0.0.1:{process.stdout.readline().strip()}", log)
        finally:
            process.kill()


@pytest.fixture
def cog(tmp_path) -> Path:
    """A cloud-optimised GeoTIFF of 4 MB that does not compress."""
    values = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE), "uint8")
    copy(raster(tmp_path / "plain.tif", values), tmp_path / "cog.tif", driver="COG", blocksize=128, overviews="none")
    return tmp_path / "cog.tif"


def test_a_window_of_a_raster_on_a_server_is_the_same_and_only_a_part_of_the_file_is_sent(server, cog):
    allow(["network"])
    url = f"{server.url}/cog.tif"
    window = Window(500, 600, 64, 64)
    with warped([url], grid_of(url)) as there, warped([str(cog)], grid_of(str(cog))) as here:
        np.testing.assert_array_equal(there.read(window)[0], here.read(window)[0])
    assert 0 < server.sent < cog.stat().st_size / 4


@pytest.mark.parametrize("name", ["{url}/cog.tif", "/vsicurl/{url}/cog.tif", "/vsimem/a.tif"])
def test_the_network_is_not_asked_unless_the_config_allows_it(server, cog, name):
    allow(["vrt"])
    file = name.format(url=server.url)
    with pytest.raises(UserError, match=rf"^{re.escape(file)}: .*data.allow: \[network\]"):
        open_raster(file)
    assert server.sent == 0


def test_a_file_that_points_to_others_is_opened_only_if_the_config_allows_it_and_then_not_to_the_network(server, cog, tmp_path):
    near, far = tmp_path / "near.tif", tmp_path / "far.vrt"
    copy(str(cog), near, driver="VRT")
    there = near.read_text().replace('relativeToVRT="1"', 'relativeToVRT="0"')
    far.write_text(there.replace(">cog.tif<", f">/vsicurl/{server.url}/cog.tif<"))
    assert "vsicurl" in far.read_text()
    allow([])
    for file in (near, far):
        with pytest.raises(UserError, match=r"points to other files; data.allow: \[vrt\]"):
            open_raster(str(file))
    allow(["vrt"])
    with open_raster(str(near)) as source:
        assert source.driver == "VRT" and source.read(1).std() > 0
    with pytest.raises((UserError, rasterio.errors.RasterioError)), open_raster(str(far)) as source:
        source.read()
    assert server.sent == 0


def reading():
    """The work of another process: the first pixel of a raster."""

    def read(file):
        with open_raster(file) as source:
            return int(source.read(1)[0, 0])

    return read


def test_what_the_config_allows_holds_in_processes_that_are_started_then(server, cog, tmp_path):
    near = str(tmp_path / "near.tif")
    copy(str(cog), near, driver="VRT")
    url = f"{server.url}/cog.tif"
    for kinds, opened in ((["vrt"], near), (["network"], url)):
        allow(kinds)
        with spawned(1, "", reading) as crew:
            for file in (near, url):
                crew.give(crew.members[0], file)
                with nullcontext() if file == opened else pytest.raises(UserError, match=r"data.allow: \["):
                    crew.take(crew.members[0])
        assert (server.sent > 0) == (opened == url)


def test_what_a_block_allows_holds_in_its_thread_alone(server, cog, tmp_path):
    far = tmp_path / "far.tif"
    copy(str(cog), far, driver="VRT")
    far.write_text(far.read_text().replace('relativeToVRT="1">cog.tif', f'relativeToVRT="0">/vsicurl/{server.url}/cog.tif'))
    read, both = reading(), threading.Barrier(2)

    def ask(*kinds):
        with allowing(kinds):
            both.wait()
            try:
                return read(far)
            except (UserError, rasterio.errors.RasterioError) as error:
                return str(error)
            finally:
                both.wait()

    with rasterio.open(cog) as source, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, "vrt"), pool.submit(ask)]
        assert "Read failed" in asked[0].result() and "points to other files" in asked[1].result() and server.sent == 0
        asked = [pool.submit(ask, "vrt", "network"), pool.submit(ask, "network")]
        assert asked[0].result() == source.read(1)[0, 0] and "points to other files" in asked[1].result() and server.sent > 0


def test_a_service_in_a_local_file_is_no_raster_unless_the_config_allows_it(server, tmp_path):
    file = tmp_path / "map.xml"
    file.write_text(f'<GDAL_WMS><Service name="TMS"><ServerUrl>{server.url}/${{z}}</ServerUrl></Service></GDAL_WMS>')
    allow(["vrt"])
    with pytest.raises(UserError, match=r"data.allow: \[network\]"):
        open_raster(str(file))
    assert server.sent == 0
