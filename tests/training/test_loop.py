"""The loop: what a step takes, shows, learns and tells."""

import json
import math
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from dis2 import progress
from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.files import read_json, write_json
from dis2.models.files import build
from dis2.tiles.dataset import Scenes
from dis2.tiles.statistics import statistics
from dis2.training import devices, plain
from dis2.training import loop as module
from dis2.training import train as train_module
from dis2.training.loop import Interrupted, hash_seed
from dis2.training.objective import Objective
from tests.models.tester import is_new
from tests.training.tiny import (
    CLASSES,
    MODEL,
    SENSORS,
    at_step,
    by_hand,
    data,
    guide,
    history,
    made,
    same,
    scene,
    settings,
    trained,
    write,
)

ROOT = Path(__file__).parents[2]
SCORED = ("validation", "mean_miou")
METHODS = ["teacher", "dis2", "sensor-dropout", "singles+sd", "unet"]


@pytest.fixture
def at_steps():
    """Calls what it is given with the optimiser, before or after each of its steps."""
    handles = []
    yield lambda register, action: handles.append(register(lambda optimiser, *_: action(optimiser)))
    for handle in handles:
        handle.remove()


@pytest.fixture
def built(monkeypatch):
    """The networks that are trained."""
    networks, build = [], train_module.build
    monkeypatch.setattr(train_module, "build", lambda *told: networks.append(build(*told)) or networks[-1])
    return networks


def test_what_a_method_compares_with_is_brought_to_the_device_before_the_first_step(tiles, tmp_path, monkeypatch):
    """On a GPU a class weight that stays behind ends a training at once."""
    known = []
    monkeypatch.setattr(Objective, "to", lambda self, device: known.append(device))
    at_step(monkeypatch, 0, lambda: known.append("step"))
    trained(tiles, "teacher", tmp_path / "out")
    assert known == [torch.device("cpu"), "step"]


def test_a_cache_on_disk_without_a_place_for_it_is_one_line(tiles, tmp_path):
    with pytest.raises(UserError, match="training.cache: disk: lies beside the training's state; give --state FOLDER"):
        trained(tiles, "teacher", tmp_path / "out", cache="disk")


def test_a_step_moves_every_parameter_whatever_its_batch_lacks(tiles, tmp_path, monkeypatch):
    """As several GPUs would: one of them may have the sensor that the others lack."""
    scenes = {name: scene for name, scene in data().scenes.items() if name != "ant"}  # the other training scene has no echo
    lacking = data(scenes={name: scene.model_dump() for name, scene in scenes.items()})
    few = shutil.copytree(tiles, tmp_path / "tiles")
    told = read_json(few / "statistics.json")
    del told["stores"]["ant"]
    write_json(few / "statistics.json", told)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 0, lambda: signal.raise_signal(signal.SIGTERM))
        trained(few, "sensor-dropout", tmp_path / "out", None, tmp_path / "state", data=lacking)
    tensors = load_file(tmp_path / "state" / "state-1.safetensors")
    moved = {name.split("/")[1].split(".")[0] for name in tensors if name.startswith("optimiser/")}
    assert len(moved) == len(list(build("sensor-dropout", SENSORS, len(CLASSES), MODEL).parameters()))


def test_a_loss_that_is_not_finite_is_one_clear_line(tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "photometric", lambda images, *_: {s: image * torch.inf for s, image in images.items()})
    with pytest.raises(
        UserError, match=r"the loss is not finite at step 0 \(cross_entropy nan, .*; lower training.learning_rate"
    ) as error:
        trained(tiles, "teacher", tmp_path)
    assert "\n" not in str(error.value)


def test_the_rate_warms_up_linearly_and_falls_to_zero_by_a_cosine(tiles, teacher, tmp_path):
    out = trained(tiles, "dis2", tmp_path / "out", teacher, warmup=1 / 3, learning_rate=0.01)
    rates = [line["learning_rate"] for line in history(out)]
    np.testing.assert_allclose(rates, [0.005, 0.01, *(0.005 * (1 + np.cos(np.pi * i / 4)) for i in range(4))])


def test_inherited_parameters_learn_at_their_share_of_the_rate_and_only_weights_of_several_dimensions_decay(
    tiles, teacher, tmp_path, built, at_steps
):
    """In the only step the rate is the config's."""
    found = {}

    def see(optimiser):
        groups = [(p, group["lr"], group["weight_decay"]) for group in optimiser.param_groups for p in group["params"]]
        found.update({id(p): told for p, *told in groups})

    at_steps(register_optimizer_step_pre_hook, see)
    wanted = {"learning_rate": 1 / 64, "inherited_rate": 1 / 4, "weight_decay": 1 / 2}
    trained(tiles, "dis2", tmp_path, teacher, student_steps=1, **wanted)
    told = {name: (found[id(p)], p.dim()) for name, p in built[0].named_parameters()}
    assert told == {n: ([1 / 64 if is_new(n) else 1 / 256, 1 / 2 if dim > 1 else 0], dim) for n, (_, dim) in told.items()}
    assert len({tuple(rates) for rates, _ in told.values()}) == 4


def test_the_gradient_that_a_step_takes_is_no_longer_than_the_clip(tiles, tmp_path, at_steps):
    lengths = []

    def see(optimiser):
        gradients = [p.grad.flatten() for group in optimiser.param_groups for p in group["params"]]
        lengths.append(torch.cat(gradients).norm().item())

    at_steps(register_optimizer_step_pre_hook, see)
    for clip in (1e-2, 1e6):
        trained(tiles, "teacher", tmp_path / str(clip), teacher_steps=2, clip=clip)
    assert lengths[:2] == pytest.approx([1e-2] * 2, rel=1e-3) and min(lengths[2:]) > 0.1


def test_labels_where_no_sensor_measured_teach_nothing(tmp_path):
    folders = [tmp_path / "ones", tmp_path / "others"]
    for number, tiles in enumerate(folders):
        made(tiles)
        images, valid, labels = scene("ant", 0)
        labels[:32] = np.where(labels[:32] == IGNORE, number, (labels[:32] + number) % 3)
        for mask in valid.values():
            mask[:32] = False
        write(tiles, "ant", images, valid, labels)
        statistics(data(), tiles, tiles / "statistics.json")
    assert same(*(trained(tiles, "sensor-dropout", tmp_path / f"{tiles.name} out") for tiles in folders))


def test_a_warm_up_of_a_broken_number_of_steps_does_not_pass_the_rate(tiles, tmp_path):
    rates = [line["learning_rate"] for line in history(trained(tiles, "teacher", tmp_path, warmup=0.25, learning_rate=0.01))]
    assert rates[:2] == pytest.approx([0.01 / 1.5, 0.01])


def test_averaged_weights_worked_out_by_hand(tiles, tmp_path, built, at_steps):
    """The decay is (1 + n) / (10 + n) after n steps, but at most the config's: 2 / 11, 3 / 12, then 0.3 and not 4 / 13."""
    seen = []
    for register in (register_optimizer_step_pre_hook, register_optimizer_step_post_hook):
        at_steps(register, lambda _: seen.append({name: p.detach().clone() for name, p in built[0].named_parameters()}))
    kept = load_file(trained(tiles, "teacher", tmp_path, teacher_steps=3, ema=0.3) / "weights.safetensors")
    first, second, third, fourth = seen[0], *seen[1::2]
    for name in first:
        once = 2 / 11 * first[name] + 9 / 11 * second[name]
        twice = 3 / 12 * once + 9 / 12 * third[name]
        torch.testing.assert_close(kept[name], 0.3 * twice + 0.7 * fourth[name], rtol=1e-5, atol=1e-6)


def test_averaging_changes_what_is_kept_and_not_how_it_is_trained(tiles, teacher, tmp_path):
    without = trained(tiles, "teacher", tmp_path, ema=0.0)
    assert [line["loss"] for line in history(teacher)] == [line["loss"] for line in history(without)]
    assert not same(teacher, without)


def test_every_step_names_every_term_of_its_loss_and_their_weighted_sum(tiles, teacher, tmp_path):
    weights = {
        "cross_entropy": 1.5,
        "dice": 0.5,
        "scales": 0.4,
        "auxiliary": 0.2,
        "compensation": 0.3,
        "features": 2.0,
        "logits": 0.7,
    }
    weights |= {"disentanglement": 0.1}
    lines = history(trained(tiles, "dis2", tmp_path, teacher, weights=weights))
    assert [line["step"] for line in lines] == list(range(1, 7))
    for line in lines:
        assert line["loss"] == pytest.approx(sum(weight * line[name] for name, weight in weights.items()), rel=1e-5)


def test_tiles_are_turned_in_all_eight_ways_and_cover_as_much_ground_as_the_config_asks_for(tiles, tmp_path, monkeypatch):
    drawn, tile = [], Scenes.tile
    monkeypatch.setattr(Scenes, "tile", lambda scenes, draw, size: drawn.append(draw) or tile(scenes, draw, size))
    for zoom in (1.0, 2.0):
        trained(tiles, "teacher", tmp_path / str(zoom), batch=24, teacher_steps=2, zoom=zoom)
    assert {draw.way for draw in drawn[:48]} == set(range(8)) == {draw.way for draw in drawn[48:]}
    sides = [draw.side for draw in drawn]
    assert set(sides[:48]) == {32} and 16 <= min(sides[48:]) < 20 and 52 < max(sides[48:]) <= 64


def test_tiles_are_varied_and_speckled_as_the_config_asks_for(tmp_path, monkeypatch):
    shown, photometric = [], module.photometric
    monkeypatch.setattr(module, "photometric", lambda images, *told: shown.append(told) or photometric(images, *told))
    tiles = made(tmp_path / "tiles", units={"echo": "dB", "eye": "dB"})
    trained(tiles, "teacher", tmp_path / "out", teacher_steps=2, photometric=0.3, speckle={"echo": 4, "eye": 2})
    assert [strength("echo") for strength, *_ in shown] == [0.3] * 2
    assert [speckle for _, speckle, *_ in shown] == [{"echo": (4.0, True), "eye": (2.0, True)}] * 2


def test_a_batch_without_any_label_teaches_by_distillation_alone(tiles, teacher, tmp_path, monkeypatch):
    def unlabelled(*told):
        sample = tile(*told)
        return replace(sample, labels=np.full_like(sample.labels, IGNORE))

    tile = Scenes.tile
    monkeypatch.setattr(Scenes, "tile", unlabelled)
    out = trained(tiles, "dis2", tmp_path, teacher, batch=4, student_steps=2)
    for line in history(out):
        assert [line[name] for name in ("cross_entropy", "dice", "scales", "auxiliary")] == [0] * 4
        assert line["compensation"] != 0 < line["logits"] and math.isfinite(line["loss"])
    assert line["features"] > 0  # they are not ramped in yet in the first step
    before, after = (load_file(folder / "weights.safetensors") for folder in (teacher, out))
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_the_views_of_a_step_are_told_how_far_it_is_and_what_the_last_validation_said(tiles, tmp_path, monkeypatch):
    """Tiles are made ready a step ahead, when that validation may not be there yet."""
    far, drawn, views, student_views = [], [], plain.Objective.views, plain.student_views
    monkeypatch.setattr(plain.Objective, "views", lambda self, batch: far.append(batch.progress) or views(self, batch))
    monkeypatch.setattr(plain, "student_views", lambda *told: drawn.append([dict(told[3]), *told[4:6]]) or student_views(*told))
    wanted = {"student_steps": 3, "teacher_steps": 2, "validate_every": 2, "even_views": 0.7, "views": 5, "accumulate": 2}
    scores = [line.get("validation") for line in history(trained(tiles, "mmformer", tmp_path, **wanted))]
    assert scores[1] and scores[3] and scores[1] != scores[3]
    assert far == pytest.approx(np.repeat([0, 0.2, 0.4, 0.6, 0.8], 2))
    assert drawn == [[told, 0.7, 5] for told in ({}, scores[1], scores[3]) for _ in range(4)][:10]


@pytest.mark.parametrize(
    ("method", "distillation"), [("teacher", False), ("dis2", True), ("dis2", False), ("mmformer", False), ("sgma", False)]
)
def test_a_step_in_bfloat16_is_finite_and_its_losses_are_of_float32(
    method, distillation, tiles, teacher, tmp_path, monkeypatch, at_steps
):
    """As on GPUs that have it. A loss or gradient that is not finite would end the training, too."""
    logits, learned, cross_entropy = [], [], F.cross_entropy

    def seen(x, *told, **more):
        logits.append((x.dtype, torch.is_autocast_enabled(x.device.type)))
        return cross_entropy(x, *told, **more)

    monkeypatch.setattr(F, "cross_entropy", seen)
    monkeypatch.setattr(devices, "precision", lambda: "bf16-mixed")
    at_steps(register_optimizer_step_pre_hook, lambda it: learned.extend(p.grad for g in it.param_groups for p in g["params"]))
    wanted = {"teacher_steps": 1, "student_steps": 1, "distillation": distillation}
    lines = history(trained(tiles, method, tmp_path, guide(method, teacher), **wanted))
    assert set(logits) == {(torch.float32, True)} and all(math.isfinite(line["loss"]) for line in lines)
    assert learned and all(x.dtype == torch.float32 and x.isfinite().all() for x in learned)


def test_the_bar_says_the_step_with_its_loss_and_the_best_validation(tiles, tmp_path, monkeypatch, capsys):
    scores = iter([0.5, 0.25])
    monkeypatch.setattr(train_module, "mious", lambda counts: {"eye": next(scores)})
    monkeypatch.setattr(progress, "SECONDS", 0)
    lines = history(trained(tiles, "teacher", tmp_path))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train:")]
    assert any(f"step=1, loss={lines[0]['loss']:.3f}]" in line for line in said)
    assert f"step=6, loss={lines[5]['loss']:.3f}, mIoU=0.500]" in said[-1]


def test_seeds_of_different_parts_differ_and_fit_a_generator():
    seeds = {hash_seed(seed, step) for seed in range(20) for step in range(20)}
    assert len(seeds) == 400 and all(0 <= seed < 2**63 for seed in seeds)


def test_a_batch_in_parts_is_the_batch_as_a_whole(tiles, teacher, tmp_path):
    """What is drawn for a sample, and what it weighs in every term, does not depend on its neighbours."""
    wanted = {"batch": 4, "student_steps": 3, "photometric": 0.1}
    whole, parts = (trained(tiles, "dis2", tmp_path / str(n), teacher, accumulate=n, **wanted) for n in (1, 4))
    assert close(whole, parts)


def close(one: Path, other: Path) -> bool:
    """The same terms of the loss at every step, and the same weights, to what is left by adding in another order."""
    a, b = (load_file(out / "weights.safetensors") for out in (one, other))
    apart = sum((a[name] - b[name]).square().sum() for name in a) / sum(a[name].square().sum() for name in a)
    terms = [[v for line in history(out) for k, v in line.items() if k not in SCORED] for out in (one, other)]
    return apart.sqrt() < 1e-5 and np.allclose(*terms, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "parts"), [("dis2", 1), ("sensor-dropout", 1), ("dis2", 2)])
def test_two_processes_train_as_one_with_the_same_batch(method, parts, tiles, teacher, tmp_path):
    wanted = {"batch": 4, "student_steps": 3, "teacher_steps": 1, "validate_every": 2, "photometric": 0.1}
    one = trained(tiles, method, tmp_path / "one", guide(method, teacher), **wanted)
    command = by_hand(
        tiles, method, tmp_path / "two", guide(method, teacher), tmp_path / "state", devices=2, accumulate=parts, **wanted
    )
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("on validation") == 1 and not (tmp_path / "state").exists()
    assert close(one, tmp_path / "two")


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(ValueError, match="batch: 6 cannot be shared by 2 devices in 2 parts each"):
        settings(batch=6, devices=2, accumulate=2)


def test_patience_ends_a_training_that_gets_no_better(tiles, tmp_path, monkeypatch):
    scores = iter([0.3, 0.5, 0.4, 0.45, 0.2])
    monkeypatch.setattr(train_module, "mious", lambda counts: {"eye": next(scores)})
    out = trained(tiles, "teacher", tmp_path, teacher_steps=30, validate_every=3, patience=2)
    assert len(history(out)) == 12  # the best one after the sixth step, and two that are not better
    assert json.loads((out / "model.json").read_text())["training"]["best_step"] == 6


def test_the_time_of_validations_does_not_thin_what_a_training_waits_for(tiles, tmp_path, monkeypatch):
    tile = Scenes.tile
    monkeypatch.setattr(Scenes, "tile", lambda *arguments: time.sleep(0.2) or tile(*arguments))
    monkeypatch.setattr(train_module, "mious", lambda counts: time.sleep(2) or {"eye": 0.5})
    assert read_json(trained(tiles, "teacher", tmp_path, teacher_steps=4) / "model.json")["training"]["waiting"] > 0.5


def test_time_without_a_tile_is_counted_and_said(tiles, tmp_path, monkeypatch, capsys):
    tile = Scenes.tile
    monkeypatch.setattr(Scenes, "tile", lambda *arguments: time.sleep(0.2) or tile(*arguments))
    for cache, told in ("memory", "making them ready is the bottleneck"), ("none", "reading is the bottleneck"):
        out = trained(tiles, "teacher", tmp_path / cache, cache=cache)
        assert json.loads((out / "model.json").read_text())["training"]["waiting"] > 0.05
        assert f"no tiles were ready: {told}" in capsys.readouterr().err
