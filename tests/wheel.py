"""The suite as `pip install .` gives it, apart from the checkout."""

import os
import subprocess
import sys
import tempfile
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
def environment(wheel):
    """Return an environment with the wheel and an MPI alone, which all users may use.

    Folders of pytest, and Pythons of root, are for one user.
    """
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        os.chmod(folder, 0o755)
        make = [find_python(), "-m", "venv", "--without-pip", folder]
        subprocess.run(make, check=True)
        install = [sys.executable, "-m", "pip", "--python", f"{folder}/bin/python"]
        install += ["install", "--quiet", f"{wheel}[mpi,site]"]
        subprocess.run(install, check=True)
        yield Path(folder)


@pytest.fixture(scope="session")
def installed(environment, tmp_path_factory):
    """Return a function that runs a line of bash where the wheel and an MPI are.

    In no folder of the checkout, and with nothing of the environment of the tests.
    """
    home = tmp_path_factory.mktemp("installed")
    work = home / "work"
    work.mkdir()
    variables = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}
    variables["PATH"] = f"{environment}/bin:{os.environ['PATH']}"

    def run(line, cwd=work):
        return subprocess.run(
            ["bash", "-c", line],
            cwd=cwd,
            env=variables,
            capture_output=True,
            text=True,
        )

    return run


def find_python() -> str:
    """Return a Python that all users may start, or this one if there is none."""
    here = os.path.realpath(sys.executable)
    as_nobody = {"user": "nobody"} if os.geteuid() == 0 else {}
    for python in (here, "/usr/bin/python3"):
        is_new = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(is_new, cwd="/", **as_nobody).returncode == 0:
                return python
        except OSError:
            continue
    return here
