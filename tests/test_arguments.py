"""Arguments that are wrong are told in one line, and those that make others needless do."""

from pathlib import Path

import pytest

from dis2.arguments import Instead, Parser, Stages, count


@pytest.fixture
def top():
    top = Parser("dis2")
    stages = Stages(top)
    it = stages.add("look", print, "look at something").scene().out("JSON", "what was seen").scheduler()
    it.parser.add_argument("--store", nargs="+", type=Path, action=Instead)
    it.parser.add_argument("--times", type=count, default=1)
    return top


def test_a_stage_has_what_it_is_put_together_from(top):
    given = top.parse_args(["look", "--config", "mine.yaml", "--scene", "north", "-o", "north.json", "--times", "3"])
    assert (given.stage, given.function, given.scene, given.out) == ("look", print, "north", Path("north.json"))
    assert (given.config, given.settings, given.scheduler, given.times) == (Path("mine.yaml"), None, None, 3)


def test_an_option_may_make_all_others_needless(top):
    assert top.parse_args(["look", "--store", "a.zarr", "b.zarr"]).store == [Path("a.zarr"), Path("b.zarr")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "dis2: the following arguments are required: STAGE; see dis2"),
        (["look", "--scene", "a", "-o", "b"], "dis2 look: one of the arguments --config --settings is required; see dis2 look"),
        (["look", "--config", "c", "-o", "b"], "dis2 look: the following arguments are required: --scene; see dis2 look"),
        (["look", "--store", "a", "--times", "0"], "dis2 look: argument --times: '0' is not a number from 1 on; see dis2 look"),
        (["look", "--conf", "c"], "dis2 look: the following arguments are required: --scene, -o/--out; see dis2 look"),
    ],
)
def test_a_mistake_is_one_line(top, words, line, capsys):
    with pytest.raises(SystemExit) as stopped:
        top.parse_args(words)
    assert stopped.value.code == 2 and capsys.readouterr().err.splitlines() == [f"{line} --help"]
