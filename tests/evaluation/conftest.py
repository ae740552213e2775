"""The tiles and models of the training tests."""

from tests.training.conftest import model, plain_curves, teacher, tiles  # noqa: F401
