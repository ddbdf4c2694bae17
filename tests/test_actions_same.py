"""Actions give the same whichever rank writes what: beside plain loops, on all rows."""

import math
from collections import Counter
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.actions import kept, reduced
from hpc_connector.actions.exact import ExactSum, add_exactly
from hpc_connector.actions.host import Context
from hpc_connector.actions.scratch import Scratch

ROW = np.dtype([("id", "i4"), ("value", "f8"), ("genotype", "i1", (3,))])
NUMBERS = st.floats(width=64)
TIES = st.sampled_from([0.0, -0.0, 1.0, 2.5, math.nan, math.inf, -math.inf])
CUTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=5)
READ = partial(reduced.read_column, dtype=ROW, column="value")
READ_ROWS = partial(reduced.read_rows, dtype=ROW, by="value")


def make_rows(values):
    """Return rows with these values, some of which are alike in all."""
    rows = np.zeros(len(values), ROW)
    rows["id"] = np.arange(len(values)) % 3
    rows["value"] = values
    rows["genotype"] = (np.arange(3 * len(values)) % 4 - 1).reshape(-1, 3)
    return rows


class Written(list):
    """Records, and who writes them."""

    rank = 0


def reduce_in_parts(make, rows, cuts):
    """Return what is made of rows that ranks 0 .. write, in parts, on two nodes.

    Parameters
    ----------
    cuts
        Of each write: the node, and how many rows, the last one's all that are left.
    """
    actions, scratch = [make(), make()], Scratch(None)
    for action in actions:
        if hasattr(action, "on_create"):
            action.on_create(Context("one", 0, 2, scratch))
    for rank, (node, n) in enumerate([*cuts, (0, len(rows))]):
        records = Written([memoryview(rows[:n].tobytes())])
        records.rank, rows = rank, rows[n:]
        actions[node % 2].on_write(records)
    found = actions[0].merge([b"".join(action.on_read()) for action in actions])
    scratch.close()
    return found


@given(st.lists(NUMBERS), st.randoms())
def test_add_exactly__is_the_fraction_rounded_once(values, random):
    finite = [value for value in values if math.isfinite(value)]
    total = sum(map(Fraction, finite), Fraction(0))
    shuffled = random.sample(finite, len(finite))
    half = len(shuffled) // 2
    parts = [add_exactly(np.array(part)) for part in (shuffled[:half], shuffled[half:])]
    found = sum(parts, ExactSum())
    assert Fraction(found.steps, 1 << 1074) == total
    try:
        assert found.round() == float(total)
    except OverflowError:
        assert math.isinf(found.round())


@pytest.mark.parametrize(
    ("values", "total"),
    [([math.inf, 1], math.inf), ([math.nan, 1], math.nan), ([], 0.0), ([-0.0], 0.0)],
)
def test_add_exactly__what_is_not_finite(values, total):
    found = add_exactly(np.array(values)).round()
    assert found == total or (math.isnan(found) and math.isnan(total))


@given(st.lists(TIES, min_size=1, max_size=30), CUTS)
def test_reduce__sums_and_ends_of_a_column(values, cuts):
    rows = make_rows(values)
    alone = add_exactly(rows["value"]).round()
    found = reduce_in_parts(reduced.sum_column(READ), rows, cuts)
    assert repr(found) == repr(alone)
    least = reduce_in_parts(reduced.find_least(READ), rows, cuts)
    greatest = reduce_in_parts(reduced.find_greatest(READ), rows, cuts)
    if any(map(math.isnan, values)):
        assert math.isnan(least)
        assert math.isnan(greatest)
    else:
        assert (least, greatest) == (min(values), max(values))


@given(st.lists(TIES, max_size=30), CUTS, st.integers(1, 8), st.booleans())
def test_keep_best__is_the_first_of_all_sorted(values, cuts, k, least):
    rows = make_rows(values)
    sign = 1 if least else -1

    def key(row):
        value = float(row["value"])
        return math.inf if math.isnan(value) else sign * value, row.tobytes()

    make = reduced.keep_best(READ_ROWS, k, least=least)
    found = reduce_in_parts(make, rows, cuts) or []
    assert found == [row.tobytes() for row in sorted(rows, key=key)[:k]]


@given(st.lists(TIES, max_size=30), CUTS)
def test_reduce__counts(values, cuts):
    rows = make_rows(values)
    edges = [-1.0, 1.0, 2.0]
    counts = [0, 0, 0, 0]
    for value in values:
        if not math.isnan(value):
            counts[sum(value >= edge for edge in edges)] += 1
    found = reduce_in_parts(reduced.count_bins(READ, edges), rows, cuts)
    assert found.tolist() == counts

    def pairs(record):
        table = np.frombuffer(record, ROW)
        return [(int(row["id"]), int(row["genotype"][0])) for row in table]

    found = reduce_in_parts(reduced.count_pairs(pairs), rows, cuts)
    assert found == Counter(pairs(rows.tobytes()))


@given(st.lists(st.integers(0, 5), max_size=30), CUTS)
def test_sort_rows__is_all_sorted(values, cuts):
    rows = make_rows(values)
    found = reduce_in_parts(reduced.sort_rows(READ_ROWS), rows, cuts) or []
    pairs = sorted((float(row["value"]), row.tobytes()) for row in rows)
    assert found == [row for _, row in pairs]


@given(st.lists(st.integers(0, 9), max_size=30), CUTS)
def test_keep__is_in_the_order_of_ranks(values, cuts):
    rows = make_rows(values)
    found = reduce_in_parts(kept.filter_rows(ROW, lambda r: r["value"] > 4), rows, cuts)
    assert found == rows[rows["value"] > 4].tobytes()
    assert reduce_in_parts(kept.compress(), rows, cuts) == rows.tobytes()
    sampled = reduce_in_parts(kept.sample_rows(ROW, 0.5, 7), rows, cuts)
    chosen = [row.tobytes() for row in rows]
    assert sampled == b"".join(r for r in chosen if kept.is_sampled(r, 0.5, 7))


def test_project_rows__columns_and_individuals():
    rows = make_rows([1.0, 2.0])
    make = kept.project_rows(ROW, ["genotype", "id"], individuals=[2, 0])
    found = reduce_in_parts(make, rows, [(1, 1)])
    dtype = [("genotype", "i1", (2,)), ("id", "i4")]
    table = np.frombuffer(found, dtype)
    assert table["genotype"].tolist() == rows["genotype"][:, [2, 0]].tolist()
    assert table["id"].tolist() == [0, 1]
    assert reduce_in_parts(kept.project_rows(ROW), rows, []) == rows.tobytes()


def test_is_sampled__is_about_its_share():
    rows = [str(k).encode() for k in range(4000)]
    shares = [sum(kept.is_sampled(row, 0.25, seed) for row in rows) for seed in (1, 2)]
    assert all(abs(n - 1000) < 150 for n in shares)  # 5 standard deviations
    chosen = [{row for row in rows if kept.is_sampled(row, 0.25, s)} for s in (1, -2)]
    assert chosen[0] != chosen[1]
    assert all(kept.is_sampled(row, 1.0, 1) for row in rows)
    assert not any(kept.is_sampled(row, 0.0, 1) for row in rows)
