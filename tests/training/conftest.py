"""Tiles and a teacher that the training tests share."""

import pytest

from tests.training.tiny import made, trained


@pytest.fixture(scope="session")
def tiles(tmp_path_factory):
    return made(tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="session")
def teacher(tiles, tmp_path_factory):
    return trained(tiles, "teacher", tmp_path_factory.mktemp("models") / "teacher")
