"""Which scenes the check has found sound, and what is wrong with the others, as later stages read it."""

from __future__ import annotations

from pathlib import Path

from dis2.config.data import SPLITS, Data
from dis2.errors import UserError
from dis2.files import read_json, write_json


def faults_of(checked: Path) -> list[str]:
    """What the check has found wrong with a scene, from checked/<scene>.json."""
    found = read_json(checked)
    if not isinstance(found, dict) or not isinstance(found.get("faults"), list):
        raise UserError(f"{checked}: holds no result of a check; delete it and run `dis2 check` for this scene again")
    return [str(fault) for fault in found["faults"]]


def refuse_broken(checked: Path, scene: str) -> None:
    """An error if the scene is not sound."""
    if faults := faults_of(checked):
        raise UserError(f"scene {scene}: {faults[0]}")


def sound(data: Data, checked: Path, out: Path) -> None:
    """Writes down which scenes are sound and why others are not; an error if those that are left cannot make a run."""
    faults = {scene: faults_of(checked / f"{scene}.json") for scene in data.scenes}
    broken = {scene: found for scene, found in faults.items() if found}
    left = data.only(scene for scene in data.scenes if scene not in broken)
    for split in SPLITS:
        if not left.scenes_of(split):
            raise UserError(f"no scene with split {split} is sound ({', '.join(data.scenes_of(split))}); mend one of them")
    if not any(scene.labelled and set(scene.has) == set(data.sensors) for scene in left.trained.values()):
        raise UserError(
            f"no training scene with labels and every sensor is sound ({', '.join(data.scenes_of('train'))}); mend one of them"
        )
    write_json(out, {"sound": list(left.scenes), "broken": broken})
