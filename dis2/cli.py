"""The command line: one subcommand per stage; nothing but arguments in, files out. Stages are imported only when they run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dis2 import __version__
from dis2.arguments import Instead, Parser, Settings, Stages, count
from dis2.errors import UserError


def simulate(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.raster.simulate import simulate

    wanted = settings("simulate")
    if wanted is None:
        raise UserError(f"{arguments.config}: simulate: missing; only a config with this section has built-in scenes")
    simulate(wanted, tuple(settings("data").classes), arguments.scene, arguments.out)


def check(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.store:
        from dis2.tiles.manifest import check as check_stores

        check_stores(arguments.store)
        return

    from dis2.config.packed import is_missing
    from dis2.config.plan import Plan
    from dis2.models.registry import method_of
    from dis2.raster.check import check

    with _scene(settings, arguments) as data:
        if settings.run and arguments.broken == "stop" and any(map(is_missing, data.scenes[arguments.scene].files)):
            plan = Plan(settings.run, method_of)
            plan.check_files([str(arguments.config)], [arguments.scene])  # it tells where they are listed
        check(data, settings("grid"), arguments.scene, arguments.out, arguments.broken == "skip")


def sound(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.raster.sound import sound

    sound(settings("data"), arguments.checked, arguments.out)


def register(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.raster.register import register
    from dis2.raster.sound import refuse_broken

    if arguments.checked:
        refuse_broken(arguments.checked, arguments.scene)
    with _scene(settings, arguments) as data:
        register(data, settings("grid"), arguments.scene, arguments.out, arguments.picture)


def tile(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.tiles.cut import cut

    with _scene(settings, arguments) as data:
        cut(
            data,
            settings("grid"),
            arguments.scene,
            arguments.shifts,
            arguments.out,
            arguments.processes,
            arguments.scheduler,
        )


def statistics(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.tiles.statistics import statistics

    statistics(settings("data"), arguments.tiles, arguments.out, arguments.scheduler)


def train(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.training.request import Request
    from dis2.training.train import train

    request = Request(
        data=settings("data"),
        model=settings("model"),
        settings=settings("training"),
        method=arguments.method,
        seed=arguments.seed,
        tiles=arguments.tiles,
        statistics=arguments.statistics,
        teacher=arguments.teacher,
        combination=arguments.combination,
        origin=arguments.origin,
    )
    train(request, arguments.out, arguments.state)


def evaluate(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.evaluation.evaluate import evaluate

    evaluate(
        settings("data"),
        settings("evaluation"),
        arguments.model,
        arguments.tiles,
        arguments.out,
        arguments.split,
        arguments.zeros,
        arguments.teacher,
    )


def compare(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.evaluation.compare import compare

    compare(arguments.first, arguments.second, arguments.folds, arguments.json)


def predict(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.prediction.predict import predict_files, predict_scene

    _check_model(arguments.model)
    if arguments.scene is None:
        for option in ("config", "settings", "shifts", "combinations"):
            if getattr(arguments, option) is not None:
                raise UserError(f"--{option}: used only with --scene NAME; add it, or leave --{option} out")
        predict_files(arguments.model, _files_by_sensor(arguments.rest), arguments.out)
        return
    if arguments.rest:
        raise UserError(f"{arguments.rest[0]}: not used with --scene, whose rasters are in the config")
    if arguments.config is None and arguments.settings is None:
        raise UserError(f"--scene {arguments.scene}: whose rasters are in a config; give it by --config FILE")
    with _scene(settings, arguments) as data:
        predict_scene(
            data,
            settings("grid"),
            settings("prediction"),
            arguments.model,
            arguments.scene,
            arguments.shifts,
            arguments.combinations,
            arguments.out,
        )


def export(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.prediction.export import export

    export(arguments.model, arguments.combination, arguments.out)


def explain(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.evaluation.explain import explain

    _check_model(arguments.model)
    with _scene(settings, arguments) as data:
        explain(
            data,
            settings("grid"),
            settings("prediction"),
            arguments.model,
            arguments.scene,
            arguments.shifts,
            arguments.out,
        )


def report(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.report.page import report

    report(settings("data"), settings("report"), arguments.results, arguments.out, arguments.only, arguments.explained)


def cost(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.evaluation.cost import cost

    cost(
        arguments.method,
        arguments.sensors,
        arguments.classes,
        arguments.size,
        arguments.combination,
        arguments.width,
        arguments.json,
    )


def doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    from dis2.doctor import doctor

    return doctor(Path(), arguments.config)


def init(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.proposal.propose import propose

    propose(arguments.folder, arguments.out, arguments.name)


def schema(arguments: argparse.Namespace, settings: Settings) -> None:
    from dis2.config.run import schema
    from dis2.files import whole

    if arguments.out is None:
        sys.stdout.write(schema())
        return
    with whole(arguments.out) as part:
        part.write_text(schema())


@contextmanager
def _scene(settings: Settings, arguments: argparse.Namespace) -> Iterator[Any]:
    """The data with the scene, whose rasters may be what the config allows, and do not change meanwhile."""
    from dis2.files import unchanged
    from dis2.raster.sources import allow

    data = settings("data")
    if arguments.scene not in data.scenes:
        raise UserError(f"--scene {arguments.scene}: not one of the scenes ({', '.join(data.scenes)})")
    allow(data.allow)
    with unchanged(data.scenes[arguments.scene].files):
        yield data


def _check_model(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: not the folder of a model; it comes first, such as results/mine/models/dis2/0")


def _files_by_sensor(rest: list[str]) -> dict[str, list[str]]:
    """`--optical a.tif b.tif --sar c.tif` by sensor."""
    files: dict[str, list[str]] = {}
    for word in rest:
        if word.startswith("--"):
            name, _, file = word[2:].partition("=")
            files[name] = [*files.pop(name, []), *([file] if file else [])]
        elif not files:
            raise UserError(f"{word}: say which sensor it is, such as --optical {word}")
        else:
            files[list(files)[-1]].append(word)
    if not files:
        raise UserError("no sensor given; name at least one, such as --optical image.tif (or --scene NAME with --config)")
    if empty := [sensor for sensor, listed in files.items() if not listed]:
        raise UserError(f"--{empty[0]}: no file given; name its raster")
    return files


def parser() -> argparse.ArgumentParser:
    """All subcommands with their arguments, in the order of the workflow."""
    top = Parser("dis2", description="Maps from several sensors that stay good when sensors go missing.")
    top.add_argument("--version", action="version", version=f"dis2 {__version__}")
    stages = Stages(top)
    it = stages.add(
        "simulate", simulate, "make one of the built-in scenes: rasters, labels, and the truth about its misregistration"
    )
    it.scene().out("FOLDER", "folder of the scene's rasters")
    it = stages.add("check", check, "look at all rasters of a scene and say what is wrong with them, one line each", CHECK_USAGE)
    it.scene().out("JSON", "what was seen")
    it.parser.add_argument(
        "--store", nargs="+", type=Path, action=Instead, metavar="ZARR", help="check tile stores against their manifests instead"
    )
    it.parser.add_argument(
        "--broken", choices=("stop", "skip"), default="stop", help="faults are an error, or are written down too (default stop)"
    )
    it = stages.add("sound", sound, "tell which scenes are sound, from the checks of all of them")
    it.path("--checked", "FOLDER", "results of `dis2 check`, <scene>.json", required=True)
    it.out("JSON", "the sound scenes, and what is wrong with the others")
    it = stages.add("register", register, "find how far each sensor of a scene lies beside the reference sensor")
    it.scene().out("JSON", "the shifts with their quality")
    it.path("--checked", "JSON", "result of `dis2 check` for the scene: one that is not sound is refused")
    it.path("--picture", "PNG", "also draw reference and sensor, before and after")
    it = stages.add("tile", tile, "bring all sensors and labels of a scene to one grid, in one store")
    it.scene().path("--shifts", "JSON", "result of `dis2 register`", required=True)
    it.out("ZARR", "the store; its manifest is written beside it").scheduler()
    it.parser.add_argument(
        "--processes", type=count, default=1, metavar="N", help="cut large scenes in as many processes (default 1)"
    )
    it = stages.add(
        "statistics", statistics, "mean and spread of every band, and how often each class occurs, in training pixels"
    )
    it.tiles().out("JSON", "the statistics").scheduler()
    it = stages.add("train", train, "train the teacher or a rival")
    it.parser.add_argument("method", metavar="METHOD", help="teacher, or one of the config's methods")
    it.parser.add_argument("--combination", metavar="A+B", help="specialist: the sensors that it is trained for")
    it.training(needed=False)
    it = stages.add("distill", train, "train the student, which takes any combination of sensors, from the teacher")
    it.parser.set_defaults(method="dis2", combination=None)
    it.training(needed=True)
    it = stages.add("evaluate", evaluate, "measure a model on every combination of sensors")
    it.parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    it.tiles().out("JSON", "confusion matrices and scores of every combination")
    it.parser.add_argument(
        "--split", choices=("validation", "test"), default="test", help="the pixels that are scored (default test)"
    )
    it.parser.add_argument("--zeros", action="store_true", help="feed zeros for missing sensors, as if they were there")
    it.path("--teacher", "FOLDER", "the teacher's model: also tell how much fused features are like its own")
    it = stages.add(
        "predict", predict, "map new rasters, or a scene of the config, from whichever sensors there are", PREDICT_USAGE
    )
    it.parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    it.parser.add_argument("--scene", metavar="NAME", help="a scene of the config, instead of --SENSOR FILE")
    it.path("--shifts", "JSON", "result of `dis2 register` for the scene (default: registered on the fly)")
    it.parser.add_argument(
        "--combinations", nargs="+", metavar="A+B", help="one map for each (default: all sensors of the scene)"
    )
    it.out("PATH", "the map, its confidence beside it (with --scene a folder for <combination>.tif)")
    it = stages.add("explain", explain, "show where a model finds classes, and what sensors and resolutions tell of them")
    it.parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    it.scene().path("--shifts", "JSON", "result of `dis2 register` for the scene (default: registered on the fly)")
    it.out("FOLDER", "explanation.json, tables (CSV), attention.npy, and pictures/ (PNG)")
    it = stages.add("report", report, "write the report: one HTML file that works offline")
    it.path("--results", "FOLDER", "results/<dataset>", required=True).out("HTML", "the page")
    it.parser.add_argument(
        "--only", nargs="+", metavar="METHOD/SEED", help="the evaluations to show (default: all that there are)"
    )
    it.parser.add_argument(
        "--explained", nargs="*", metavar="METHOD/SCENE", help="the explanations to show (default: all that there are)"
    )
    it = stages.add(
        "compare", compare, "tell what is better, and whether that could be luck: two results side by side", settings=False
    )
    it.parser.add_argument(
        "first", type=Path, metavar="A", help="results/<dataset>, a folder of evaluations in it, or one evaluation (JSON)"
    )
    it.parser.add_argument(
        "second", type=Path, nargs="?", metavar="B", help="another one (default: compare the first method of A with its others)"
    )
    it.parser.add_argument(
        "--folds", type=Path, nargs="+", default=[], metavar="RESULTS", help="the other folds of A's study, whose blocks join A's"
    )
    it.parser.add_argument("--json", action="store_true", help="print JSON")
    it = stages.add(
        "cost", cost, "measure what a method costs: parameters, arithmetic, memory and time of combinations", settings=False
    )
    it.cost()
    it = stages.add(
        "doctor", doctor, "tell what this machine has and what would fail on it; the exit code is 1 for a warning", settings=False
    )
    it.path("--config", "FILE", "also look whether this config is right and its rasters are there")
    it = stages.add("init", init, "propose a config for a folder of rasters, with comments and an estimate", settings=False)
    it.parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds rasters of two sensors or more, and labels")
    it.parser.add_argument("--name", metavar="NAME", help="of the data set (default: the folder's)")
    it.out("YAML", "the config; never written over one that is there")
    it = stages.add(
        "export", export, "write a model for one combination as a file that PyTorch runs without this package", settings=False
    )
    it.parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    it.parser.add_argument("--combination", required=True, metavar="A+B", help="the sensors that are there")
    it.out("PT2", "the program (torch.export)")
    it = stages.add("schema", schema, "write the JSON schema of config files", settings=False)
    it.path("--out", "JSON", "file (default: standard output)")
    return top


CHECK_USAGE = """dis2 check --config FILE --scene NAME --out JSON
       dis2 check --store ZARR [ZARR ...]"""

PREDICT_USAGE = """dis2 predict MODEL --SENSOR FILE... [--SENSOR FILE...] --out MAP.tif
       dis2 predict MODEL --config FILE --scene NAME [--combinations A+B ...] --out FOLDER"""


def main(words: list[str] | None = None) -> int:
    """Runs one stage; 0 when it is done (the doctor has worse to say), 2 with one line on a user's mistake."""
    top = parser()
    arguments, rest = top.parse_known_args(words)
    if rest and arguments.stage != "predict":
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return arguments.function(arguments, Settings(arguments)) or 0
    except UserError as error:
        told = "".join(f"dis2 {arguments.stage}: {line}\n" for line in error.lines)
        sys.stderr.write(told)  # at once: other stages may write there too
        return 2
    except KeyboardInterrupt:
        print(f"dis2 {arguments.stage}: interrupted; run the same command again", file=sys.stderr)
        return 130
