"""What `hpc-connector actions` refuses in a line, and what it leaves on a disk."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest

from hpc_connector.actions.counts import (
    Counts,
    add_up,
    make_rows,
    read_counts,
    save_counts,
)
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from programs import PATIENCE_S, wait_for

WORDS = '[[action]]\nname = "words"\ndo = "count-words"\n'


def run(tmp_path, text, capsys, *options):
    """Return what is said of a specification, and the exit code."""
    (tmp_path / "a.txt").write_text("id p\nrs1 0.5\n")
    (tmp_path / "a.tsv").write_text("id\tp\nrs1\t0.5\nrs2\tx\n")
    (tmp_path / "b.tsv").write_text("id\tq\nrs1\t0.5\n")
    (tmp_path / "s.toml").write_text(text)
    words = ["actions", "run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out")]
    code = main([*words, *options])
    return capsys.readouterr().err, code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs = 3", "inputs: expected a list"),
        ("inputs = []", "inputs: expected a list"),
        ('inputs = ["a.txt"]', "expected one [[action]] or more"),
        ('inputs = ["none*"]\n' + WORDS, "none*: expected a file"),
        ('inputs = ["a.txt"]\ninput = 1\n' + WORDS, "unknown key 'input'"),
        ('inputs = ["a.txt"]\ntable = 1\n' + WORDS, "table: expected true or false"),
        ('inputs = ["a.txt"]\n' + 2 * WORDS, "two actions of the name words"),
        ('inputs = ["a.txt"]\n' + WORDS + "kk = 1", "unknown option 'kk'"),
        ('inputs = ["a.txt"]\n[[action]]\nname = "x"\ndo = "y"', "do: 'y': expected"),
        ('inputs = ["a.txt"]\n[[action]]\ndo = "count-words"', "name: expected one"),
        ('inputs = ["a.txt"]\n[[action]]\nname = "x"\ndo = "sum"', "sum needs by"),
        ('inputs = ["a.txt"]\n[[action]]\nname = "x"\ndo = "no.such:X"', "do: no.such"),
        (
            'inputs = ["a.txt"]\n[[action]]\nname = "x"\ndo = "sum"\nby = "p"',
            "column p: expected one of none, for table is not true",
        ),
        (
            'inputs = ["a.tsv"]\ntable = true\n[[action]]\nname = "x"\ndo = "sum"\n'
            'by = "p"',
            "column p: 'x': expected a number",
        ),
        (
            'inputs = ["a.tsv"]\ntable = true\n[[action]]\nname = "x"\ndo = "filter"\n'
            'where = "p is 1"',
            "where: 'p is 1': expected COLUMN",
        ),
        (
            'inputs = ["*.tsv"]\ntable = true\n' + WORDS,
            "b.tsv: columns id, q: expected",
        ),
        (
            'inputs = ["a.txt"]\n[[action]]\nname = "x"\ndo = "histogram"\nby = "p"\n'
            "edges = [2, 1]",
            "edges: expected numbers in ascending order",
        ),
        (
            'inputs = ["a.txt"]\n[[action]]\nname = "../x"\ndo = "compress"',
            "that files",
        ),
    ],
)
def test_run__says_in_a_line_what_is_wrong(text, said, tmp_path, capsys):
    told, code = run(tmp_path, text, capsys)
    assert code == 2
    assert said in told
    assert told.count("\n") == 1


def test_run__needs_a_new_folder(tmp_path, capsys):
    text = 'inputs = ["a.txt"]\n' + WORDS
    assert run(tmp_path, text, capsys) == ("", 0)
    told, code = run(tmp_path, text, capsys)
    assert (code, told.count("\n")) == (2, 1)
    assert "out is not empty: expected a new folder" in told


def test_run__refuses_what_is_encrypted(tmp_path, capsys):
    (tmp_path / "a.txt.c4gh").write_bytes(b"crypt4gh")
    told, code = run(tmp_path, 'inputs = ["a.txt.c4gh"]\n' + WORDS, capsys)
    assert (code, told.count("\n")) == (2, 1)
    assert "expected plain text, and it is encrypted" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scratch", "none"], "--scratch: none: expected a folder on every node"),
        (["--scratch-bytes", "0"], "--scratch-bytes: actions need more than 0 bytes"),
    ],
)
def test_run__has_the_room_that_it_is_given(options, said, tmp_path, capsys):
    text = 'inputs = ["a.txt"]\n[[action]]\nname = "all"\ndo = "compress"'
    told, code = run(tmp_path, text, capsys, *options)
    assert (code, told.count("\n")) == (2, 1)
    assert said in told


def test_run__names_a_field_that_is_longer_than_any(tmp_path, capsys):
    (tmp_path / "long.csv").write_text('a,b\n1,"' + "x" * 200_000 + '"\n')
    text = 'inputs = ["long.csv"]\ntable = true\n[[action]]\nname = "s"\n'
    told, code = run(tmp_path, text + 'do = "sum"\nby = "a"', capsys)
    assert (code, told.count("\n")) == (2, 1)
    assert "field larger than field limit (131072): expected a row" in told


OWN = """
import os, sys, time

class Last:
    def on_create(self, context):
        self.file = context.open()

    def on_write(self, records):
        for record in records:
            self.last = bytes(record).splitlines()[-1]
            self.file.write(record)
            if os.path.exists("wait"):
                open("wrote", "w").close()
                time.sleep(3600)

    def on_read(self):
        yield self.last

    @staticmethod
    def merge(results):
        return results[-1]
"""
ASKED = 'inputs = ["long.txt"]\n[[action]]\nname = "last"\ndo = "own:Last"'


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return the command of a run of an action of the caller's, with a scratch."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "long.txt").write_text("line\n" * 100_000 + "last\n")
    (tmp_path / "s.toml").write_text(ASKED)
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = "-m hpc_connector actions run s.toml --out out --scratch scratch"
    return [sys.executable, *words.split()]


def test_run__an_action_of_ones_own(command, tmp_path):
    subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)
    assert (tmp_path / "out/last.txt").read_bytes() == b"last"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_run__whose_disk_is_full(command, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        command, preexec_fn=limit, capture_output=True, text=True, timeout=PATIENCE_S
    )
    said = "hpc-connector: disk full: scratch; free some, then repeat the command\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_run__that_is_killed_leaves_nothing(command, tmp_path):
    (tmp_path / "wait").touch()
    process = subprocess.Popen(command)
    wait_for((tmp_path / "wrote").exists)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run__that_is_stopped_says_so(command, tmp_path, number):
    """It does not wait for an action that is at work."""
    (tmp_path / "wait").touch()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "wrote").exists)
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 75
    assert said == "hpc-connector: stopped on request; repeat the command\n"
    assert list((tmp_path / "scratch").iterdir()) == []
    (tmp_path / "wait").unlink()
    assert (
        subprocess.run(command, capture_output=True, timeout=PATIENCE_S).returncode == 0
    )


def test_list__what_there_is(capsys):
    assert main(["actions", "list", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["top-k"]["needs"] == ["by", "k"]
    assert main(["actions", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("count-words  words, in")


def test_report__of_a_folder_without(tmp_path, capsys):
    assert main(["actions", "report", str(tmp_path)]) == 2
    assert "no actions.json: expected a run" in capsys.readouterr().err


NAMELESS = json.dumps({"format_version": 1, "actions": [asdict(Counts())]})


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format_version": 1}', "\x00", "{", NAMELESS]
)
def test_read_counts__damaged(text, tmp_path):
    (tmp_path / "actions.json").write_text(text)
    with pytest.raises(BadInput, match=r"actions\.json cannot be read"):
        read_counts(tmp_path)


def test_read_counts__of_another_version(tmp_path):
    save_counts(tmp_path, [])
    assert read_counts(tmp_path) == []
    (tmp_path / "actions.json").write_text('{"format_version": 2}')
    with pytest.raises(BadInput, match="has format 2; this version reads 1"):
        read_counts(tmp_path)


def test_add_up__nothing_would_have_moved():
    assert add_up([])["ratio"] is None
    assert make_rows([], {}) == []
