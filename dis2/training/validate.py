"""One pass over fixed windows that counts, for every combination of sensors, what a network gets right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dis2.combinations import Combination, availability, name_of, parse
from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.metrics import Calibration, Matrix, confusion, miou
from dis2.models.inputs import inputs
from dis2.models.prediction import Images, Prediction, Validity
from dis2.models.temperature import tempered
from dis2.raster.grid import Window
from dis2.tiles.augment import Sample
from dis2.tiles.dataset import Scenes, batches, fresh, stacked


@dataclass
class Count:
    """What one combination got right: on pixels that every sensor sees, and on those that any sensor sees.

    Both are the same pixels for all combinations. What no sensor measured counts nowhere: a map says nothing there either.
    """

    primary: Matrix
    every: Matrix
    calibration: Calibration
    calibration_every: Calibration
    untempered: Calibration
    """of the primary pixels, as if the model knew no temperatures"""

    @classmethod
    def empty(cls, classes: int, bins: int) -> Count:
        zeros = [np.zeros((classes, classes), np.int64) for _ in range(2)]
        return cls(zeros[0], zeros[1], *(Calibration.empty(bins) for _ in range(3)))


@dataclass(frozen=True)
class Scored:
    """A batch of windows and which of its pixels count."""

    samples: list[Sample]
    images: Images
    valid: Validity
    truth: NDArray[np.uint8]
    """[B, h, w]"""
    new: NDArray[np.bool_]
    """[B, h, w]: the pixels that no earlier window has covered"""
    primary: NDArray[np.bool_]
    """[B, h, w]"""
    labelled: NDArray[np.bool_]
    """[B, h, w]"""


class Observer(Protocol):
    """Sees what is scored, to count more of it."""

    def begin(self, batch: Scored) -> None:
        """A batch, before any of its combinations."""

    def see(self, batch: Scored, combination: str, prediction: Prediction, chosen: NDArray[np.integer]) -> None:
        """What the network says of it with some of the sensors; the classes chosen are [B, h, w]."""


@dataclass
class Scorer:
    """Feeds windows to a network and counts. Encoders run once per window, whatever the number of combinations."""

    scenes: Scenes
    statistics: Mapping[str, dict[str, Any]]
    combinations: Sequence[Combination]
    batch: int
    bins: int = 15
    zeros: bool = False
    """Feed zeros for missing sensors as if they were measured?"""
    observers: Sequence[Observer] = ()
    temperatures: Mapping[str, float] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)

    @torch.no_grad()
    def score(
        self, network: nn.Module, windows: Sequence[tuple[str, Window]], after: Callable[[int], object] = lambda done: None
    ) -> dict[str, Count]:
        """The counts of all windows by combination; every pixel is counted once."""
        classes = len(self.scenes.data.classes)
        self.counts = {name_of(c): Count.empty(classes, self.bins) for c in self.combinations}
        seen = {scene: np.zeros((store.grid.height, store.grid.width), bool) for scene, store in self.scenes.stores.items()}
        device = next(network.parameters()).device
        training = network.training
        network.eval()
        for group in batches(windows, self.batch):
            samples = [self.scenes.sample(scene, window) for scene, window in group]
            new = np.stack([fresh(window, seen[scene]) for scene, window in group])
            self._count(network, samples, new, device)
            after(len(group))
        network.train(training)
        return self.counts

    def _count(self, network: nn.Module, samples: list[Sample], new: NDArray[np.bool_], device: torch.device) -> None:
        images, valid, labels = prepared(samples, self.statistics, device)
        truth = np.stack([sample.labels for sample in samples])
        measured = torch.cat(list(valid.values()), 1).cpu().numpy()  # [B, N, h, w]
        labelled = (truth != IGNORE) & new & measured.any(1)
        if not labelled.any():
            return
        batch = Scored(samples, images, valid, truth, new, labelled & measured.all(1), labelled)
        for observer in self.observers:
            observer.begin(batch)
        for name, prediction in self._predictions(network, images, valid):
            chosen = self._add(name, batch, prediction.logits)
            for observer in self.observers:
                observer.see(batch, name, prediction, chosen)

    def _add(self, name: str, batch: Scored, logits: Tensor) -> NDArray[np.integer]:
        """Counts a combination's logits; the classes chosen."""
        count, sensors = self.counts[name], parse(name, tuple(self.scenes.data.sensors))
        chosen = logits.argmax(1).cpu().numpy()
        sure = _confidence(tempered(logits, batch.valid, sensors, self.temperatures))
        if self.temperatures:
            right = (batch.truth == chosen)[batch.primary]
            count.untempered.add(_confidence(logits)[batch.primary], right)
        for mask, matrix, calibration in (
            (batch.primary, count.primary, count.calibration),
            (batch.labelled, count.every, count.calibration_every),
        ):
            matrix += confusion(batch.truth[mask], chosen[mask], len(matrix))
            calibration.add(sure[mask], (batch.truth == chosen)[mask])
        return chosen

    def _predictions(self, network: nn.Module, images: Images, valid: Validity) -> Iterable[tuple[str, Prediction]]:
        sensors = tuple(self.scenes.data.sensors)
        if self.zeros:
            for combination in self.combinations:
                yield name_of(combination), network(*zero_filled(images, valid, combination))
            return
        encoded = network.encode(images, valid)  # type: ignore[operator]
        like = next(iter(images.values()))
        for combination in self.combinations:
            available = torch.tensor([availability(combination, sensors)] * len(like), device=like.device)
            yield name_of(combination), network.decode(encoded, available)  # type: ignore[operator]


def _confidence(logits: Tensor) -> NDArray[np.float32]:
    """The probability of the likeliest class: [B, h, w]."""
    found: NDArray[np.float32] = torch.softmax(logits.float(), 1).amax(1).cpu().numpy()
    return found


def zero_filled(images: Images, valid: Validity, combination: Combination) -> tuple[Images, Validity]:
    """Missing sensors as zeros that claim to be measurements: what a network without a plan for absence is given."""
    filled = {s: image if s in combination else torch.zeros_like(image) for s, image in images.items()}
    return filled, {s: mask if s in combination else torch.ones_like(mask) for s, mask in valid.items()}


def prepared(
    samples: Sequence[Sample], statistics: Mapping[str, dict[str, Any]], device: torch.device
) -> tuple[Images, Validity, Tensor]:
    """Samples as a network takes them: images [B, C, H, W], validity [B, 1, H, W], labels [B, H, W]."""
    images, valid, labels = stacked(samples)
    return *inputs(images, valid, statistics, device), torch.from_numpy(labels.astype(np.int64)).to(device)


def mious(counts: Mapping[str, Count]) -> dict[str, float]:
    """mIoU of every combination on the pixels that every sensor sees (on those that any sees where there are none)."""
    found = {name: miou(count.primary if count.primary.any() else count.every) for name, count in counts.items()}
    if any(np.isnan(score) for score in found.values()):
        raise UserError("validation: no labelled pixel has a measurement of any sensor; check the rasters and data.split")
    return found
