"""Benchmarks can be imported: what they take from the library is still there."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_benchmark__can_be_imported(name):
    assert importlib.import_module(name).__doc__
