"""All that leaves a site, in every stage: nothing of it tells what the site counts."""

import threading
from hashlib import sha256
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest

import federations
from federations import draw_keys, draw_parts, federate, make_study
from hpc_connector.federation import masks, transport
from hpc_connector.federation.blocks import FOLDS, PAIRS, SIZES, VARIANTS
from hpc_connector.federation.joining import join, make_hello
from hpc_connector.federation.site import Sizes
from hpc_connector.federation.transport import Room, ThreadTransport
from leaks import LEAST, is_told

N_SITES, N_FOLDS = 3, 5
SEARCHES = [  # fold mode, bits of a number, who scores, all pairs by folds
    ("dealt", 16, "hub", False),
    ("dealt", 32, "sites", False),
    ("hash", 16, "sites", True),
    ("hash", 32, "hub", True),
]


class Message(NamedTuple):
    """A block of a site: what it counted, and what left it."""

    true: np.ndarray
    sent: np.ndarray


class Overheard:
    """A transport that keeps what a party says to all, beside blocks."""

    def __init__(self, inner):
        self.inner, self.said = inner, []

        self.is_scorer, self.attempt = inner.is_scorer, inner.attempt
        self.add = inner.add

    def tell(self, value):
        self.said.append(value)
        return self.inner.tell(value)

    def gather(self, value):
        self.said.append(value)
        return self.inner.gather(value)


class Recording(NamedTuple):
    """All that leaves sites.

    Parameters
    ----------
    messages
        By site, stage and block.
    nonces
        Of streams, by site and key.
    said
        What each site said to all, beside blocks.
    """

    messages: dict[tuple[str, int, int], Message]
    nonces: list[tuple[str, bytes, bytes]]
    said: dict[int, Overheard]
    outcomes: list


def record(study, parts, bits, *, prune, seed=0):
    """Search over sites; return all that left them."""
    messages, nonces, said, own = {}, [], {}, threading.local()
    mask_parts, cipher = masks.mask_parts, masks.ChaCha20

    def keep_both(parts, keys, mine, stage, block, into):
        own.site, true = mine, federations.add_parts(parts, into.dtype)
        sent = mask_parts(masks.cut_parts(true), keys, mine, stage, block, into)
        assert (mine, stage, block) not in messages
        messages[mine, stage, block] = Message(true, sent.copy())
        return sent

    def keep_nonce(key, nonce):
        nonces.append((own.site, key, nonce))
        return cipher(key, nonce)

    def listen(place, inner):
        said[place] = Overheard(inner)
        return said[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "mask_parts", keep_both)
        patch.setattr(masks, "ChaCha20", keep_nonce)
        patch.setattr(federations, "get_type", lambda n: np.dtype(f"u{bits // 8}"))
        outcomes = federate(study, parts, prune=prune, spoil=listen, seed=seed)
    return Recording(messages, nonces, said, outcomes)


def search(mode, bits, scorer, by_folds, **given):
    """Return the recording of a search of cohorts that lack genotypes."""
    rng = np.random.default_rng(2)
    about = {"missing": 0.03, "folds": N_FOLDS, "mode": mode}
    parts = draw_parts(rng, [200, 250, 150], 60, **about)
    settings = {"folds": N_FOLDS, "fold_mode": mode, "scorer": scorer, "top": 50}
    settings |= {"cvc": "none", "min_maf": 0.0, "max_missing": 1.0}
    study = make_study(N_SITES, **settings)
    return record(study, parts, bits, prune=not by_folds, **given)


@pytest.fixture(
    params=SEARCHES, ids=lambda case: "-".join(map(str, case)), scope="module"
)
def recording(request):
    return search(*request.param)


def test_is_told__sees_what_a_mask_of_less_would_leave():
    rng = np.random.default_rng(1)
    true = rng.binomial(150, 0.2, 5000).astype(np.uint16)
    noise = rng.integers(0, 1 << 16, 5000, np.uint16)
    assert not is_told(true, noise)
    assert not is_told(true, true + noise)
    partly = true + noise
    partly[-50:] = true[-50:]
    assert is_told(true, partly)  # not all of a message is masked
    assert is_told(true, true + rng.integers(0, 256, 5000, np.uint16))  # few bits
    assert is_told(true, true + (noise & 0xFF00))  # the wrong ones


def test_recording__has_every_stage_and_is_what_left(recording):
    sites = {f"site{k}" for k in range(N_SITES)}
    listed = bool(recording.outcomes[0].kept.by_folds)
    stages = {SIZES, VARIANTS, FOLDS} | (set() if listed else {PAIRS})
    assert {(site, stage) for site, stage, _ in recording.messages} == {
        (site, stage) for site in sites for stage in stages
    }
    for k, outcome in enumerate(recording.outcomes):
        left = {(f"site{k}", stage, block): n for stage, block, n in outcome.sent}
        own = {p: m.sent for p, m in recording.messages.items() if p[0] == f"site{k}"}
        assert left.keys() == own.keys()
        assert len(left) == len(outcome.sent)  # none is sent again
        assert all((left[place] == own[place]).all() for place in own)


def test_recording__has_no_message_that_tells_of_counts(recording):
    told = [p for p, m in recording.messages.items() if is_told(m.true, m.sent)]
    assert not told
    places = [p for p, m in recording.messages.items() if len(m.true) >= LEAST]
    assert {stage for _, stage, _ in places} >= {VARIANTS, FOLDS}


def test_recording__of_all_sites_but_one_tells_of_none(recording):
    names = [f"site{k}" for k in range(N_SITES)]
    for _, stage, block in [p for p in recording.messages if p[0] == "site0"]:
        of_all = [recording.messages[name, stage, block] for name in names]
        pooled = sum(m.true for m in of_all)
        assert (sum(m.sent for m in of_all) == pooled).all()
        for some in combinations(of_all, N_SITES - 1):
            seen = sum(m.sent for m in some)
            assert not is_told(sum(m.true for m in some), seen)
            assert not is_told(pooled, seen)


def test_recording__uses_no_mask_twice(recording):
    assert len(set(recording.nonces)) == len(recording.nonces)
    pairs = {(key, nonce) for _, key, nonce in recording.nonces}
    assert len(recording.nonces) == 2 * len(pairs)  # the two that share the key
    assert len(pairs) == 3 * len(recording.messages) / N_SITES


def test_recording__differs_of_two_messages_by_no_counts(recording):
    """The difference of messages under one mask would be that of their counts."""
    for site in (f"site{k}" for k in range(N_SITES)):
        own = [m for p, m in recording.messages.items() if p[0] == site]
        for one, other in combinations([m for m in own if len(m.true) >= LEAST], 2):
            n = min(len(one.true), len(other.true))
            difference = one.sent[:n] - other.sent[:n]
            assert not is_told(one.true[:n] - other.true[:n], difference)


def test_recording__of_the_same_search_again_has_other_masks():
    first, again = (search(*SEARCHES[0], seed=k) for k in (0, 1))
    assert first.messages.keys() == again.messages.keys()
    for place, one in first.messages.items():
        other = again.messages[place]
        assert (one.true == other.true).all()
        assert not is_told(one.true, one.sent - other.sent)
        assert not is_told(one.sent, other.sent)
    assert set(first.nonces).isdisjoint(again.nonces)


def test_recording__of_who_does_not_score_says_nothing_but_blocks(recording):
    told = recording.said[0].said
    assert all(value is not None for value in told)
    for place in range(1, N_SITES):
        for value, known in zip(recording.said[place].said, told, strict=True):
            assert value is None or value == known  # a sum that all may see


def test_recording__shows_sums_to_who_may_see_them(recording):
    pooled = [outcome.pooled is not None for outcome in recording.outcomes]
    assert pooled == [True] + [False] * (N_SITES - 1)


@pytest.mark.parametrize("mode", ["dealt", "hash"])
def test_join__says_nothing_but_what_the_study_needs(mode, tmp_path):
    (listed := tmp_path / "list.bim").write_text("1 rs1 0 5 A G\n")
    study = make_study(N_SITES, fold_mode=mode, reference=listed)
    private, _ = draw_keys(study.names, 0)
    room, links = Room(N_SITES), {}

    def meet(place):
        heard = Overheard(ThreadTransport(room, place))
        name = study.names[place]
        hello = make_hello(study, name, Sizes(40, 60 + place), private[name])
        join(heard, study, hello, private[name])
        links[place] = heard.said

    threads = [threading.Thread(target=meet, args=(k,)) for k in range(N_SITES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, (hello,) in links.items():
        name = study.names[place]
        sizes = [40, 60 + place] if mode == "dealt" else None
        public = private[name].public_key().public_bytes_raw()
        known = {"study": study.sha256, "site": name, "mask_public": public}
        known |= {"datasets": []}
        known |= {"reference": sha256(listed.read_bytes()).hexdigest(), "sizes": sizes}
        assert hello == known | {"nonce": hello["nonce"], "datasets": []}
        assert len(hello["nonce"]) == 32
    assert len({hello["nonce"] for (hello,) in links.values()}) == N_SITES
