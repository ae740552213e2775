"""Specialists: one network for each combination, trained with exactly its sensors: the upper reference, and its price."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dis2.combinations import combinations, name_of
from dis2.errors import UserError
from dis2.models import teacher
from dis2.models.files import CARD, Card, Model, load, read_card
from dis2.models.prediction import Encoded, Prediction
from dis2.models.rivals.unencoded import Unencoded


class Network(teacher.Network):
    """The specialist of one combination: the teacher's network on its sensors."""


class Specialists(Unencoded):
    """Each sample goes to the specialist of just the sensors that it has. Where it has none, all classes are as likely."""

    def __init__(self, sensors: dict[str, int], classes: int, specialists: Mapping[str, nn.Module]):
        super().__init__(sensors)
        self.classes = classes
        self.of = nn.ModuleDict(dict(specialists))

    def decode(self, encoded: Encoded, available: Tensor | None = None) -> Prediction:
        images, masks = self.shown(encoded, available)
        there = torch.cat(list(masks.values()), 1).flatten(2).any(2)  # [V B, N]
        logits = next(iter(masks.values())).new_zeros(len(there), self.classes, *encoded.size)  # [V B, K, H, W]
        for row in there.unique(dim=0):
            has = [sensor for sensor, seen in zip(self.sensors, row.tolist(), strict=True) if seen]
            if has:
                alike = (there == row).all(1)
                own = self.of[name_of(has)]({s: images[s][alike] for s in has}, {s: masks[s][alike] > 0 for s in has})
                logits[alike] = own.logits.to(logits.dtype)
        return Prediction(logits)


def together(folder: Path) -> Model:
    """The specialists of all combinations, each in a folder of its name, as one model."""
    full = max((read_card(path.parent) for path in folder.glob(f"*/{CARD}")), key=lambda card: len(card.sensors))
    parts = {name_of(c): load(folder / name_of(c)) for c in combinations(tuple(full.sensors))}
    for name, card in ((name, part.card) for name, part in parts.items()):
        if card.classes != full.classes or any(card.statistics[sensor] != full.statistics[sensor] for sensor in card.sensors):
            raise UserError(f"{folder / name}: made of other classes or statistics than {name_of(full.sensors)}; train it again")
    network = Specialists(full.sensors, len(full.classes), {name: part.network for name, part in parts.items()})
    return Model(network.eval(), _joined(full, [part.card for part in parts.values()]))


def _joined(full: Card, cards: list[Card]) -> Card:
    """The card of all specialists: what they took is added up."""
    sums = {key: round(sum(card.training[key] for card in cards), 1) for key in ("steps", "seconds")}
    return full.model_copy(
        update={
            "parameters": sum(card.parameters for card in cards),
            "validation": {name: score for card in cards for name, score in card.validation.items()},
            "temperatures": {name: one for card in cards for name, one in card.temperatures.items()},
            "training": {**full.training, **sums, "best_step": None},
        }
    )
