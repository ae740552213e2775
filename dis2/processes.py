"""Work in several processes: spawned, for readers of rasters do not survive a fork, and gone when their parent is gone."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from dis2.errors import UserError

Work = Callable[..., Any]


@dataclass
class Member:
    """A process, the line to it, and memory that both see."""

    process: BaseProcess
    line: Connection
    memory: memoryview
    given: int = 0
    """Tasks whose results are not taken yet."""


class Crew:
    """Processes that do one kind of work: each is given a task and, later, asked for what has come of it."""

    def __init__(self, members: Sequence[Member], remedy: str):
        self.members, self.remedy = members, remedy

    def give(self, member: Member, *task: Any) -> None:
        """Hands over a task; those of one member are done one after the other (where results are arrays, one at a time)."""
        try:
            member.line.send(task)
        except OSError:
            raise self._killed() from None
        member.given += 1

    def take(self, member: Member) -> Any:
        """Waits for the result of the oldest task of a member, or raises the error that it met."""
        try:
            error, told, parts = member.line.recv()
        except (EOFError, OSError):
            raise self._killed() from None
        member.given -= 1
        if error is not None:
            raise error
        return _unpacked(told, parts, member.memory)

    def done(self, wait: bool) -> list[Member]:
        """The members that have a result (or were killed); if they are waited for, at least one of those that have a task."""
        busy = {member.line: member for member in self.members if member.given}
        return [busy[line] for line in connection.wait(busy, None if wait else 0)] if busy else []  # type: ignore[index]

    def _killed(self) -> UserError:
        return UserError(f"one of {len(self.members)} processes was killed (is there enough memory?); {self.remedy}")


@contextmanager
def spawned(processes: int, remedy: str, make: Callable[..., Work], *told: Any, memory: int = 0) -> Iterator[Crew]:
    """Processes that work by what `make(*told)` returns there; the line that says that one was killed ends with the remedy.

    Arrays in results come back through memory of so many bytes a process, and what does not fit through its line.
    """
    members: list[Member] = []
    try:
        for _ in range(processes):
            members.append(_started(make, told, memory))
        yield Crew(members, remedy)
    finally:
        for member in members:
            if member.given:
                member.process.kill()
            member.line.close()
        for member in members:
            member.process.join()


def _started(make: Callable[..., Work], told: tuple[Any, ...], memory: int) -> Member:
    """It is deaf to Ctrl-C, and to a scheduler that stops all processes, from its first moment: only the parent answers."""
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    shared = spawn.RawArray("B", max(1, memory))
    process = spawn.Process(target=_serve, args=(there, shared, make, told), daemon=True)
    resource_tracker.ensure_running()  # its start would let signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    return Member(process, here, memoryview(shared).cast("B"))


def _serve(parent: Connection, shared: Any, make: Callable[..., Work], told: tuple[Any, ...]) -> None:
    """The life of a process: it ends when there is no one left to work for."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work, memory = make(*told), memoryview(shared).cast("B")
    with suppress(EOFError, ConnectionError):
        while True:
            parent.send(_answer(work, parent.recv(), memory))


def _answer(work: Work, task: tuple[Any, ...], memory: memoryview) -> tuple[Exception | None, bytes, list[Any]]:
    """The error that a task met, as far as a parent knows what to make of it, or its result."""
    try:
        return None, *_packed(work(*task), memory)
    except (UserError, OSError) as error:
        return error, b"", []
    except Exception as error:
        return RuntimeError(f"in another process: {error}\n{traceback.format_exc()}"), b"", []


def _packed(result: Any, memory: memoryview) -> tuple[bytes, list[int | bytearray]]:
    """A result without its arrays, and their sizes in memory or, where that is full, they themselves."""
    buffers: list[pickle.PickleBuffer] = []
    told = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
    parts: list[int | bytearray] = []
    end = 0
    for raw in (buffer.raw() for buffer in buffers):
        if end + raw.nbytes <= len(memory):
            memory[end : end + raw.nbytes] = raw
            parts.append(raw.nbytes)
            end += raw.nbytes
        else:
            parts.append(bytearray(raw))
    return told, parts


def _unpacked(told: bytes, parts: list[int | bytearray], memory: memoryview) -> Any:
    """The result with its arrays, of which nothing stays in memory."""
    arrays, end = [], 0
    for part in parts:
        if isinstance(part, int):
            arrays.append(bytearray(memory[end : end + part]))
            end += part
        else:
            arrays.append(part)
    return pickle.loads(told, buffers=arrays)


def _end_with_parent() -> None:
    """Nothing is written any more for a parent that was killed."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
