"""Kills the writer, the reader and the server of a stream at random moments.

``python tests/stream_kills.py NAME KILLS [SEED]`` does so on one kind of stream.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hpc_connector.streams.follow import (
    follow,
    move_positions,
    read_result,
    save_result,
)
from hpc_connector.streams.open import open_stream

SEGMENTS, WORDS = 2, 40
REPEATED = 5  # records that a writer appends again when it comes back
AHEAD = 2000  # records that the writer is ahead of the reader, at most
LATE_S = 0.05  # how long after a party has done something it may be killed
EARLY, START_S = 0.25, 0.4  # share of those killed as they start, and for how long
PATIENCE_S = 120.0


def make_record(k):
    """Return segment, sequence, key and value of a record."""
    word = b"word%d" % (k * 7919 % WORDS)
    return k % SEGMENTS, k // SEGMENTS, b"%d" % k, word * (1 + k % 50)


def count_words(counts, records):
    """Add records to the counts of their words, and the numbers of the records."""
    for record in records:
        word = record.value[: len(record.value) // (1 + int(record.key) % 50)].decode()
        counts[word] += 1
        counts["sum"] += int(record.key)


def write(folder, url, profile):
    """Append records until there is a file that says so, then seal.

    How many were appended for certain is in a file, of which a writer that comes back
    repeats the last.
    """
    acknowledged = folder / "acknowledged"
    k = int(acknowledged.read_text()) if acknowledged.exists() else 0
    k = max(0, k - REPEATED)
    with open_stream(url, profile=profile) as stream:
        while not (folder / "finish").exists():
            result, _ = read_result(folder / "result.json")
            while k < (result or {"n": 0})["n"] + AHEAD:
                segment, sequence, key, value = make_record(k)
                stream.append(segment, key, value, sequence)
                k += 1
                note(acknowledged, k)
                if k % 100 == 0 and (folder / "finish").exists():
                    break
        stream.seal()


def note(path, n):
    """Publish a number."""
    partial = path.with_suffix(".partial")
    partial.write_text(str(n))
    partial.replace(path)


def read(folder, url, profile):
    """Count the words of a stream, and keep the counts with the positions in them."""
    path = folder / "result.json"
    result, positions = read_result(path)
    n = result["n"] if result else 0
    counts = Counter(result["counts"] if result else {})
    with open_stream(url, profile=profile) as stream:
        for records in follow(stream, positions, most_records=97, wait_s=0.05):
            count_words(counts, records)
            move_positions(positions, records)
            n += len(records)
            if records:
                save_result(path, {"n": n, "counts": counts}, positions)
    (folder / "read").touch()


class Party:
    """A process of this file, which is begun again whenever it was killed."""

    def __init__(self, name, folder, url, profile):
        words = [name, folder, url, *([profile] if profile else [])]
        self.command = [sys.executable, __file__, *map(str, words)]
        self.mark = folder / {"write": "acknowledged", "read": "result.json"}[name]
        self.begin()

    def begin(self):
        """Start the process."""
        self.before = self.look()
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)

    def look(self):
        """Return what the process has done by now."""
        return self.mark.stat().st_mtime_ns if self.mark.exists() else 0

    def has_worked(self):
        """Return whether the process has done something since it was begun."""
        return self.look() != self.before

    def kill(self):
        """Kill the process, and begin it again."""
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.begin()

    def check(self, *, may_fail):
        """Begin a process again that gave up as its server was gone."""
        if self.process.poll() in (None, 0):
            return
        said = self.process.stderr.read()
        if not may_fail or "BadInput" not in said:
            raise AssertionError(said)
        self.kill()


def run_kills(backend, folder, n_kills, seed=0):
    """Kill parties at random while they work; return the counts, and the plain ones.

    Parameters
    ----------
    backend
        From :mod:`stream_backends`.

    Returns
    -------
    Counts of the reader and of a plain loop, as they are saved, and how many records.
    """
    random_ = random.Random(seed)
    url = backend.make_url()
    with backend.open(url) as stream:
        stream.create(SEGMENTS)
    parties = [Party(name, folder, url, backend.profile) for name in ("write", "read")]
    victims = [*parties, *([backend.kill] if backend.kill else [])]
    try:
        for _ in range(n_kills):
            victim = random_.choice(victims)
            is_early = random_.random() < EARLY
            late_s = random_.uniform(0, START_S if is_early else LATE_S)
            if isinstance(victim, Party):
                if not is_early:
                    wait_for(victim.has_worked, parties, backend.kill)
                time.sleep(late_s)
                victim.kill()
            else:
                wait_for(lambda: all(p.has_worked() for p in parties), parties, True)
                time.sleep(late_s)
                victim()
                for party in parties:
                    party.before = party.look()
        (folder / "finish").touch()
        wait_for((folder / "read").exists, parties, backend.kill)
    finally:
        for party in parties:
            party.process.kill()
            party.process.wait()
            party.process.stderr.close()
    return compare(folder)


def wait_for(is_done, parties, may_fail):
    """Wait until something is done; a party that gave up meanwhile begins again."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_done():
        for party in parties:
            party.check(may_fail=bool(may_fail))
        assert time.monotonic() < end_s
        time.sleep(0.005)


def compare(folder):
    """Return what the reader saved, what a plain loop counts, and of how many."""
    result, _ = read_result(folder / "result.json")
    least = int((folder / "acknowledged").read_text())
    assert result["n"] >= least, "records are missing that were acknowledged"
    plain = Counter()
    for k in range(result["n"]):
        word = f"word{k * 7919 % WORDS}"
        plain[word] += 1
        plain["sum"] += k
    kept = [json.dumps(counts, sort_keys=True) for counts in (result["counts"], plain)]
    return *kept, result["n"]


def main(name, n_kills, seed="0"):
    """Kill parties of one kind of stream, and say what came of it."""
    from stream_backends import BACKENDS

    with tempfile.TemporaryDirectory() as place:
        (folder := Path(place, "parties")).mkdir()
        with BACKENDS[name](Path(place)) as backend:
            start_s = time.monotonic()
            found, plain, n = run_kills(backend, folder, int(n_kills), int(seed))
    same = "the same" if found == plain else f"NOT THE SAME:\n{found}\n{plain}"
    took_s = time.monotonic() - start_s
    print(f"{name}: {n_kills} kills, {n} records, {took_s:.0f} s: counts are {same}")
    return found != plain


if __name__ == "__main__":
    if sys.argv[1] in ("write", "read"):
        _, what, place, url, *profile = sys.argv
        given = Path(profile[0]) if profile else None
        {"write": write, "read": read}[what](Path(place), url, given)
    else:
        sys.exit(main(*sys.argv[1:]))
