"""How tests submit jobs, and wait for them."""

import contextlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from hpc_connector.manifest import read_manifest
from mdr_epistasis.program import main
from programs import PATIENCE_S

LONG_S = 1800  # for the end of a job, which waits for others and starts several times


def simulate_slow(prefix):
    """Write a cohort whose search takes long enough to be stopped; return its path."""
    options = "--variants 1500 --individuals 1000 --heritability 0.1 --maf 0.3 --seed 1"
    assert main(["simulate", "--out", str(prefix), *options.split()]) == 0
    return f"{prefix}.bed"


def write_script(path, text):
    """Write a script that can be run; return its path."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def write_site(folder, **settings):
    """Write a site file; return the options that name it."""
    lines = [f"CONNECTOR_{name}='{text}'\n" for name, text in settings.items()]
    (folder / "site.env").write_text("".join(lines))
    return ["--site", folder / "site.env"]


def submit(folder, *words):
    """Submit a job; return its number."""
    command = ["hpc-connector", "submit", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(*command):
    """Return what a command of Slurm's prints."""
    return subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.strip()


def get_state(job):
    """Return the state of a job, as the controller has it."""
    record = ask("scontrol", "show", "job", job)
    return record.partition("JobState=")[2].split()[0]


def signal_ranks(number, folder):
    """Send a signal to the ranks that write to a folder, past Slurm."""
    for pid in ask("pgrep", "-f", f"run .*{folder}/out").split():
        with contextlib.suppress(ProcessLookupError):  # a shell that has just ended
            os.kill(int(pid), number)


def wait(is_so, folder, seconds=PATIENCE_S):
    """Wait until something is so."""
    end_s = time.monotonic() + seconds
    while not (found := is_so()):
        said = "".join(path.read_text() for path in folder.glob("*.out"))
        assert time.monotonic() < end_s, said
        time.sleep(0.3)
    return found


def wait_for_ledger(folder):
    """Wait until some tasks of a job are done and recorded."""
    wait(lambda: list((folder / "out/ledger").glob("*.npz")), folder)


def act_on_each(acts, wait_for=wait_for_ledger):
    """Do something to each of some jobs, by folder, once it has come so far.

    Each is watched by a thread: while one waits for a node, another may end.
    """

    def wait_and_act(folder, act):
        wait_for(folder)
        act()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(wait_and_act, acts, acts.values()))


def wait_for_end(job, folder):
    """Wait until a job is over; return its state and what it printed."""
    over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
    state = wait(lambda: (s := get_state(job)) in over and s, folder, LONG_S)
    return state, "".join(path.read_text() for path in folder.glob(f"*{job}*.out"))


def read_account(out):
    """Return the attempts of a run that is complete; the accounting may be late."""

    def find():
        ask("hpc-connector", "account", "run", "--out", out)
        attempts = read_manifest(out).get("slurm")
        return attempts and attempts[-1]["state"] == "COMPLETED" and attempts

    return wait(find, out)
