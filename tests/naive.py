"""Slow and obvious MDR, after spec and textbook: the oracle of the kernels."""

from fractions import Fraction
from itertools import combinations


def count_cells(genotypes, is_case, level):
    """Return cells of one model: {combination: [cases, controls]}; -1 is missing."""
    cells = {}
    for individual, combination in enumerate(zip(*genotypes, strict=True)):
        if -1 in combination and not level:
            continue
        cell = cells.setdefault(combination, [0, 0])
        cell[0 if is_case[individual] else 1] += 1
    return cells


def sizes(cells):
    """Return counted cases and controls."""
    return sum(a for a, _ in cells.values()), sum(u for _, u in cells.values())


def high_risk(cells, tie_low):
    """Return the set of high-risk combinations of training cells."""
    n1, n0 = sizes(cells)
    high = set()
    for combination, (a, u) in cells.items():
        is_tie = a * n0 == u * n1
        if a > 0 and (a * n0 > u * n1 or (is_tie and not tie_low)):
            high.add(combination)
    return high


def balanced_accuracy(cells, high):
    """Return (sensitivity + specificity) / 2 as a fraction; None without a class."""
    n1, n0 = sizes(cells)
    if n1 == 0 or n0 == 0:
        return None
    hits = sum(a for c, (a, _) in cells.items() if c in high)
    rejections = sum(u for c, (_, u) in cells.items() if c not in high)
    return (Fraction(hits, n1) + Fraction(rejections, n0)) / 2


def mean(values):
    """Return the mean of those that exist, None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def mdr(genotypes, is_case, fold, *, level=False, tie_low=False):
    """Return the scores of one model.

    Parameters
    ----------
    genotypes
        int8 (order, individuals), -1 missing.

    Returns
    -------
    test, train, whole: Fractions (None where undefined); fold_train: list.
    """
    n_folds = int(max(fold)) + 1
    train, test = [], []
    for f in range(n_folds):
        inside, outside = fold == f, fold != f
        trained = count_cells(genotypes[:, outside], is_case[outside], level)
        tested = count_cells(genotypes[:, inside], is_case[inside], level)
        high = high_risk(trained, tie_low)
        train.append(balanced_accuracy(trained, high))
        test.append(balanced_accuracy(tested, high))
    cells = count_cells(genotypes, is_case, level)
    whole = balanced_accuracy(cells, high_risk(cells, tie_low))
    if n_folds == 1:
        return whole, whole, whole, [whole]
    return mean(test), mean(train), whole, train


def search(genotypes, is_case, fold, order, **rules):
    """Return {model: scores} of every combination of variants."""
    return {
        model: mdr(genotypes[list(model)], is_case, fold, **rules)
        for model in combinations(range(len(genotypes)), order)
    }
