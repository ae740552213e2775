"""How sure a model may be: its logits are divided by the temperature of the sensors that a pixel has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dis2.combinations import combinations, name_of
from dis2.models.prediction import Validity

COLDEST, HOTTEST = 0.1, 10.0
HALVINGS = 40


def fitted(logits: Tensor, truth: Tensor) -> float:
    """The temperature at which the likelihood of the truth [P] given logits [P, K] is greatest; 1 without pixels.

    The likelihood is concave in 1 / temperature, so its slope tells on which side of a guess the best one lies.
    """
    if not len(truth):
        return 1.0
    logits = logits.double()
    own = logits.gather(1, truth.long().unsqueeze(1)).mean()
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(HALVINGS):
        guess = (low * high) ** 0.5
        expected = (torch.softmax(guess * logits, 1) * logits).sum(1).mean()
        low, high = (low, guess) if expected > own else (guess, high)
    return round(1 / (low * high) ** 0.5, 4)


def tempered(logits: Tensor, valid: Validity, sensors: Sequence[str], temperatures: Mapping[str, float]) -> Tensor:
    """Logits [B, K, H, W] over the temperature of those sensors that measured each pixel; 1 where none is known."""
    if not temperatures:
        return logits
    known = [1.0] * 2 ** len(sensors)
    for combination in combinations(sensors):
        place = sum(1 << index for index, sensor in enumerate(sensors) if sensor in combination)
        known[place] = temperatures.get(name_of(combination), 1.0)
    table = torch.tensor(known, device=logits.device)
    places = torch.stack([valid[sensor].long() << index for index, sensor in enumerate(sensors)]).sum(0)  # [B, 1, H, W]
    return logits.float() / table[places]
