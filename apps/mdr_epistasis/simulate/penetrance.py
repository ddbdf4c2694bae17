"""Penetrance tables: the risk of each combination of genotypes at some variants.

A table is its mean, the prevalence K, plus a deviation. With deviations of unit
variance under Hardy-Weinberg proportions the scale alone sets the heritability,
h2 = var(penetrance) / (K (1 - K)) (Urbanowicz et al. 2012, GAMETES,
doi:10.1186/1756-0381-5-16), and the bounds 0 and 1 say how far it can go.
"""

from functools import reduce

import numpy as np

from hpc_connector.errors import BadInput


def get_hardy_weinberg(maf: float) -> np.ndarray:
    """Return the frequencies of the genotypes 0, 1, 2, shape (3,)."""
    return np.array([(1 - maf) ** 2, 2 * maf * (1 - maf), maf**2])


def get_cell_frequencies(order: int, maf: float) -> np.ndarray:
    """Return the frequency of every combination of genotypes, shape (3,) * order."""
    return reduce(np.multiply.outer, [get_hardy_weinberg(maf)] * order)


def get_heritability(penetrance: np.ndarray, maf: float) -> float:
    """Return h2 = var(penetrance) / (K (1 - K)), with K the mean penetrance."""
    frequency = get_cell_frequencies(penetrance.ndim, maf)
    prevalence = (frequency * penetrance).sum()
    variance = (frequency * (penetrance - prevalence) ** 2).sum()
    return variance / (prevalence * (1 - prevalence))


def get_reach(deviation: np.ndarray, prevalence: float) -> np.ndarray:
    """Return the greatest h2 at which penetrances along a deviation stay in 0..1.

    Parameters
    ----------
    deviation
        From the mean penetrance, of unit variance, shape (..., cells).
    """
    up = (1 - prevalence) / deviation.max(axis=-1)
    down = prevalence / -deviation.min(axis=-1)
    return np.minimum(up, down) ** 2 / (prevalence * (1 - prevalence))


def get_pure_basis(order: int, maf: float) -> np.ndarray:
    """Return the deviations no smaller set of variants shows, (2**order, 3**order).

    They are the products of the additive and dominance contrasts of each variant
    (Cockerham 1954, Genetics 39:859): orthonormal under Hardy-Weinberg, and of zero
    mean over any one variant.
    """
    odds = maf / (1 - maf)
    additive = (np.arange(3) - 2 * maf) / np.sqrt(2 * maf * (1 - maf))
    dominance = np.array([-odds, 1, -1 / odds])
    return reduce(np.kron, [np.stack([additive, dominance])] * order)


def draw_pure_deviation(
    basis: np.ndarray, heritability: float, prevalence: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw a deviation that reaches a heritability, shape (cells,).

    The first of a random thousand that does. Where none does, the best are varied
    by smaller and smaller steps until one does, or until they improve no more.

    Raises
    ------
    BadInput
        No model of this frequency and prevalence has such a heritability.
    """
    weights = rng.normal(size=(1000, len(basis)))
    for step in 0.5 * 0.85 ** np.arange(100):
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        reach = get_reach(weights @ basis, prevalence)
        if reach.max() >= heritability:
            return weights[np.argmax(reach >= heritability)] @ basis
        best = weights[np.argsort(-reach)[:50]]
        around = np.repeat(best, 19, axis=0)
        weights = np.concatenate([best, around + step * rng.normal(size=around.shape)])
    raise BadInput(describe_reach(heritability, reach.max(), "pure"))


def get_threshold_deviation(
    order: int, maf: float, heritability: float, prevalence: float
) -> np.ndarray:
    """Return the deviation of the threshold model, shape (cells,).

    Risk is raised in whoever carries the minor allele at every planted variant:
    model 3 of Marchini et al. 2005, doi:10.1038/ng1537.

    Raises
    ------
    BadInput
        The model cannot have such a heritability.
    """
    carries = reduce(np.multiply.outer, [np.arange(3) > 0] * order).ravel()
    fraction = (1 - (1 - maf) ** 2) ** order
    deviation = (carries - fraction) / np.sqrt(fraction * (1 - fraction))
    reach = float(get_reach(deviation, prevalence))
    if reach < heritability:
        raise BadInput(describe_reach(heritability, reach, "threshold"))
    return deviation


def describe_reach(heritability: float, reach: float, model: str) -> str:
    """Return the message on a heritability out of reach."""
    return (
        f"--heritability {heritability} is out of reach: a {model} model of this "
        f"order, --maf and --prevalence has at most about {reach:.4f}"
    )


def make_penetrance(
    order: int,
    maf: float,
    heritability: float,
    prevalence: float,
    *,
    pure: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the risk of each combination of genotypes, shape (3,) * order.

    Mean risk and heritability are as asked. A pure model is drawn at random, and the
    mean risk given the genotypes of any fewer than all variants is the prevalence
    ("pure, strict" in Urbanowicz et al. 2012); the other one is the threshold model
    of :func:`get_threshold_deviation`.

    Raises
    ------
    BadInput
        The heritability is out of reach; the message says what can be had.
    """
    if pure:
        basis = get_pure_basis(order, maf)
        deviation = draw_pure_deviation(basis, heritability, prevalence, rng)
    else:
        deviation = get_threshold_deviation(order, maf, heritability, prevalence)
    scale = np.sqrt(heritability * prevalence * (1 - prevalence))
    return np.clip(prevalence + scale * deviation, 0, 1).reshape((3,) * order)
