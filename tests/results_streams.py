"""Runs that stream their best models, killed at random moments and resumed.

``python tests/results_streams.py KILLS [SEED]`` does so many times; a few kills are in
the suite. Whatever is killed, a resumed run has the results of one that nobody killed,
and its stream each record once, the checksum of the table last.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hpc_connector.streams.beside import prepare_stream
from hpc_connector.streams.open import open_stream
from mdr_epistasis.program import main
from programs import PATIENCE_S, SAVING, assert_same

OPTIONS = ("--quiet", "--permutations", "64")
COHORT = "--variants 1000 --individuals 200 --heritability 0.2 --maf 0.3 --seed 1"
OFTEN = "from mdr_epistasis.output import best_stream; best_stream.EVERY_S = 0.0; "
SEGMENTS = 2
MOST_AHEAD = 25  # records of a run before it is killed


def make_cohort(folder):
    """Return the genotypes of a small cohort."""
    assert main(["simulate", "--out", str(folder / "cohort"), *COHORT.split()]) == 0
    return folder / "cohort.bed"


def make_command(ranks, *options, more=""):
    """Return the command of a run that saves, and tells, after every task."""
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    code = SAVING.format(program="mdr_epistasis", more=OFTEN + more)
    return [*launch, sys.executable, "-c", code, "run", *map(str, options)]


def run_whole(*options, ranks=1, more=""):
    """Run a search to its end; return what it said."""
    command = make_command(ranks, *options, *OPTIONS, more=more)
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stderr


def read_stream(url):
    """Return the records of each segment, and whether all are sealed."""
    with open_stream(url) as stream:
        segments = range(stream.n_segments)
        records = [stream.read(k, most_records=100_000) for k in segments]
        return records, all(map(stream.is_sealed, segments))


def check_stream(url, out):
    """Check that a stream is that of a complete run; return the records of segments."""
    segments, is_sealed = read_stream(url)
    assert is_sealed
    for records in segments:
        assert [one.sequence for one in records] == list(range(len(records)))
    last = segments[0].pop()
    assert last.key == b"models.tsv"
    digest = hashlib.sha256((out / "models.tsv").read_bytes()).hexdigest()
    assert json.loads(last.value) == {"file": "models.tsv", "sha256": digest}
    assert {one.key for records in segments for one in records} <= {b"best"}
    return segments


def count_records(url):
    """Return how many records there are in all segments."""
    return sum(map(len, read_stream(url)[0]))


def kill_once(command, url, n_more, wait_s):
    """Begin a run, and kill all its processes once it has told so many records more.

    Returns
    -------
    Whether it was killed; it may have come to its end before.
    """
    wanted, end_s = count_records(url) + n_more, time.monotonic() + PATIENCE_S
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = subprocess.Popen(command, process_group=0, **quiet)
    while run.poll() is None and count_records(url) < wanted:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    time.sleep(wait_s)
    is_killed = run.poll() is None
    if is_killed:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return is_killed


def kill_and_resume(cohort, folder, reference, n_kills, random_):
    """Kill a run some times, on one rank or two; let it end, and check all."""
    folder.mkdir()
    out, url = folder / "out", f"file://{folder}/stream"
    prepare_stream(url, SEGMENTS, "rank")
    options = (cohort, "--out", out, "--results-stream", url)
    n_killed = 0
    for _ in range(n_kills):
        resumed = ["--resume"] if (out / "manifest.json").exists() else []
        command = make_command(random_.choice([1, 2]), *options, *OPTIONS, *resumed)
        ahead, wait_s = random_.randint(0, MOST_AHEAD), random_.uniform(0, 0.1)
        n_killed += kill_once(command, url, ahead, wait_s)
    resumed = ["--resume"] if (out / "manifest.json").exists() else []
    run_whole(*options, *resumed)
    assert_same(out, reference)
    check_stream(url, out)
    return n_killed


def run_kills(folder, n_kills, seed=0, kills_a_run=3):
    """Kill runs at random until enough were; return how many were, and of how many."""
    random_ = random.Random(seed)
    cohort, n_killed, n_runs = make_cohort(folder), 0, 0
    run_whole(cohort, "--out", folder / "reference")
    while n_killed < n_kills:
        place = folder / str(n_runs)
        known = (folder / "reference", min(kills_a_run, n_kills - n_killed), random_)
        n_killed += kill_and_resume(cohort, place, *known)
        n_runs += 1
    return n_killed, n_runs


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        killed, runs = run_kills(Path(place), *map(int, sys.argv[1:]))
        print(f"{killed} kills of {runs} runs: all have the same results")
