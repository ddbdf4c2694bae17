"""What is given to telemetry follow, and has no telemetry: it says so, and ends."""

import json

import pytest

from hpc_connector.commands.main import main
from hpc_connector.streams.open import open_stream


def get_fault(place, capsys):
    """Return the one line that is said of wrong input."""
    capsys.readouterr()
    assert main(["telemetry", "follow", str(place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("key", [b"head", b"1,1", b"n1.txt", b".csv", b"\xff"])
def test_follow__refuses_the_stream_of_something_else(key, tmp_path, capsys):
    url = f"file://{tmp_path}/stream"
    with open_stream(url) as stream:
        stream.create(2)
        stream.append(1, key, b"{}")
    said = get_fault(url, capsys)
    assert "segment 1: record at 0:" in said
    assert "expected NODE.csv or NODE.json, of --telemetry-stream" in said


def test_follow__ends_where_nothing_came_before_the_seal(tmp_path, capsys):
    url = f"file://{tmp_path}/stream"
    with open_stream(url) as stream:
        stream.create(2)
        stream.seal()
    assert f"{url}: ended without a row of telemetry" in get_fault(url, capsys)


def test_follow__says_that_a_run_has_ended_without_telemetry(tmp_path, capsys):
    manifest = {"format_version": 1, "status": "done", "program": "mdr-epistasis"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    said = get_fault(tmp_path, capsys)
    assert f"{tmp_path}: ended without a row of telemetry" in said
    assert "expected runs with --telemetry" in said
