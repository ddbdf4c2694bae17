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


def test_installed__runs_and_makes_a_job(installed):
    simulate = "mdr-epistasis simulate --out cohort --variants 20 --individuals 100"
    assert installed(f"{simulate} --heritability 0.2 --maf 0.3").returncode == 0
    run = "mdr-epistasis run cohort.bed --out out"
    alone, job = installed(run), installed(f"hpc-connector submit --dry-run {run}2")
    assert alone.returncode == job.returncode == 0, alone.stderr + job.stderr
    assert job.stdout.startswith("#!/bin/bash\n#SBATCH --job-name=mdr-epistasis\n")
    ranks = installed(f"mpirun -n 2 {run}3")
    assert ranks.returncode == 0, ranks.stderr
    same = installed("cmp out/models.tsv out3/models.tsv")
    assert same.returncode == 0
