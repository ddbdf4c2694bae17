"""Kills sites and the hub of a federated search, as ``kill -9`` does, at any moment.

``python tests/federation_kills.py KILLS [SEED]`` searches random studies until so many
parties were killed, one or two at a time; who was killed is begun again. At the end of
each search all sites must have the bytes of the search without kills.
"""

import random
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

from hub_parties import (
    HUB,
    Federation,
    Party,
    read_results,
    read_sent,
    run,
    say,
    wait_for_ends,
)
from mdr_epistasis.program import main
from random_sites import assert_same_models, save_trial

KILLED = -9
EDGE = 0.15  # share of kills in the first calls of a party, and in the last ones
EDGE_CALLS = 40
BOTH = 0.2  # share of kills that kill another party as well
MOST = 4  # kills of a search
SEEDS = (4, 11, 12, 13)  # of studies


def draw_kills(rng, calls):
    """Return whom to kill at which calls: of each party, one after the other.

    Parameters
    ----------
    calls
        That each party makes in a search without kills.
    """
    kills = {name: deque() for name in calls}
    for _ in range(rng.randint(1, MOST)):
        name = rng.choice(sorted(calls))
        kills[name].append(draw_moment(rng, calls[name]))
    return kills


def draw_moment(rng, n):
    """Return the number of a call, often one at the start or at the end."""
    chance = rng.random()
    if chance < EDGE:
        return rng.randint(1, EDGE_CALLS)
    return rng.randint(n - EDGE_CALLS if chance < 2 * EDGE else 1, n)


def search_killed(federation, rng, calls):
    """Search while parties are killed; return who was, how often."""
    kills, killed = draw_kills(rng, calls), Counter()
    parties = {name: Party(federation, name) for name in federation.names}

    def begin(name):
        parties[name].begin(kills[name].popleft() if kills[name] else None)

    def look(party, code):
        if code != KILLED:
            assert code == 0, f"{party.name} ended with {code}: {say(parties.values())}"
            return False
        killed[party.name] += 1
        others = [p for p in parties.values() if p.process.is_alive()]
        if others and rng.random() < BOTH:
            rng.choice(others).kill()  # and is looked at itself, later
        begin(party.name)
        return True

    for name in rng.sample(federation.names, len(federation.names)):
        begin(name)
    wait_for_ends(list(parties.values()), look)
    return killed


def prepare(folder, seed):
    """Return a federation, its results without kills, what left sites, and calls."""
    trial = save_trial(folder, seed)
    federation = Federation(trial)
    codes = run(federation)
    assert set(codes.values()) == {0}, codes
    sites = [name for name in federation.names if name != HUB]
    results = read_results(federation)
    assert main([*trial.words, "--out", str(folder / "one")]) == 0
    for name in sites:
        files = [
            path / "results.h5" for path in (federation.get_out(name), folder / "one")
        ]
        assert_same_models(*files, is_exact=trial.is_exact)
        assert results[name] == results[sites[0]]
    calls = {
        n: int((federation.folder / n / "calls").read_text()) for n in federation.names
    }
    return federation, results, {n: read_sent(federation, n) for n in sites}, calls


def run_kills(folder, n_kills, seed):
    """Kill parties until so many were killed; return how often each, and searches."""
    rng, killed, n_searches = random.Random(seed), Counter(), 0
    federation, results, sent, calls = prepare(folder, rng.choice(SEEDS))
    while killed.total() < n_kills:
        federation.clear()
        killed += search_killed(federation, rng, calls)
        n_searches += 1
        assert read_results(federation) == results, "other bytes"
        assert {n: read_sent(federation, n) for n in sent} == sent
    return killed, n_searches


def kill(n_kills, seed="0"):
    """Kill parties of random studies, and say what came of it."""
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        killed, n_searches = run_kills(Path(place), int(n_kills), int(seed))
    each = ", ".join(f"{name} {n}" for name, n in sorted(killed.items()))
    took_s = time.monotonic() - start_s
    print(
        f"{killed.total()} kills ({each}) in {n_searches} searches: the same bytes; "
        f"{took_s:.0f} s"
    )


if __name__ == "__main__":
    kill(*sys.argv[1:])
