r"""How far methods carry to places that they have not seen: each training scene is left out once, and scored on.

    snakemake prepare --cores all --configfile config/ombria.yaml --config data_root=FOLDER
    DIS2_DATA=FOLDER python benchmarks/places.py config/ombria.yaml dis2 paper --training '{"learning_rate": 0.002}' --name slow
    DIS2_DATA=FOLDER python benchmarks/places.py config/ombria.yaml dis2 paper --name slow --scenes g00 g01

Test scenes are not touched, and the validation scenes choose checkpoints as ever: so settings can be chosen by many places where
one validation scene is too little. Prints mIoU, the mean over combinations and each of them, by method and place that was left
out. Writes models and scores to results/NAME/places/; what is there is not made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from dis2.config.data import Data
from dis2.config.run import Run, read_run
from dis2.config.training import TrainingSettings
from dis2.evaluation.evaluate import evaluate
from dis2.files import read_json
from dis2.models.registry import METHODS, method_of
from dis2.tiles.statistics import statistics
from dis2.training.train import train


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("config", type=Path, help="config file of the run, with splits by scene, prepared")
    arguments.add_argument("methods", nargs="+", metavar="METHOD", help="one or more of the methods")
    arguments.add_argument("--training", type=json.loads, default={}, metavar="JSON", help="settings of training that differ")
    arguments.add_argument("--name", default="default", help="what these settings are called")
    arguments.add_argument("--scenes", nargs="+", help="the scenes to leave out (default: every one that trains)")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    if given.training and given.name == "default":
        arguments.error("--name: missing; settings of training that differ need a name of their own")
    run = read_run([given.config], METHODS)
    settings = TrainingSettings.model_validate(run.training.model_dump(exclude_unset=True) | given.training)
    for scene in given.scenes or run.data.trained:
        folder = run.folder / "places" / scene
        for method in given.methods:
            print(f"{given.name} {method} {scene}: {told(score(run, settings, method, given.seed, scene, folder, given.name))}")


def score(run: Run, settings: TrainingSettings, method: str, seed: int, scene: str, folder: Path, name: str) -> dict[str, float]:
    """mIoU of each combination in a place that a method was trained without; what it starts from is, too."""
    data, tiles, models = left_out(run.data, scene), run.folder / "tiles", folder / name
    if not (folder / "statistics.json").exists():
        statistics(data, tiles, folder / "statistics.json")

    def trained(method: str, teacher: Path | None) -> Path:
        out = models / method / str(seed)
        if not (out / "weights.safetensors").exists():
            train(data, run.model, settings, method, seed, tiles, folder / "statistics.json", out, None, teacher)
        return out

    model = trained(method, trained("teacher", None) if method_of(method).teacher else None)
    out = models / "scores" / method / f"{seed}.json"
    if not out.exists():
        evaluate(data, run.evaluation, model, tiles, out, "test", zeros=False)
    return {combination: found["scores"]["miou"] for combination, found in read_json(out)["combinations"].items()}


def left_out(data: Data, scene: str) -> Data:
    """The data with one training scene to test on, and without the test scenes."""
    others = {name: it for name, it in data.scenes.items() if it.split != "test"}
    return data.model_copy(update={"scenes": others | {scene: data.scenes[scene].model_copy(update={"split": "test"})}})


def told(miou: dict[str, float]) -> str:
    """The mean and each combination, in percent points."""
    each = ", ".join(f"{combination} {100 * value:.1f}" for combination, value in miou.items())
    return f"{100 * np.mean(list(miou.values())):.1f} ({each})"


if __name__ == "__main__":
    main()
