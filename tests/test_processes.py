"""Spawned processes work, fail in one line, and are gone when nobody needs them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dis2.errors import UserError
from dis2.processes import spawned

ROOT = Path(__file__).parents[1]


def answering(word):
    """The work of a process that was told a word."""

    def answer(count):
        if count < 0:
            raise UserError("no such count") if count == -1 else OSError(28, "No space left on device")
        return os.getpid() if not count else ([word] * count if count < 9 else 1 / 0)

    return answer


def sleeping():
    return time.sleep


def test_each_process_is_told_once_and_does_its_tasks_in_order():
    with spawned(2, "", answering, "hm") as crew:
        for member in crew.members:
            for count in (3, 0, 1):
                crew.give(member, count)
        found = [[crew.take(member) for _ in range(3)] for member in crew.members]
    assert [(one[0], one[2]) for one in found] == [(["hm"] * 3, ["hm"])] * 2
    assert len({one[1] for one in found} | {os.getpid()}) == 3


def test_only_those_who_have_a_result_are_done():
    with spawned(2, "", sleeping) as crew:
        quick, slow = crew.members
        assert crew.done(wait=True) == []
        crew.give(slow, 60)
        assert crew.done(wait=False) == []
        crew.give(quick, 0)
        assert crew.done(wait=True) == [quick]
        started = time.monotonic()
    assert time.monotonic() - started < 30


def test_a_user_s_mistake_and_a_full_disk_come_back_as_they_are_and_any_other_error_with_its_traceback():
    with spawned(1, "", answering, "hm") as crew:
        (member,) = crew.members
        crew.give(member, -1)
        with pytest.raises(UserError, match="^no such count$"):
            crew.take(member)
        crew.give(member, -2)
        with pytest.raises(OSError, match="No space left") as caught:
            crew.take(member)
        assert caught.value.errno == 28
        crew.give(member, 9)
        with pytest.raises(RuntimeError, match="in another process: .*\n.*Traceback"):
            crew.take(member)
        crew.give(member, 1)
        assert crew.take(member) == ["hm"]


@pytest.mark.parametrize("task", [60, 0])
def test_a_killed_process_is_one_line_with_what_to_do_busy_or_not(task):
    line = r"^one of 2 processes was killed \(is there enough memory\?\); try less$"
    with pytest.raises(UserError, match=line), spawned(2, "try less", sleeping) as crew:
        member = crew.members[0]
        crew.give(member, task)
        while task == 0 and not member.line.poll():
            pass
        member.process.kill()
        member.process.join()
        for _ in range(2):
            crew.take(member)
            crew.give(member, 0)


def arrays(count):
    """The work of a process whose results are arrays of different kinds."""
    return lambda seed: {
        "a": [np.random.default_rng(seed).normal(size=(count, 7)), np.arange(seed) > 1],
        "b": "word",
        "c": np.eye(3).T[1:],
    }


@pytest.mark.parametrize("memory", [0, 100, 10**6])
def test_arrays_come_back_as_they_are_whatever_the_memory_for_them(memory):
    with spawned(2, "", arrays, 20, memory=memory) as crew:
        found = []
        for seed in range(4):
            member = crew.members[seed % 2]
            crew.give(member, seed)
            found.append(crew.take(member))
    for seed, one in enumerate(found):
        wanted = arrays(20)(seed)
        assert one.keys() == wanted.keys() and one["b"] == "word" and one["a"][0].flags.writeable
        assert all(np.array_equal(x, y) for x, y in zip([*one["a"], one["c"]], [*wanted["a"], wanted["c"]], strict=True))


def large():
    return lambda: bytes(10**8)


def test_a_process_that_is_killed_while_it_hands_over_is_noticed():
    with pytest.raises(UserError, match="was killed"), spawned(1, "", large) as crew:
        (member,) = crew.members
        crew.give(member)
        member.line.poll(None)
        member.process.kill()
        crew.take(member)


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_no_process_outlives_a_parent_that_is_killed():
    code = (
        "from dis2.processes import spawned; from tests.test_processes import sleeping\n"
        "with spawned(2, '', sleeping) as crew:\n"
        "    for member in crew.members: crew.give(member, 0); crew.take(member); crew.give(member, 60)\n"
        "    print(*(member.process.pid for member in crew.members), flush=True); crew.take(member)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    children = [int(word) for word in parent.stdout.readline().split()]
    assert children and all(alive(child) for child in children)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while any(alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(alive(child) for child in children)
