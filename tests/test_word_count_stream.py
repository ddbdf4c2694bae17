"""D2.2's word count over objects and a stream: only the endpoint differs."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest

from hpc_connector.streams import pravega_client
from lithops_runs import run_python
from nats_servers import BINARIES, serve_nats
from pravega_server import get_pravega
from s3 import BUCKET, make_client

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "word_count_stream.py"
OBJECTS, LINES = [ROOT / "README.md", ROOT / "CITATION.cff"], ROOT / "LICENSE"
RELEASE = "        reader.release_segment(part)\n"
KILLED = """\
        with contextlib.suppress(FileExistsError):
            open({mark!r}, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
"""


@contextlib.contextmanager
def serve(kind, folder):
    """Give an endpoint of a kind."""
    if kind == "file":
        yield f"file://{folder}/streams"
    elif kind == "tcp":
        yield f"tcp://{get_pravega()}"
    else:
        with serve_nats(BINARIES[kind], folder / "nats") as server:
            yield server.make_url("")[:-1]


def add_kill(folder):
    """Return the example, whose first reader is killed behind its first slice."""
    source = EXAMPLE.read_text()
    assert source.count(RELEASE) == 1
    killed = RELEASE + KILLED.format(mark=str(folder / "killed"))
    source = source.replace("import sys\n", "import contextlib, os, signal, sys\n")
    path = folder / "killed.py"
    path.write_text(source.replace(RELEASE, killed))
    return path


def count_plain():
    """Return the counts of all text by a plain loop."""
    counts = Counter()
    for path in (*OBJECTS, LINES):
        for word in path.read_text().lower().split():
            counts[word] += 1
    return counts


@pytest.mark.parametrize(
    ("kind", "segments", "is_killed"),
    [("file", 4, True), ("nats-2.15", 1, False), ("tcp", 4, True)],
)
def test_word_count__is_that_of_a_plain_loop(
    s3_endpoint, tmp_path, kind, segments, is_killed
):
    for path in OBJECTS:
        make_client(s3_endpoint).upload_file(str(path), BUCKET, path.name)
    script = add_kill(tmp_path) if is_killed else EXAMPLE
    urls = [f"s3://{BUCKET}/{path.name}" for path in OBJECTS]
    with serve(kind, tmp_path) as endpoint:
        said = run_python(
            tmp_path,
            *(script, endpoint, segments, LINES, *urls),
            is_quiet=not is_killed,
        )
    found = {word: int(n) for n, word in map(str.split, said.splitlines())}
    assert found == count_plain()
    assert (tmp_path / "killed").exists() == is_killed


@pytest.fixture
def manager(tmp_path):
    """Return what makes streams of files, one of them with three segments."""
    made = pravega_client.StreamManager(f"file://{tmp_path}")
    assert made.create_scope("scope")
    assert made.create_stream("scope", "stream", 3)
    return made


async def read_slices(reader, n):
    """Return events of slices, each of which is released."""
    found = []
    for _ in range(n):
        part = await reader.get_segment_slice_async()
        found.append([event.data() for event in part])
        reader.release_segment(part)
    return found


def test_readers__give_each_event_once_in_the_order_of_its_key(manager):

    writer = manager.create_writer("scope", "stream")
    for k in range(60):
        writer.write_event(f"{k}", f"key {k % 7}")
    writer.flush()
    manager.seal_stream("scope", "stream")
    group = manager.create_reader_group("group", "scope", "stream")
    slices = asyncio.run(read_slices(group.create_reader("one"), 4))
    assert [bool(events) for events in slices] == [True, True, True, False]
    events = [int(event) for found in slices for event in found]
    assert sorted(events) == list(range(60))
    for key in range(7):
        of_key = [k for k in events if k % 7 == key]
        assert of_key == sorted(of_key)


def test_readers__of_a_group_share_segments(manager):

    writer = manager.create_writer("scope", "stream")
    for k in range(60):
        writer.write_event(f"{k}")
    writer.flush()
    group = manager.create_reader_group("group", "scope", "stream")
    readers = [group.create_reader(name) for name in ("one", "two", "three")]

    async def take():
        return [await reader.get_segment_slice_async() for reader in readers]

    held = asyncio.run(take())
    assert {part.segment for part in held} == {0, 1, 2}
    first = next(iter(held[0])).data()
    readers[0].release_segment(held[0])  # of which one event was given
    (rest,) = asyncio.run(read_slices(readers[1], 1))
    given = [first, *rest, *(e.data() for part in held[1:] for e in part)]
    assert sorted(map(int, given)) == list(range(60))


def test_reader__waits_and_gives_what_comes(manager, monkeypatch):

    monkeypatch.setattr(pravega_client, "SILENCE_S", 0.1)
    group = manager.create_reader_group("group", "scope", "stream")
    reader = group.create_reader("one")
    assert asyncio.run(read_slices(reader, 1)) == [[]]
    manager.create_writer("scope", "stream").write_event_bytes(b"late")
    assert asyncio.run(read_slices(reader, 1)) == [[b"late"]]
    reader.reader_offline()
