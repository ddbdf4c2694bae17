"""A TPM in software (swtpm), what asks it (tpm.sh), and the socket of that."""

import contextlib
import os
import signal
import subprocess
import tomllib
from pathlib import Path

from conftest import require
from hpc_connector.confidential.evidence import tpm
from hpc_connector.confidential.evidence.check import Node

SCRIPT = Path(tpm.__file__).with_name("tpm.sh")


@contextlib.contextmanager
def serve_tpm(folder):
    """Run a TPM; give the environment in which tpm2-tools find it."""
    for program in ("swtpm", "tpm2_quote"):
        require(program)
    place = folder / "tpm"
    command = "swtpm socket --tpm2 --flags startup-clear --tpmstate"
    command += f" dir={folder} --server type=unixio,path={place}"
    command += f" --ctrl type=unixio,path={place}.ctrl --daemon"
    command += f" --pid file={folder}/pid"  # it is served once this has returned
    subprocess.run(command.split(), check=True)
    try:
        yield os.environ | {"TPM2TOOLS_TCTI": f"swtpm:path={place}"}
    finally:
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)


def register(folder, environment, name="n1"):
    """Make the key of a node; return what its keeper knows of it."""
    done = run(SCRIPT, "register", name, cwd=folder, env=environment)
    said = tomllib.loads(done.stdout)["nodes"][name]
    key = (folder / said["key"]).read_bytes()
    return Node(tpm.load_attestation_key(key, said["key"]), said["pcrs"])


def run(*words, **how):
    """Run a command that must do."""
    done = subprocess.run(words, capture_output=True, text=True, **how)
    assert done.returncode == 0, done.stderr
    return done


@contextlib.contextmanager
def serve_quotes(socket, environment):
    """Let anybody ask for quotes, by the line of a site's prolog."""
    require("socat")
    command = ["socat", "-d", "-d", f"UNIX-LISTEN:{socket},fork,mode=666"]
    command.append(f"EXEC:'{SCRIPT} quote'")
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            while "listening" not in server.stderr.readline():
                assert server.poll() is None
            yield
        finally:
            server.terminate()
