"""What several tests share."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from browser import chromium, open_page  # noqa: F401 # fixtures
from hpc_connector.storage.stores import open_store
from mdr_epistasis.program import main
from s3 import ACCESS, serve_s3
from wheel import environment, installed, wheel  # noqa: F401 # fixtures

CLUSTER = Path(__file__).parent / "cluster"
collect_ignore = ["site"]  # the suite of a site, which runs in every rank

# mpirun, and our programs, are those of the environment pytest itself is in
os.environ["PATH"] = os.pathsep.join(
    [os.path.dirname(sys.executable), os.environ["PATH"]]
)

# A shell has what it starts in the background ignore Ctrl-C, which some tests press
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each rank of an MPI test is a pytest of its own, and every pytest removes the
# older temporary folders that it sees: each has a place that no other sees.
if "PYTEST_ISOLATE_MPI_IS_FORKED" in os.environ:
    place = tempfile.mkdtemp(dir=os.environ["PYTEST_MPI_CACHE_PATH"])
    os.environ["PYTEST_DEBUG_TEMPROOT"] = place

# A busy machine, or a kernel that compiles, is no failure; CI tries the same
# examples each time, so that it does not fail for what nobody changed.
settings.register_profile("patient", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark files that need the one Slurm cluster: others may run beside them."""
    there = {i.path for i in items if "cluster" in getattr(i, "fixturenames", ())}
    for item in items:
        if item.path in there:
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Return the prefix of a small cohort with a planted pair."""
    prefix = tmp_path_factory.mktemp("cohort") / "small"
    options = "--variants 300 --individuals 400 --heritability 0.2 --maf 0.3 --seed 1"
    options += " --missing-rate 0.01"
    assert main(["simulate", "--out", str(prefix), *options.split()]) == 0
    return str(prefix)


@pytest.fixture(scope="session")
def cluster():
    """Bring up a Slurm cluster of four virtual nodes, and take it down at the end."""
    if os.geteuid() != 0:
        give_up("a Slurm cluster needs root")
    leave_alone("slurmctld")
    up = subprocess.run(
        [CLUSTER / "slurm-up", "--quiet"], capture_output=True, text=True
    )
    if up.returncode != 0:
        give_up(f"no Slurm cluster: {up.stderr.strip()}")
    yield
    subprocess.run([CLUSTER / "slurm-down", "--quiet"], check=True)


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    """Return a cache with the compiled kernels of both programs, for jobs to take.

    One process compiles them: all ranks of a first job would at once, on two cores.
    """
    cache, data = tmp_path_factory.mktemp("cache"), CLUSTER.parent / "data"
    search = f"run {data}/bitepi_plink_100snps_2000/bfile.bed --permutations 2"
    annotate = f"run {data}/imzml/Untreated_3_434_tiny.imzML --instrument FTICR"
    annotate += f" --database {data}/databases/lipidmaps_2017-12-12-v2.tsv.gz"
    own = {"NUMBA_CACHE_DIR": f"{cache}/hpc_connector/numba", "XDG_CACHE_HOME": cache}
    for run in (f"mdr-epistasis {search}", f"metabolite-annotation {annotate}"):
        command = [*run.split(), "--quiet", "--out", tmp_path_factory.mktemp("out")]
        done = subprocess.run(
            command, env=os.environ | own, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return cache


@pytest.fixture(scope="module")
def own_cache(kernels):
    """Keep compiled kernels, which jobs pass on, away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(kernels))
        yield


@pytest.fixture(scope="module")
def own_patterns(tmp_path_factory):
    """Keep isotope patterns away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory):
    """Return the address of an S3 server, which the environment may write to."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ACCESS.items():
            patch.setenv(name, value)
        with serve_s3(tmp_path_factory.mktemp("s3")) as address:
            patch.setenv("AWS_ENDPOINT_URL_S3", address)
            open_store.cache_clear()
            yield address
    open_store.cache_clear()


def require(program: str) -> str:
    """Return the path of a program; without it skip the test, or fail it in CI."""
    path = shutil.which(program)
    if path is None:
        give_up(f"{program} is not installed")
    return str(path)


def leave_alone(program: str) -> None:
    """Skip a test that would install a program for all of this machine, but for CI."""
    if os.environ.get("CI") != "true" and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed, and only CI=true installs it")


def give_up(reason: str) -> NoReturn:
    """Skip a test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and in CI no test is skipped")
    pytest.skip(reason)
