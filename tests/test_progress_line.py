"""The line of progress: nothing done yet, and things that came before it was made."""

import sys

import pytest

from hpc_connector.pipeline import terminal


@pytest.fixture
def now(monkeypatch):
    """Return a clock, in a list, of a terminal."""
    clock = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock[0])
    return clock


def test_make_progress__of_nothing_yet_has_no_rate(now, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show = terminal.make_progress(quiet=False)
    now[0] += 10
    show(0, 40)
    now[0] += 10
    show(10, 40)
    said = capsys.readouterr().err.split("\r\033[K")
    assert said[1:] == ["0 of 40 tasks", "10 of 40 tasks, 0.5/s, 60 s left"]


def test_make_progress__takes_the_time_in_which_things_came(now, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show = terminal.make_progress(quiet=False, unit="spectra", get_took_s=lambda: 80.0)
    now[0] += 1
    show(4000, 4800)
    assert capsys.readouterr().err.endswith("4000 of 4800 spectra, 50.0/s, 16 s left")
