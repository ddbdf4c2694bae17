"""Where isotope patterns are kept between runs, and where they are not."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from metabolite_annotation import patterns
from metabolite_annotation.patterns import (
    Patterns,
    get_cache_folder,
    read_patterns,
    save_patterns,
)

FOUND = Patterns(np.arange(4.0), np.ones(4))


def test_get_cache_folder__is_that_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = get_cache_folder()
    assert folder == tmp_path / "hpc_connector/patterns"
    save_patterns(folder / "x.npz", FOUND)
    assert get_cache_folder() == folder
    for got, expected in zip(read_patterns(folder / "x.npz"), FOUND, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_get_cache_folder__of_another_user_is_not_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "hpc_connector/patterns").mkdir(parents=True)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert get_cache_folder() is None


def test_get_cache_folder__without_a_home(monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    assert get_cache_folder() is None
    assert read_patterns(None) is None


@pytest.mark.parametrize(
    "error", [PermissionError(13, "no"), NotADirectoryError(20, "")]
)
def test_read_patterns__that_may_not_be_read(monkeypatch, caplog, tmp_path, error):
    """Nothing is said: it is not damaged."""

    def fail(_):
        raise error

    monkeypatch.setattr(patterns, "read_arrays", fail)
    assert read_patterns(tmp_path / "x.npz") is None
    assert not caplog.records


def test_save_patterns__where_nothing_can_be_written(caplog):
    with caplog.at_level(logging.WARNING):
        save_patterns(Path("/proc/none/x.npz"), FOUND)
    (line,) = caplog.messages
    assert line.startswith("isotope patterns are not kept")
