"""A trained model as files: weights in safetensors, and a card that says what it is and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dis2.config.data import Data, Sensor
from dis2.config.model import ModelSettings
from dis2.errors import UserError
from dis2.files import check_digest, digest, read_json, whole, write_json
from dis2.models.inputs import inputs
from dis2.models.prediction import Images, Validity
from dis2.models.registry import METHODS, method_of

WEIGHTS, CARD, HISTORY = "weights.safetensors", "model.json", "history.jsonl"


class Card(BaseModel):
    """What a model is: enough to build it again, to refuse data that do not fit, and to know how it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    sensors: dict[str, int]
    """Bands of each sensor, in the order of combinations."""
    rasters: dict[str, Sensor]
    """How the rasters of each sensor are read: their kind, nodata, resampling and scaling."""
    reference: str
    resolution: float | None
    """The side of a pixel of the training grid; none where chips share a pixel grid."""
    classes: tuple[str, ...]
    colors: tuple[str, ...]
    settings: ModelSettings
    statistics: dict[str, dict[str, Any]]
    """Mean and standard deviation of every band, with extremes, by sensor."""
    seed: int
    parameters: int
    validation: dict[str, float]
    """mIoU of every combination on validation tiles, of the weights that were kept."""
    training: dict[str, Any]
    """Settings, steps, time and memory."""
    provenance: dict[str, Any]
    """Code, data and versions."""
    temperatures: dict[str, float] = {}
    """What logits are divided by before they tell how sure the model is, by combination; 1 for those not named."""
    weights: str = ""
    history: str = ""
    """The digests of the files beside the card."""

    @property
    def channels(self) -> dict[str, int]:
        """How many bands its network is shown of each sensor."""
        return {sensor: bands * len(self.rasters[sensor].relief) for sensor, bands in self.sensors.items()}


VALUES = ("take", "relief", "ground", "scaling")
"""What decides which values a sensor's numbers become."""


@dataclass
class Model:
    """A network with its card."""

    network: nn.Module
    card: Card

    def prepare(self, images: dict[str, NDArray[Any]], valid: dict[str, NDArray[np.bool_]]) -> tuple[Images, Validity]:
        """Raw bands [B, C, H, W] and validity [B, H, W] as the network takes them: standardised, as tensors on its device."""
        device = next(self.network.parameters()).device
        return inputs(images, valid, self.card.statistics, device)


def build(method: str, sensors: dict[str, int], classes: int, settings: ModelSettings) -> nn.Module:
    """A method's network with fresh weights."""
    network: nn.Module = method_of(method).network_module().Network(sensors, classes, settings)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def save(folder: Path, network: nn.Module, card: Card, history: str | None = None) -> None:
    """The weights and the history of the training, then the card, each whole or not there."""
    told = {}
    if history is not None:
        with whole(folder / HISTORY) as part:
            part.write_text(history, encoding="utf-8")
        told["history"] = digest(folder / HISTORY)
    with whole(folder / WEIGHTS) as part:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, part)
    write_json(folder / CARD, card.model_dump(mode="json") | told | {"weights": digest(folder / WEIGHTS)})


def read_card(folder: Path) -> Card:
    """The card of a model's folder."""
    try:
        card = Card.model_validate(read_json(folder / CARD))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UserError(
            f"{folder / CARD}: {where}: {error.errors()[0]['msg']}; not a model of this version: train it again"
        ) from None
    if card.method not in METHODS and card.method != "teacher":
        raise UserError(f"{folder / CARD}: method: {card.method!r} is not one of {', '.join(['teacher', *METHODS])}")
    return card


def check_fit(folder: Path, card: Card, data: Data) -> None:
    """Refuses data whose sensors, bands or classes, or their order, are not the model's, or whose values are taken otherwise."""
    for what, has, wants in (
        ("sensors", _listed(card.rasters), _listed(data.sensors)),
        ("classes", ", ".join(card.classes), ", ".join(data.classes)),
    ):
        if has != wants:
            raise UserError(f"{folder}: {what}: the model has {has}, the config {wants}; train it again")
    for sensor, spec in card.rasters.items():
        for key in VALUES:
            if (has := getattr(spec, key)) != (wants := getattr(data.sensors[sensor], key)):
                raise UserError(f"{folder}: data.sensors.{sensor}.{key}: the model has {has}, the config {wants}; train it again")


def _listed(sensors: Mapping[str, Sensor]) -> str:
    how = {name: " relative" * it.relative + " above-ground" * bool(it.ground) for name, it in sensors.items()}
    return ", ".join(f"{name} ({it.bands}{how[name]} bands)" for name, it in sensors.items())


def load(folder: Path) -> Model:
    """A trained model, ready to predict: its network, or the specialists that lie in the folder. Nothing is ever unpickled."""
    parts = [] if (folder / CARD).exists() else sorted(folder.glob(f"*+*/{CARD}"))
    if parts and (way := method_of(read_card(parts[0].parent).method)).specialists:
        return way.network_module().together(folder)
    card = read_card(folder)
    network = build(card.method, card.channels, len(card.classes), card.settings)
    check_digest(folder / WEIGHTS, card.weights)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError:
        raise UserError(f"{folder / WEIGHTS}: {card.method} has other parts in this version of dis2; train it again") from None
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder / WEIGHTS}: does not fit its card or is damaged ({reason}); train it again") from None
    return Model(network.eval(), card)
