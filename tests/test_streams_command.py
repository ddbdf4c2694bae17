"""``hpc-connector streams``: on files, as people use it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_connector.commands.main import main
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.records import segment_of
from programs import PATIENCE_S

GOLDEN = Path(__file__).parent / "data/streams"
LINES = (GOLDEN / "text.txt").read_bytes().splitlines()
STREAMS = [sys.executable, "-m", "hpc_connector", "streams"]


@pytest.fixture
def url(tmp_path):
    """Return the URL of a new stream of two segments."""
    url = f"file://{tmp_path}/stream"
    assert main(["streams", "create", url, "--segments", "2"]) == 0
    return url


@pytest.fixture
def run(capfdbinary):
    """Return a function that runs a command, and returns its code and what it said."""
    capfdbinary.readouterr()

    def call(*words):
        code = main(["streams", *map(str, words)])
        return code, *capfdbinary.readouterr()

    return call


def append(url, data, *words):
    """Append the lines of `data`; return what is printed."""
    command = [*STREAMS, "append", url, *words]
    done = subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_append__is_a_record_a_line(url, run):
    said = append(url, b"one\n\n\xff three\nfour", "--json", "--key", "k")
    places = [json.loads(line) for line in said.splitlines()]
    append(url, b"five\n", "--segment", "1")
    segment = segment_of(b"k", 2)
    assert [place["segment"] for place in places] == [segment] * 4
    code, out, _ = run("read", url, "--segment", segment, "--json")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()][:4]
    assert [record["position"] for record in records] == [p["position"] for p in places]
    assert [record.get("value") for record in records] == ["one", "", None, "four"]
    assert records[2]["value_base64"] == "/yB0aHJlZQ=="
    assert {record["key"] for record in records} == {"k"}
    _, out, _ = run("read", url)
    assert sorted(out.splitlines()) == sorted(
        [b"one", b"", b"\xff three", b"four", b"five"]
    )
    place = places[1]["position"]
    _, out, _ = run("read", url, "--segment", segment, "--from", place)
    assert out.splitlines()[:2] == [b"\xff three", b"four"]
    _, out, _ = run("read", url, "--from", "end")
    assert out == b""


def test_read__gives_the_lines_of_a_text(run):
    code, out, said = run("read", f"file://{GOLDEN}/one_segment")
    assert (code, said) == (0, b"")
    assert out.splitlines() == LINES


def test_read__follows_until_the_stream_is_sealed(url):
    command = [*STREAMS, "read", url, "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        with open_stream(url) as stream:
            for k in range(6):
                stream.append(k % 2, b"", b"%d" % k)
                assert reader.stdout.readline() == b"%d\n" % k
            stream.seal()
        assert reader.stdout.read() == b""
        assert reader.wait(PATIENCE_S) == 0


def test_read__ends_cleanly_on_control_c(url):
    append(url, b"line\n")
    command = [*STREAMS, "read", url, "--follow"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as reader:
        assert reader.stdout.readline() == b"line\n"
        reader.send_signal(signal.SIGINT)
        assert reader.communicate(timeout=PATIENCE_S) == (b"", b"")
        assert reader.returncode == 130


def test_read__into_a_pipe_that_is_closed(url):
    append(url, b"a line that is long enough\n" * 20_000)
    command = [*STREAMS, "read", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as reader:
        assert os.read(reader.stdout.fileno(), 10) == b"a line tha"
        reader.stdout.close()
        assert reader.stderr.read() == b""
        assert reader.wait(PATIENCE_S) == 0


def test_list__says_what_there_is(url, run):
    append(url, b"one\ntwo\n", "--segment", "1")
    main(["streams", "seal", url, "--segment", "0"])
    _, out, _ = run("list", url, "--json")
    segments = json.loads(out[out.index(b"{") :])["segments"]
    assert [one["n_records"] for one in segments] == [0, 2]
    assert [one["is_sealed"] for one in segments] == [True, False]
    _, out, _ = run("list", url)
    assert b"sealed; from start" in out
    assert b"open; from start" in out


def test_verify__says_what_is_damaged(run):
    code, out, said = run("verify", f"file://{GOLDEN}/four_segments_rolled", "--json")
    found = json.loads(out)
    assert (code, said, found["faults"]) == (0, b"", [])
    assert [one["n_records"] for one in found["segments"]] == [153, 155, 141, 151]
    code, out, said = run("verify", f"file://{GOLDEN}/damaged_middle")
    assert code == 2
    assert b"damaged at byte 19773, record 300" in out
    assert said.count(b"\n") == 1


def test_read__of_damage(run, caplog):
    url = f"file://{GOLDEN}/damaged_middle"
    code, out, said = run("read", url)
    assert (code, out.splitlines()) == (2, LINES[:300])
    assert b"0000-0000000000000000.seg: damaged at byte 19773, record 300" in said
    code, out, said = run("read", url, "--skip-damaged")
    assert (code, out.splitlines()) == (0, LINES[:300])
    assert "damaged at byte 19773" in caplog.text


def test_retain__deletes_what_is_old(tmp_path, run):
    url = f"file://{tmp_path}"
    with open_stream(url) as stream:
        stream.create(1, roll_bytes=200)
        stream.append_many(0, [(b"", b"%050d" % k) for k in range(20)])
    code, out, _ = run("retain", url, "--keep", "7d", "--json")
    assert (code, json.loads(out)["deleted_bytes"]) == (0, 0)
    code, out, _ = run("retain", url, "--keep-bytes", "1K", "--json")
    assert code == 0
    assert json.loads(out)["deleted_bytes"] > 0
    assert sum(path.stat().st_size for path in tmp_path.glob("*.seg")) <= 1024
    code, _, said = run("read", url)
    assert code == 2
    assert b"were deleted: it begins with record" in said
    place = said.split(b"a position from ")[1].split()[0].decode()
    code, out, _ = run("read", url, "--from", place)
    assert (code, out.splitlines()[-1]) == (0, b"%050d" % 19)


FAULTS = {
    "read kafka://host/x": "expected file:///folder, nats://",
    "read /a/path": "expected file:///folder",
    "read nats://user:secret@host:4222/X": "no credentials",
    "read pravega://user:secret@host:9090/a/b": "no credentials",
    "read {url} --profile x.toml": "expected nats://",
    "read {url}x": "no stream is there",
    "append {url}x": "no stream is there",
    "seal {url}x": "no stream is there",
    "read {url} --segment 2": "expected 0 to 1",
    "read {url} --from 3": "expected --segment 0 to 1",
    "read {url} --from 3 --segment 0": "no record has the position",
    "read {url} --from x --segment 0": "is no position",
    "create {url} --segments 3": "with 2 segments",
}


@pytest.mark.parametrize("words", FAULTS)
def test_faults__are_told_in_a_line(words, url, run):
    code, out, said = run(*words.format(url=url).split())
    assert (code, out) == (2, b"")
    assert FAULTS[words] in said.decode()
    assert said.count(b"\n") == 1
    assert b"secret" not in said


@pytest.mark.parametrize("words", ["create {url} --segments 0", "retain {url}"])
def test_faults__of_options(words, url, run):
    with pytest.raises(SystemExit, match="2"):
        run(*words.format(url=url).split())


def test_append__of_what_is_too_long_or_to_what_is_sealed(url, run):
    command = [*STREAMS, "append", url, "--segment", "0"]
    long = b"x" * (1 << 20)
    done = subprocess.run(command, input=long, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert b"expected at most 1048512 of key and value" in done.stderr
    main(["streams", "seal", url])
    done = subprocess.run(command, input=b"x", capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert b"segment 0 is sealed: nothing can be appended" in done.stderr
