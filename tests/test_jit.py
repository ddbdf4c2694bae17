"""Compiled kernels pass between processes: never the wrong one, and never a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from programs import PATIENCE_S

MODULE = """
from hpc_connector._jit import kernel


@kernel
def add(values):
    total = values[0] - values[0]
    for value in values:
        total += value
    return total
"""
VALUES = {
    "int64": "np.arange(3)",
    "float64": "np.arange(3.0)",
    "strided": "np.arange(6.0)[::2]",
}
RIGHT = {"int64": "3", "float64": "3.0", "strided": "6.0"}

# As on a slow file system: neither has found a kernel when the other renames its first
# file, and what the first renames next, if anything, comes after all of the second.
MEET = """
import atexit, sys, time
from pathlib import Path

me, other = sys.argv[1:]
renames = iter(range(9))


def wait(name):
    while not Path(name).exists():
        time.sleep(0.01)


def meet(event, _):
    if event == "os.rename":
        number = next(renames)
        Path(f"{me}.{number}").touch()
        if me == "first":
            wait("second.0" if number == 0 else "second.end")
        elif number == 0:
            wait("first.1")


atexit.register(lambda: [Path(f"{me}.{name}").touch() for name in (0, 1, "end")])
sys.addaudithook(meet)
"""


@pytest.fixture
def add(tmp_path):
    """Return what runs the kernel on values in a process of its own."""
    (tmp_path / "summed.py").write_text(MODULE)

    def start(name, before="", *words, **environment):
        code = (
            f"{before}\nimport numpy as np, summed\nprint(summed.add({VALUES[name]}))"
        )
        kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        return subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            env=os.environ | kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(process):
    """Return what a process prints."""
    said, error = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, error) == (0, "")
    return said.strip()


def list_kernels(folder):
    """Return the kept kernels of a folder."""
    return sorted(folder.rglob("*.nbc"))


def test_kernel__compiled_for_two_types_at_the_same_time(add):
    """Numba's own index would name one file for both."""
    both = [
        add("int64", MEET, "first", "second"),
        add("strided", MEET, "second", "first"),
    ]
    assert [finish(one) for one in both] == ["3", "6.0"]
    assert {name: finish(add(name)) for name in RIGHT} == RIGHT


def test_kernel__is_loaded_by_the_next_process(add, tmp_path):
    assert finish(add("int64")) == "3"
    (kept,) = list_kernels(tmp_path)
    before = kept.stat().st_mtime_ns
    assert finish(add("int64")) == "3"
    assert kept.stat().st_mtime_ns == before


def test_kernel__that_is_cut_is_compiled_again(add, tmp_path):
    assert finish(add("int64")) == "3"
    (kept,) = list_kernels(tmp_path)
    whole = kept.read_bytes()
    for size in (0, 100, -1):
        kept.write_bytes(whole[:size])
        assert finish(add("int64")) == "3"
        assert len(kept.read_bytes()) == len(whole)


def test_kernel__of_other_types_is_not_taken(add, tmp_path):
    assert finish(add("int64")) == "3"
    (other,) = list_kernels(tmp_path)
    assert finish(add("float64")) == "3.0"
    (kept,) = {*list_kernels(tmp_path)} - {other}
    kept.write_bytes(other.read_bytes())
    assert finish(add("float64")) == "3.0"


def test_kernel__of_an_older_source_is_not_taken(add, tmp_path):
    assert finish(add("int64")) == "3"
    changed = MODULE.replace("+= value", "+= 2 * value")
    (tmp_path / "summed.py").write_text(changed)
    assert finish(add("int64")) == "6"


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_kernel__without_a_folder_to_write_to(add, home):
    """Not even root may write there."""
    folders = {"NUMBA_CACHE_DIR": f"{home}/x", "HOME": home, "XDG_CACHE_HOME": home}
    locator = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert finish(add("int64", **folders, **locator)) == "3"


def test_kernel__where_numba_is_switched_off(add, tmp_path):
    assert finish(add("strided", NUMBA_DISABLE_JIT="1")) == "6.0"
    assert not list_kernels(Path(tmp_path))


REGISTRIES = """
from numba.core.base import BaseContext

BaseContext.refresh = lambda self: print("all that numba compiles was loaded")
"""
MAKING = """
import numpy as np
from hpc_connector._jit import bare, kernel


@bare
def double(value):
    return 2 * value


@kernel
def add(values):
    made = np.zeros(len(values))
    for i in range(len(values)):
        made[i] = double(values[i])
    return np.median(made) + made.sum()
"""


def test_kernel__is_loaded_without_what_compiles(add, tmp_path):
    """Also one that makes arrays, for which the runtime of numba counts references."""
    (tmp_path / "summed.py").write_text(MAKING)
    assert finish(add("float64")) == "8.0"
    assert finish(add("float64", REGISTRIES)) == "8.0"


def test_kernel__compiles_after_one_was_loaded(add, tmp_path):
    (tmp_path / "summed.py").write_text(MAKING)
    assert finish(add("float64")) == "8.0"
    both = "import numpy as np, summed\nprint(summed.add(np.arange(3.0)))"
    assert finish(add("int64", both)) == "8.0\n8.0"


def test_kernel__of_others_alone_looks_for_no_folder(add, tmp_path):
    (tmp_path / "summed.py").write_text(MAKING)
    before = (
        "import summed\nfor one in (summed.add, summed.double):\n"
        "    assert list(vars(one._cache)) == ['_function']"
    )
    assert finish(add("float64", before)) == "8.0"
