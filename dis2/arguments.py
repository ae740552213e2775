"""What subcommands are put together from: the arguments that several of them share, and how a wrong one is told."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NoReturn

from dis2.errors import UserError


class Settings:
    """The sections that a stage asks for, from `--settings` (their JSON, perhaps in parts) or from a whole config."""

    def __init__(self, arguments: argparse.Namespace):
        self.told, self.config = arguments.settings, arguments.config
        self.run: Any = None

    def __call__(self, name: str) -> Any:
        from dis2.config.run import read_run, section

        if self.told is None:
            from dis2.models.registry import METHODS

            self.run = self.run or read_run([self.config], METHODS)
            return getattr(self.run, name)
        parts = [part[name] for part in map(_sections, self.told) if name in part]
        if not parts:
            raise UserError(f"--settings: {name}: missing; this stage reads that section")
        whole = {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
        return section(name, whole if all(isinstance(part, dict) for part in parts) else parts[-1])


def _sections(told: str) -> dict[str, Any]:
    try:
        given = json.loads(Path(told[1:]).read_text(encoding="utf-8") if told.startswith("@") else told)
    except OSError as error:
        raise UserError(f"--settings {told}: cannot be read ({error.strerror}); run the workflow, which writes it") from None
    except ValueError as error:
        raise UserError(f"--settings: not JSON ({error}); give the sections as JSON, or use --config FILE") from None
    return given if isinstance(given, dict) else {}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is a `--help` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class Instead(argparse.Action):
    """An option with which no other one is needed."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values)
        for action in parser._actions:
            action.required = False
        for group in parser._mutually_exclusive_groups:
            group.required = False


def count(text: str) -> int:
    """A number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


class Stages:
    """The subcommands."""

    def __init__(self, top: argparse.ArgumentParser):
        self.subparsers = top.add_subparsers(dest="stage", required=True, metavar="STAGE", title="stages")

    def add(self, name: str, function: Any, help: str, usage: str | None = None, settings: bool = True) -> Stage:
        it = self.subparsers.add_parser(name, help=help, description=help, usage=usage, allow_abbrev=False)
        it.set_defaults(function=function, settings=None, config=None)
        if settings:
            source = it.add_mutually_exclusive_group(required=name != "predict")
            source.add_argument("--config", type=Path, metavar="FILE", help="config file of the run (YAML)")
            source.add_argument(
                "--settings",
                metavar="JSON",
                action="append",
                help="only the sections that this stage reads, or @FILE with them (the workflow gives them, in parts)",
            )
        return Stage(it)


class Stage:
    """The arguments that several subcommands share."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser

    def path(self, option: str, metavar: str, help: str, required: bool = False) -> Stage:
        self.parser.add_argument(option, type=Path, metavar=metavar, required=required, help=help)
        return self

    def scene(self) -> Stage:
        self.parser.add_argument("--scene", required=True, metavar="NAME", help="a scene of the config")
        return self

    def out(self, metavar: str, help: str) -> Stage:
        self.parser.add_argument("-o", "--out", required=True, type=Path, metavar=metavar, help=help)
        return self

    def scheduler(self) -> Stage:
        self.parser.add_argument(
            "--scheduler", metavar="ADDRESS", help="compute on this dask cluster, which sees the same files (tcp://host:8786)"
        )
        return self

    def tiles(self) -> Stage:
        return self.path("--tiles", "FOLDER", "folder with <scene>.zarr of the scenes", required=True)

    def cost(self) -> None:
        add = self.parser.add_argument
        add("--method", required=True, metavar="METHOD", help="teacher, dis2 or a rival")
        add("--sensors", required=True, metavar="A=BANDS,B=BANDS", help="such as optical=4,sar=2")
        add("--classes", type=int, required=True, metavar="N", help="number of classes")
        add("--size", type=int, default=512, metavar="PIXELS", help="side of the image (default 512)")
        add("--combination", nargs="+", metavar="A+B", help="the sensors that are there (default: all)")
        add("--width", type=int, nargs="+", default=[16], metavar="W", help="channels of level 1 (default 16)")
        add("--json", action="store_true", help="print JSON")

    def training(self, needed: bool) -> None:
        self.tiles().out("FOLDER", "the model: weights.safetensors, model.json, history.jsonl")
        self.path("--statistics", "JSON", "result of `dis2 statistics`", required=True)
        self.parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of this training (default 0)")
        self.path("--state", "FOLDER", "keeps what a killed training needs to go on")
        self.path("--teacher", "FOLDER", f"the teacher's model{'' if needed else ', for methods that start from it'}")
        self.parser.add_argument(
            "--from", dest="origin", type=Path, metavar="MODEL", help="go on with the weights of this model, on other scenes"
        )
