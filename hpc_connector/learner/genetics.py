"""Hardy-Weinberg equilibrium of a variant, linkage disequilibrium of two or many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner._genetics_kernels import SLIGHT, fill_hwe_p, prune
from hpc_connector.learner.mdr.bitplanes import Arrangement
from hpc_connector.learner.mdr.models import count_models, get_levels

COPIES = np.arange(3)


def get_hwe_p(counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the p-value of the exact test of Hardy-Weinberg equilibrium.

    The probability, given the alleles, of as many heterozygotes as there are, or of
    any number that is as probable or less (Wigginton, Cutler, Abecasis 2005,
    doi:10.1086/429864); no mid-p. 1 where nobody is called.

    Parameters
    ----------
    counts
        Carriers of 0, 1 and 2 copies, integers (..., 3).

    Returns
    -------
    float64 (...).

    Examples
    --------
    >>> get_hwe_p(np.array([[57, 14, 50], [25, 50, 25]])).round(4).tolist()
    [0.0, 1.0]
    """
    flat = np.ascontiguousarray(counts, np.int64).reshape(-1, 3)
    p = np.empty(len(flat))
    fill_hwe_p(flat, p)
    found: NDArray[np.float64] = p.reshape(counts.shape[:-1])
    return found


def get_r2(counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the squared correlation of the copies of two variants.

    Parameters
    ----------
    counts
        Individuals of each pair of genotypes, called at both, integers (..., 3, 3).

    Returns
    -------
    float64 (...); NaN where one of them does not vary.

    Examples
    --------
    >>> get_r2(np.diag([3, 4, 5])).item(), get_r2(np.full((3, 3), 2)).item()
    (1.0, 0.0)
    """
    n = counts.sum(axis=(-2, -1))
    x, y = counts.sum(axis=-1), counts.sum(axis=-2)
    sum_x, sum_y = x @ COPIES, y @ COPIES
    variance_x = n * (x @ COPIES**2) - sum_x**2
    variance_y = n * (y @ COPIES**2) - sum_y**2
    covariance = n * ((counts @ COPIES) @ COPIES) - sum_x * sum_y
    product = np.asarray(variance_x, np.float64) * variance_y
    square = np.asarray(covariance, np.float64) ** 2
    r2 = np.full(product.shape, np.nan)
    np.divide(square, product, out=r2, where=product > 0)
    return r2


def get_model_r2(
    planes: NDArray[np.int32], arrangement: Arrangement, models: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the greatest r2 of two variants of each model.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16), see ``mdr/bitplanes.py``.
    models
        Variant indices, int64 (models, order).

    Returns
    -------
    float64 (models,); NaN where none of its variants vary.
    """
    order = models.shape[1]
    greatest = np.full(len(models), np.nan)
    for a in range(order):
        for b in range(a + 1, order):
            pairs = models[:, [a, b]]
            counts = count_models(planes, arrangement, pairs, level=False)
            r2 = get_r2(counts.sum(axis=1).reshape(-1, 3, 3))
            greatest = np.fmax(greatest, r2)
    return greatest


def get_first_control_word(arrangement: Arrangement) -> int:
    """Return the first word of the controls, who follow the cases."""
    return int(arrangement.group_start[arrangement.folds])


def count_carriers(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    variants: NDArray[np.int64],
    first_word: int = 0,
    chosen: NDArray[np.int32] | None = None,
) -> NDArray[np.int64]:
    """Count the carriers of 0, 1 and 2 copies of some variants.

    Parameters
    ----------
    first_word
        Of the individuals that count: 0 for all, that of the first control for
        controls alone.
    chosen
        A bit for each individual that counts, int32 (words,); None for all.

    Returns
    -------
    int64 (variants, 3).
    """
    levels = get_levels(planes, arrangement, variants, level=False)
    if chosen is not None:
        levels &= chosen.view(np.uint32)[:, None]
    of_words = np.bitwise_count(levels[:, first_word:])
    carriers: NDArray[np.int64] = of_words.sum(axis=1, dtype=np.int64)
    return carriers


def prune_linked(
    levels: NDArray[np.uint32],
    frequency: NDArray[np.float64],
    position: NDArray[np.int64] | None,
    *,
    window: int,
    step: int,
    r2: float,
) -> NDArray[np.bool_]:
    """Return which variants of a chromosome are left when no two near ones are linked.

    In a window, each variant is compared with those after it; of two whose r2 exceeds
    the limit the one of the rarer allele leaves, or the second if they are equal; until
    none exceeds it. The window then moves on (PLINK's --indep-pairwise). Variants
    of one genotype leave.

    Parameters
    ----------
    levels
        From ``mdr.models.get_levels``, uint32 (variants, words, 3), in order.
    frequency
        Of the counted allele, float64 (variants,).
    position
        Base pairs, ascending, int64 (variants,), if the window is of so many; None if
        it is of so many variants.

    Returns
    -------
    bool (variants,).
    """
    n, n_words, _ = levels.shape
    carriers = np.zeros((n, 3, n_words + n_words % 2), np.uint32)
    carriers[:, 0, :n_words] = np.bitwise_or.reduce(levels, axis=2)
    carriers[:, 1:, :n_words] = levels[:, :, 1:].transpose(0, 2, 1)
    n_of = np.bitwise_count(levels).sum(axis=1, dtype=np.int64)
    is_out = np.asarray((n_of > 0).sum(axis=1) < 2)
    rarer = np.minimum(frequency, 1 - frequency)
    place = np.empty(0, np.int64) if position is None else position
    words = carriers.view(np.uint64)
    prune(words, rarer, place, window, step, r2 * (1 + SLIGHT), is_out)
    return ~is_out
