"""The suite as `pip install .` gives it, apart from the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return a wheel that is built of the tracked files alone."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git here, which says what belongs to the packages")
    folder = tmp_path_factory.mktemp("wheel")
    copy = ["git", "checkout-index", "--all", f"--prefix={folder}/source/"]
    subprocess.run(copy, cwd=ROOT, check=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    build += ["--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run(build, check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """Return a function that runs a line of bash where the wheel and an MPI are.

    In no folder of the checkout, and with nothing of the environment of the tests.
    """
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    install = [str(home / "venv/bin/pip"), "install", "--quiet", f"{wheel}[mpi,site]"]
    subprocess.run(install, check=True)
    work = home / "work"
    work.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}
    environment["PATH"] = f"{home}/venv/bin:{os.environ['PATH']}"

    def run(line, cwd=work):
        return subprocess.run(
            ["bash", "-c", line],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run
