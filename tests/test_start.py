"""What programs load to begin with, once their kernels are compiled."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpc_connector.learner.annotation.normalisation import get_norms
from imzml import plant_lipids
from programs import PATIENCE_S

SLOW = {"scipy", "cffi", "yaml", "urllib.request", "hpc_connector.streams"}
# What numba loads to compile; what is compiled already needs none of it
COMPILING = {"numba.np.arrayobj", "numba.np.arraymath", "numba.cpython.unicode"}
LATE = {"h5py", "jinja2", "numpy.ma", "metabolite_annotation.export.save"}
COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"
CODE = """
import sys
from {}.program import main

code = main(sys.argv[1:])
print(*sys.modules)
sys.exit(code)
"""
ANNOTATE, SEARCH = map(CODE.format, ("metabolite_annotation", "mdr_epistasis"))


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Return the command of a small annotation, whose kernels are compiled by then."""
    folder = tmp_path_factory.mktemp("start")
    imzml, database = plant_lipids(folder)
    command = [sys.executable, "-c", ANNOTATE, "run", imzml, "--database", database]
    command += ["--quiet", "--out", folder / "out"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        run([*command[:-1], folder / "first"])
        yield command


def run(command):
    """Return the modules that a program has loaded."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_run__loads_nothing_that_it_does_not_need(command):
    found = run(command)
    assert {"numba", "hpc_connector._jit"} < found
    assert not found & (SLOW | COMPILING | {"hpc_connector.loader.genotypes"})


def test_search__loads_nothing_that_it_does_not_need(tmp_path):
    command = [sys.executable, "-c", SEARCH, "run", COHORT, "--quiet", "--out"]
    run([*command, tmp_path / "first"])
    found = run([*command, tmp_path / "out"])
    assert {"numba", "hpc_connector._jit"} < found
    assert not found & (SLOW | COMPILING | {"hpc_connector.loader.spectra"})


@pytest.mark.parametrize(
    "module", ["metabolite_annotation.run", "mdr_epistasis.runner"]
)
def test_programs__load_at_their_end_what_writes_results(module):
    code = (
        "import sys; from hpc_connector import cli; cli.import_numba(); "
        f"import hpc_connector.pipeline.program, {module}; print(*sys.modules)"
    )
    assert not run([sys.executable, "-c", code]) & LATE


def test_help__loads_neither_numpy_nor_numba():
    done = subprocess.run(
        [sys.executable, "-c", ANNOTATE, "run", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    code = "import sys, metabolite_annotation.program; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "numba", "h5py", "jinja2"} & set(said.stdout.split())


@given(
    arrays(np.float32, st.integers(0, 40), elements=st.integers(1, 6)),
    st.integers(0, 3),
)
def test_get_norms__of_few_values_and_many(values, n_empty):
    n_kept = np.array([len(values), *[0] * n_empty], np.int64)
    norms = get_norms(values, n_kept)
    assert (norms[1:] == 0).all()
    if len(values):
        exact = values.astype(np.float64)
        npt.assert_allclose(norms[0, 0], exact.sum())
        npt.assert_allclose(norms[0, 1], np.sqrt((exact**2).mean()))
        assert norms[0, 2] == np.median(exact)


def test_log_and_errors__do_not_command_a_terminal(tmp_path):
    code = (
        "import logging; from hpc_connector import cli; cli.set_up_log('x');"
        "from hpc_connector.errors import BadInput; name = 'a\x1b[2Jb\x9bc';"
        "logging.getLogger().info('%s', name); cli.explain('x', BadInput(name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=PATIENCE_S
    )
    assert done.stderr.decode().splitlines() == [r"x: a\x1b[2Jb\x9bc"] * 2
