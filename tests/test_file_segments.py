"""Streams of files: their bytes, what a crash leaves, damage, full disks, old files."""

import contextlib
import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_streams
from hpc_connector.errors import BadInput
from hpc_connector.streams import segment_writer
from hpc_connector.streams.file_segments import FileStream
from hpc_connector.streams.records import MOST_BYTES, START, segment_of
from hpc_connector.streams.segment_layout import (
    MAGIC,
    Damaged,
    find_whole,
    is_torn,
    make_record,
    make_seal,
)
from hpc_connector.streams.verify import verify_stream

GOLDEN = Path(__file__).parent / "data/streams"
TRUTH = json.loads((GOLDEN / "truth.json").read_text())
LINES = (GOLDEN / "text.txt").read_bytes().splitlines()
STREAMS = {"one_segment": (1, 64 << 20), "four_segments_rolled": (4, 4096)}
STREAMS["open"] = (2, 64 << 20)


def open_files(folder, **options):
    """Return the stream of a folder."""
    return FileStream(f"file://{folder}", **options)


@pytest.fixture
def folder(tmp_path):
    """Return where a new stream of one segment is."""
    open_files(tmp_path / "stream").create()
    return tmp_path / "stream"


def read_values(folder, segment=0, position=START, **options):
    """Return the values of a segment."""
    stream = open_files(folder, **options)
    return [r.value for r in stream.read(segment, position, most_records=10**6)]


def get_last_file(folder):
    """Return the last file of the first segment."""
    return max(folder.glob("0000-*.seg"))


def give_up(stream):
    """Leave a stream as a process that was killed does, but for its lock."""
    for writer in stream.writers.values():
        writer.let_go()
        writer.lock_path.unlink()
    stream.writers.clear()


# Its bytes


@pytest.mark.parametrize("name", STREAMS)
def test_files__are_read_as_they_were_made(name):
    stream = open_files(GOLDEN / name)
    truth = TRUTH[name]
    for segment in range(stream.n_segments):
        records = stream.read(segment, most_records=10**4)
        assert len(records) == truth["records"][segment]
        assert [tuple(r)[1:3] + tuple(r)[5:] + tuple(r)[3:5] for r in records] == (
            naive_streams.read_segment(GOLDEN / name, segment)
        )
        assert stream.is_sealed(segment) == truth["sealed"]
    for k, place in zip((0, 1, 599), truth["places_of_lines_0_1_599"], strict=True):
        segment, sequence, file, byte = place
        position = f"{sequence}:{file}:{byte}"
        before = f"{sequence - 1}" if sequence else START
        record = stream.read(segment, before, most_records=1)[0]
        assert record.position == position
        assert (record.key, record.value) == (b"line%d" % k, LINES[k])
    assert sorted(path.name for path in (GOLDEN / name).glob("*.seg")) == truth["files"]


@pytest.mark.parametrize("name", STREAMS)
def test_files__are_written_as_they_were_made(name, tmp_path, monkeypatch):
    n_segments, roll_bytes = STREAMS[name]
    now = [0]
    monkeypatch.setattr(segment_writer.time, "time_ns", lambda: now[0])
    with open_files(tmp_path) as stream:
        stream.create(n_segments, roll_bytes=roll_bytes)
        for k, line in enumerate(LINES):
            now[0] = 1_790_000_000 * 10**9 + 1000 * k
            key = b"line%d" % k
            stream.append(segment_of(key, n_segments), key, line)
        if name != "open":
            stream.seal()
    names = [path.name for path in sorted(GOLDEN.joinpath(name).glob("*.seg"))]
    assert sorted(path.name for path in tmp_path.glob("0*")) == names
    for file in names:
        assert (tmp_path / file).read_bytes() == (GOLDEN / name / file).read_bytes()


def test_append_many__writes_what_append_does(tmp_path, monkeypatch):
    monkeypatch.setattr(segment_writer.time, "time_ns", lambda: 7)
    for name in ("one", "many"):
        with open_files(tmp_path / name) as stream:
            stream.create(1, roll_bytes=3 * 1000 + 16)
            records = [(b"", b"x" * (1000 - 26))] * 9  # three fill a file
            records += [(b"%d" % k, b"x" * (37 * k % 900)) for k in range(100)]
            if name == "many":
                stream.append_many(0, records)
            else:
                for key, value in records:
                    stream.append(0, key, value)
    one, many = (sorted((tmp_path / n).glob("*.seg")) for n in ("one", "many"))
    assert [p.name for p in one] == [p.name for p in many]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in many]
    assert len(one) > 10


def test_create__refuses_what_is_no_description(tmp_path):
    for text in ("{}", "[]", "x", '{"format_version": 2}'):
        (tmp_path / "stream.json").write_text(text)
        with pytest.raises(BadInput, match=r"stream\.json"):
            open_files(tmp_path).create()


# What a crash leaves


def test_read__ends_at_a_torn_record():
    assert len(read_values(GOLDEN / "torn_end")) == TRUTH["torn_end"]["whole_records"]


@pytest.mark.parametrize("n_bytes", [1, 23, 25, 26, 40, 70])
def test_append__cuts_what_is_torn(folder, n_bytes):
    with open_files(folder) as stream:
        stream.append(0, b"k", b"whole")
    torn = make_record(1, b"k", b"torn" * 15, 0)
    with open(get_last_file(folder), "ab") as file:
        file.write(torn[:n_bytes])
    assert read_values(folder) == [b"whole"]
    with open_files(folder) as stream:
        stream.append(0, b"k", b"next")
    assert read_values(folder) == [b"whole", b"next"]


@pytest.mark.parametrize("data", [b"", MAGIC, MAGIC + b"\0" * 8])
def test_append__behind_a_file_without_records(tmp_path, data):
    with open_files(tmp_path) as stream:
        stream.create(1, roll_bytes=100)
        stream.append_many(0, [(b"", b"%050d" % k) for k in range(3)])
    head = MAGIC + (3).to_bytes(8, "little")
    (tmp_path / "0000-0000000000000003.seg").write_bytes(head[: len(data)])
    assert len(read_values(tmp_path)) == 3
    stream = open_files(tmp_path)
    assert stream.tail(0) == stream.read(0, most_records=9)[-1].position
    with stream:
        stream.append(0, b"", b"more")
    assert len(read_values(tmp_path)) == 4


def test_read__ends_at_zeros_of_a_machine_that_died(folder):
    with open_files(folder) as stream:
        stream.append(0, b"k", b"whole")
    with open(get_last_file(folder), "ab") as file:
        file.write(bytes(5000))
    assert read_values(folder) == [b"whole"]
    with open_files(folder) as stream:
        stream.append(0, b"k", b"next")
    assert read_values(folder) == [b"whole", b"next"]


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 200)),
    st.tuples(st.just("many"), st.lists(st.integers(0, 90), max_size=6)),
    st.tuples(st.just("torn"), st.integers(0, 120)),
    st.tuples(st.just("zeros"), st.integers(1, 99)),
    st.tuples(st.just("again"), st.integers(0, 5)),
    st.tuples(st.just("close"), st.just(0)),
)


@given(st.lists(STEPS, max_size=25), st.integers(60, 700))
@settings(max_examples=60)
def test_files__hold_what_was_acknowledged_whatever_happens(steps, roll_bytes):
    with tempfile.TemporaryDirectory() as place:
        folder, kept = Path(place), []
        stream = open_files(folder, sync="none")
        stream.create(1, roll_bytes=roll_bytes)
        seen, position = [], START
        for what, n in steps:
            play(stream, folder, kept, what, n)
            found = open_files(folder).read(0, position, most_records=1000)
            seen += [record.value for record in found]
            position = found[-1].position if found else position
            assert seen == kept
        give_up(stream)
        records = open_files(folder).read(0, most_records=1000)
        assert [record.value for record in records] == kept
        assert [record.sequence for record in records] == list(range(len(kept)))
        assert [one.faults for one in verify_stream(open_files(folder))] == [()]


def play(stream, folder, kept, what, n):
    """Do one step of a story, and add to `kept` what must be there after it."""
    values = [b"%d" % len(kept) + b"x" * size for size in (n if what == "many" else [])]
    if what == "append":
        kept.append(b"%d" % len(kept) + b"y" * n)
        stream.append(0, b"k", kept[-1])
    elif what == "many":
        stream.append_many(0, [(b"k", value) for value in values])
        kept += values
    elif what == "again" and n < len(kept):
        stream.append(0, b"", b"never", len(kept) - 1 - n)
    elif what == "close":
        stream.close()
    elif what in ("torn", "zeros"):
        stream.get_writer(0)  # which cuts what was torn before
        give_up(stream)
        if not list(folder.glob("*.seg")):
            return
        record = make_record(len(kept), b"k", b"z" * 60, 0)
        with open(get_last_file(folder), "ab") as file:
            file.write(bytes(n) if what == "zeros" else record[:n])
        if what == "torn" and n >= len(record):  # it is whole, if nobody cuts before
            kept += naive_ending(folder, len(kept))


def naive_ending(folder, n):
    """Return the values behind the first `n`, as a slow reader sees them."""
    return [one[4] for one in naive_streams.read_segment(folder, 0)][n:]


# Damage


def test_read__of_damage_says_where(folder):
    stream = open_files(GOLDEN / "damaged_middle")
    records = stream.read(0, most_records=10**4)
    assert len(records) == TRUTH["damaged_middle"]["first_bad_sequence"]
    with pytest.raises(Damaged, match=r"0000-0{16}\.seg: damaged at byte 19773, rec"):
        stream.read(0, records[-1].position, most_records=1)
    with pytest.raises(Damaged):
        stream.tail(0)


@pytest.mark.parametrize("byte", [0, 4, 6, 7, 8, 12, 16, 24, 26, 30])
def test_damage__is_never_passed_over(folder, byte):
    """Also not where it makes a record look longer than it is."""
    with open_files(folder) as stream:
        places = [stream.append(0, b"key", b"%09d" % k) for k in range(5)]
        stream.seal()
    path = get_last_file(folder)
    data = bytearray(path.read_bytes())
    data[int(places[2].split(":")[2]) + byte] ^= 8
    path.write_bytes(data)
    with pytest.raises(Damaged, match="record 2"):
        open_files(folder).read(0, places[1], most_records=1)
    assert verify_stream(open_files(folder))[0].faults


def test_append__cuts_nothing_that_whole_records_follow(folder):
    """A length that was damaged looks like a write that was not finished."""
    with open_files(folder) as stream:
        stream.append(0, b"", b"first")
        place = stream.append(0, b"", b"second")
        stream.append(0, b"", b"third")
    path = get_last_file(folder)
    data = bytearray(path.read_bytes())
    data[int(place.split(":")[2]) + 5] ^= 1  # 256 bytes longer
    path.write_bytes(data)
    assert read_values(folder) == [b"first"]
    stream = open_files(folder)
    with pytest.raises(Damaged, match="a whole record follows"):
        stream.append(0, b"", b"fourth")
    assert path.read_bytes() == data
    assert list(folder.glob("*.writer*")) == []
    assert "a whole record follows" in verify_stream(stream)[0].faults[0]


def test_skip_damaged__goes_on_at_the_next_file(tmp_path, caplog):
    with open_files(tmp_path) as stream:
        stream.create(1, roll_bytes=200)
        stream.append_many(0, [(b"", b"%050d" % k) for k in range(9)])
        stream.seal()
    path = sorted(tmp_path.glob("*.seg"))[1]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    values = read_values(tmp_path, skip_damaged=True)
    first, last = (b"%050d" % k for k in (0, 8))
    assert values[0] == first
    assert values[-1] == last
    assert len(values) < 9
    stream = open_files(tmp_path, skip_damaged=True)
    position, again = START, []
    while found := stream.read(0, position, most_records=1):
        again.append(found[0].value)
        position = found[0].position
    assert again == values
    assert len([r for r in caplog.records if "damaged" in r.message]) == 2  # a stream


def test_read__where_a_file_is_missing(tmp_path):
    shutil.copytree(GOLDEN / "four_segments_rolled", tmp_path / "s")
    (tmp_path / "s/0001-000000000000003e.seg").unlink()
    stream = open_files(tmp_path / "s")
    records = stream.read(1, most_records=1000)
    assert len(records) == 62
    with pytest.raises(Damaged, match="begins with record 122 and not 62"):
        stream.read(1, records[-1].position, most_records=1)
    assert "begins with record 122" in verify_stream(stream)[1].faults[0]
    skipping = open_files(tmp_path / "s", skip_damaged=True)
    assert len(skipping.read(1, most_records=1000)) == 155 - 60


def test_append__after_one_that_was_interrupted(folder, monkeypatch):
    stream = open_files(folder)
    stream.append(0, b"", b"before")
    stream.append(0, b"", b"", 0)  # which is there, so that it is looked for
    real = os.write

    def interrupt(file, data):
        real(file, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(segment_writer.os, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stream.append(0, b"", b"was written")
    stream.append(0, b"", b"after")
    assert stream.append(0, b"", b"", 1) == stream.read(0, most_records=9)[1].position
    stream.close()
    assert read_values(folder) == [b"before", b"was written", b"after"]


def test_read__of_a_sealed_file_that_goes_on(folder):
    with open_files(folder) as stream:
        stream.append(0, b"", b"first")
        stream.seal()
    with open(get_last_file(folder), "ab") as file:
        file.write(make_record(2, b"", b"second", 0))
    stream = open_files(folder)
    records = stream.read(0, most_records=9)
    with pytest.raises(Damaged):
        stream.read(0, records[-1].position, most_records=9)


def test_is_sealed__of_a_value_that_looks_like_a_seal(folder):
    with open_files(folder) as stream:
        stream.append(0, b"k", make_seal(1))
        assert not stream.is_sealed(0)
        stream.append(0, b"k", b"next")
    assert read_values(folder) == [make_seal(1), b"next"]


def test_is_torn__of_what_can_be_the_end_of_a_write():
    record = make_record(3, b"key", b"value" * 9, 5)
    assert all(is_torn(record[:n]) for n in range(len(record) + 1))
    assert not is_torn(record + record)
    assert not is_torn(b"\xff" * 60)
    assert is_torn(bytes(60))
    assert find_whole(record, 3) == -1
    assert find_whole(b"123" + record, 2) == 3
    assert find_whole(b"123" + record, 3) == -1


# One writer


def run_writer(folder, then):
    """Start a process that appends a record, says so, and does something."""
    code = (
        "import os, sys\n"
        "from hpc_connector.streams.open import open_stream\n"
        f"stream = open_stream('file://{folder}')\n"
        "stream.append(0, b'', b'theirs')\n"
        f"print('begun', flush=True)\n{then}"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    return process


def test_append__names_the_writer_that_holds_the_segment(folder):
    with run_writer(folder, "sys.stdin.read()") as process:
        stream = open_files(folder)
        with pytest.raises(BadInput, match=rf"process {process.pid} on .*one writer"):
            stream.append(0, b"", b"")
        with pytest.raises(BadInput, match=rf"process {process.pid} on"):
            stream.seal()
        assert f"process {process.pid}" in stream.describe().segments[0].writer
        process.kill()
        process.wait()
        stream.append(0, b"", b"ours")
        stream.close()
    assert read_values(folder) == [b"theirs", b"ours"]
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".seg"]


def test_append__where_a_process_died_as_it_took_over(folder):
    open_files(folder.parent / "other").create()
    dead = run_writer(folder, "os._exit(0)")
    dead.communicate()
    lock = folder / "0000.writer"
    text = lock.read_text()
    claim = folder / f"0000.writer.{hashlib.sha256(text.encode()).hexdigest()}"
    other = run_writer(folder.parent / "other", "os._exit(0)")
    other.communicate()
    claim.write_text((folder.parent / "other/0000.writer").read_text())
    (folder / f"0000.writer.{0:064x}").write_text(claim.read_text())
    with open_files(folder) as stream:
        stream.append(0, b"", b"ours")
    assert read_values(folder) == [b"theirs", b"ours"]
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".seg"]


@pytest.mark.parametrize(("job", "is_refused"), [("7", True), ("8", False)])
def test_append__where_a_job_of_another_node_has_written(
    folder, tmp_path, monkeypatch, job, is_refused
):
    squeue = tmp_path / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text("#!/bin/sh\n[ $3 = 7 ] && echo 7 RUNNING || true\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    holder = {"host": "elsewhere", "pid": 3, "job": job, "started": "2026-11-29T10:00"}
    holder |= {"birth": "5", "namespace": "pid:[1]"}
    (folder / "0000.writer").write_text(json.dumps(holder))
    stream = open_files(folder)
    if is_refused:
        with pytest.raises(BadInput, match="job 7, process 3 on elsewhere"):
            stream.append(0, b"", b"ours")
    else:
        stream.append(0, b"", b"ours")
    stream.close()
    assert (folder / "0000.writer").exists() == is_refused


def test_append__beside_a_lock_that_says_nothing(folder):
    (folder / "0000.writer").touch()
    with pytest.raises(BadInput, match=r"0000\.writer: cannot be read"):
        open_files(folder).append(0, b"", b"")


def test_take__of_a_dead_lock_is_by_one_of_many(folder):
    """Threads of one process, each with a stream of its own."""
    dead = run_writer(folder, "os._exit(0)")
    dead.communicate()
    streams = [open_files(folder) for _ in range(8)]
    begin, done = threading.Barrier(8), []

    def append(stream):
        begin.wait()
        with contextlib.suppress(BadInput):
            done.append(stream.append(0, b"", b"ours"))

    threads = [threading.Thread(target=append, args=[stream]) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    for stream in streams:
        stream.close()
    assert read_values(folder) == [b"theirs", b"ours"]
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".seg"]


def test_append__behind_bytes_of_somebody_else(folder, monkeypatch):
    monkeypatch.setattr(segment_writer, "CHECK_S", 0.0)
    with open_files(folder) as stream:
        stream.append(0, b"", b"first")
        with open(get_last_file(folder), "ab") as file:
            file.write(make_record(1, b"", b"theirs", 0))
        with pytest.raises(BadInput, match="one writer a segment"):
            stream.append(0, b"", b"second")
    assert read_values(folder) == [b"first", b"theirs"]


def test_close__in_a_child_lets_the_parent_write(folder):
    stream = open_files(folder, sync="none")
    stream.append(0, b"", b"parent")
    if (child := os.fork()) == 0:  # of one thread: there is no timer
        stream.close()
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(BadInput, match="one writer"):
        open_files(folder).append(0, b"", b"other")
    stream.append(0, b"", b"more")
    stream.close()
    assert read_values(folder) == [b"parent", b"more"]


# Full disks


@contextlib.contextmanager
def limit_files(n_bytes):
    """Have the system take no more than so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, 30, 90])
@pytest.mark.parametrize("is_new", [True, False])
def test_append__on_a_full_disk(folder, room, is_new):
    stream = open_files(folder)
    kept = []
    if not is_new:
        kept = [b"before"]
        stream.append(0, b"", kept[0])
    stream.get_writer(0)
    size = 0 if is_new else get_last_file(folder).stat().st_size
    with limit_files(size + room), pytest.raises(OSError, match="large") as told:
        stream.append(0, b"", b"x" * 100)
    assert told.value.errno == errno.EFBIG
    assert told.value.filename.endswith(".seg")
    assert read_values(folder) == kept
    stream.append(0, b"", b"after")
    assert read_values(folder) == [*kept, b"after"]
    stream.close()
    assert [one.faults for one in verify_stream(stream)] == [()]


def test_append_many__on_a_full_disk_keeps_a_beginning(folder):
    stream = open_files(folder)
    records = [(b"", b"%050d" % k) for k in range(9)]
    stream.get_writer(0)
    with limit_files(300), pytest.raises(OSError, match="large"):
        stream.append_many(0, records, 0)
    values = [value for _, value in records]
    kept = read_values(folder)
    assert 0 < len(kept) < 9
    assert kept == values[: len(kept)]
    stream.append_many(0, records, 0)
    assert read_values(folder) == values
    stream.close()


def test_append__of_the_longest_records_to_small_files(tmp_path):
    with open_files(tmp_path) as stream:
        stream.create(1, roll_bytes=100)
        for k in range(3):
            stream.append(0, b"", bytes([k]) * MOST_BYTES)
        assert [r.value[:1] for r in stream.read(0, most_records=9)] == [
            b"\0",
            b"\1",
            b"\2",
        ]
    assert len(list(tmp_path.glob("*.seg"))) == 3


# Old files


def test_retain__by_a_clock_that_went_backwards(tmp_path, monkeypatch):
    times = iter([100, 200, 50, 60, 300, 310])
    monkeypatch.setattr(segment_writer.time, "time_ns", lambda: next(times))
    with open_files(tmp_path) as stream:
        stream.create(1, roll_bytes=50)
        for k in range(6):
            stream.append(0, b"", b"%020d" % k)
        assert [r.sequence for r in stream.read(0, most_records=9)] == list(range(6))
        stream.retain(before=70)
        assert read_values(tmp_path, position=stream.describe().segments[0].first)
        assert stream.read(0, most_records=9)[0].sequence == 0  # 200 is behind it
        stream.retain(before=250)
        state = stream.describe().segments[0]
        assert [r.sequence for r in stream.read(0, state.first, most_records=9)] == [
            3,
            4,
            5,
        ]


def test_read__while_files_are_deleted(tmp_path):
    with open_files(tmp_path) as stream:
        stream.create(1, roll_bytes=100)
        for k in range(9):
            stream.append(0, b"", b"%060d" % k)
        reader = open_files(tmp_path)
        records = reader.read(0, most_records=6)
        stream.retain(keep_bytes=310)
        rest = reader.read(0, records[-1].position, most_records=9)
        assert [r.sequence for r in rest] == [6, 7, 8]
        with pytest.raises(BadInput, match="begins with record 6"):
            reader.read(0, records[2].position, most_records=1)


def test_read__by_the_number_of_a_record_alone(tmp_path):
    shutil.copytree(GOLDEN / "four_segments_rolled", tmp_path / "s")
    stream = open_files(tmp_path / "s")
    records = stream.read(2, most_records=1000)
    for k in (0, 63, 64, 100, 139):
        for place in (f"{k}", f"{k}:0002-00000000000000ff.seg:16", f"{k}:"):
            if place.endswith(":"):
                with pytest.raises(BadInput, match="no position"):
                    stream.read(2, place, most_records=1)
                continue
            assert stream.read(2, place, most_records=1) == [records[k + 1]]
        wrong = records[k].position.rpartition(":")[0] + ":17"
        assert stream.read(2, wrong, most_records=1) == [records[k + 1]]
    with pytest.raises(BadInput, match="no record has the position"):
        stream.read(2, "141", most_records=1)


# Durability


def test_sync__is_when_it_is_said(folder, monkeypatch):
    synced = threading.Event()
    calls = []
    real = os.fdatasync

    def count(file):
        calls.append(threading.current_thread())
        real(file)
        synced.set()

    monkeypatch.setattr(segment_writer.os, "fdatasync", count)
    with open_files(folder, sync="none") as stream:
        stream.append(0, b"", b"none")
    assert calls == []
    with open_files(folder, sync="each") as stream:
        stream.append(0, b"", b"each")
        stream.append_many(0, [(b"", b"a"), (b"", b"b")])
        assert calls == [threading.main_thread()] * 2
    synced.clear()
    calls.clear()
    with open_files(folder, sync="1s") as stream:
        stream.append(0, b"", b"1s")
        stream.append(0, b"", b"1s")
        assert threading.main_thread() not in calls
        assert synced.wait(60)
        assert calls
        assert threading.main_thread() not in calls
    with pytest.raises(BadInput, match="sync"):
        open_files(folder, sync="often")


def test_append__that_fails_leaves_what_was_before_on_the_disk(folder, monkeypatch):
    synced = []

    def fail(*_):
        raise OSError(errno.ENOSPC, "no room")

    with open_files(folder) as stream:
        stream.append(0, b"", b"acknowledged")
        with monkeypatch.context() as patch:
            patch.setattr(segment_writer.os, "write", fail)
            patch.setattr(segment_writer.os, "fdatasync", synced.append)
            with pytest.raises(OSError, match="no room"):
                stream.append(0, b"", b"refused")
    assert synced


def test_append__says_that_a_late_sync_failed(folder, monkeypatch):
    tried = threading.Event()

    def fail(file):
        tried.set()
        raise OSError(errno.EIO, "no luck")

    stream = open_files(folder)
    monkeypatch.setattr(segment_writer, "SYNC_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(segment_writer.os, "fdatasync", fail)
        stream.append(0, b"", b"")
        assert tried.wait(60)
        while not stream.writers[0].late.error:
            tried.wait(0.01)
        with pytest.raises(OSError, match="no luck"):
            stream.append(0, b"", b"")
    stream.close()


def test_append__loads_neither_numpy_nor_numba(folder):
    code = (
        "import sys; from hpc_connector.streams.open import open_stream\n"
        f"with open_stream('file://{folder}') as stream: stream.append(0, b'', b'')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "numba", "argparse", "nats"} & set(done.stdout.split())
