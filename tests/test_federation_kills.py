"""A federated search whose sites and hub are killed has the bytes of one without."""

import pytest

from federation_kills import run_kills, search_killed, search_whole

SEED, KILLS = 3, 6


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("federation")
    return search_whole(folder, SEED, cvc="none", rank_by="test", top=10)


def test_search__is_the_same_after_kills_at_random(whole):
    killed, _ = run_kills(whole, KILLS, seed=1)
    assert killed.total() >= KILLS


def test_search__is_the_same_if_all_are_killed_at_once(whole):
    moments = {name: [whole.calls[name] // 2] for name in whole.federation.names}
    order = whole.federation.names
    killed = search_killed(whole.federation, moments, order, lambda: 1)
    assert killed.total() >= 2
    whole.check()
