"""How much a network's fused features are like the teacher's: the gap that distillation is to close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dis2.models.layers import STRIDE
from dis2.models.prediction import Prediction
from dis2.training.validate import Scored

LEVELS = 4


@dataclass
class Products:
    """Sums over cells from which the unbiased HSIC of two sets of features follows; they do not grow with the cells."""

    n: int = 0
    a: Tensor | float = 0.0
    """[C]"""
    b: Tensor | float = 0.0
    """[D]"""
    ab: Tensor | float = 0.0
    """[C, D]"""
    own_a: Tensor | float = 0.0
    own_b: Tensor | float = 0.0
    own_ab: Tensor | float = 0.0
    a_own_b: Tensor | float = 0.0
    """[C]"""
    b_own_a: Tensor | float = 0.0
    """[D]"""

    def add(self, a: Tensor, b: Tensor) -> None:
        """More cells: features [n, C] and [n, D] in float64."""
        square_a, square_b = a.square().sum(1), b.square().sum(1)
        self.n += len(a)
        self.a, self.b, self.ab = self.a + a.sum(0), self.b + b.sum(0), self.ab + a.T @ b
        self.own_a, self.own_b = self.own_a + square_a.sum(), self.own_b + square_b.sum()
        self.own_ab = self.own_ab + square_a @ square_b
        self.a_own_b, self.b_own_a = self.a_own_b + square_b @ a, self.b_own_a + square_a @ b

    @property
    def hsic(self) -> float:
        """The unbiased HSIC of linear kernels, as `losses` has it for one sample; NaN for fewer than four cells."""
        if self.n < 4:
            return float("nan")
        a, b, ab = (torch.as_tensor(x) for x in (self.a, self.b, self.ab))
        trace = ab.square().sum() - self.own_ab
        sums = (a @ a - self.own_a) * (b @ b - self.own_b) / ((self.n - 1) * (self.n - 2))
        rows = a @ ab @ b - a @ torch.as_tensor(self.a_own_b) - b @ torch.as_tensor(self.b_own_a) + self.own_ab
        return float((trace + sums - 2 / (self.n - 2) * rows) / (self.n * (self.n - 3)))


class Similarity:
    """Linear unbiased CKA of the fused features of each combination to the teacher's of all sensors, by level.

    Over the cells of the scored windows most of whose pixels every sensor sees, each once; all of them count as one sample.
    """

    def __init__(self, teacher: nn.Module):
        self.teacher = teacher
        self.taught: list[Tensor] = []
        self.cells: list[Tensor] = []
        self.own: dict[int, Products] = {}
        self.found: dict[str, dict[int, tuple[Products, Products]]] = {}

    def begin(self, batch: Scored) -> None:
        seen = torch.cat(list(batch.valid.values()), 1).all(1, keepdim=True)  # [B, 1, h, w]
        seen &= torch.from_numpy(batch.new).unsqueeze(1).to(seen.device)
        fused = self.teacher(batch.images, batch.valid).features.fused
        self.cells = [seen_cells(seen, x) for x in fused]
        self.taught = [rows(x, cells) for x, cells in zip(fused, self.cells, strict=True)]
        for level, x in by_level(self.taught).items():
            self.own.setdefault(level, Products()).add(x, x)

    def see(self, batch: Scored, combination: str, prediction: Prediction, chosen: NDArray[Any]) -> None:
        taught, cells = by_level(self.taught), by_level(self.cells)
        for level, x in by_level(prediction.features.fused).items():
            if level in taught and x.shape[-2:] == cells[level].shape[-2:]:
                own, both = self.found.setdefault(combination, {}).setdefault(level, (Products(), Products()))
                told = rows(x, cells[level])
                own.add(told, told)
                both.add(told, taught[level])

    def told(self) -> dict[str, dict[str, float | None]]:
        """CKA by combination and level."""
        return {
            name: {str(level): self._cka(level, *products) for level, products in sorted(levels.items())}
            for name, levels in self.found.items()
        }

    def _cka(self, level: int, own: Products, both: Products) -> float | None:
        spread = own.hsic * self.own[level].hsic
        return round(both.hsic / spread**0.5, 6) if spread > 0 else None


def by_level(features: list[Tensor]) -> dict[int, Tensor]:
    """The fused maps by level; where there are fewer, they are the coarsest ones."""
    return dict(enumerate(features, LEVELS - len(features) + 1))


def seen_cells(seen: Tensor, like: Tensor) -> Tensor:
    """The cells of a coarser map of the padded image most of whose pixels [B, 1, H, W] are seen: [B, h, w]."""
    height, width = (-(-side // STRIDE) * STRIDE for side in seen.shape[-2:])
    padded = F.pad(seen.float(), (0, width - seen.shape[-1], 0, height - seen.shape[-2]))
    return F.avg_pool2d(padded, width // like.shape[-1]).squeeze(1) > 0.5


def rows(features: Tensor, cells: Tensor) -> Tensor:
    """The features of some cells: [n, C] in float64."""
    return features.movedim(1, -1)[cells].double()
