"""A dask cluster that someone has started, for preparing what is too much for one machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from dis2.errors import UserError

SECONDS = 10
"""A scheduler that says nothing for so long is not there."""


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A client of the cluster; while it is open, dask computes there."""
    where = f"preparation.scheduler: {scheduler}"
    try:
        from dask.distributed import Client, KilledWorker
    except ImportError:
        raise UserError(f"{where}: needs dask.distributed, which is not installed; pip install 'dis2[cluster]'") from None
    try:
        client = Client(scheduler, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}; start it, or leave the key out") from None
    try:
        with client:
            yield client
    except KilledWorker:
        raise UserError(f"{where}: workers were killed at their work (have they enough memory?); run again") from None
    except CancelledError:
        raise UserError(f"{where}: the connection was lost; see the scheduler's log, and run again") from None
