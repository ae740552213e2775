"""A network that everything is known about, rasters for it, and what is told of both."""

import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from torch import nn
from torch.nn import functional as F

from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.models.prediction import Prediction
from dis2.raster.grid import Grid

BANDS = {"eye": 3, "echo": 1, "relief": 1}
CLASSES = ("water", "tree", "paved", "soil")
UTM = CRS.from_epsg(32633)
EYE = Grid(UTM, Affine(1, 0, 500_000, 0, -1, 5_000_000), 90, 110)
ECHO = Grid(UTM, Affine(2, 0, 499_990, 0, -2, 5_000_010), 60, 70)
TRUST = GridSettings.model_validate({"registration": {"enabled": False}})


class Network(nn.Module):
    """Every sensor votes by a convolution of fixed weights where it is measured; a kernel of 1 knows no neighbours."""

    def __init__(self, kernel: int):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.votes = nn.ParameterDict(
            {sensor: torch.randn(len(CLASSES), bands, kernel, kernel, generator=generator) for sensor, bands in BANDS.items()}
        )

    def forward(self, images, valid):
        seen = {sensor: torch.where(valid[sensor], image, 0) for sensor, image in images.items()}
        return Prediction(sum(F.conv2d(seen[sensor], self.votes[sensor], padding="same") for sensor in images))


def raster(path, grid, bands, seed, hole=None, dtype="float32"):
    """Smooth noise; -1 is no measurement, in the hole and in the pixel at the lower right."""
    rough = torch.rand(1, bands, grid.height // 6 + 2, grid.width // 6 + 2, generator=torch.Generator().manual_seed(seed))
    values = F.interpolate(100 * rough, (grid.height, grid.width), mode="bilinear")[0].numpy().astype(dtype)
    if hole:
        values[:, *hole.slices] = -1
    profile = {"height": grid.height, "width": grid.width, "count": bands, "dtype": dtype, "nodata": -1}
    with rasterio.open(path, "w", driver="GTiff", crs=grid.crs, transform=grid.transform, **profile) as file:
        file.write(values)
    return str(path)


def data_of(scene):
    sensors = {sensor: {"bands": bands} for sensor, bands in BANDS.items()}
    return Data.model_validate({"name": "test", "sensors": sensors, "classes": list(CLASSES), "scenes": {"here": scene}})


def read(path):
    with rasterio.open(path) as file:
        return file.read()
