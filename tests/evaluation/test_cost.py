"""`dis2 cost`: what a combination costs, in figures that add up, and mistakes in one line."""

import json

import pytest

from dis2.cli import main
from dis2.config.model import ModelSettings
from dis2.evaluation import cost
from dis2.evaluation.cost import Subject
from dis2.models.registry import METHODS

WORDS = ["cost", "--sensors", "eye=4,echo=2", "--classes", "3", "--size", "32", "--width", "4"]


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr(cost, "ROUNDS", 1)


def subject(method):
    return Subject(method, {"eye": 4, "echo": 2}, 3, 32, ModelSettings(width=4, tile=32))


def parameters(network, *beginnings):
    return sum(p.numel() for name, p in network.named_parameters() if name.startswith(beginnings))


def test_a_combination_uses_neither_other_sensors_encoders_nor_what_only_training_needs():
    it = subject("dis2")
    idle = "auxiliary.", "decoders.own.eye+echo.rise.heads."
    both, one = (it.inference(c).used for c in (("eye", "echo"), ("eye",)))
    assert both == it.stored - parameters(it.network, *idle, "compensation.", "slots.nothing.", "slots.state.")
    others = (
        "encoders.echo.",
        "decoders.own.eye+echo.edges.echo.",
        "compensation.offering.echo.",
        "compensation.heads.eye.",
        "compensation.target.eye",
    )
    read_in_part = 2 * sum(
        4 * 2**level for level in range(4)
    )  # of each sensor's nothing and state, only those of the missing one
    assert one == it.stored - parameters(it.network, *idle, *others) - read_in_part


def test_specialists_store_a_network_for_each_combination_and_use_one():
    it = subject("specialist")
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in it.network.of.items()}
    assert it.stored == sum(parts.values()) and set(parts) == {"eye", "echo", "eye+echo"}
    assert it.inference(("echo",)).used < parts["echo"]
    assert it.step(("echo",)).saved_mib < it.step(("eye", "echo")).saved_mib


@pytest.mark.parametrize("method", ["teacher", *METHODS])
def test_every_method_can_be_measured(method, capsys):
    """Its own training step, too: with whatever it is trained by."""
    assert main([*WORDS, "--method", method, "--combination", "echo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["method"], told["sensors"], told["size"]) == (method, {"eye": 4, "echo": 2}, 32)
    (width,) = told["widths"]
    (one,) = width["combinations"].values()
    assert 0 < one["inference"]["used"] <= width["stored"] and one["inference"]["gflops"] > 0
    for step in (one["step"], width["recipe"]):
        assert 0 < step["saved_mib"] <= step["peak_mib"] and step["milliseconds"] > 0


def test_a_step_of_a_batch_is_timed_with_all_its_views(monkeypatch):
    it = Subject("sensor-dropout", {"eye": 4, "echo": 2}, 3, 32, ModelSettings(width=4), batch=2)
    decoded, decode = [], it.network.decode
    monkeypatch.setattr(it.network, "decode", lambda encoded, shown: decoded.append(len(shown)) or decode(encoded, shown))
    it.clock = iter([1.0, 5.0]).__next__
    assert it.seconds(1) == 4.0 and decoded == [2 * 3] * 2


def test_the_table_has_a_line_for_each_combination_and_one_for_the_method_s_own_step(capsys):
    assert main([*WORDS, "8", "--method", "unet", "--combination", "echo+eye", "echo"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("unet, eye=4,echo=2, 3 classes, 32 x 32 pixels")
    assert [line.split()[1] for line in said.splitlines() if line.startswith("| e")] == ["eye+echo", "echo"] * 2
    assert "width 4: " in said and "width 8: " in said and said.count("| its own training step") == 2


def test_a_gpu_that_is_asked_for_and_not_seen_is_not_replaced_by_the_cpu(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("DIS2_GPU", "1")
    assert main([*WORDS, "--method", "dis2"]) == 2
    assert capsys.readouterr().err.startswith("dis2 cost: DIS2_GPU=1: a GPU is there for this job, but PyTorch")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "magick"], "--method magick: not a method; there are teacher, dis2"),
        (["--sensors", "eye=4,echo"], "'echo' is not understood; write each sensor once with its bands: optical=4,sar=2"),
        (["--sensors", "eye=0"], "'eye=0' is not understood"),
        (["--sensors", "eye=1,eye=2"], "'eye=2' is not understood"),
        (["--combination", "eye+dsm"], "--combination eye+dsm: 'dsm' is not one of the sensors (eye, echo)"),
        (["--width", "6"], "--width 6: Input should be a multiple of 4"),
        (["--size", "0"], "--size 0: must be 1 or more"),
        (["--classes", "1"], "--classes 1: must be 2 or more"),
        (["--method", "paper", "--size", "40"], "--size 40: Input should be a multiple of 16"),
        (["--method", "paper", "--sensors", "a=1,b=1,c=1"], "paper: takes two sensors, not 3"),
        (["--size", "2000000"], "--size 2000000: needs more memory than there is at width 4; take less of one"),
    ],
)
def test_a_mistake_is_one_clear_line(words, said, capsys):
    assert main([*WORDS, "--method", "dis2", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
