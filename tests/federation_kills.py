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
from typing import NamedTuple

from hub_parties import (
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
N_SITES = 3


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


class Whole(NamedTuple):
    """A search without kills.

    Parameters
    ----------
    results, sent
        Of each site: its results, and what it says that it has let out.
    calls
        Of its code of federation, by party.
    """

    federation: Federation
    results: dict[str, list[bytes]]
    sent: dict[str, list[str]]
    calls: dict[str, int]

    def check(self):
        """Compare the results of all sites, and what they let out, with these."""
        assert read_results(self.federation) == self.results, "other bytes"
        assert read_all_sent(self.federation) == self.sent


def read_all_sent(federation):
    """Return what each site says that it has let out."""
    return {name: read_sent(federation, name) for name in federation.trial.names}


def search_whole(folder, seed, **settings):
    """Search a random study without kills; it is the search of the pooled cohort."""
    trial = save_trial(folder, seed, N_SITES, **settings)
    federation = Federation(trial)
    codes = run(federation, counts=True)
    assert set(codes.values()) == {0}, f"{codes} {say(federation)}"
    results = read_results(federation)
    assert main([*trial.words, "--out", str(folder / "one")]) == 0
    for name in trial.names:
        places = federation.get_out(name), folder / "one"
        files = [path / "results.h5" for path in places]
        assert_same_models(*files, is_exact=trial.is_exact)
        assert results[name] == results[trial.names[0]]
    paths = {name: federation.folder / name / "calls" for name in federation.names}
    calls = {name: int(path.read_text()) for name, path in paths.items()}
    return Whole(federation, results, read_all_sent(federation), calls)


def search_killed(federation, kills, order, kill_another=lambda: False):
    """Search while parties are killed; return who was, how often.

    Parameters
    ----------
    kills
        Of some parties, moments of :func:`hub_parties.count_calls`, one for each time
        that it is begun.
    order
        In which they are begun.
    kill_another
        Called when one was killed: returns a number if another is at once, else 0.
    """
    federation.clear()
    killed = Counter()
    parties = {name: Party(federation, name) for name in order}
    left = {name: deque(kills.get(name, ())) for name in order}

    def begin(party):
        queue = left[party.name]
        party.begin(queue.popleft() if queue else None)

    def look(party, code):
        if code != KILLED:
            said = f"{party.name} ended with {code}"
            assert code == 0, f"{said}: {say(federation)}"
            return False
        killed[party.name] += 1
        others = [p for p in parties.values() if p.process.is_alive()]
        if others and (chosen := kill_another()):
            others[chosen % len(others)].process.kill()
        begin(party)
        return True

    for party in parties.values():
        begin(party)
    wait_for_ends(list(parties.values()), look)
    return killed


def run_kills(whole, n_kills, seed):
    """Kill parties until so many were killed; return how often each, and searches."""
    rng, killed, n_searches = random.Random(seed), Counter(), 0
    names = whole.federation.names
    while killed.total() < n_kills:
        kills, order = draw_kills(rng, whole.calls), rng.sample(names, len(names))

        def kill_another():
            return rng.random() < BOTH and rng.randint(1, 100)

        killed += search_killed(whole.federation, kills, order, kill_another)
        whole.check()
        n_searches += 1
    return killed, n_searches


def kill(n_kills, seed="0"):
    """Kill parties of a random study, and say what came of it."""
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        whole = search_whole(Path(place), int(seed))
        killed, n_searches = run_kills(whole, int(n_kills), int(seed))
    each = ", ".join(f"{name} {n}" for name, n in sorted(killed.items()))
    print(
        f"{killed.total()} kills ({each}) in {n_searches} searches, "
        f"{time.monotonic() - start_s:.0f} s: the same bytes"
    )


if __name__ == "__main__":
    kill(*sys.argv[1:])
