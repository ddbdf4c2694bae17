"""The log of a keeper: a chain that breaks where somebody changes it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hpc_connector.commands.main import main
from hpc_connector.confidential.keeper.log import (
    FIRST,
    LogPlace,
    add_event,
    save_public,
    verify_log,
)
from hpc_connector.errors import BadInput

N = 230  # events: two checkpoints


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a log of events that threads have written at a time."""
    folder = tmp_path_factory.mktemp("log")
    place = LogPlace(folder / "log", folder / "marks", Ed25519PrivateKey.generate())
    save_public(place)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda n: add_event(place, "release", uid=n, reason="é" * (n % 3)),
                range(N),
            )
        )
    return place


@pytest.fixture
def place(written, tmp_path):
    """Return a copy of that log."""
    copy = LogPlace(tmp_path / "log", tmp_path / "marks", written.key)
    copy.path.write_bytes(written.path.read_bytes())
    copy.checkpoints.write_bytes(written.checkpoints.read_bytes())
    save_public(copy)
    return copy


def get_public(place):
    return place.key.public_key().public_bytes_raw()


def test_save_public__of_another_key_of_the_keeper(place):
    """What it signed would not hold in the log that is there."""
    other = LogPlace(place.path, place.checkpoints, Ed25519PrivateKey.generate())
    with pytest.raises(BadInput, match="is of another key of the keeper"):
        save_public(other)
    save_public(place)


def test_verify_log__of_what_threads_wrote(written):
    assert verify_log(written.path, get_public(written), written.checkpoints) == N
    lines = [json.loads(line) for line in written.path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, N + 1))
    assert {line["uid"] for line in lines} == set(range(N))
    assert lines[0]["prev"] == FIRST
    marks = [json.loads(line) for line in written.checkpoints.read_text().splitlines()]
    assert [mark["seq"] for mark in marks] == [100, 200]


def change(lines):
    lines[41] = lines[41].replace('"event":"release"', '"event":"refuse"')
    return 42


def drop(lines):
    del lines[41]
    return 42


def move(lines):
    lines[41], lines[42] = lines[42], lines[41]
    return 42


def repeat(lines):
    lines.insert(41, lines[40])
    return 42


def write_otherwise(lines):
    lines[41] = lines[41].replace(",", ", ")
    return 42


def write_words(lines):
    lines[41] = "[]"
    return 42


def drop_first(lines):
    del lines[0]
    return 1


@pytest.mark.parametrize(
    "tamper", [change, drop, move, repeat, write_otherwise, write_words, drop_first]
)
def test_verify_log__names_the_first_bad_line(tamper, place, capsys):
    lines = place.path.read_text().split("\n")
    number = tamper(lines)
    place.path.write_text("\n".join(lines))
    with pytest.raises(BadInput, match=f", line {number}: "):
        verify_log(place.path, get_public(place))
    assert main(["keys", "log", "verify", str(place.path)]) == 2
    assert f", line {number}: " in capsys.readouterr().err


def test_verify_log__a_cut_shows_against_a_checkpoint_alone(place, capsys):
    lines = place.path.read_text().splitlines(keepends=True)
    place.path.write_text("".join(lines[:150]))
    words = ["keys", "log", "verify", str(place.path)]
    assert main(words) == 0
    assert "150 lines hold" in capsys.readouterr().out
    assert main([*words, "--checkpoints", str(place.checkpoints)]) == 2
    assert "line 151: missing: a checkpoint says 200" in capsys.readouterr().err


def test_verify_log__of_another_keeper(place, tmp_path):
    """Who writes a whole new log has not the key of the old one."""
    other = LogPlace(tmp_path / "new", tmp_path / "marks", Ed25519PrivateKey.generate())
    add_event(other, "start")
    with pytest.raises(BadInput, match="line 1: its signature does not hold"):
        verify_log(other.path, get_public(place))


def test_verify_log__a_checkpoint_of_another_line(place):
    """The keeper itself has written its log again, from line 100 on."""
    lines = place.path.read_text().splitlines(keepends=True)
    place.path.write_text("".join(lines[:99]))
    marks = place.checkpoints.read_bytes()
    add_event(place, "stop")
    place.checkpoints.write_bytes(marks)
    assert verify_log(place.path, get_public(place)) == 100
    with pytest.raises(BadInput, match="line 100: a checkpoint says another line"):
        verify_log(place.path, get_public(place), place.checkpoints)


def test_add_event__goes_on_after_a_crash_within_a_line(place):
    with open(place.path, "a") as stream:
        stream.write('{"actor":"al')
    with pytest.raises(BadInput, match=f"line {N + 1}: it is cut"):
        verify_log(place.path, get_public(place))
    add_event(place, "stop", reason="x" * 100_000)
    add_event(place, "start")
    assert verify_log(place.path, get_public(place), place.checkpoints) == N + 2


def test_add_event__takes_no_other_field(place):
    with pytest.raises(ValueError, match="not of a log"):
        add_event(place, "release", token="secret")
