"""Streams of files where they cannot be, positions of none, and no input."""

import json
import subprocess
import sys

import pytest

from hpc_connector.commands.main import main
from programs import PATIENCE_S


@pytest.fixture
def url(tmp_path):
    """Return the URL of a new stream."""
    url = f"file://{tmp_path}/stream"
    assert main(["streams", "create", url]) == 0
    return url


def get_fault(capsys, *words):
    """Return the one line that a command says of wrong input."""
    capsys.readouterr()
    assert main(["streams", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file", "file: File exists: expected a folder"),
        ("n" * 300, "File name too long: expected a folder"),
        ("loop", "loop: Too many levels of symbolic links: expected a folder"),
        ("a%00b", "expected a path, which has no byte 0"),
    ],
)
def test_create__refuses_what_can_be_no_folder(name, said, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert said in get_fault(capsys, "create", f"file://{tmp_path}/{name}")


@pytest.mark.parametrize(
    "changed",
    [{"segments": 0}, {"segments": -1}, {"segments": 10**9}, {"roll_bytes": 0}],
)
def test_read__refuses_settings_of_no_stream(changed, url, tmp_path, capsys):
    path = tmp_path / "stream/stream.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    assert "expected 1 to 10000" in get_fault(capsys, "read", url)
    path.write_text(path.read_text().replace("roll_bytes", "x"))
    assert "no description of a stream" in get_fault(capsys, "read", url)
    path.write_text(
        '{"format_version": 1, "segments": 1, "created": "", "roll_bytes": 1e999}'
    )
    assert "no description of a stream" in get_fault(capsys, "list", url)


@pytest.mark.parametrize(
    "position", ["99999999999999999999", f"0:0000-{0:016x}.seg:99999999999999999999"]
)
def test_read__refuses_a_position_beyond_all_files(position, url, capsys):
    said = get_fault(capsys, "read", url, "--segment", "0", "--from", position)
    assert "expected one of this segment" in said


def append(url, *words, **given):
    command = [sys.executable, "-m", "hpc_connector", "streams", "append", url, *words]
    return subprocess.run(
        command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, **given
    )


def test_append__refuses_a_segment_that_is_not_there_also_for_no_line(url):
    done = append(url, "--segment", "1", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "segment 1: expected 0 to 0" in done.stderr


def test_append__says_that_its_input_is_closed(url):
    words = [sys.executable, "-m", "hpc_connector", "streams", "append", url]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *words],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard input is closed" in done.stderr
