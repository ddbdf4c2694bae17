"""Slow and obvious generalised MDR, by its definition: the oracle of the kernels."""

from itertools import combinations

from naive import mean

TIE = 1e-12  # of the product of both sums: equal but for rounding


def add_cells(genotypes, score, level):
    """Return cells of one model: {combination: [sum of s > 0, sum of -s < 0]}."""
    cells = {}
    for combination, s in zip(zip(*genotypes, strict=True), score, strict=True):
        if -1 in combination and not level:
            continue
        cell = cells.setdefault(combination, [0, 0])
        cell[0 if s > 0 else 1] += abs(s)
    return cells


def sums(cells):
    """Return the sums of positive and of negative scores."""
    return sum(p for p, _ in cells.values()), sum(m for _, m in cells.values())


def high_risk(cells, tie_low):
    """Return the set of high-risk combinations of training cells."""
    total, other = sums(cells)
    high = set()
    for combination, (p, m) in cells.items():
        excess, tie = p * other - m * total, TIE * total * other
        if p > 0 and (excess > tie or (excess >= -tie and not tie_low)):
            high.add(combination)
    return high


def balanced_accuracy(cells, high):
    """Return the mean of the shares that the labels get right; None without a sign."""
    total, other = sums(cells)
    if total == 0 or other == 0:
        return None
    hits = sum(p for c, (p, _) in cells.items() if c in high)
    rejections = sum(m for c, (_, m) in cells.items() if c not in high)
    return (hits / total + rejections / other) / 2


def gmdr(genotypes, score, fold, *, level=False, tie_low=False):
    """Return the accuracies of one model: test, train, whole, and training of folds.

    Parameters
    ----------
    genotypes
        int8 (order, individuals), -1 missing.
    score
        Of each individual: residuals, or integers, which make it exact.
    """
    train, test = [], []
    for f in range(int(max(fold)) + 1):
        inside, outside = fold == f, fold != f
        trained = add_cells(genotypes[:, outside], score[outside].tolist(), level)
        tested = add_cells(genotypes[:, inside], score[inside].tolist(), level)
        high = high_risk(trained, tie_low)
        train.append(balanced_accuracy(trained, high))
        test.append(balanced_accuracy(tested, high))
    cells = add_cells(genotypes, score.tolist(), level)
    whole = balanced_accuracy(cells, high_risk(cells, tie_low))
    if max(fold) == 0:
        return whole, whole, whole, [whole]
    return mean(test), mean(train), whole, train


def search(genotypes, score, fold, order, **rules):
    """Return {model: accuracies} of every combination of variants."""
    return {
        model: gmdr(genotypes[list(model)], score, fold, **rules)
        for model in combinations(range(len(genotypes)), order)
    }
