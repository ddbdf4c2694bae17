"""Policies that are written for a program: what is in them, and how ranks start."""

import base64
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_connector.commands.main import main
from hpc_connector.confidential.scone.launchers import LAUNCHERS, NEEDED, find_missing
from hpc_connector.confidential.scone.source import read_source
from hpc_connector.crypt4gh import read_private_key

PROGRAMS = ("mdr-epistasis", "metabolite-annotation")
SITE = f"""
CONNECTOR_IMAGE=scone.sif
CONNECTOR_BIND=/data
SCONE_NAME=lab/run-1
SCONE_MRENCLAVE={"a1" * 32},{"b2" * 32}
SCONE_CAS_ADDR=cas.example.org
SCONE_ARGUMENTS="run in.c4gh --key /etc/hpc_connector/reader.sec --out '/data/a b'"
SCONE_KEY_SESSION=lab/keys
SCONE_TOLERATE=hyperthreading
"""
MPIEXEC = Path(sys.executable).with_name("mpiexec")


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "my.env"
    path.write_text(SITE)
    return path


def render(site, program, launcher, *more):
    words = ["--site", site, "--program", program, "--launcher", launcher, *more]
    return main(["scone", "render", *map(str, words)])


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_render__passes_lint(program, launcher, site, tmp_path, capsys):
    policy = tmp_path / "policy.yml"
    assert render(site, program, launcher, "--out", policy) == 0
    command = capsys.readouterr().out.strip()
    assert main(["scone", "lint", str(policy)]) == 0
    assert capsys.readouterr().out == ""
    assert f"#   {command}\n" in policy.read_text()
    words = shlex.split(command)
    assert words[-2:] == ["scone.sif", "/opt/hpc_connector/bin/python3"]
    assert words[words.index("--bind") + 1] == "/dev/sgx_enclave,/data"
    given = dict(one.split("=") for one in words[words.index("--env") + 1].split(","))
    assert given["SCONE_CONFIG_ID"] == f"lab/run-1/{program}"
    assert given["SCONE_CAS_ADDR"] == "cas.example.org"
    assert given["SCONE_HEAP"] == "4G"
    (service,) = read_source(policy.read_bytes()).data["services"]
    assert service["command"][-2:] == ["--out", "/data/a b"]
    named = {name for name in service["environment"] if name.startswith("@@")}
    assert named == {f"@@{name}" for name in LAUNCHERS[launcher].variables}
    assert not find_missing(LAUNCHERS[launcher].variables)


def test_render__prints_the_policy(site, capsys):
    assert render(site, "mdr-epistasis", "pmi2") == 0
    policy = capsys.readouterr().out
    assert "\n#   srun --mpi=pmi2 apptainer exec " in policy
    assert '\n    "@@PMI_FD": ""\n' in policy
    assert "permission: 0o400\n" in policy


def test_render__has_the_key_file_of_a_reader(site, capsys):
    """CAS fills in a key of 32 bytes, and it is one of Crypt4GH."""
    assert render(site, "mdr-epistasis", "pmi2") == 0
    data = read_source(capsys.readouterr().out.encode()).data
    (file,) = data["images"][0]["injection_files"]
    key = os.urandom(32)
    encoded = base64.b64encode(key).decode()
    text = file["content"].replace("$$SCONE::reader_key:base64$$", encoded)
    found = read_private_key(text.encode(), "reader.sec")
    assert found.private_bytes_raw() == key


def change(old, new):
    assert old in SITE
    return SITE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (change("SCONE_NAME=lab/run-1\n", ""), "lacks SCONE_NAME"),
        (change("CONNECTOR_IMAGE=scone.sif\n", ""), "lacks CONNECTOR_IMAGE"),
        (change("SCONE_TOLERATE", "SCONE_TOLERATED"), "SCONE_TOLERATED: expected one"),
        (change("lab/run-1", "'lab run'"), "SCONE_NAME=lab run: expected one word"),
        (change("cas.example.org", "a,SCONE_MODE=sim"), "expected one word"),
        (change("a1" * 32, "a1"), "E05"),
        (change("lab/run-1", "lab//run"), "E02"),
    ],
)
def test_render__refuses(text, said, site, capsys):
    site.write_text(text)
    assert render(site, "mdr-epistasis", "pmi2") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_launchers__hydra_sets_no_other_variables():
    """Asked by ``env``, as all of them were."""
    clean = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [MPIEXEC, "-n", "1", "env"], env=clean, capture_output=True, text=True
    )
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    ours = {name for name in names if re.match("PMI|MPI_|HYD", name)}
    assert ours == set(LAUNCHERS["hydra"].variables)


SIZE = """
import os, sys
for name in list(os.environ):
    if name.startswith(("PMI", "MPI_", "HYD")) and name not in sys.argv[1:]:
        os.environ[name] = ""
from hpc_connector.partitioner.launch import get_mpicomm
print(f"size {get_mpicomm().size}\\n", end="")  # at once: ranks share a pipe
"""


def test_launchers__what_is_needed_is_enough():
    """As in an enclave, which has the others empty."""
    command = [MPIEXEC, "-n", "2", sys.executable, "-c", SIZE, *NEEDED[0]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["size 2"] * 2


FILTERED = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_NTASKS": "4"},
        FILTERED,
        FILTERED | {"SLURM_STEP_NUM_TASKS": "", "PMI_RANK": "", "PMI_SIZE": ""},
        FILTERED | {"SLURM_STEP_NUM_TASKS": "4"},
        {"PMI_SIZE": "4", "SLURM_NTASKS": ""},
    ],
)
def test_programs__refuse_to_be_a_world_of_one(variables, tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "PMI"))}
    command = [sys.executable, "-m", "mdr_epistasis", "run", "none.bed"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "out"],
        env=kept | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "4 processes were started, and each is alone in its MPI" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "variables",
    [
        FILTERED | {"SLURM_SUBMIT_DIR": "/home/me"},  # a batch script
        FILTERED | {"SLURM_PTY_PORT": "7000"},
        dict.fromkeys(LAUNCHERS["pmi2"].variables, ""),
        dict.fromkeys(LAUNCHERS["openmpi"].variables, ""),
    ],
)
def test_get_mpicomm__of_a_process_that_is_meant_to_be_alone(variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "PMI"))}
    code = "from hpc_connector.partitioner.launch import get_mpicomm as get\n"
    command = [sys.executable, "-c", f"{code}print(get().size)"]
    done = subprocess.run(command, env=kept | variables, capture_output=True, text=True)
    assert done.stdout == "1\n"
