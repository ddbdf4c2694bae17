"""Exactly once in effect, whoever is killed: on all kinds of streams."""

import pytest

from stream_backends import BACKENDS
from stream_kills import run_kills

KILLS = 6


@pytest.mark.parametrize("name", BACKENDS)
def test_counts__are_those_of_a_plain_loop_after_kills(name, tmp_path):
    (parties := tmp_path / "parties").mkdir()
    with BACKENDS[name](tmp_path / "server") as backend:
        found, plain, n_records = run_kills(backend, parties, KILLS, seed=1)
    assert found == plain
    assert n_records > 0
