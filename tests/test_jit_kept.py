"""Kernels that were kept, in a process that compiles others from them."""

import subprocess
import sys

import pytest

from programs import PATIENCE_S

MODULE = """
import numpy as np

from hpc_connector._jit import bare, kernel


@kernel
def add(values):
    total = np.zeros(1, values.dtype)
    for value in values:
        if value > 9:
            raise ValueError("too large to add")
        total[0] += value
    return total[0]


@bare
def double(value):
    return 2 * value


@kernel
def add_twice(values):
    return double(add(values)) + add(values)
"""
CALL_ADD = """
import sys
import numpy as np, summed
print(summed.add(np.arange(3)))
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return what runs code beside the kernels, and returns what it prints."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    (tmp_path / "summed.py").write_text(MODULE)

    def run(code):
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split("\n")[:-1]

    assert run(CALL_ADD) == ["3"]
    return run


def test_kernel__that_was_kept_is_compiled_into_another(run, tmp_path):
    n_kept = len(list(tmp_path.rglob("*.nbc")))
    code = CALL_ADD + "print(summed.add_twice(np.arange(3)))"
    assert run(code) == ["3", "9"]
    assert len(list(tmp_path.rglob("*.nbc"))) > n_kept
    assert run(code) == ["3", "9"]


def test_kernel__that_was_kept_raises_what_it_says(run):
    code = """
try:
    summed.add(np.arange(20))
except ValueError as error:
    print(error)
"""
    assert run(CALL_ADD + code) == ["3", "too large to add"]


def test_kernel__that_was_kept_needs_no_compiler_of_arrays(run):
    code = "print([n for n in sys.modules if n.startswith('numba.np.array')])"
    assert run(CALL_ADD + code) == ["3", "[]"]
