"""Pixels that a model has learnt from tell nothing of how good it is: they are not scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dis2.config.data import Data
from dis2.errors import UserError
from dis2.models.files import Card
from dis2.tiles.manifest import digest_of, manifest_of
from dis2.tiles.store import store_path


def learnt_from(data: Data, origin: Card | None = None) -> dict[str, Any]:
    """What a card tells of the pixels behind a model: the scenes that trained it or its origin, and how pixels were dealt."""
    before = origin.training.get("scenes", ()) if origin else ()
    scenes = list(dict.fromkeys((*before, *data.scenes_of("train"))))
    return {"scenes": scenes, "split": data.split.model_dump(mode="json", exclude={"labels"})}


def check_unseen(folder: Path, card: Card, data: Data, tiles: Path, split: str) -> None:
    """Refuses a split whose pixels trained the model or, if they are to test it, chose its weights, as far as its card tells."""
    known, trained = card.provenance.get("data", {}), card.training.get("scenes")
    if trained is None:
        return
    used = set(known) if split == "test" else set(trained)
    dealt_alike = card.training["split"] == learnt_from(data)["split"]
    for scene in data.scenes_of(split):
        store = store_path(tiles, scene)
        if scene not in used or (data.is_dealt(scene) and dealt_alike):
            continue
        if not manifest_of(store).exists() or digest_of(store) != known.get(scene):
            continue
        told = f"{scene} is of the {split} split here, but the model has learnt from its pixels"
        if data.is_dealt(scene):
            told = f"data.split deals {scene} otherwise than for the model, which has learnt from pixels of the {split} split"
        raise UserError(f"{folder}: {told}; give the config that it was trained with, or train it again")
