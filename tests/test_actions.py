"""Near-data actions of one node: their turns, their records, their ends."""

import os
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from hpc_connector.actions import near_data
from hpc_connector.actions.area import write
from hpc_connector.actions.lines import MemoryHostLine, MemoryLine
from hpc_connector.actions.reduced import count_words
from hpc_connector.actions.scratch import Scratch
from hpc_connector.errors import BadInput
from hpc_connector.partitioner import get_mpicomm
from programs import PATIENCE_S, wait_for

SERIAL = get_mpicomm(serial=True)


class Log:
    """An action that notes what it is asked, and that it does one thing at a time."""

    def on_create(self, context):
        self.seen, self.context = [("create", context.name)], context
        self.busy = threading.Lock()

    def on_write(self, records):
        for record in records:
            assert self.busy.acquire(blocking=False)
            self.seen.append((records.rank, bytes(record).decode()))
            self.busy.release()

    def on_read(self):
        yield from (f"{who}:{what} ".encode() for who, what in self.seen)

    @staticmethod
    def merge(results):
        return b"".join(results).decode().split()


@contextmanager
def open_line(area, rank):
    """Give another line to the host, as that of another rank of the node."""
    own, other = socket.socketpair()
    memory = np.zeros(64, np.uint8)
    area.host.serve(MemoryHostLine(rank, other, memory))
    line = MemoryLine(own, memory)
    try:
        yield line
    finally:
        line.end()


def start(line, name, records):
    """Write records in a thread, as another rank does meanwhile."""
    thread = threading.Thread(target=write, args=(line, name, records), daemon=True)
    thread.start()
    return thread


@contextmanager
def two_writers(interleaving):
    """Give an area with a log, and the lines of two ranks."""
    with near_data(SERIAL) as area:
        log = area.create("log", Log, interleaving)
        with open_line(area, 1) as first, open_line(area, 2) as second:
            yield area, log, first, second


def test_write__interleaves_producers_that_wait_for_each_other():
    """Either ends only if the other gets on meanwhile: in turn they would hang."""
    turns = [threading.Event() for _ in range(6)]
    turns[0].set()

    def produce(own):
        for k in range(own, 6, 2):
            assert turns[k].wait(PATIENCE_S)
            yield str(k).encode()
            if k + 1 < 6:  # the action has taken what came before
                turns[k + 1].set()

    with two_writers(interleaving=True) as (area, log, first, second):
        threads = [start(first, "log", produce(0)), start(second, "log", produce(1))]
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        seen = area.reduce(log.name)
    assert seen == ["create:log", "1:0", "2:1", "1:2", "2:3", "1:4", "2:5"]


def test_write__is_one_after_the_other_without():
    waits, goes_on = threading.Event(), threading.Event()

    def produce_slowly():
        yield b"a"
        waits.set()
        assert goes_on.wait(PATIENCE_S)
        yield b"b"

    with two_writers(interleaving=False) as (area, log, first, second):
        turn = area.host.hosted["log"].turn
        one = start(first, "log", produce_slowly())
        assert waits.wait(PATIENCE_S)
        two = start(second, "log", [b"c", b"d"])
        wait_for(lambda: turn.count_waiting() == 2)
        goes_on.set()
        one.join(PATIENCE_S)
        two.join(PATIENCE_S)
        seen = area.reduce(log.name)
    assert seen[1:] == ["1:a", "1:b", "2:c", "2:d"]


def test_read__comes_between_two_records():
    goes_on, found = threading.Event(), []

    def produce():
        yield b"a"
        assert goes_on.wait(PATIENCE_S)
        yield b"b"

    with two_writers(interleaving=True) as (area, log, first, _):
        thread = start(first, "log", produce())
        wait_for(lambda: b"1:a" in log.read())
        found = log.read().decode().split()
        goes_on.set()
        thread.join(PATIENCE_S)
        assert area.reduce(log.name) == [*found, "1:b"]
    assert found == ["create:log", "1:a"]


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 200_000])
def test_write__records_of_any_length(n):
    data = np.random.default_rng(n).integers(0, 256, n, np.uint8)
    seen = []

    class Take:
        def on_write(self, records):
            seen.extend(bytes(record) for record in records)

    with near_data(SERIAL) as area:
        area.create("take", Take).write([data, memoryview(data)])
        with open_line(area, 1) as line:
            assert write(line, "take", [data]) == n
        counts = area.host.hosted["take"].counts
    assert seen == 3 * [data.tobytes()]
    assert (counts.records, counts.in_bytes) == (3, 3 * n)


def test_write__what_an_action_leaves_is_dropped():
    class First:
        def on_write(self, records):
            self.seen = bytes(next(records))

        def on_read(self):
            yield self.seen

    with near_data(SERIAL) as area:
        first = area.create("first", First)
        first.write([b"a", b"b", b"c"])
        first.write([b"d", b"e"])
        assert area.reduce("first", list) == [b"d"]


class Fail:
    """An action that raises where it is told."""

    def __init__(self, where):
        self.where = where

    def on_create(self, context):
        self.fail("create")

    def on_write(self, records):
        for record in records:
            self.fail(bytes(record).decode())

    def on_read(self):
        self.fail("read")
        yield b""

    def on_delete(self):
        self.fail("delete")

    def fail(self, where):
        if where == self.where:
            raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize("where", ["create", "write", "read", "delete"])
def test_action__that_raises_is_named(where):
    def act():
        with near_data(SERIAL) as area:
            odd = area.create("odd", partial(Fail, where))
            odd.write([b"before", b"write", b"after"])
            area.reduce("odd", list)

    said = r"action odd raised ZeroDivisionError: division by zero \(test_actions\.py"
    with pytest.raises(BadInput, match=said):
        act()


def test_action__that_raised_is_called_no_more():
    with near_data(SERIAL) as area:
        odd = area.create("odd", partial(Fail, "write"))
        for records in ([b"write"], [b"other"]):
            with pytest.raises(BadInput, match="action odd raised ZeroDivisionError"):
                odd.write(records)
        with pytest.raises(BadInput, match="action odd raised ZeroDivisionError"):
            area.reduce("odd", list)


def test_write__whose_records_break_off_is_no_result():
    def produce():
        yield b"a"
        raise KeyError("mine")

    with near_data(SERIAL) as area:
        log = area.create("log", Log)
        with pytest.raises(KeyError, match="mine"):
            log.write(produce())
        with pytest.raises(KeyError, match="mine"):
            area.reduce("log")


def test_write__whose_records_make_another_call():
    with near_data(SERIAL) as area:
        log = area.create("log", Log)

        def produce():
            yield b"a"
            yield log.read()

        said = "rank 0 makes another call while its records are written"
        for act in (lambda: log.write(produce()), log.read):
            with pytest.raises(BadInput, match=said):
                act()


def test_write__threads_of_a_rank_one_after_the_other():
    with near_data(SERIAL) as area:
        log = area.create("log", Log, interleaving=True)
        records = [[f"{who}{k}".encode() for k in range(20)] for who in "abc"]
        threads = [threading.Thread(target=log.write, args=(r,)) for r in records]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        seen = [what.removeprefix("0:") for what in area.reduce("log")[1:]]
    for k in range(0, 60, 20):
        assert seen[k : k + 20] == [f"{seen[k][0]}{n}" for n in range(20)]


def test_write__of_what_is_no_bytes():
    with near_data(SERIAL) as area:
        log = area.create("log", Log)
        with pytest.raises(TypeError):
            log.write(["text"])


def test_write__a_rank_that_is_gone_ends_no_other():
    with near_data(SERIAL) as area:
        area.create("log", Log)
        other = area.create("other", Log)
        with open_line(area, 1) as line:
            line.ask(b"w", b"log")
        with pytest.raises(ConnectionError, match="a rank that wrote to log is gone"):
            area.reduce("log")
        other.write([b"a"])
        assert area.reduce("other")[1:] == ["0:a"]


def test_create__names():
    with near_data(SERIAL) as area:
        area.create("log", Log)
        with pytest.raises(BadInput, match="action log: expected another name"):
            area.create("log", Log)
        with pytest.raises(BadInput, match=r"action lag: .* was created: log"):
            area.reduce("lag")
        with pytest.raises(BadInput, match=r"node 1: expected a node of 0\.\.0"):
            area.create("more", Log).write([], node=1)


def test_near_data__leaves_no_thread_and_no_socket():
    def count():
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    with near_data(SERIAL):
        pass
    before = count()
    for _ in range(3):
        with near_data(SERIAL) as area:
            area.create("log", Log).write([b"a"])
    assert count() == before


def test_rows__one_node_moves_nothing():
    with near_data(SERIAL) as area:
        area.create("log", Log).write([b"ab", b"c"])
        area.reduce("log")
    (row,) = area.rows
    assert row.pop("wall_s") > 0
    assert row == {
        "action": "log",
        "node": 0,
        "ranks": 1,
        "records": 2,
        "in_bytes": 3,
        "out_bytes": len("create:log 0:ab 0:c "),
        "would_move_bytes": 0,
        "moved_bytes": 0,
    }


def test_scratch__has_no_more_than_its_bytes(tmp_path):
    scratch = Scratch(tmp_path, 5)
    file = scratch.open()
    file.write(b"abc")
    with pytest.raises(BadInput, match=r"--scratch-bytes: .* more than 5 bytes"):
        scratch.open().write(b"def")
    assert file.read() == b"abc"
    scratch.close()


def test_scratch__shows_nothing(tmp_path):
    scratch = Scratch(tmp_path)
    file = scratch.open()
    file.write(b"abc")
    assert os.fstat(file._file.fileno()).st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []
    scratch.close()


def test_scratch__folder_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    scratch = Scratch("$TMPDIR")
    assert scratch.open().read() == b""
    scratch.close()
    with pytest.raises(BadInput, match=r"--scratch: .*none: expected a folder"):
        Scratch("$TMPDIR/none")


def test_near_data__counts_words_as_a_plain_loop():
    lines = [f"w{k % 7} w{k % 3}\n".encode() for k in range(500)]
    with near_data(SERIAL) as area:
        area.create("words", count_words, interleaving=True).write(lines)
        found = area.reduce("words")
    assert found == Counter(b"".join(lines).split())
