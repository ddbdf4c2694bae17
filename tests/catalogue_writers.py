"""Processes that write events to one catalogue, and are killed while they do.

``python tests/catalogue_writers.py 8 1000`` has 8 of them write 1,000 events each, to a
file and to a folder of journals, and says what is there then.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.lookup import list_events, list_faults

KILL_S = (0.05, 0.6)  # of a life, from its first event on


def write(place, name, first, n, told):
    """Write events `first` to `n`, and say of each that it is done."""
    done = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with open_catalog(place, is_new=True) as catalog:
        for k in range(first, n):
            what = {"do": "deny", "id": name, "version": 1, "reason": str(k)}
            catalog.append(what)
            os.write(done, f"{k}\n".encode())


def read_told(path):
    """Return the events that were told done."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def start(place, name, n, told):
    """Start a writer, which goes on where the one before was killed."""
    first = max(read_told(told), default=-1) + 1
    words = [sys.executable, __file__, "write", place, name, first, n, told]
    return subprocess.Popen(list(map(str, words)))


def run(place, folder, writers, n, kills, seed=1):
    """Have writers write until all is told done; kill some of them meanwhile.

    Returns
    -------
    By writer, the events that were told done.
    """
    rng = random.Random(seed)
    told = {f"w{k}": folder / f"w{k}.told" for k in range(writers)}
    lives = {name: start(place, name, n, path) for name, path in told.items()}
    while lives:
        for name, life in list(lives.items()):
            if life.poll() == 0:
                del lives[name]
            elif life.poll() is not None:
                assert life.poll() == -signal.SIGKILL, life.poll()
                lives[name] = start(place, name, n, told[name])
        if kills and (going := [w for w in lives if told[w].exists()]):
            time.sleep(rng.uniform(*KILL_S))
            lives[rng.choice(going)].send_signal(signal.SIGKILL)
            kills -= 1
        time.sleep(0.01)
    return {name: read_told(path) for name, path in told.items()}


def check(place, told, n):
    """Compare a catalogue with what was told; return the number of its events."""
    with open_catalog(place) as catalog:
        found = Counter(
            (event.what["id"], int(event.what["reason"]))
            for event, _, _ in list_events(catalog)
        )
        assert list_faults(catalog) == []
    for name, done in told.items():
        assert sorted(set(done)) == list(range(n))
        assert not [k for k in done if not found[name, k]], name
    return found.total()


def main():
    writers, n = map(int, sys.argv[1:3])
    for end in ("catalog.sqlite", "journals/"):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
            start_s = time.monotonic()
            told = run(f"{folder}/{end}", Path(folder), writers, n, kills=100)
            total = check(f"{folder}/{end}", told, n)
            wall_s = time.monotonic() - start_s
        said = f"{total:,} events, {total - writers * n} of them done and not told"
        print(f"{end}: {said}, 100 kills, {wall_s:.0f} s")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        place, name, first, n, told = sys.argv[2:]
        write(place, name, int(first), int(n), told)
    else:
        main()
