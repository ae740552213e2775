"""Pixels that a model has learnt from tell nothing of how good it is: they are not scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dis2.config.data import Data
from dis2.errors import UserError
from dis2.models.files import Card
from dis2.tiles.manifest import digest_of, manifest_of
from dis2.tiles.store import store_path


def learnt_from(data: Data, tiles: Path, origin: Card | None = None) -> list[dict[str, Any]]:
    """What a card tells of the pixels behind a model and its origin: which store trained, and how was it dealt to splits."""
    trained = data.scenes_of("train")
    own = [
        {"store": digest_of(store_path(tiles, scene)), "trained": scene in trained, "dealt": _dealt(data, scene)}
        for scene in dict.fromkeys((*trained, *data.scenes_of("validation")))
    ]
    before = origin.training.get("learnt_from", []) if origin else []
    return [*before, *(one for one in own if one not in before)]


def _dealt(data: Data, scene: str) -> dict[str, Any] | None:
    """What decides which of a scene's pixels are of which split, if they are not all of one."""
    if not data.is_dealt(scene):
        return None
    return data.split.model_dump(mode="json", exclude={"by", "labels", "parts"}) | {"parts": sorted(data.split.parts)}


def check_unseen(told: str, card: Card, data: Data, tiles: Path, split: str) -> None:
    """Refuses a split whose pixels trained a model or, if they are to test it, chose its weights, as far as its card tells."""
    for scene in data.scenes_of(split):
        store = store_path(tiles, scene)
        if not manifest_of(store).exists():
            continue
        found, dealt = digest_of(store), _dealt(data, scene)
        for one in card.training.get("learnt_from", []):
            if one["store"] != found or (dealt and dealt == one["dealt"]) or not (one["trained"] or split == "test"):
                continue
            how = "trained it" if one["trained"] else "chose its weights"
            some = "some of them " if one["dealt"] or dealt else ""
            raise UserError(f"{told}: pixels of {scene} are of the {split} split here, but {some}{how}; score it on others")
