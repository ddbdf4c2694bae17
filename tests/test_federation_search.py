"""A search over sites is that of the pooled cohort, bit for bit, and nothing leaves."""

from collections import Counter
from functools import partial

import numpy as np
import numpy.testing as npt
import pytest

from federations import (
    add_parts,
    draw_parts,
    draw_trial,
    federate,
    make_local,
    make_study,
    search_pooled,
)
from hpc_connector.errors import BadInput
from hpc_connector.federation.blocks import FOLDS, PAIRS, Layout, Tables, Tile
from hpc_connector.federation.pooled import Pooled, collect, get_slack
from hpc_connector.learner.mdr.mdr import apply_mdr_dict, transform_patients

TRIALS = 12  # `python tests/test_federation_search.py 500` tries more


def check_trial(seed, *, hub=False):
    """Compare a random federated search with that of the pooled cohort."""
    study, parts = draw_trial(seed)
    best, columns = search_pooled(study, parts)
    n = int(best.size[0])
    ways = [None, False]
    if study.rank_by != "train" and study.cvc == "none":
        ways.append(True)
    for prune in ways:
        outcomes = federate(study, parts, prune=prune, hub=hub)
        scorer, others = outcomes[0], outcomes[1:]
        if hub:
            *others, scorer = outcomes
            assert not scorer.sent
        npt.assert_array_equal(scorer.best.model[:n], best.model[:n])
        npt.assert_array_equal(scorer.best.key[:n], best.key[:n])
        assert int(scorer.best.size[0]) == n
        rows = slice(None) if study.cvc == "exact" else slice(n)
        for name, column in columns.items():
            if study.cvc == "none" and name in ("cv_consistency", "is_best"):
                continue
            npt.assert_array_equal(scorer.columns[name][rows], column[rows], name)
        assert all(one.pooled is None for one in others)


@pytest.mark.parametrize("seed", range(TRIALS))
def test_search_pairs__is_that_of_the_pooled_cohort(seed):
    check_trial(seed)


@pytest.mark.parametrize("seed", range(100, 104))
def test_search_pairs__scored_by_a_hub_is_that_of_the_pooled_cohort(seed):
    check_trial(seed, hub=True)


def test_search_pairs__holds_most_pairs_back():
    rng = np.random.default_rng(5)
    about = {"missing": 0.0, "folds": 10, "mode": "dealt"}
    parts = draw_parts(rng, [300, 400, 300], 200, **about)
    study = make_study(3, top=100, cvc="none", min_maf=0.0)
    outcome = federate(study, parts)[0]
    assert not outcome.kept.by_folds
    listed = sum(n.size for stage, _, n in outcome.sent if stage == FOLDS) / 80
    assert listed < 0.08 * 19_900  # pairs by folds, four cells of 20 groups each
    best, _ = search_pooled(study, parts)
    npt.assert_array_equal(outcome.best.model[:100], best.model[:100])


def test_search_pairs__keeps_ties_at_the_edge_in_the_order_of_variants():
    rng = np.random.default_rng(1)
    parts = draw_parts(rng, [60, 60, 60], 6, missing=0.0, folds=3, mode="dealt")
    parts = [(np.repeat(g, 3, axis=0), c, f) for g, c, f in parts]  # each thrice
    for top in (1, 2, 5, 9):
        study = make_study(3, top=top, folds=3, cvc="none", min_maf=0.0)
        best, _ = search_pooled(study, parts)
        for prune in (True, False):
            found = federate(study, parts, prune=prune)[0].best
            npt.assert_array_equal(found.model[:top], best.model[:top])


def test_recording__shows_no_counts_and_no_mask_twice():
    rng = np.random.default_rng(2)
    parts = draw_parts(rng, [200, 250, 150], 60, missing=0.03, folds=5, mode="dealt")
    study = make_study(3, folds=5, top=50, cvc="none", min_maf=0.0, max_missing=1.0)
    outcomes = federate(study, parts, prune=True)
    for part, outcome in zip(parts, outcomes, strict=True):
        places = [(stage, block) for stage, block, _ in outcome.sent]
        assert len(set(places)) == len(places)
        tables = Tables(make_local(*part, 5), outcome.kept.layout)
        tiles = outcome.kept.layout.list_tiles(2, 2)
        for stage, block, numbers in outcome.sent:
            if stage != PAIRS:
                continue
            counted = tables.count_tile(tiles[block], np.uint16, in_folds=False)
            true = add_parts(counted, np.uint16)
            assert (true == numbers).mean() < 0.01
            if len(true) > 5000:
                assert abs(np.corrcoef(true, numbers)[0, 1]) < 0.06
    again = federate(study, parts, prune=True)  # another run has other masks
    for one, other in zip(outcomes, again, strict=True):
        for (_, _, a), (_, _, b) in zip(one.sent[1:], other.sent[1:], strict=True):
            assert a.shape != b.shape or (a == b).mean() < 0.05


class Wrong:
    """A site that sends one number too many in some stage."""

    def __init__(self, inner, stage):
        self.inner, self.stage = inner, stage
        self.is_scorer, self.tell = inner.is_scorer, inner.tell

    def add(self, stage, block, make):
        def spoil():
            numbers = make()
            return numbers + numbers.dtype.type(20_000 * (stage == self.stage))

        return self.inner.add(stage, block, spoil)


@pytest.mark.parametrize(("stage", "said"), [(0, "stage 0"), (1, "stage A"), (2, "B")])
def test_search_pairs__refuses_sums_that_cannot_be_true(stage, said):
    rng = np.random.default_rng(3)
    parts = draw_parts(rng, [60, 60, 60], 20, missing=0.0, folds=3, mode="dealt")
    study = make_study(3, folds=3, cvc="none", min_maf=0.0)

    def spoil(place, transport):
        return Wrong(transport, stage) if place == 1 else transport

    with pytest.raises(BadInput, match=rf"implausible sums \(stage.* {said}|{said}"):
        federate(study, parts, prune=True, spoil=spoil)


def count_slowly(genotypes, chosen, i, j):
    """Return the nine cells of some individuals in a pair."""
    cell = transform_patients(genotypes[[i]], genotypes[[j]])[0, 0]
    return [int(((cell == c) & chosen).sum()) for c in range(9)]


def test_count_tile__agrees_with_counting_one_by_one():
    rng = np.random.default_rng(4)
    parts = draw_parts(rng, [90], 21, missing=0.1, folds=3, mode="dealt")
    is_complete = (parts[0][0] >= 0).all(axis=1)
    layout = Layout(np.arange(21), is_complete)
    tables = Tables(make_local(*parts[0], 3), layout)
    for tile in layout.list_tiles(6, 2):
        some = tables.count_tile(tile, np.uint16, in_folds=True)
        counted = add_parts(some, np.uint16)
        counted = counted.reshape(-1, 6, tile.n_counted, 16)
        batch = 0
        for block in range(*tile.blocks[:2]):
            for i in range(16 * block, 16 * block + 16):
                for column in range(max(block, tile.blocks[2]), tile.blocks[3]):
                    found = counted[batch]
                    batch += 1
                    check_batch(layout, parts[0], tile, i, column, found)


def check_batch(layout, part, tile, i, column, found):
    """Compare a batch of sixteen pairs with what is counted slowly."""
    genotypes, is_case, fold = part
    for lane in range(16):
        a, b = layout.number[i], layout.number[16 * column + lane]
        if a < 0 or b < 0:
            continue
        for group in range(6):
            chosen = (is_case == (group < 3)) & (fold == group % 3)
            want = count_slowly(genotypes, chosen, a, b)
            cells = [0, 1, 3, 4] if tile.n_counted == 4 else range(9)
            assert found[group, :, lane].tolist() == [want[c] for c in cells]


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("mode", ["dealt", "hash"])
def test_collect__bounds_the_mean_test_accuracy_of_every_pair(missing, mode):
    rng = np.random.default_rng(6)
    for n in (60, 300):
        (part,) = draw_parts(rng, [n], 16, missing=missing, folds=4, mode=mode)
        genotypes, is_case, fold = part
        local = make_local(*part, 4)
        counts = np.concatenate(list(local.count_variants()))
        study = make_study(3, folds=4, missing="exclude", top=1000)
        layout = Layout(np.arange(16), counts.sum(axis=1)[:, 3] == 0)
        pooled = Pooled(study, layout, counts)
        errors = apply_mdr_dict(genotypes, genotypes, is_case, fold)["test_error"]
        mean = 1 - np.nanmean(errors, axis=-1)
        seen = 0
        for tile in layout.list_tiles(2, 2):
            parts = Tables(local, layout).count_tile(tile, np.uint16, in_folds=False)
            sums = add_parts(parts, np.uint16)
            bound, pairs = collect(pooled, tile, sums, -1.0)
            i, j = np.sort(layout.number[pairs], axis=1).T
            assert (bound >= mean[i, j] - 1e-12).all()
            seen += len(pairs)
        assert seen == 120


def make_pooled(rng, n_variants):
    """Return what the scorer has of a complete cohort, and its tables."""
    (part,) = draw_parts(rng, [900], n_variants, missing=0.0, folds=3, mode="dealt")
    local = make_local(*part, 3)
    counts = np.concatenate(list(local.count_variants()))
    layout = Layout(np.arange(n_variants), np.ones(n_variants, bool))
    return Pooled(make_study(3, folds=3), layout, counts), Tables(local, layout)


def collect_wide(monkeypatch, *about):
    """Return what is collected without numbers of 16 bits."""
    with monkeypatch.context() as patched:
        patched.setattr("hpc_connector.federation.pooled.MOST", -1)
        return collect(*about)


@pytest.mark.parametrize("blocks", [(0, 5, 0, 5), (0, 2, 2, 5), (1, 2, 2, 4)])
def test_collect__holds_nothing_back_that_reaches_the_least(blocks, monkeypatch):
    """Numbers of 16 bits hold back none of those that double precision lets pass."""
    pooled, tables = make_pooled(np.random.default_rng(8), 75)
    tile = Tile(blocks, 4)
    sums = add_parts(tables.count_tile(tile, np.uint16, in_folds=False), np.uint16)
    for least in (-1.0, 0.5, 0.52, 0.55, 0.7):
        found = collect(pooled, tile, sums, least)
        wide = collect_wide(monkeypatch, pooled, tile, sums, least)
        npt.assert_array_equal(found.bound, wide.bound)
        npt.assert_array_equal(found.pairs, wide.pairs)


def test_collect__refuses_every_sum_that_double_precision_refuses(monkeypatch):
    """Whatever stands in a table: a number of 16 bits, or one more or less than is."""
    rng = np.random.default_rng(9)
    pooled, tables = make_pooled(rng, 64)
    tile = Tile((0, 4, 0, 4), 4)
    true = add_parts(tables.count_tile(tile, np.uint16, in_folds=False), np.uint16)
    said = Counter()
    for _ in range(200):
        sums = true.copy()
        at, few = rng.integers(len(sums)), int(rng.integers(-60, 60))
        changed = rng.integers(1 << 16) if rng.random() < 0.3 else int(sums[at]) + few
        sums[at] = changed % (1 << 16)
        ends = []
        for way in (collect, partial(collect_wide, monkeypatch)):
            try:
                ends.append(len(way(pooled, tile, sums, 0.55).bound))
            except BadInput:
                ends.append(None)
        assert ends[0] == ends[1]
        said[ends[0] is None] += 1
    assert min(said[True], said[False]) > 20


def test_get_slack__is_nothing_for_folds_of_one_size():
    assert get_slack(np.array([10, 10, 20, 20])) == 0
    assert get_slack(np.array([10, 0, 20, 20])) > 1
    assert 0 < get_slack(np.array([10, 11, 20, 20])) < 0.05


def test_layout__has_blocks_of_complete_variants_first():
    layout = Layout(np.arange(20), np.arange(20) % 4 != 0)
    assert layout.n_complete_blocks == 1
    assert layout.place[:2].tolist() == [16, 0]
    assert (layout.number >= 0).sum() == 20
    tiles = layout.list_tiles(2, 2)
    assert tiles == [
        Tile((0, 1, 0, 1), 4),
        Tile((0, 1, 1, 2), 9),
        Tile((1, 2, 1, 2), 9),
    ]


if __name__ == "__main__":
    import sys

    for number in range(TRIALS, TRIALS + int(sys.argv[1])):
        check_trial(number)
    print(f"{sys.argv[1]} random studies: as the pooled cohort")
