"""Kills processes as they take a lock, at each call to the system and at random ones.

``python tests/process_locks.py ROUNDS [SEED]`` has several at a time take one that is
free or is left by the dead, with hard links and without, and prints what came.
"""

import contextlib
import errno
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.locks import process_lock
from hpc_connector.locks.holder import describe_process
from hpc_connector.locks.process_lock import Lock, read_text, release, take

AT_A_TIME = 5
CHANGES = {"open", "write", "flush", "fsync", "link", "replace", "unlink"}
STATES = ("free", "dead", "claimed", "chain")


def make_lock(folder):
    return Lock(folder / "a.lock", "it", "works there", "one", "ones")


def make_dead(k):
    """Return the text of a lock of a process that is over: its number is ours now."""
    return json.dumps(describe_process() | {"birth": str(k)})


def make_state(folder, state):
    """Leave what processes have that were killed."""
    lock = make_lock(folder).path
    texts = [make_dead(k) for k in range(STATES.index(state))]
    names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    places = [lock, *(lock.with_name(f"{lock.name}.{name}") for name in names)]
    for path, text in zip(places, texts, strict=False):
        path.write_text(text)
    if state == "chain":
        lock.with_name(f"{lock.name}.{0:064x}").write_text(texts[0][:9])
        lock.with_name(f"{lock.name}.{1:064x}").touch()


def kill_at(n):
    """Have this process killed before its n-th call that changes the disk."""
    n_calls = 0

    def look(frame, event, function):
        nonlocal n_calls
        if event == "c_call" and function.__name__ in CHANGES:
            n_calls += 1
            if n_calls == n:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)


def fork(act):
    """Return the number of a process that does something."""
    if pid := os.fork():
        return pid
    try:
        act()
        os._exit(0)
    finally:
        os._exit(1)


def take_after(folder):
    """Take what was left: all of it; return whether that took no hand."""
    lock = make_lock(folder)
    try:
        text = take(lock)
    except BadInput as error:
        said = str(error)
    else:
        assert [path.name for path in folder.iterdir()] == [lock.path.name]
        release(lock.path, text)
        assert not list(folder.iterdir())
        return True
    assert Path(said.partition(": cannot be read")[0]).read_text() == "", said
    return False


def kill_at_each(state):
    """Kill a process at each of its calls in turn; return calls, and hands it took."""
    n_hands = 0
    for n in range(1, 1000):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_state(folder, state)

            def act(folder=folder, n=n):
                kill_at(n)
                take(make_lock(folder))

            end = os.waitstatus_to_exitcode(os.waitpid(fork(act), 0)[1])
            if end != -signal.SIGKILL:
                assert end == 0, (state, n, end)
                return n - 1, n_hands
            n_hands += not take_after(folder)
    raise AssertionError(f"{state}: it never ends")


def contend(folder, begin, hold, said, kill):
    """Take a lock when a pipe is closed, say how it went, and hold it till the next."""
    os.read(begin, 1)
    kill_at(kill)
    lock, text = make_lock(folder), ""
    with contextlib.suppress(BadInput):
        text = take(lock)
    sys.setprofile(None)
    os.write(said, b"taken" if text else b"refused")
    os.read(hold, 1)
    if text:
        assert read_text(lock.path) == text
        if kill % 2:  # or it is left
            release(lock.path, text)


def race(state, kills):
    """Let processes take a lock at a time; return how it went for each.

    Parameters
    ----------
    kills
        The call at which each is killed; 0 for never.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_state(folder, state)
        begin, hold = os.pipe(), os.pipe()
        running = []
        for kill in kills:
            ear, said = os.pipe()

            def act(said=said, kill=kill):
                os.close(begin[1])
                os.close(hold[1])
                contend(folder, begin[0], hold[0], said, kill)

            running.append((fork(act), ear))
            os.close(said)
        os.close(begin[1])
        ends = [os.read(ear, 9).decode() or "killed" for _, ear in running]
        os.close(hold[1])
        for (pid, ear), end in zip(running, ends, strict=True):
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code == (-signal.SIGKILL if end == "killed" else 0), (end, code)
            os.close(ear)
        os.close(begin[0])
        os.close(hold[0])
        return [*ends, "after" if take_after(folder) else "hand"]


def refuse_links(*paths):
    raise OSError(errno.EPERM, "Operation not permitted")


def main(rounds, seed=1):
    """Return what came, of each kind of file system."""
    chance, found = random.Random(seed), {}
    for has_links in (True, False):
        if not has_links:
            process_lock.os.link = refuse_links
        each = {state: kill_at_each(state) for state in STATES}
        counts = Counter()
        for k in range(rounds):
            state = STATES[k % len(STATES)]
            most = each[state][0] * (k // len(STATES) % 2)  # every other is of no kills
            kills = [chance.randint(1, 2 * most) if most else 0] * AT_A_TIME
            kills = [kill and chance.randint(0, 2 * most) for kill in kills]
            ends = race(state, kills)
            taken = ends.count("taken")
            assert taken == 1 or (most and taken == 0), (state, kills, ends)
            counts.update(ends)
        hands = sum(n for _, n in each.values())
        assert not has_links or hands == counts["hand"] == 0, (each, counts)
        name = "with links" if has_links else "without links"
        found[name] = {
            "calls": {state: n for state, (n, _) in each.items()},
            "hands": hands,
            **counts,
        }
    return found


if __name__ == "__main__":
    os.fsync = lambda file: None  # which a kill does not need
    print(json.dumps(main(*map(int, sys.argv[1:]))))
