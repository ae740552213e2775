"""Exported programs: files that say what the model says, without this package, or are not written."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import dis2
from dis2.cli import main
from dis2.config.data import Sensor
from dis2.models.inputs import standardised
from dis2.prediction import export
from dis2.raster import relief
from tests.models.rivals.test_specialist import saved
from tests.prediction.test_arrays import folder_of

ELSEWHERE = """
import sys, json, torch
told = {"dis2.json": ""}
program = torch.export.load("echo.pt2", extra_files=told).module()
torch.save(program(*torch.load("tensors.pt")), "found.pt")
assert not any(name.startswith("dis2") for name in sys.modules)
assert json.loads(told["dis2.json"])["classes"] == ["water", "tree", "soil"]
"""


@pytest.mark.parametrize("method", ["unet", pytest.param("dis2", marks=pytest.mark.slow)])
def test_a_program_says_of_raw_numbers_of_another_size_what_the_model_says_without_this_package(tmp_path, capsys, method):
    echo = {"relative": True, "scaling": {"decibels": "power", "factor": 0.5, "clip": [-5, 25]}}
    folder = folder_of(tmp_path / "model", method, echo=echo)
    assert main(["export", str(folder), "--combination", "echo", "-o", str(tmp_path / "echo.pt2")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'echo.pt2'}: agrees with the model to ")
    rng = torch.Generator().manual_seed(1)
    image, valid = 40 * torch.rand(1, 2, 80, 112, generator=rng), torch.rand(1, 1, 80, 112, generator=rng) > 0.3
    image[0, 1, 5, :9] = torch.nan
    torch.save((image, valid), tmp_path / "tensors.pt")
    subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=tmp_path, check=True)
    found = torch.load(tmp_path / "found.pt")[0].detach().numpy()
    expected = dis2.load(folder).predict({"echo": image[0].numpy()}, {"echo": valid[0, 0].numpy()})
    measured = expected.classes != 255
    assert 0.6 < measured.mean() < 0.8
    np.testing.assert_allclose(found[:, measured], expected.probabilities[:, measured], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("combination", ["eye+echo+relief", "relief"])
def test_a_specialist_is_exported_by_itself(tmp_path, combination, capsys):
    out = tmp_path / "own.pt2"
    assert main(["export", str(saved(tmp_path / "model")), "--combination", combination, "-o", str(out)]) == 0
    assert out.exists() and "agrees with the model to " in capsys.readouterr().out


@pytest.mark.slow
def test_a_program_is_compared_on_the_cpu_where_it_was_made_whatever_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.setattr("dis2.prediction.mapper.device", lambda: torch.device("meta"))
    assert main(["export", str(folder_of(tmp_path, "unet")), "--combination", "eye", "-o", str(tmp_path / "eye.pt2")]) == 0


@pytest.mark.slow
def test_a_program_that_differs_from_the_model_is_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "CLOSE", -1.0)
    assert main(["export", str(folder_of(tmp_path, "unet")), "--combination", "eye", "-o", str(tmp_path / "eye.pt2")]) == 2
    assert "differs from the model by " in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if ".pt2" in path.name]


@pytest.mark.slow
def test_a_disk_that_takes_a_part_of_a_program_is_one_line_and_nothing_is_left(tmp_path):
    out = tmp_path / "eye.pt2"
    words = ["export", str(folder_of(tmp_path / "model", "unet")), "--combination", "eye", "-o", str(out)]
    limit = "from resource import *; setrlimit(RLIMIT_FSIZE, (4096, 4096)); import sys; from dis2.cli import main; "
    ran = subprocess.run([sys.executable, "-c", f"{limit}sys.exit(main({words}))"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (
        2,
        f"dis2 export: {out}: cannot be written (File too large); check the disk and its permissions",
    )
    assert not [path for path in tmp_path.iterdir() if ".pt2" in path.name]


def test_heights_are_taken_relative_to_their_surroundings_as_in_training():
    rng = np.random.default_rng(0)
    bands, valid = rng.normal(100, 9, (2, 40, 23)).astype(np.float32), rng.random((40, 23)) > 0.3
    bands[:, ~valid] = np.nan
    found = export.relief(torch.from_numpy(bands)[None], torch.from_numpy(valid)[None, None], 6)[0]
    np.testing.assert_allclose(found, relief.relief(bands, valid, 6), atol=1e-4)


def test_what_a_program_makes_of_heights_is_what_training_saw():
    rng = np.random.default_rng(0)
    bands, valid = rng.normal(100, 9, (1, 2, 40, 23)).astype(np.float32), rng.random((1, 40, 23)) > 0.3
    told = {"mean": [100.0, 90.0, 1.0, 0.0], "std": [9.0, 8.0, 3.0, 2.0], "relief": [0, 6]}
    prepared = export.Prepared(Sensor(bands=2, kind="surface", relief=(0, 6)), told)
    found, _ = prepared(torch.from_numpy(bands), torch.from_numpy(valid)[:, None])
    expected = standardised(bands, valid, told, torch.device("cpu"))
    assert found.shape == (1, 4, 40, 23)
    np.testing.assert_allclose(*(np.where(valid[:, None], it, 0) for it in (found, expected)), atol=1e-4)


@pytest.mark.parametrize(
    ("method", "words", "said"),
    [
        ("dis2", ["--combination", "echo", "-o", "a.onnx"], "a.onnx: an exported program ends in .pt2"),
        (
            "dis2",
            ["--combination", "echo+sar", "-o", "a.pt2"],
            "--combination echo+sar: 'sar' is not one of the sensors (eye, echo",
        ),
        ("paper", ["--combination", "echo", "-o", "a.pt2"], "paper chooses its parts by what an image holds"),
        (
            "dis2",
            ["--combination", "echo+relief", "-o", "a.pt2"],
            "relief is told above its ground, which a program does not find",
        ),
        (None, ["--combination", "echo", "-o", "a.pt2"], "model.json: cannot be read"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, method, words, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if method:
        folder_of(tmp_path, method, relief={"kind": "surface", "ground": 16})
    assert main(["export", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.glob("*a.*"))
