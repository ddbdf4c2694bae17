"""A federated search whose sites and hub are killed has the bytes of one without."""

import pytest

from federation_kills import run_kills, search_killed, search_whole
from hub_parties import HUB

SEED, KILLS = 3, 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("federation")
    return search_whole(folder, SEED, cvc="none", rank_by="test", top=10)


def test_search__is_the_same_after_kills_at_random(whole):
    killed, _ = run_kills(whole, KILLS, seed=1)
    assert killed.total() >= KILLS


def test_search__is_the_same_after_kills_at_its_edges(whole):
    """Before any has joined, before the first block, and once all have the result."""
    one, other, _ = whole.federation.trial.names
    kills = {
        HUB: [("save_attempt", 1), ("save_attempt", 5)],
        one: [("gather", 1), ("add", 1)],
        other: [("leave", 1)],
    }
    killed = search_killed(whole.federation, kills, whole.federation.names)
    assert killed == {HUB: 2, one: 2, other: 1}
    whole.check()


@pytest.mark.parametrize(("is_hub", "n"), [(False, 8), (True, 17)])
def test_search__is_the_same_if_two_are_killed_at_once(whole, is_hub, n):
    first, left = HUB if is_hub else whole.federation.trial.names[0], iter([1])
    kills = {first: [("add", n)]}  # of 20
    order = whole.federation.names
    killed = search_killed(whole.federation, kills, order, lambda: next(left, 0))
    assert killed.total() == 2
    whole.check()
