"""Tiles and trained models that the tests share."""

import pytest

from dis2.models.registry import method_of
from dis2.training import curves
from tests.training.tiny import made, trained


@pytest.fixture(scope="session")
def tiles(tmp_path_factory):
    return made(tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="session")
def model(tiles, tmp_path_factory):
    """The folder of a method's model; each is trained once, without a break."""
    folder, found = tmp_path_factory.mktemp("models"), {}

    def of(method):
        if method not in found:
            found[method] = trained(tiles, method, folder / method, of("teacher") if method_of(method).teacher else None)
        return found[method]

    return of


@pytest.fixture(scope="session")
def teacher(model):
    return model("teacher")


@pytest.fixture(autouse=True)
def plain_curves(monkeypatch, tmp_path_factory):
    """Drawing takes as long as such a training."""
    monkeypatch.setattr(curves, "draw", lambda history, title, path: path.write_text(title))
