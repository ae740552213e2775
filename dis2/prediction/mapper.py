"""A model looks at windows: probabilities of every combination of sensors from one reading, on the GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dis2.device import device, has_bf16
from dis2.models.files import Model
from dis2.models.prediction import Images, Validity
from dis2.models.temperature import tempered
from dis2.raster.grid import Window
from dis2.raster.warp import Reader


def inputs_of(model: Model, readers: Mapping[str, Reader], windows: Sequence[Window]) -> tuple[Images, Validity]:
    """What the sensors show in windows of one size, as the network takes it."""
    read = {sensor: [reader.read(window) for window in windows] for sensor, reader in readers.items()}
    return model.prepare(
        {sensor: np.stack([bands for bands, _ in parts]) for sensor, parts in read.items()},
        {sensor: np.stack([mask for _, mask in parts]) for sensor, parts in read.items()},
    )


class Mapper:
    """Turns windows of some sensors into channels: where each sensor is measured, then the classes of each combination.

    It computes where it is told, or on the device that is there.
    """

    def __init__(
        self,
        model: Model,
        readers: Mapping[str, Reader],
        combinations: Sequence[Sequence[str]],
        where: torch.device | None = None,
    ):
        self.model, self.readers, self.combinations = model, readers, combinations
        model.network.to(where or device())

    def predictions(
        self, windows: Sequence[Window], cell: Window, batch: int, done: Callable[[int], object]
    ) -> Iterator[tuple[Window, Tensor]]:
        """Each window of a cell with its channels [S + combinations x K, h, w], computed in batches."""
        for first in range(0, len(windows), batch):
            group = windows[first : first + batch]
            yield from zip(group, self.channels([w._replace(y=w.y + cell.y, x=w.x + cell.x) for w in group]), strict=True)
            done(len(group))

    @torch.inference_mode()
    def channels(self, windows: Sequence[Window]) -> Tensor:
        """The channels of windows of one size [B, S + combinations x K, h, w]."""
        images, valid = inputs_of(self.model, self.readers, windows)
        measured = torch.cat([valid[sensor] for sensor in self.readers], 1).float()
        return torch.cat([measured, *(self.probabilities(images, valid, sensors) for sensors in self.combinations)], 1)

    def probabilities(self, images: dict[str, Tensor], valid: dict[str, Tensor], sensors: Sequence[str]) -> Tensor:
        """What the network says given these sensors [B, K, h, w]; windows that none of them measured are zero, not computed."""
        masks = torch.cat([valid[sensor] for sensor in sensors], 1)
        seen = masks.flatten(1).any(1)
        said = images[sensors[0]].new_zeros(len(masks), len(self.model.card.classes), *masks.shape[2:])
        if seen.any():
            with torch.autocast(said.device.type, torch.bfloat16, enabled=has_bf16(said.device)):
                logits = self.model.network(
                    *({sensor: tensors[sensor][seen] for sensor in sensors} for tensors in (images, valid))
                ).logits
            there = {sensor: valid[sensor][seen] for sensor in sensors}
            said[seen] = tempered(logits.float(), there, sensors, self.model.card.temperatures).softmax(1)
        return said

    def split(self, channels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each combination: its probabilities [K, h, w], and where each of its sensors is measured [S, h, w]."""
        order, classes = list(self.readers), len(self.model.card.classes)
        for index, sensors in enumerate(self.combinations):
            first = len(order) + index * classes
            yield channels[first : first + classes], channels[[order.index(sensor) for sensor in sensors]] > 0.5
