"""The agent that tells its rows to a stream too, and the runs that have it do so."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_connector.errors import BadInput, Later
from hpc_connector.manifest import read_manifest
from hpc_connector.streams.beside import prepare_stream
from hpc_connector.streams.file_segments import FileStream
from hpc_connector.streams.open import open_stream
from hpc_connector.telemetry.columns import get_name
from hpc_connector.telemetry.watch import copy
from programs import PATIENCE_S, wait_for

COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"


@pytest.fixture
def rank():
    """Return a process that is watched."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def url(tmp_path):
    """Return the URL of a stream of one segment."""
    prepare_stream(f"file://{tmp_path}/stream", 1, "node")
    return f"file://{tmp_path}/stream"


@pytest.fixture
def start(rank, tmp_path):
    """Return what starts an agent of that process, ten times a second."""
    begun = []

    def begin(*options):
        command = [sys.executable, "-m", "hpc_connector.commands.telemetry.agent"]
        command += ["--out", tmp_path, "--pid", rank.pid, "--interval", "0.1", *options]
        words = list(map(str, command))
        begun.append(subprocess.Popen(words, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def read_all(url, segment=0):
    with open_stream(url) as stream:
        return stream.read(segment, most_records=10_000)


def read_text(url, segment=0):
    """Return what records say that have rows."""
    rows = [one.value for one in read_all(url, segment) if one.key.endswith(b".csv")]
    return b"".join(rows)


def get_file(out):
    return out / "telemetry" / f"{get_name()}.csv"


def test_agent__tells_what_its_file_has(rank, start, tmp_path, url):
    agent = start("--stream", url)
    wait_for(lambda: len(read_all(url)) > 3)
    rank.communicate(b"\n")
    assert agent.wait(PATIENCE_S) == 0
    assert read_text(url) == get_file(tmp_path).read_bytes()
    *rows, last = read_all(url)
    name = get_name().encode()
    assert {one.key for one in rows} == {name + b".csv"}
    assert last.key == name + b".json"
    totals = json.loads(get_file(tmp_path).with_suffix(".json").read_text())
    assert json.loads(last.value) == totals
    assert totals["notes"] == []


def test_agent__goes_on_where_one_was_killed(rank, start, tmp_path, url):
    for attempt in range(3):
        n_before = len(read_all(url))
        agent = start("--stream", url)
        wait_for(lambda n=n_before: len(read_all(url)) > n + 3)
        if attempt < 2:
            agent.send_signal(signal.SIGKILL)
            agent.wait()
    rank.communicate(b"\n")
    assert agent.wait(PATIENCE_S) == 0
    records = read_all(url)
    assert [one.sequence for one in records] == list(range(len(records)))
    told, kept = (
        read_text(url).splitlines(),
        get_file(tmp_path).read_text().splitlines(),
    )
    rows = [line for line in told if not line.startswith(b"time_s")]
    assert len(told) - len(rows) == 3  # each agent names the columns
    assert set(rows) <= {line.encode() for line in kept}


def test_agent__has_a_file_whatever_comes_of_the_stream(rank, start, tmp_path, url):
    agent = start("--stream", url)
    wait_for(lambda: len(read_all(url)) > 3)
    (tmp_path / "stream").rename(tmp_path / "away")
    n_bytes = get_file(tmp_path).stat().st_size
    wait_for(lambda: get_file(tmp_path).stat().st_size > n_bytes + 500)
    rank.communicate(b"\n")
    assert agent.wait(PATIENCE_S) == 0
    assert get_file(tmp_path).with_suffix(".json").exists()


def test_open_copy__notes_once_that_rows_were_lost(monkeypatch, url):
    monkeypatch.setattr(copy, "AGAIN_S", 0.0)
    notes = []
    with copy.open_copy(url, 0, "", notes) as tell:
        tell("n1.csv", b"1\n")
        for _ in range(3):
            tell("n1.csv", bytes(2 << 20))  # longer than a record may be
        tell("n1.csv", b"2\n")
    (note,) = notes
    assert note.startswith(f"rows were not told to a stream: {url}")
    assert read_text(url) == b"1\n2\n"


def test_open_copy__waits_after_an_append_that_failed(url):
    notes = []
    with open_stream(url) as other, copy.open_copy(url, 0, "", notes) as tell:
        other.append(0, b"k", b"v")
        tell("n1.csv", b"1\n")  # refused: the other holds it
        other.close()
        tell("n1.csv", b"2\n")  # not tried
    assert len(notes) == 1
    assert read_text(url) == b""


def test_open_copy__keeps_the_rows_where_a_server_has_gone(monkeypatch, url):
    def append(*_):
        raise Later("not for 30 s")

    monkeypatch.setattr(FileStream, "append", append)
    notes = []
    with copy.open_copy(url, 0, "", notes) as tell:
        tell("n1.csv", b"1\n")
    assert notes == ["rows were not told to a stream: not for 30 s"]


@pytest.mark.parametrize(
    ("stream", "segment", "said"),
    [
        ("file:///nowhere/at/all", "0", "/nowhere/at/all"),
        ("kafka://host/topic", "0", "expected file:///folder"),
        (None, "1", "segment 1: expected 0 to 0"),
    ],
)
def test_agent__refuses_a_stream_that_is_not_there(start, url, stream, segment, said):
    agent = start("--stream", stream or url, "--segment", segment)
    assert agent.wait(PATIENCE_S) == 2
    (line,) = agent.stderr.read().splitlines()
    assert said in line


def test_run__tells_its_rows_and_ends_the_stream(tmp_path):
    out, url = tmp_path / "out", f"file://{tmp_path}/stream"
    command = ["mpirun", "-n", "2", "mdr-epistasis", "run", COHORT, "--out", out]
    command += ["--telemetry-stream", url, "--quiet", "--permutations", "20"]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    assert read_text(url) == get_file(out).read_bytes()
    with open_stream(url) as stream:
        assert stream.n_segments == 1
        assert stream.is_sealed(0)
    record = read_manifest(out)
    assert len(record["telemetry"]["ranks"]) == 2
    assert not {"telemetry_stream", "stream_profile"} & record["parameters"].keys()
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("option", ["--telemetry-stream", "--results-stream"])
@pytest.mark.parametrize("url", ["kafka://host/topic", "nats://127.0.0.1:1/NAME"])
def test_run__in_a_stream_that_cannot_be_is_refused(tmp_path, option, url):
    if url.startswith("nats"):
        pytest.importorskip("hpc_connector.streams.nats")
    out = tmp_path / "out"
    words = ["mdr-epistasis", "run", COHORT, "--out", out, "--quiet", option, url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert url.split("/")[2] in line
    assert not out.exists()


def test_prepare_stream__takes_one_with_room_and_no_other(tmp_path):
    url = f"file://{tmp_path}/stream"
    prepare_stream(url, 2, "rank")
    prepare_stream(url, 2, "rank")
    prepare_stream(url, 1, "rank")  # fewer ranks go on with it
    with pytest.raises(BadInput, match="has 2 segments: expected one a rank, 3"):
        prepare_stream(url, 3, "rank")
    with pytest.raises(BadInput, match="expected 1 to 10000"):
        prepare_stream(f"{url}-2", 10_001, "rank")
    with open_stream(url) as stream:
        stream.seal(1)
    prepare_stream(url, 1, "rank")
    with pytest.raises(BadInput, match="sealed: expected the URL of a new stream"):
        prepare_stream(url, 2, "rank")
