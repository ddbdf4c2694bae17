"""Kill the writer and the reader of an acquisition at random moments, many times.

``python tests/fuzz_follow.py 100 [SEED]``: each is begun again until there are so many
kills; then the results are compared with those of a run on the file, byte for byte.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from acquisitions import make_records, read_results
from hpc_connector.streams.open import open_stream
from imzml import plant_lipids

SMALL = ["--adducts", "+H", "--decoys", "2", "--fdr", "1", "--quiet"]
LONGEST_S = 4.0
RATE = "20"  # spectra a second: 270 of them


def start(module, *words):
    """Start a program."""
    command = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end(process):
    """Return the exit code of a program, whose words are shown if it has failed."""
    _, said = process.communicate(timeout=600)
    if process.returncode not in (0, -9):
        sys.exit(said.decode())
    return process.returncode


def fuzz(n_kills, seed):
    """Return how often the writer, the reader, and both to their ends were begun."""
    rng, folder = random.Random(seed), Path(mkdtemp(prefix="fuzz-follow-"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    imzml, database = plant_lipids(folder)
    given = ["--database", database, *SMALL]
    end(start("metabolite_annotation", "run", imzml, *given, "--out", folder / "run"))
    kills = {"writer": 0, "reader": 0}
    rounds = 0
    while sum(kills.values()) < n_kills or rounds == 0:
        rounds += 1
        url, out = (folder / f"stream{rounds}").as_uri(), folder / f"out{rounds}"
        with open_stream(url) as stream:
            stream.create(1)
        write = ["streams", "from-imzml", imzml, url, "--rate", RATE, "--quiet"]
        read = ["follow", url, *given, "--out", out, "--every", "1s"]
        programs = {
            "writer": ("hpc_connector", write),
            "reader": ("metabolite_annotation", read),
        }
        running = {name: start(m, *words) for name, (m, words) in programs.items()}
        while running:
            time.sleep(rng.uniform(0, LONGEST_S))
            name = rng.choice(sorted(running))
            running[name].kill()
            code = end(running.pop(name))
            kills[name] += code == -9
            if code:
                module, words = programs[name]
                running[name] = start(module, *words)
            for other in [n for n, p in running.items() if p.poll() is not None]:
                end(running.pop(other))
            if sum(kills.values()) >= n_kills:
                break
        for process in running.values():
            end(process)
        check(url, out, imzml, folder / "run")
        print(f"round {rounds}: {kills}", flush=True)
    shutil.rmtree(folder)
    return kills, rounds


def check(url, out, imzml, run):
    """Compare stream and results with those of the file."""
    with open_stream(url) as stream:
        found = [(r.key, r.value) for r in stream.read(0, most_records=1000)]
    assert found == make_records(imzml), "the stream is another"
    assert read_results(out) == read_results(run), "the results are others"


if __name__ == "__main__":
    print(*fuzz(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 1))
