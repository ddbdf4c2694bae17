"""What every kind of stream does, whatever serves it: one suite for all of them."""

import inspect
import itertools
from datetime import datetime

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.streams.follow import follow, move_positions
from hpc_connector.streams.records import (
    END,
    MOST_BYTES,
    MOST_KEY_BYTES,
    MOST_SEQUENCE,
    START,
    segment_of,
)
from hpc_connector.streams.stream import Stream
from stream_backends import BACKENDS

MANY = 10_000


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request, tmp_path_factory):
    """Serve a kind of stream for all tests of this file."""
    with BACKENDS[request.param](tmp_path_factory.mktemp(request.param)) as served:
        yield served


@pytest.fixture
def url(backend):
    """Return the URL of a stream that is not there."""
    return backend.make_url()


@pytest.fixture
def stream(backend, url):
    """Return a new stream of one segment."""
    with backend.open(url) as opened:
        opened.create()
        yield opened


def read_all(stream, segment=0, position=START, most_records=1000):
    """Return all records behind a position."""
    found = []
    while records := stream.read(segment, position, most_records=most_records):
        found += records
        position = records[-1].position
    return found


def get_values(records):
    """Return the values of records."""
    return [record.value for record in records]


def count(n, start=0):
    """Return keys and values that count."""
    return [(b"%d" % (k % 7), b"value %d" % k) for k in range(start, start + n)]


def test_stream__has_what_the_protocol_says(stream):
    wanted = {
        name: member
        for name, member in vars(Stream).items()
        if callable(member) and (not name.startswith("_") or name == "__enter__")
    }
    assert len(wanted) > 9
    for name, member in wanted.items():
        ours = list(inspect.signature(getattr(type(stream), name)).parameters.values())
        theirs = list(inspect.signature(member).parameters.values())
        assert [(p.name, p.kind, p.default) for p in ours[: len(theirs)]] == [
            (p.name, p.kind, p.default) for p in theirs
        ], name
        assert all(p.default is not p.empty for p in ours[len(theirs) :]), name
    assert isinstance(stream.url, str)
    assert stream.n_segments == 1


def test_create__again_changes_nothing(backend, url, stream):
    stream.append(0, b"k", b"v")
    with backend.open(url) as other:
        other.create(1)
        with pytest.raises(BadInput, match="1 segment"):
            other.create(2)
    assert get_values(read_all(stream)) == [b"v"]
    created = stream.describe().created
    assert datetime.fromisoformat(created).isoformat(timespec="seconds") == created


@pytest.mark.parametrize("what", ["append", "read", "seal", "describe", "n_segments"])
def test_stream__that_was_not_created_is_named(backend, url, what):
    uses = {
        "append": lambda s: s.append(0, b"", b""),
        "read": lambda s: s.read(0, most_records=1),
        "seal": lambda s: s.seal(),
        "describe": lambda s: s.describe(),
        "n_segments": lambda s: s.n_segments,
    }
    with backend.open(url) as stream, pytest.raises(BadInput) as told:
        uses[what](stream)
    assert url in str(told.value)
    assert "\n" not in str(told.value)


def test_segments__are_those_that_were_created(stream):
    for number in (-1, 1):
        with pytest.raises(BadInput, match="segment"):
            stream.append(number, b"", b"")
        with pytest.raises(BadInput, match="segment"):
            stream.read(number, most_records=1)


def test_read__of_no_record_is_refused(stream):
    stream.append(0, b"k", b"v")
    with pytest.raises(BadInput, match="0 records at most: expected 1 or more"):
        stream.read(0, most_records=0)


def test_append__of_a_sequence_that_no_record_can_have(stream):
    last = stream.append(0, b"k", b"v", MOST_SEQUENCE - 1)
    for append in (
        lambda: stream.append(0, b"k", b"v", MOST_SEQUENCE),
        lambda: stream.append_many(0, [(b"k", b"v")] * 2, MOST_SEQUENCE),
        lambda: stream.append(0, b"k", b"v"),
    ):
        with pytest.raises(BadInput, match=f"expected 0 to {MOST_SEQUENCE - 1}"):
            append()
    assert stream.tail(0) == last


def test_read__gives_what_was_appended(stream):
    places = [stream.append(0, key, value) for key, value in count(5)]
    records = read_all(stream)
    assert [(r.key, r.value) for r in records] == count(5)
    assert [r.position for r in records] == places
    assert len(set(places)) == 5
    assert [r.sequence for r in records] == list(range(5))
    assert {r.segment for r in records} == {0}
    assert all(r.time_ns > 1_600_000_000 * 10**9 for r in records)


def test_read__of_what_is_empty(stream):
    assert stream.read(0, most_records=5) == []
    assert stream.read(0, END, most_records=5) == []
    assert stream.tail(0) == START
    assert stream.read(0, stream.tail(0), most_records=5) == []


@pytest.mark.parametrize("key", [b"", b"\0", b"\xff\xff", b"x" * MOST_KEY_BYTES])
def test_append__of_any_key(stream, key):
    stream.append(0, key, b"v")
    assert [(r.key, r.value) for r in read_all(stream)] == [(key, b"v")]


def test_append__of_any_value(stream):
    values = [b"", b"\0" * 100, bytes(range(256)), b"\r\n\r\n", b'{"sealed": true}']
    values += [b"y" * (MOST_BYTES - 1), b"end"]
    for value in values:
        stream.append(0, b"k", value)
    assert get_values(read_all(stream)) == values


def test_append__of_a_long_key_and_a_long_value(stream):
    key = bytes(range(256)) * 200
    stream.append(0, key, b"z" * (MOST_BYTES - len(key)))
    stream.append(0, b"", b"")
    first, last = read_all(stream)
    assert (first.key, len(first.value)) == (key, MOST_BYTES - len(key))
    assert (last.key, last.value) == (b"", b"")


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"x" * (MOST_KEY_BYTES + 1), b""), (b"k", b"y" * MOST_BYTES)],
)
def test_append__of_what_is_too_long(stream, key, value):
    with pytest.raises(BadInput, match="expected at most"):
        stream.append(0, key, value)
    with pytest.raises(BadInput, match="expected at most"):
        stream.append_many(0, [(key, value)])
    assert read_all(stream) == []
    stream.append(0, b"k", b"v")
    assert get_values(read_all(stream)) == [b"v"]


def test_read__from_any_position(stream):
    stream.append_many(0, count(20))
    records = read_all(stream)
    for k, record in enumerate(records):
        assert read_all(stream, position=record.position) == records[k + 1 :]
        assert stream.read(0, record.position, most_records=3) == records[k + 1 : k + 4]
    assert stream.tail(0) == records[-1].position


def test_read__by_another_that_opens_it(backend, url, stream):
    stream.append_many(0, count(10))
    place = read_all(stream)[4].position
    with backend.open(url) as other:
        assert read_all(other, position=place) == read_all(stream)[5:]
        stream.append_many(0, count(5, 10))
        assert len(read_all(other, position=place)) == 10


def test_read__by_two_readers_at_different_places(backend, url, stream):
    with backend.open(url) as one, backend.open(url) as two:
        seen = {id(one): [], id(two): []}
        place = {id(one): START, id(two): START}
        for k, (reader, most) in enumerate([(one, 1), (two, 3)] * 20):
            stream.append(0, b"", b"%d" % k)
            records = reader.read(0, place[id(reader)], most_records=most)
            seen[id(reader)] += get_values(records)
            place[id(reader)] = records[-1].position
        assert seen[id(one)] == [b"%d" % k for k in range(20)]
        rest = get_values(read_all(two, position=place[id(two)]))
        assert seen[id(two)] + rest == [b"%d" % k for k in range(40)]


def test_read__from_the_end_gives_what_comes(stream):
    stream.append(0, b"", b"before")
    place = stream.tail(0)
    assert stream.read(0, END, most_records=1) == []
    stream.append(0, b"", b"after")
    assert get_values(stream.read(0, place, most_records=9)) == [b"after"]


@pytest.mark.parametrize("position", ["nowhere", "", "1:2:3:4", "-7", "\u0663"])
def test_read__from_what_is_no_position(stream, position):
    stream.append(0, b"", b"")
    with pytest.raises(BadInput, match="position"):
        stream.read(0, position, most_records=1)


def test_append_many__is_as_one_by_one(stream):
    assert stream.append_many(0, []) == stream.tail(0) == START
    last = stream.append_many(0, iter(count(30)))
    assert stream.append_many(0, []) == last
    assert last == stream.tail(0)
    one = stream.append(0, b"k", b"one")
    assert [r.sequence for r in read_all(stream)] == list(range(31))
    assert stream.tail(0) == one


def test_append__of_a_sequence_that_is_there(backend, url, stream):
    first = [stream.append(0, b"", b"%d" % k, k) for k in range(5)]
    again = [stream.append(0, b"", b"other", k) for k in (4, 0, 2)]
    assert again == [first[4], first[0], first[2]]
    stream.close()
    with backend.open(url) as later:
        assert later.append(0, b"", b"other", 3) == first[3]
        assert later.append(0, b"", b"5", 5) == later.tail(0)
        assert get_values(read_all(later)) == [b"%d" % k for k in range(6)]


def test_append_many__of_sequences_of_which_some_are_there(stream):
    stream.append_many(0, count(10), 0)
    last = stream.append_many(0, count(10, 5), 5)
    assert last == stream.tail(0)
    assert stream.append_many(0, count(3), 0) == read_all(stream)[2].position
    records = read_all(stream)
    assert [(r.key, r.value) for r in records] == count(15)
    assert [r.sequence for r in records] == list(range(15))


def test_append__of_sequences_with_gaps(backend, url, stream):
    places = [stream.append(0, b"", b"%d" % k, k) for k in (3, 4, 40)]
    with pytest.raises(BadInput, match="sequence"):
        stream.append(0, b"", b"", 20)
    with pytest.raises(BadInput, match="sequence"):
        stream.append(0, b"", b"", -1)
    assert stream.append(0, b"", b"", 4) == places[1]
    stream.append(0, b"", b"41")
    stream.close()
    with backend.open(url) as other:
        assert [r.sequence for r in read_all(other)] == [3, 4, 40, 41]
        assert get_values(read_all(other, position=places[1])) == [b"40", b"41"]


def test_seal__ends_a_segment(backend, url, stream):
    stream.append_many(0, count(3))
    assert not stream.is_sealed(0)
    stream.seal()
    assert stream.is_sealed(0)
    stream.seal()
    with pytest.raises(BadInput, match="sealed"):
        stream.append(0, b"", b"")
    with pytest.raises(BadInput, match="sealed"):
        stream.append_many(0, [(b"", b"")])
    stream.close()
    with backend.open(url) as other:
        assert other.is_sealed(0)
        with pytest.raises(BadInput, match="sealed"):
            other.append(0, b"", b"")
        records = other.read(0, most_records=10, wait_s=60.0)
        assert len(records) == 3
        assert other.tail(0) == records[-1].position
        assert other.read(0, other.tail(0), most_records=1, wait_s=60.0) == []
        assert other.read(0, END, most_records=1, wait_s=60.0) == []


def test_seal__of_what_is_empty(stream):
    stream.seal()
    assert stream.is_sealed(0)
    assert stream.tail(0) == START
    assert stream.read(0, most_records=1, wait_s=60.0) == []
    assert list(follow(stream, {})) == []


def test_seal__of_one_segment_leaves_the_others(backend, url):
    with backend.open(url) as stream:
        stream.create(3)
        stream.append(1, b"", b"1")
        stream.seal(1)
        assert [stream.is_sealed(k) for k in range(3)] == [False, True, False]
        stream.append(0, b"", b"0")
        assert [get_values(read_all(stream, k)) for k in range(3)] == [
            [b"0"],
            [b"1"],
            [],
        ]


def test_append__by_two_writers_of_a_segment(backend, url, stream):
    stream.append(0, b"", b"first")
    refused = set()
    with backend.open(url) as other:
        done = []
        for k, (name, one) in enumerate([("a", stream), ("b", other)] * 4):
            try:
                one.append(0, b"", b"%d" % k)
                done.append(b"%d" % k)
            except BadInput as error:
                refused.add((name, "writer" in str(error)))
    assert len(refused) == 1
    assert {told for _, told in refused} == {True}
    records = read_all(stream)
    assert get_values(records) == [b"first", *done]
    assert [r.sequence for r in records] == list(range(len(records)))


def test_append__by_the_next_writer(backend, url, stream):
    stream.append(0, b"", b"0")
    stream.close()
    stream.close()
    with backend.open(url) as other:
        other.append(0, b"", b"1")
    with stream:
        stream.append(0, b"", b"2")
    assert get_values(read_all(stream)) == [b"0", b"1", b"2"]


def test_append__to_two_segments_by_two_writers(backend, url):
    with backend.open(url) as one, backend.open(url) as two:
        one.create(2)
        for k in range(5):
            one.append(0, b"", b"%d" % k)
            two.append(1, b"", b"%d" % -k)
        assert get_values(read_all(two, 0)) == [b"%d" % k for k in range(5)]
        assert get_values(read_all(one, 1)) == [b"%d" % -k for k in range(5)]


def test_retain__deletes_a_beginning_and_says_so(backend, url):
    with backend.open(url) as stream:
        make_small_files(stream)
        for k in range(60):
            stream.append(0, b"", b"%060d" % k)
        before = read_all(stream)
        assert stream.retain() == 0
        assert read_all(stream) == before
        deleted = stream.retain(keep_bytes=3000)
        assert deleted > 0
        state = stream.describe().segments[0]
        kept = read_all(stream, position=state.first)
        assert 0 < len(kept) < 60
        assert kept == before[-len(kept) :]
        for place in (START, before[0].position):
            with pytest.raises(BadInput, match="deleted") as told:
                stream.read(0, place, most_records=1)
            assert state.first in str(told.value)
        last_deleted = before[-len(kept) - 1]
        assert read_all(stream, position=last_deleted.position) == kept
        stream.append(0, b"", b"more")
        assert stream.read(0, kept[-1].position, most_records=2)[0].sequence == 60


def test_retain__never_deletes_the_last_record(backend, url):
    with backend.open(url) as stream:
        make_small_files(stream)
        stream.append_many(0, [(b"", b"%060d" % k) for k in range(60)])
        stream.retain(before=2**62)
        stream.retain(keep_bytes=0)
        state = stream.describe().segments[0]
        kept = read_all(stream, position=state.first)
        assert kept[-1].sequence == 59
        assert kept[-1].position == state.tail == stream.tail(0)
        assert stream.append(0, b"", b"") == stream.tail(0)


def make_small_files(stream):
    """Create a stream, whose files are small where it has files."""
    if "roll_bytes" in inspect.signature(stream.create).parameters:
        stream.create(1, roll_bytes=1000)
    else:
        stream.create(1)


def test_describe__says_what_is_there(backend, url):
    with backend.open(url) as stream:
        stream.create(2)
        stream.append_many(1, count(10))
        stream.seal(1)
        state = stream.describe()
    assert state.url == url
    assert [s.segment for s in state.segments] == [0, 1]
    assert [s.is_sealed for s in state.segments] == [False, True]
    assert [s.first for s in state.segments] == [START, START]
    assert state.segments[0].tail == START
    assert state.segments[0].n_records in (0, None)
    assert state.segments[1].n_records in (10, None)


def test_follow__ends_where_all_is_sealed(backend, url):
    with backend.open(url) as writer, backend.open(url) as reader:
        writer.create(3)
        seen, positions = {}, {}
        keys = itertools.count()
        for records in follow(reader, positions, most_records=1, wait_s=0.01):
            move_positions(positions, records)
            seen.update((r.value, seen.get(r.value, 0) + 1) for r in records)
            k = next(keys)
            if k < 30:
                writer.append(k % 3, b"", b"%d" % k)
            elif k == 30:
                writer.seal()
        assert seen == {b"%d" % k: 1 for k in range(30)}
        assert positions == {k: writer.tail(k) for k in range(3)}


def test_follow__goes_on_behind_positions(backend, url):
    with backend.open(url) as stream:
        stream.create(2)
        for key, value in count(50):
            stream.append(segment_of(key, 2), key, value)
        stream.seal()
        whole = [r for records in follow(stream, {}) for r in records]
        for cut in (0, 1, 20, 49, 50):
            positions = {}
            move_positions(positions, whole[:cut])
            rest = [r for records in follow(stream, positions) for r in records]
            assert sorted(whole[:cut] + rest) == sorted(whole)


def test_stream__of_many_records(stream):
    for start in range(0, MANY, 500):
        stream.append_many(0, count(500, start), start)
    records = read_all(stream, most_records=777)
    assert [(r.key, r.value) for r in records] == count(MANY)
    assert [r.sequence for r in records] == list(range(MANY))
    middle = records[MANY // 2]
    assert read_all(stream, position=middle.position) == records[MANY // 2 + 1 :]
