"""What all tests share."""

import os
import shutil
from collections.abc import Callable

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: each core has a process already


@pytest.fixture(autouse=True)
def no_root_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of tests start from their own folders, wherever somebody's data are; tests of real data know it from before."""
    monkeypatch.delenv("DIS2_DATA", raising=False)


@pytest.fixture(autouse=True)
def everything_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a config allows in one test is forgotten before the next."""
    for name in ("DIS2_ALLOWED_RASTERS", "CPL_VSIL_CURL_ALLOWED_FILENAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def needs() -> Callable[[str, str], str]:
    """The path of a program beside Python. Without it a test skips and says what would install it; in CI it fails."""

    def path_of(program: str, install: str) -> str:
        if path := shutil.which(program):
            return path
        message = f"{program} is not installed: {install}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    return path_of
