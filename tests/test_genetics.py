"""Hardy-Weinberg equilibrium and linkage, by definition and as PLINK has them."""

from fractions import Fraction
from math import comb, factorial

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohorts import get_slow_r2, make_linked, prune_by_plink, save_cohort
from hpc_connector.learner.genetics import (
    get_hwe_p,
    get_model_r2,
    get_r2,
    prune_linked,
)
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.models import get_levels

COUNT = st.integers(0, 40)


def get_slow_hwe_p(n_0, n_1, n_2):
    """Return the p-value by definition, in fractions."""
    n, copies = n_0 + n_1 + n_2, n_1 + 2 * n_2
    probability = {}
    for het in range(copies % 2, min(copies, 2 * n - copies) + 1, 2):
        hom = (copies - het) // 2
        ways = factorial(n) // factorial(het) // factorial(hom)
        ways = ways // factorial(n - het - hom) * 2**het
        probability[het] = Fraction(ways, comb(2 * n, copies))
    assert sum(probability.values()) == 1
    return float(sum(p for p in probability.values() if p <= probability[n_1]))


@given(COUNT, COUNT, COUNT)
def test_get_hwe_p__by_definition(n_0, n_1, n_2):
    p = get_hwe_p(np.array([[n_0, n_1, n_2], [n_2, n_1, n_0]]))
    npt.assert_allclose(p, get_slow_hwe_p(n_0, n_1, n_2), rtol=1e-12)


@pytest.mark.parametrize(
    "counts", [[3000, 1000, 0], [0, 2000, 0], [2000, 0, 3], [900, 1000, 1100]]
)
def test_get_hwe_p__of_thousands(counts):
    npt.assert_allclose(get_hwe_p(np.array(counts)), get_slow_hwe_p(*counts), rtol=1e-9)


def test_get_hwe_p__of_half_a_million():
    p = get_hwe_p(np.array([[250_000, 0, 250_000], [125_000, 250_000, 125_000]]))
    assert p.tolist() == [0, 1]


def make_packed(genotypes, is_case=None, fold=None):
    """Return planes and arrangement of genotypes."""
    m, n = genotypes.shape
    is_case = np.arange(n) % 2 if is_case is None else is_case
    arrangement = make_arrangement(is_case, np.arange(n) % 3 if fold is None else fold)
    codes, _ = pack_genotypes(genotypes, get_source(arrangement, np.arange(n)))
    is_missing = bool((genotypes < 0).any())
    planes = make_planes(m, arrangement.n_words, missing=is_missing)
    place_codes(codes, np.arange(m), planes)
    return planes, arrangement


@pytest.mark.parametrize("missing", [0, 0.1])
@pytest.mark.parametrize("order", [2, 3])
def test_get_model_r2__by_numpy(missing, order):
    rng = np.random.default_rng(order)
    genotypes = make_linked(rng, 20, 150, missing)
    genotypes[3] = 1
    models = np.array([rng.permutation(20)[:order] for _ in range(60)])
    models[0] = np.arange(3, 3 + order)
    pairs = [(a, b) for a in range(order) for b in range(a)]
    expected = [
        np.fmax.reduce([get_slow_r2(*genotypes[model[[a, b]]]) for a, b in pairs])
        for model in models
    ]
    npt.assert_allclose(get_model_r2(*make_packed(genotypes), models), expected)


@given(st.lists(st.integers(0, 9), min_size=9, max_size=9))
def test_get_r2__of_few_individuals(counts):
    table = np.array(counts).reshape(3, 3)
    x, y = (np.repeat(cell, table.ravel()) for cell in np.indices((3, 3)).reshape(2, 9))
    npt.assert_allclose(get_r2(table), get_slow_r2(x, y), atol=1e-12)


def prune_slowly(genotypes, frequency, position, window, step, limit):
    """Return who is left by the words of --indep-pairwise; a window of base pairs."""
    left = [len(set(row[row >= 0].tolist())) > 1 for row in genotypes]
    for first in range(0, len(genotypes), step):
        last = np.searchsorted(position, position[first] + window, side="right")
        is_changed = True
        while is_changed:
            is_changed = False
            for i in range(first, last):
                for j in range(i + 1, last):
                    if not (left[i] and left[j]):
                        continue
                    if get_slow_r2(genotypes[i], genotypes[j]) > limit * (1 + 1e-13):
                        is_rarer = frequency[i] < frequency[j] * (1 - 1e-13)
                        left[i if is_rarer else j] = False
                        is_changed = True
                        break
    return np.array(left)


@pytest.mark.parametrize(("window", "step"), [(5, 1), (10, 3), (30, 30), (2, 2)])
def test_prune_linked__by_definition(window, step):
    rng = np.random.default_rng(window)
    genotypes = make_linked(rng, 40, 120, 0.05)
    genotypes[7] = 2
    called = np.where(genotypes >= 0, genotypes, np.nan)
    frequency = np.nanmean(called, axis=1) / 2
    planes, arrangement = make_packed(genotypes)
    levels = get_levels(planes, arrangement, np.arange(40), level=False)
    options = {"step": step, "r2": 0.3}
    rarer = np.minimum(frequency, 1 - frequency)
    place = np.arange(40)
    slow = prune_slowly(genotypes, rarer, place, window - 1, step, 0.3)
    assert 5 < slow.sum() < 38
    for position, size in ((None, window), (place, window - 1)):
        left = prune_linked(levels, frequency, position, window=size, **options)
        npt.assert_array_equal(left, slow)


@pytest.mark.parametrize("program", ["plink1.9", "plink2"])
@pytest.mark.parametrize("words", ["50 5 0.2", "7 7 0.1", "30 kb 1 0.5"])
def test_prune_linked__as_plink(program, words, tmp_path):
    rng = np.random.default_rng(len(words))
    genotypes = make_linked(rng, 150, 100, 0.02)
    position = np.cumsum(rng.integers(0, 2000, 150))
    is_case = np.arange(100) % 2
    save_cohort(tmp_path / "x", genotypes, [3] * 150, is_case, positions=position)
    left = prune_by_plink(tmp_path, "--indep-pairwise", *words.split(), program=program)

    planes, arrangement = make_packed(genotypes, is_case)
    levels = get_levels(planes, arrangement, np.arange(150), level=False)
    called = np.where(genotypes >= 0, genotypes, np.nan)
    window, *kb, step, r2 = words.split()
    ours = prune_linked(
        levels,
        np.nanmean(called, axis=1) / 2,
        position if kb else None,
        window=int(window) * (1000 if kb else 1),
        step=int(step),
        r2=float(r2),
    )
    assert left == [f"v{v}" for v in np.flatnonzero(ours)]
