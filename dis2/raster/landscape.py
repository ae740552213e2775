"""What a made-up place is: its cover, materials and heights, drawn from a random generator without any file or sensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
CLASSES = ("building", "paved", "water", "tree", "low_vegetation", "bare_soil")
BUILDING, PAVED, WATER, TREE, LOW_VEGETATION, BARE_SOIL = range(len(CLASSES))
SMALLEST_SHARE = 0.03  # of every class in a scene
CELL = 0.5  # metres: a street plan is drawn finer than the landscape's 1 m so that turned edges stay straight


class Material(NamedTuple):
    """How a surface looks: reflectance in blue, green, red and near infrared, and backscatter in VV and VH (dB)."""

    cover: int
    reflectance: tuple[float, float, float, float]
    backscatter: tuple[float, float]


MATERIALS = {
    "tiles": Material(BUILDING, (0.065, 0.085, 0.150, 0.200), (-8.0, -17.0)),
    "slate": Material(BUILDING, (0.085, 0.090, 0.098, 0.118), (-8.0, -17.0)),
    "gravel_roof": Material(BUILDING, (0.140, 0.153, 0.167, 0.196), (-8.5, -18.0)),
    "sheet_roof": Material(BUILDING, (0.210, 0.225, 0.240, 0.265), (-7.0, -18.0)),
    "asphalt": Material(PAVED, (0.084, 0.092, 0.100, 0.120), (-16.5, -25.0)),
    "worn_asphalt": Material(PAVED, (0.135, 0.148, 0.160, 0.186), (-15.5, -24.5)),
    "concrete": Material(PAVED, (0.205, 0.222, 0.240, 0.270), (-15.5, -24.5)),
    "brick_paving": Material(PAVED, (0.072, 0.092, 0.148, 0.195), (-14.5, -23.5)),
    "water": Material(WATER, (0.050, 0.055, 0.040, 0.024), (-20.5, -29.0)),
    "broadleaf": Material(TREE, (0.036, 0.070, 0.048, 0.360), (-8.5, -13.0)),
    "conifer": Material(TREE, (0.030, 0.055, 0.040, 0.285), (-9.0, -13.5)),
    "lawn": Material(LOW_VEGETATION, (0.040, 0.078, 0.056, 0.360), (-12.0, -19.5)),
    "meadow": Material(LOW_VEGETATION, (0.046, 0.082, 0.068, 0.320), (-11.5, -18.0)),
    "dry_grass": Material(LOW_VEGETATION, (0.070, 0.108, 0.120, 0.260), (-12.0, -19.5)),
    "crop": Material(LOW_VEGETATION, (0.035, 0.072, 0.048, 0.390), (-11.0, -17.0)),
    "loam": Material(BARE_SOIL, (0.076, 0.105, 0.146, 0.220), (-10.5, -19.5)),
    "sand": Material(BARE_SOIL, (0.138, 0.175, 0.224, 0.300), (-11.0, -20.0)),
    "ploughed": Material(BARE_SOIL, (0.058, 0.080, 0.110, 0.165), (-9.5, -18.5)),
}
FURROWED = ("crop", "ploughed")
CODES = {name: code for code, name in enumerate(MATERIALS)}
COVERS = np.array([material.cover for material in MATERIALS.values()], np.uint8)


class Use(NamedTuple):
    """What a block of a town plan is used for: how it is parted into lots and what stands on them."""

    share: float  # of the blocks
    lot: float  # longest side of a lot in metres
    path: float  # width of the paths between lots
    surfaces: dict[str, float]  # of a lot, with weights
    built: float = 0.0  # share of the lots with a building
    footprint: tuple[float, float] = (0.4, 0.7)  # of a lot's side
    height: tuple[float, float] = (0.0, 0.0)  # of the eaves
    roofs: tuple[str, ...] = ()
    pitched: bool = False
    trees: tuple[float, float] = (0.0, 0.0)  # density: 1 is a closed canopy


USES = {  # from the middle of the town outwards
    "centre": Use(
        0.14, 42, 3, {"brick_paving": 3, "worn_asphalt": 2, "lawn": 2}, 0.95, (0.55, 0.85), (9, 19),
        ("slate", "gravel_roof", "tiles"), False, (0.0, 0.15),
    ),
    "trade": Use(
        0.12, 75, 0, {"asphalt": 4, "concrete": 3, "lawn": 2, "sand": 2}, 0.85, (0.55, 0.85), (5, 10),
        ("sheet_roof", "gravel_roof", "slate"), False, (0.0, 0.03),
    ),
    "houses": Use(
        0.32, 27, 0, {"lawn": 6, "meadow": 2, "dry_grass": 2, "loam": 1, "brick_paving": 1}, 0.95, (0.42, 0.7), (3, 6),
        ("tiles", "tiles", "slate", "gravel_roof"), True, (0.03, 0.22),
    ),
    "site": Use(0.10, 60, 4, {"loam": 3, "sand": 3, "dry_grass": 1}, 0.3, (0.25, 0.5), (3, 9), ("gravel_roof", "sheet_roof")),
    "park": Use(0.09, 45, 2.5, {"lawn": 4, "meadow": 2, "dry_grass": 1}, 0.05, (0.2, 0.3), (3, 5), ("tiles",), True, (0.05, 0.4)),
    "fields": Use(0.13, 85, 0, {"crop": 4, "meadow": 2, "dry_grass": 2, "ploughed": 3, "loam": 2}, trees=(0.0, 0.01)),
    "wood": Use(0.10, 90, 2, {"meadow": 1}, trees=(0.75, 1.0)),
}  # fmt: skip


class Rectangle(NamedTuple):
    """A part of a plan, in metres."""

    top: float
    left: float
    height: float
    width: float

    def inner(self, height: float, width: float, rng: Generator) -> Rectangle:
        """A rectangle of this size somewhere inside."""
        top, left = self.top + rng.random() * (self.height - height), self.left + rng.random() * (self.width - width)
        return Rectangle(top, left, height, width)

    def cut(self, rng: Generator, longest: float, gap: float) -> Iterator[Rectangle]:
        """Parts whose sides are at most so long, with gaps between them; wider gaps (main roads) between larger parts."""
        side = max(self.height, self.width)
        if side <= longest:
            yield self
            return
        road = gap * (1.6 if side > 4 * longest else 1.0)
        at = side * rng.uniform(0.4, 0.6)
        first, second = at - road / 2, side - at - road / 2
        if self.height >= self.width:
            parts = self._replace(height=first), self._replace(top=self.top + at + road / 2, height=second)
        else:
            parts = self._replace(width=first), self._replace(left=self.left + at + road / 2, width=second)
        for part in parts:
            yield from part.cut(rng, longest, gap)


class Plan:
    """A town plan with straight streets, drawn in cells; the landscape bends and turns it."""

    def __init__(self, side: float):
        cells = (math.ceil(side / CELL),) * 2
        self.material = np.full(cells, CODES["asphalt"], np.uint8)
        self.tone = np.ones(cells, np.float32)
        self.height = np.zeros(cells, np.float32)
        self.trees = np.full(cells, 0.04, np.float32)

    def fill(self, part: Rectangle, material: str, tone: float | Array, height: float | Array = 0.0, trees: float = 0.0) -> None:
        """Cover a rectangle with one material."""
        there = cells_of(part)
        self.material[there], self.tone[there], self.height[there], self.trees[there] = CODES[material], tone, height, trees

    def build(self, part: Rectangle, roof: str, eaves: float, pitched: bool, rng: Generator) -> None:
        """Put up a building: a gable, a hip, or a flat roof."""
        rows, columns = cells_of(part)
        y, x = np.ogrid[0 : rows.stop - rows.start, 0 : columns.stop - columns.start]
        y, x = (np.minimum(axis, axis[::-1, ::-1]) * np.float32(CELL) for axis in (y, x))
        inwards = np.minimum(y, x) if rng.random() < 0.4 else (y + 0 * x if len(y) < x.size else x + 0 * y)
        height = eaves + rng.uniform(0.5, 0.9) * inwards if pitched else eaves + 0 * (y + x)
        self.fill(part, roof, rng.normal(1, 0.16), height.astype(np.float32))

    def settle(self, block: Rectangle, use: Use, rng: Generator) -> None:
        """Part a block into lots and cover, build and plant each."""
        self.fill(block, "worn_asphalt" if use.path < 2.5 else "brick_paving", rng.normal(1, 0.1))
        kerb = 1.5 if use.built > 0.5 else 0.0
        inside = Rectangle(block.top + kerb, block.left + kerb, block.height - 2 * kerb, block.width - 2 * kerb)
        names, weights = list(use.surfaces), np.array(list(use.surfaces.values()))
        for lot in inside.cut(rng, use.lot, use.path):
            surface = names[rng.choice(len(names), p=weights / weights.sum())]
            crop = rng.uniform(0.2, 1.4) if surface == "crop" else 0.0
            rows = furrows(lot, rng) if surface in FURROWED else 1.0
            self.fill(lot, surface, rng.normal(1, 0.1) * rows, crop, rng.uniform(*use.trees))
            if rng.random() >= use.built:
                continue
            house = lot.inner(lot.height * rng.uniform(*use.footprint), lot.width * rng.uniform(*use.footprint), rng)
            if use.pitched:
                self.fill(Rectangle(lot.top, house.left, house.top - lot.top, 3.5), "brick_paving", rng.normal(1, 0.1))
                shed = lot.inner(min(6, lot.height), min(4, lot.width), rng)
                self.build(shed, str(rng.choice(use.roofs)), 2.6, False, rng)
            self.build(house, str(rng.choice(use.roofs)), rng.uniform(*use.height), use.pitched, rng)


def cells_of(part: Rectangle) -> tuple[slice, slice]:
    """The cells of a plan that a rectangle covers."""
    top, left, bottom, right = (
        round(edge / CELL) for edge in (part.top, part.left, part.top + part.height, part.left + part.width)
    )
    return slice(top, bottom), slice(left, right)


def furrows(field: Rectangle, rng: Generator) -> Array:
    """The tone of the rows of a field, along its longer side."""
    y, x = (np.arange(axis.stop - axis.start) for axis in cells_of(field))
    across = np.broadcast_to(y[:, None] if field.width > field.height else x, (y.size, x.size))
    return (1 + 0.13 * np.sin(across * (2 * np.pi * CELL / rng.uniform(4, 7)))).astype(np.float32)


def draw_plan(rng: Generator, side: float) -> Plan:
    """Blocks between streets, each with a use: the town where a smooth field is high, fields and woods where it is low."""
    plan = Plan(side)
    blocks = [
        block
        for district in Rectangle(0, 0, side, side).cut(rng, 240, 8)
        for block in district.cut(rng, 95 if rng.random() < 0.6 else 140, 6)
    ]
    town = noise(rng, plan.material.shape, 300)
    order = sorted(blocks, key=lambda block: -town[cells_of(block)].mean() + rng.normal(0, 0.5))
    ends = np.cumsum([use.share for use in USES.values()])
    for rank, block in enumerate(order):
        use = list(USES.values())[int(np.searchsorted(ends, (rank + 0.5) / len(order)))]
        plan.settle(block, use, rng)
    return plan


@dataclass(frozen=True)
class Landscape:
    """A place on a grid of 1 m, `margin` pixels larger on every side than the scene that is mapped."""

    material: NDArray[np.uint8]  # index into MATERIALS
    tone: Array  # how much brighter this roof, field or tree is than its material
    ground: Array  # terrain, metres
    height: Array  # above the ground, metres
    margin: int

    @property
    def cover(self) -> NDArray[np.uint8]:
        """Index into CLASSES."""
        return COVERS[self.material]

    @property
    def surface(self) -> Array:
        """Terrain and what stands on it, metres."""
        return self.ground + self.height

    def scene(self, image: NDArray) -> NDArray:
        """The part of an image of the landscape that is mapped."""
        return image[..., self.margin : -self.margin, self.margin : -self.margin]


def noise(rng: Generator, shape: tuple[int, ...], scale: float) -> Array:
    """A smooth random field of mean 0 and deviation 1 whose bumps are about this many pixels wide."""
    coarse = rng.standard_normal([math.ceil(side / scale) + 4 for side in shape], np.float32)
    steps = [1 + np.arange(side, dtype=np.float32) / scale for side in shape]
    field = ndimage.map_coordinates(coarse, np.meshgrid(*steps, indexing="ij"), order=3)
    return ((field - field.mean()) / (field.std() + 1e-6)).astype(np.float32)


def draw_landscape(rng: Generator, size: int) -> Landscape:
    """A place of size x size metres in which every class has a fair share: one is drawn again until it has."""
    while True:
        place = draw_once(rng, size)
        shares = np.bincount(place.scene(place.cover).ravel(), minlength=len(CLASSES)) / size**2
        if shares.min() >= SMALLEST_SHARE:
            return place


def draw_once(rng: Generator, size: int) -> Landscape:
    """A river with a town on both banks, an avenue and a bridge across, trees, and terrain that rises from the water."""
    margin = 30 + size // 12  # for shadows, shifts, and grids at an angle
    side = size + 2 * margin
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - np.float32(side / 2)
    course = rng.uniform(0, 2 * np.pi)
    along, across = x * np.cos(course) + y * np.sin(course), y * np.cos(course) - x * np.sin(course)
    bank, north = river(rng, size, along, across)  # metres to the water: negative in it
    road = avenue(rng, size, along, across)

    material, tone, height, trees = turned_plan(rng, y, x, north, course)
    clear_buildings(material, height, (bank < 7) | (np.abs(road) < 7))
    strip = (bank > 0) & (bank < 5 + 3 * noise(rng, bank.shape, 25))
    material[strip], height[strip], trees[strip], tone[strip] = CODES["meadow"], 0.3, 0.2, 1.0
    water = bank <= 0
    material[water], height[water], trees[water], tone[water] = CODES["water"], 0.0, 0.0, 1.0
    street = np.abs(road) < 6
    material[street] = np.where(np.abs(road[street]) < 4, CODES["worn_asphalt"], CODES["concrete"])
    height[street], trees[street], tone[street] = np.where(bank[street] < 3, 3.0, 0.0), 0.03, 1.0

    relief = 12 * noise(rng, bank.shape, side / 2) + 2 * noise(rng, bank.shape, 70) + 0.4 * noise(rng, bank.shape, 20)
    rise = 1 - np.exp(-np.maximum(bank, 0) / 60)
    ground = rng.uniform(80, 400) + (relief + 25) * rise
    plant(rng, material, tone, height, trees)
    return Landscape(material, tone, ground.astype(np.float32), height, margin)


def river(rng: Generator, size: int, along: Array, across: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Distance in metres to a winding river and a pond (negative in the water), and which bank a pixel is on."""
    length = rng.uniform(0.5, 0.9) * size
    middle = size * (rng.uniform(-0.15, 0.15) + 0.07 * np.sin(2 * np.pi * along / length + rng.uniform(0, 6)))
    middle = middle + 0.025 * size * np.sin(5 * np.pi * along / length + rng.uniform(0, 6))
    width = size * (0.075 + 0.02 * np.sin(3 * np.pi * along / length + rng.uniform(0, 6)))
    stream = np.abs(across - middle) - width / 2
    u, v = rng.uniform(-0.3, 0.3) * size, (rng.choice([-1, 1]) * rng.uniform(0.25, 0.4)) * size
    radius = 0.08 * size * (1 + 0.15 * noise(rng, along.shape, size / 6))
    pond = np.hypot((along - u) / 1.4, across - v) - radius
    return np.minimum(stream, pond).astype(np.float32), across > middle


def avenue(rng: Generator, size: int, along: Array, across: Array) -> Array:
    """Signed distance in metres to the middle of a road that crosses the river."""
    turn, bend = rng.uniform(-0.35, 0.35), rng.uniform(0.02, 0.05) * size
    line = along * np.cos(turn) + across * np.sin(turn) - rng.uniform(-0.2, 0.2) * size
    return line - bend * np.sin(across * (3 / size))


def turned_plan(
    rng: Generator, y: Array, x: Array, north: NDArray[np.bool_], course: float
) -> tuple[NDArray[np.uint8], Array, Array, Array]:
    """Material, tone, height and tree density of a plan whose streets bend, and run another way on each bank."""
    side = 1.5 * len(y) + 80
    plan = draw_plan(rng, side)
    angle = np.where(north, course + rng.uniform(-0.2, 0.1), course + rng.uniform(0.35, 0.7)).astype(np.float32)
    bend_y, bend_x = (9 * noise(rng, y.shape, 130) for _ in range(2))
    rows = (y + bend_y) * np.cos(angle) - (x + bend_x) * np.sin(angle)
    columns = (x + bend_x) * np.cos(angle) + (y + bend_y) * np.sin(angle)
    last = len(plan.material) - 1
    cells = tuple(np.clip((axis + side / 2) / CELL, 0, last).astype(np.int32) for axis in (rows, columns))
    return plan.material[cells], plan.tone[cells], plan.height[cells], plan.trees[cells]


def clear_buildings(material: NDArray[np.uint8], height: Array, ground: NDArray[np.bool_]) -> None:
    """Take away every building that stands, if only in part, where none may."""
    parts, _ = ndimage.label(COVERS[material] == BUILDING)
    doomed = np.unique(parts[ground])
    gone = np.isin(parts, doomed[doomed > 0])
    material[gone], height[gone] = CODES["lawn"], 0.0


def plant(rng: Generator, material: NDArray[np.uint8], tone: Array, height: Array, density: Array) -> None:
    """Stand trees with round crowns where the density asks for them; none hides a building or water."""
    y, x = (axis.ravel() for axis in np.mgrid[8 : len(height) - 8 : 4, 8 : len(height) - 8 : 4])
    y, x = (axis + rng.integers(-2, 3, axis.size) for axis in (y, x))
    chosen = rng.random(y.size) < density[y, x]
    evergreen = noise(rng, height.shape, 60)[y, x] + rng.normal(0, 0.5, y.size) > 0.8
    radius = rng.uniform(2.0, 4.8, y.size)
    top = radius * rng.uniform(2.0, 3.4, y.size) + 1.5
    shade = rng.normal(1, 0.12, y.size)
    dy, dx = np.mgrid[-5:6, -5:6]
    distance = np.hypot(dy, dx)
    open_to_trees = ~np.isin(COVERS[material], (BUILDING, WATER))
    for i in np.flatnonzero(chosen):
        there = slice(y[i] - 5, y[i] + 6), slice(x[i] - 5, x[i] + 6)
        crown = top[i] * np.sqrt(np.maximum(0, 1 - (distance / (radius[i] + 0.8)) ** 2))
        seen = (distance <= radius[i]) & (crown > height[there]) & open_to_trees[there]
        height[there][seen], tone[there][seen] = crown[seen], shade[i]
        material[there][seen] = CODES["conifer" if evergreen[i] else "broadleaf"]
