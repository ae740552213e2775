r"""How far methods carry to places that they have not seen: each training scene is left out once, and scored on.

    snakemake prepare --cores all --configfile config/ombria.yaml --config data_root=FOLDER
    DIS2_DATA=FOLDER python benchmarks/places.py config/ombria.yaml dis2 paper
    DIS2_DATA=FOLDER python benchmarks/places.py config/ombria.yaml dis2 --training '{"learning_rate": 0.006}' --name fast
    DIS2_DATA=FOLDER python benchmarks/places.py config/ombria.yaml paper --scenes g00 g01
    DIS2_DATA=FOLDER python benchmarks/places.py config/ombria.yaml --out benchmarks/results/ombria-places.csv

Test scenes are not touched, and the validation scenes choose checkpoints as ever: so settings can be chosen by many places where
one validation scene is too little. Prints mIoU, the mean over combinations and each of them, by method and place that was left
out. Writes models and scores to results/NAME/places/; what is there is not made again. `--out` is for all that lies there: a line
for each setting and method (SETTING/METHOD), place and combination; and in NAME-leads.csv how far the first one is above each
other, a place being one observation, with the 95 % interval of a paired t test and Holm's correction, over the means and over all
single combinations.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import ttest_rel
from scores import Row, lead, write

from dis2.combinations import combinations, name_of
from dis2.config.data import Data
from dis2.config.plan import ZEROS
from dis2.config.run import Run, read_run
from dis2.config.training import TrainingSettings
from dis2.evaluation.compare import MEAN, Difference, holm
from dis2.evaluation.evaluate import evaluate
from dis2.files import read_json, write_json
from dis2.models.registry import METHODS, method_of
from dis2.tiles.statistics import statistics
from dis2.training.request import Request
from dis2.training.train import train


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("config", type=Path, help="config file of the run, with splits by scene, prepared")
    arguments.add_argument(
        "methods", nargs="*", metavar="METHOD", help=f"methods to train and score; {ZEROS}: the teacher fed zeros"
    )
    arguments.add_argument("--training", type=json.loads, default={}, metavar="JSON", help="settings of training that differ")
    arguments.add_argument("--name", default="default", help="what these settings are called")
    arguments.add_argument("--scenes", nargs="+", help="the scenes to leave out (default: every one that trains)")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--out", type=Path, help="where the CSV of all scores goes")
    arguments.add_argument("--first", default="default/dis2", metavar="SETTING/METHOD", help="what is compared with all others")
    given = arguments.parse_args()
    if given.training and given.name == "default":
        arguments.error("--name: missing; settings of training that differ need a name of their own")
    run = read_run([given.config], METHODS)
    settings = TrainingSettings.model_validate(run.training.model_dump(exclude_unset=True) | given.training)
    told_of = run.folder / "places" / f"{given.name}.json"
    if given.methods and not told_of.exists():
        write_json(told_of, settings.model_dump())
    if given.methods and read_json(told_of) != settings.model_dump():
        arguments.error(f"--name {given.name}: {told_of} has other settings; give these another name, or delete what is of those")
    for scene in given.scenes or run.data.trained:
        folder = run.folder / "places" / scene
        for method in given.methods:
            print(f"{given.name} {method} {scene}: {told(score(run, settings, method, given.seed, scene, folder, given.name))}")
    if given.out:
        found = scored(run.folder / "places")
        if given.first not in found:
            arguments.error(f"--first {given.first}: not scored; there are {', '.join(found) or 'none'}")
        summary(found, given.first, given.out)


def score(run: Run, settings: TrainingSettings, method: str, seed: int, scene: str, folder: Path, name: str) -> dict[str, float]:
    """mIoU of each combination in a place that a method was trained without; what it starts from is, too."""
    data, tiles, models = left_out(run.data, scene), run.folder / "tiles", folder / name
    if not (folder / "statistics.json").exists():
        statistics(data, tiles, folder / "statistics.json")

    def fit(method: str, out: Path, teacher: Path | None = None, combination: str | None = None) -> None:
        if not (out / "weights.safetensors").exists():
            request = Request(
                data=data,
                model=run.model,
                settings=settings,
                method=method,
                seed=seed,
                tiles=tiles,
                statistics=folder / "statistics.json",
                teacher=teacher,
                combination=combination,
            )
            train(request, out, None)

    def trained(method: str, teacher: Path | None) -> Path:
        out = models / method / str(seed)
        if not method_of(method).specialists:
            fit(method, out, teacher)
            return out
        for combination in map(name_of, combinations(tuple(data.sensors))):
            fit(method, out / combination, combination=combination)
        return out

    teacher = trained("teacher", None) if method == ZEROS or method_of(method).teacher else None
    model = teacher if method == ZEROS else trained(method, teacher)
    out = models / "scores" / method / f"{seed}.json"
    if not out.exists():
        evaluate(data, run.evaluation, model, tiles, out, "test", zeros=method == ZEROS)
    return {combination: found["scores"]["miou"] for combination, found in read_json(out)["combinations"].items()}


def left_out(data: Data, scene: str) -> Data:
    """The data with one training scene to test on, and without the test scenes."""
    others = {name: it for name, it in data.scenes.items() if it.split != "test"}
    return data.model_copy(update={"scenes": others | {scene: data.scenes[scene].model_copy(update={"split": "test"})}})


def scored(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """All that lies there: by SETTING/METHOD and place the mIoU of each combination, the mean over seeds, and their mean."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for path in sorted(folder.glob("*/*/scores/*")):
        seeds = [read_json(seed)["combinations"] for seed in sorted(path.glob("*.json"))]
        miou = {name: float(np.mean([seed[name]["scores"]["miou"] for seed in seeds])) for name in seeds[0]}
        scene, setting = path.relative_to(folder).parts[:2]
        found.setdefault(f"{setting}/{path.name}", {})[scene] = miou | {MEAN: float(np.mean(list(miou.values())))}
    return found


def summary(found: dict[str, dict[str, dict[str, float]]], first: str, out: Path) -> None:
    """Writes the scores and the leads, and prints them for people."""
    rows: list[Row] = [
        {"method": name, "place": place, "combination": combination, "miou": miou}
        for name, places in found.items()
        for place, scores in places.items()
        for combination, miou in scores.items()
    ]
    gaps: list[Row] = [
        {"rival": name, "places": len(found[name].keys() & found[first].keys()), "combination": combination}
        | {"lead": gap.mean, "low": gap.low, "high": gap.high, "verdict": gap.verdict}
        for name, each in leads(found, first).items()
        for combination, gap in each.items()
    ]
    write(rows, out)
    if gaps:
        write(gaps, out.with_name(f"{out.stem}-leads.csv"))
    print(table(found, gaps))


def table(found: dict[str, dict[str, dict[str, float]]], gaps: list[Row]) -> str:
    """The same in Markdown: the mean over combinations in each place, and over places that mean and each combination."""
    every = sorted({place for places in found.values() for place in places})
    combinations = list(next(iter(next(iter(found.values())).values())))
    lines = [["", *every, *combinations, "lead in the mean"]]
    lines.append(["---"] * len(lines[0]))
    for name, places in sorted(found.items(), key=lambda it: -np.mean([scores[MEAN] for scores in it[1].values()])):
        each = [f"{100 * places[place][MEAN]:.1f}" if place in places else "" for place in every]
        means = [f"{100 * np.mean([scores[key] for scores in places.values()]):.1f}" for key in combinations]
        lines.append([name, *each, *means, lead({row["combination"]: row for row in gaps if row["rival"] == name})])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def leads(found: dict[str, dict[str, dict[str, float]]], first: str) -> dict[str, dict[str, Difference]]:
    """How far the first is above each other in the places of both, a place being one observation."""
    gaps: dict[str, dict[str, Difference]] = {}
    for name in found:
        places = {place: scores for place, scores in found[name].items() if place in found[first]}
        if name == first or len(places) < 2:
            continue
        gaps[name] = {}
        for combination in next(iter(places.values())):
            a, b = ([it[place][combination] for place in places] for it in (found[first], places))
            mean, test = float(np.mean(a) - np.mean(b)), ttest_rel(a, b)
            low, high = test.confidence_interval()
            chance = float(abs(mean) < 1e-12) if np.isnan(test.pvalue) else float(test.pvalue)  # NaN: as far apart in every place
            gaps[name][combination] = Difference(mean, float(low), float(high), chance)
    for each in ({MEAN}, {key for gap in gaps.values() for key in gap} - {MEAN}):
        family = [(name, key) for name, gap in gaps.items() for key in gap if key in each]
        for (name, key), chance in zip(family, holm([gaps[name][key].p or 0.0 for name, key in family]), strict=True):
            gaps[name][key] = replace(gaps[name][key], holm=chance)
    return gaps


def told(miou: dict[str, float]) -> str:
    """The mean and each combination, in percent points."""
    each = ", ".join(f"{combination} {100 * value:.1f}" for combination, value in miou.items())
    return f"{100 * np.mean(list(miou.values())):.1f} ({each})"


if __name__ == "__main__":
    main()
