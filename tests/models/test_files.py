"""A model's files: what comes back is what went in, or one line says why not."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from dis2.config.data import Data, Sensor
from dis2.errors import UserError
from dis2.files import digest, read_json, write_json
from dis2.models.files import CARD, WEIGHTS, Card, check_fit, load, read_card, save
from dis2.models.registry import METHODS
from tests.models.tester import SENSORS, TINY, fresh, sample, sensors_of

CLASSES = ("water", "tree", "soil")


def card(method="teacher", **changes):
    told = {"sensors": SENSORS, "rasters": {s: {"bands": b} for s, b in SENSORS.items()}, "reference": "eye", "resolution": 1.0}
    told |= {"classes": CLASSES, "colors": ("#000000",) * 3, "settings": TINY, "seed": 0, "parameters": 1}
    seen = {"mean": 10.0, "std": 2.0, "low": 0.0, "high": 100.0}
    told |= {"statistics": {s: {k: [v] * b for k, v in seen.items()} | {"relief": [0]} for s, b in SENSORS.items()}}
    return Card(method=method, **(told | {"validation": {"eye": 0.1 + 0.2}, "training": {}, "provenance": {}} | changes))


@pytest.fixture
def folder(tmp_path):
    save(tmp_path, fresh("teacher").float(), card())
    return tmp_path


@torch.no_grad()
@pytest.mark.parametrize("method", ["teacher", *METHODS])
def test_a_saved_model_comes_back_bit_equal(tmp_path, method):
    network = fresh(method).float()
    told = card(method, sensors=sensors_of(method))
    save(tmp_path, network, told)
    again = load(tmp_path)
    assert again.card == told.model_copy(update={"weights": digest(tmp_path / WEIGHTS)}) and not again.network.training
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.network.state_dict().values(), strict=True))
    network.double()
    assert torch.equal(network(*sample()).logits, again.network.double()(*sample()).logits)


def test_how_rasters_were_read_comes_back_too(tmp_path):
    scaling = {"decibels": "amplitude", "clip": [None, 5.5], "unit": "dB"}
    spec = {"bands": 4, "kind": "surface", "nodata": float("nan"), "resampling": "cubic", "unmeasured": "all", "scaling": scaling}
    save(tmp_path, fresh("teacher").float(), card(rasters=card().rasters | {"eye": spec}))
    again = load(tmp_path).card.rasters["eye"]
    assert math.isnan(again.nodata) and again.model_dump(exclude={"nodata"}) == Sensor(**spec).model_dump(exclude={"nodata"})


def test_bands_are_standardised_by_the_numbers_on_the_card(folder):
    images, valid = sample()
    ready, mask = load(folder).prepare(
        {s: 2 * x.numpy() + 10 for s, x in images.items()}, {s: v[:, 0].numpy() for s, v in valid.items()}
    )
    for sensor in SENSORS:
        torch.testing.assert_close(ready[sensor], images[sensor], rtol=1e-5, atol=1e-5, check_dtype=False)
        assert torch.equal(mask[sensor], valid[sensor])


def edit(folder, **changes):
    write_json(folder / CARD, read_json(folder / CARD) | changes)


def reshape(folder):
    weights = load_file(folder / WEIGHTS)
    save_file({name: tensor.flatten() for name, tensor in weights.items()}, folder / WEIGHTS)
    edit(folder, weights=digest(folder / WEIGHTS))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors: cannot be read"),
        (
            lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]),
            "weights.safetensors: damaged",
        ),
        (
            lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1] + b"!"),
            "weights.safetensors: damaged",
        ),
        (reshape, "weights.safetensors: teacher has other parts"),
        (lambda f: (f / CARD).unlink(), "model.json: cannot be read"),
        (lambda f: (f / CARD).write_text("{"), "model.json: damaged"),
        (
            lambda f: (f / CARD).write_text((f / CARD).read_text().replace('"seed": ', '"seed": 1')),
            "model.json: damaged .its seal",
        ),
        (lambda f: edit(f, classes=3), "model.json: classes: "),
        (lambda f: edit(f, extra=3), "model.json: extra: "),
        (lambda f: edit(f, method="magix"), "model.json: method: 'magix' is not one of teacher, dis2"),
    ],
)
def test_a_damaged_model_is_one_clear_line(folder, damage, said):
    damage(folder)
    with pytest.raises(UserError, match=said) as error:
        load(folder)
    assert "\n" not in str(error.value)


def data(sensors=SENSORS, classes=CLASSES, **changes):
    told = {name: {"bands": bands} | changes.get(name, {}) for name, bands in sensors.items()}
    return Data(name="x", sensors=told, classes=list(classes))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (data(SENSORS | {"echo": 3}), r"sensors: the model has .*echo \(2 bands\).*the config .*echo \(3 bands\)"),
        (data(dict(reversed(SENSORS.items()))), r"sensors: the model has eye .*the config relief"),
        (data({"eye": 4, "echo": 2}), "sensors: the model has .*relief"),
        (data(echo={"relative": True}), r"sensors: the model has .*echo \(2 bands\).*the config .*echo \(2 relative bands\)"),
        (data(relief={"kind": "surface", "ground": 9}), r"the model has .*relief \(1 bands\).*relief \(1 above-ground bands\)"),
        (data(classes=reversed(CLASSES)), "classes: the model has water, tree, soil, the config soil, tree, water"),
    ],
)
def test_data_that_are_not_the_models_are_refused_even_if_only_their_order_differs(folder, other, said):
    check_fit(folder, read_card(folder), data())
    with pytest.raises(UserError, match=said):
        check_fit(folder, read_card(folder), other)
