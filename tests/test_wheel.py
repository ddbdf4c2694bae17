"""What `pip install .` gives: every file of the packages, and commands that answer."""

import subprocess
import zipfile

import pytest

from wheel import ROOT

SOURCES = {"hpc_connector": ROOT, "apps": ROOT / "apps"}
COMMANDS = [
    "mdr-epistasis --help",
    "mdr-epistasis run --help",
    "mdr-epistasis report --help",
    "mdr-epistasis simulate --help",
    "metabolite-annotation --help",
    "metabolite-annotation run --help",
    "metabolite-annotation report --help",
    "hpc-connector --help",
    *(f"hpc-connector slices {what} --help" for what in ("index", "list", "get")),
    "hpc-connector slices verify --help",
    "hpc-connector burst plan --help",
    *(f"hpc-connector {c} --help" for c in ("submit", "account", "doctor", "inspect")),
    *(
        f"hpc-connector telemetry {what} --help"
        for what in ("agent", "collect", "train", "forecast", "recommend", "grow")
    ),
]


def list_tracked():
    """Return the files of the packages that git knows, as a wheel names them."""
    listed = subprocess.run(
        ["git", "ls-files", *SOURCES], cwd=ROOT, capture_output=True, check=True
    )
    names = listed.stdout.decode().splitlines()
    return {name.removeprefix("apps/") for name in names if (ROOT / name).exists()}


def test_wheel__has_every_tracked_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert list_tracked() <= set(archive.namelist())


@pytest.mark.parametrize("command", COMMANDS)
def test_installed__answers(installed, command):
    done = installed(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage:")


@pytest.mark.parametrize(
    "program", ["mdr-epistasis", "metabolite-annotation", "hpc-connector"]
)
def test_installed__says_its_version(installed, wheel, program):
    done = installed(f"{program} --version")
    assert done.stdout.split() == [program, wheel.name.split("-")[1]]


def test_installed__passes_the_suite_of_a_site(installed):
    suite = ROOT / "tests/site"
    done = installed(f"mpirun -n 2 python -m pytest --with-mpi {suite}", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (where,) = [ln for ln in done.stdout.splitlines() if ln.startswith("installed: ")]
    assert where.endswith("/site-packages/hpc_connector")
    assert " passed in " in done.stdout
