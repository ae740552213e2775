"""The command line: quick to answer, plain to strangers, one line on a mistake."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dis2.cli import _files_by_sensor, main, parser

WORKFLOW = ("simulate", "check", "sound", "register", "tile", "statistics", "train", "distill", "evaluate", "predict", "report")
STAGES = (*WORKFLOW, "compare", "cost", "explain", "export", "init", "schema")
TINY = str(Path(__file__).parents[1] / "config/tiny.yaml")
MODEL = str(Path(__file__).parent)
"""A folder, which is looked into later than at the words."""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a wrong command line is answered."""
    try:
        code = main(list(words))
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("\n") and err.count("\n") == 1, err
    return err.rstrip()


def test_help_takes_under_half_a_second_of_cpu_and_imports_neither_torch_nor_numpy():
    heavy = "{'torch', 'numpy', 'rasterio', 'pydantic'} & set(sys.modules)"
    code = f"import sys; from dis2.cli import main\ntry: main(['--help'])\nfinally: assert not {heavy}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_help_lists_every_stage(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--help"])
    out = capsys.readouterr().out
    assert exit.value.code == 0 and all(f"\n    {stage}" in out for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_and_each_of_its_options_is_explained(stage, capsys):
    with pytest.raises(SystemExit) as exit:
        main([stage, "--help"])
    assert exit.value.code == 0 and f"dis2 {stage}" in capsys.readouterr().out
    it = next(action for action in parser()._actions if action.dest == "stage").choices[stage]
    assert all(action.help for action in it._actions)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "dis2: the following arguments are required: STAGE; see dis2 --help"),
        (("tiel",), "dis2: argument STAGE: invalid choice: 'tiel'"),
        (
            ("check", "--config", TINY, "--out", "x"),
            "dis2 check: the following arguments are required: --scene; see dis2 check --help",
        ),
        (("check", "--config", TINY, "--scene", "ant", "--out", "x", "--fast"), "dis2: unrecognized arguments: --fast"),
        (("check", "--scene", "ant", "--out", "x"), "dis2 check: one of the arguments --config --settings is required"),
        (
            ("check", "--config", TINY, "--scene", "gnu", "--out", "x"),
            "dis2 check: --scene gnu: not one of the scenes (ant, bee, cat)",
        ),
        (("check", "--config", "no.yaml", "--scene", "ant", "--out", "x"), "dis2 check: no.yaml: cannot be read (No such file"),
        (("check", "--store", "no.zarr"), "dis2 check: no.zarr: no such store; run `dis2 tile`"),
        (("check", "--store"), "dis2 check: argument --store: expected at least one argument"),
        (("tile", "--processes", "0"), "dis2 tile: argument --processes: '0' is not a number from 1 on"),
        (("check", "--settings", "{", "--scene", "ant", "--out", "x"), "dis2 check: --settings: not JSON"),
        (
            ("check", "--settings", "@no", "--scene", "a", "--out", "x"),
            "dis2 check: --settings @no: cannot be read (No such file",
        ),
        (("check", "--settings", "{}", "--scene", "ant", "--out", "x"), "dis2 check: --settings: data: missing"),
        (("check", "--settings", '{"data": 3}', "--scene", "a", "--out", "x"), "dis2 check: --settings: data: input should be"),
        (("predict", MODEL, "--out", "x"), "dis2 predict: no sensor given"),
        (("predict", MODEL, "a.tif", "--out", "x"), "dis2 predict: a.tif: say which sensor it is"),
        (("predict", MODEL, "--eye", "--out", "x"), "dis2 predict: --eye: no file given"),
        (("predict", MODEL, "--eye=", "--out", "x"), "dis2 predict: --eye: no file given"),
        (("predict", "no", "--eye", "a.tif", "--out", "x"), "dis2 predict: no: not the folder of a model; it comes first"),
        (("predict", MODEL, "--shifts", "a", "--out", "x"), "dis2 predict: --shifts: used only with --scene NAME"),
        (
            ("predict", MODEL, "--scene", "ant", "--out", "x"),
            "dis2 predict: --scene ant: whose rasters are in a config; give it by",
        ),
        (
            ("predict", MODEL, "--config", TINY, "--scene", "ant", "--eye", "a.tif", "--out", "x"),
            "dis2 predict: --eye: not used with --scene",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line_and_exit_2(words, line, capsys):
    assert said(capsys, *words).startswith(line)


def test_files_of_a_sensor_follow_its_name_or_an_equals_sign_and_add_up():
    assert _files_by_sensor(["--eye", "a.tif", "b.tif", "--ear=c.tif", "--eye=d.tif"]) == {
        "eye": ["a.tif", "b.tif", "d.tif"],
        "ear": ["c.tif"],
    }


def test_the_schema_goes_to_standard_output_or_to_a_file(tmp_path, capsys):
    assert main(["schema"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["title"] == "Run"
    assert main(["schema", "--out", str(tmp_path / "new" / "schema.json")]) == 0
    assert (tmp_path / "new" / "schema.json").read_text() == out


def test_the_module_and_the_console_script_are_the_same_program():
    run = subprocess.run([sys.executable, "-m", "dis2", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("dis2 ")
