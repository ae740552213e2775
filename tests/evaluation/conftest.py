"""The tiles and the teacher of the training tests."""

from tests.training.conftest import teacher, tiles  # noqa: F401
