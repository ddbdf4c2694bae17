"""A lock of one process at a time, whoever is killed and whatever is left."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.locks import process_lock
from hpc_connector.locks.folder_lock import take_folder
from hpc_connector.locks.process_lock import read_text, release, take
from hpc_connector.undo import look_before, undo_run
from mdr_epistasis.program import main
from process_locks import make_dead, make_lock, make_state, refuse_links
from programs import PATIENCE_S

HERE = Path(__file__).parent
COHORT = f"{HERE}/data/bitepi_plink_100snps_2000/bfile.bed"


def test_take__by_one_of_several_of_whom_some_are_killed():
    """At each call to the system, and at random ones of several at a time."""
    command = [sys.executable, HERE / "process_locks.py", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name in ("with links", "without links"):
        counts = found[name]
        assert min(counts["calls"].values()) > 4
        assert counts["taken"] >= 4
        assert counts["killed"]
    assert found["with links"]["hands"] == 0


def test_take__where_there_are_no_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_links)
    lock = make_lock(tmp_path)
    make_state(tmp_path, "chain")
    text = take(lock)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]
    with pytest.raises(BadInput, match=f"it: process {os.getpid()} on .*expected one"):
        take(lock)
    release(lock.path, text)
    assert not list(tmp_path.iterdir())


def test_take__where_links_fail_for_another_reason(tmp_path, monkeypatch):
    def fail(*paths):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="Input/output"):
        take(make_lock(tmp_path))
    assert not list(tmp_path.iterdir())


def test_take__by_a_link_that_is_said_to_have_failed(tmp_path, monkeypatch):
    """As NFS does where an answer was lost."""
    link = os.link

    def link_and_deny(*paths):
        link(*paths)
        raise FileExistsError

    monkeypatch.setattr(os, "link", link_and_deny)
    text = take(make_lock(tmp_path))
    assert read_text(make_lock(tmp_path).path) == text


def test_take__by_one_whose_file_was_removed_before_it_said_anything(
    tmp_path, monkeypatch
):
    link, times = os.link, iter([True, False])

    def remove_first(own, path):
        if next(times):
            own.unlink()
        link(own, path)

    monkeypatch.setattr(os, "link", remove_first)
    text = take(make_lock(tmp_path))
    assert read_text(make_lock(tmp_path).path) == text


def test_take__leaves_the_files_of_others(tmp_path):
    names = {"a.lock.txt", "a.lock.partial", "b.lock", f"b.lock.{0:064x}"}
    for name in names:
        (tmp_path / name).write_text(make_dead(1))
    take(make_lock(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"a.lock", *names}


def test_take__of_a_lock_that_changes_all_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(process_lock, "TRIES", 2)
    monkeypatch.setattr(process_lock, "make", lambda path, text: False)
    with pytest.raises(BadInput, match="it: other ones begin and end there all the"):
        take(make_lock(tmp_path))


def test_take__on_a_full_disk(tmp_path, monkeypatch):
    def fail(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*/running\.json"):
        take_folder(tmp_path)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from mdr_epistasis.program import main
os.fsync = os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_run__after_one_that_was_killed_as_it_began(tmp_path, options):
    """Its folder is new to the next, with what it has left."""
    run = ["run", COHORT, "--quiet", "--out", str(tmp_path / "out"), *options]
    done = subprocess.run([sys.executable, "-c", KILLED, *run], timeout=PATIENCE_S)
    assert done.returncode == -signal.SIGKILL
    (left,) = (tmp_path / "out").iterdir()
    assert left.name.startswith("running.json.")
    assert main(run) == 0
    assert not list((tmp_path / "out").glob("running.json*"))


def test_undo_run__takes_away_what_locks_have_left(tmp_path):
    before = look_before(tmp_path / "out")
    take_folder(tmp_path / "out")
    (tmp_path / "out" / f"running.json.{0:064x}").touch()
    undo_run(before)
    assert not (tmp_path / "out").exists()
