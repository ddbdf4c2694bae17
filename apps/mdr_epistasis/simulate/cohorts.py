"""Cohorts with a known answer: two or three interacting variants among many.

The planted variants raise the risk of their carriers by a penetrance table; the
others say nothing of the phenotype. Genotypes count copies of the minor allele and
follow Hardy-Weinberg proportions in the population; cases and controls are drawn
from it, each class by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpc_connector.errors import BadInput
from mdr_epistasis.simulate.penetrance import get_cell_frequencies, make_penetrance

BLOCK_GENOTYPES = 1 << 22  # of one block in memory; its random numbers take 16 MB


@dataclass(frozen=True)
class Design:
    """What is simulated; every field is an option of the command.

    Parameters
    ----------
    maf
        Minor allele frequency of the planted variants.
    heritability
        Variance of the penetrance over that of the phenotype, K (1 - K).
    prevalence
        K, the fraction of the population that is affected.
    cases_fraction
        Fraction of the sampled individuals that are affected.
    missing_rate
        Fraction of the genotypes that are not called.
    """

    variants: int
    individuals: int
    order: int
    heritability: float
    maf: float
    seed: int
    pure: bool = False
    prevalence: float = 0.5
    cases_fraction: float = 0.5
    missing_rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        check(self.order in (2, 3), "--order", self.order, "2 or 3")
        check(
            self.variants >= self.order, "--variants", self.variants, "--order or more"
        )
        check(0 <= self.heritability <= 1, "--heritability", self.heritability, "0..1")
        check(0 < self.maf <= 0.5, "--maf", self.maf, "above 0, at most 0.5")
        check(0 < self.prevalence < 1, "--prevalence", self.prevalence, "inside 0..1")
        check(self.seed >= 0, "--seed", self.seed, "0 or more")
        check(0 <= self.missing_rate < 1, "--missing-rate", self.missing_rate, "0..1")
        fraction = self.cases_fraction
        check(0 < fraction < 1, "--cases-fraction", fraction, "inside 0..1")
        both = 0 < self.n_cases < self.individuals
        where = f"--cases-fraction {fraction} of --individuals"
        check(both, where, self.individuals, "at least one case and one control")

    @property
    def n_cases(self) -> int:
        """Number of cases among the individuals."""
        return round(self.individuals * self.cases_fraction)


def check(is_met: bool, option: str, found: object, expected: str) -> None:
    """Raise BadInput unless a condition on an option is met."""
    if not is_met:
        raise BadInput(f"{option} {found} cannot be simulated: expected {expected}")


# Genotypes


def simulate_planted(
    penetrance: np.ndarray, maf: float, is_case: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the genotypes of the planted variants given the class of each individual.

    Returns
    -------
    Shape (order, individuals), int8.
    """
    frequency = get_cell_frequencies(penetrance.ndim, maf)
    cell = np.empty(len(is_case), dtype=np.int64)
    for affected, risk in ((True, penetrance), (False, 1 - penetrance)):
        given_class = (frequency * risk).ravel()
        chosen = is_case == affected
        cell[chosen] = rng.choice(
            frequency.size, size=chosen.sum(), p=given_class / given_class.sum()
        )
    return np.stack(np.unravel_index(cell, frequency.shape)).astype(np.int8)


def simulate_genotypes(
    n_variants: int,
    planted: np.ndarray,
    planted_genotypes: np.ndarray,
    missing_rate: float,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield all genotypes, in blocks of shape (variants, individuals), int8.

    Variants that are not planted have a minor allele frequency uniform in 0.05..0.5.

    Parameters
    ----------
    planted
        Positions of the planted variants among all, shape (order,).
    planted_genotypes
        From :func:`simulate_planted`.
    missing_rate
        Fraction of genotypes that are -1, among the planted ones too.
    """
    noise, holes = rng.spawn(2)  # the called genotypes are the same at any missing rate
    n_individuals = planted_genotypes.shape[1]
    step = max(1, BLOCK_GENOTYPES // n_individuals)
    for first in range(0, n_variants, step):
        maf = noise.uniform(0.05, 0.5, size=min(step, n_variants - first))
        genotypes = draw_genotypes(maf, n_individuals, noise)
        is_here = (planted >= first) & (planted < first + len(maf))
        genotypes[planted[is_here] - first] = planted_genotypes[is_here]
        if missing_rate > 0:
            genotypes[holes.random(genotypes.shape, np.float32) < missing_rate] = -1
        yield genotypes


def draw_genotypes(
    maf: np.ndarray, n_individuals: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw Hardy-Weinberg genotypes, shape (variants, individuals), int8."""
    uniform = rng.random((len(maf), n_individuals), dtype=np.float32)
    two = (maf**2).astype(np.float32)[:, None]
    one_or_two = (1 - (1 - maf) ** 2).astype(np.float32)[:, None]
    return np.add(uniform < two, uniform < one_or_two, dtype=np.int8)


@dataclass(frozen=True)
class Simulated:
    """A cohort that is drawn.

    Parameters
    ----------
    is_case
        Who is a case, bool (individuals,).
    planted
        Positions of the interacting variants among all, int64 (order,), in order.
    penetrance
        Risk of each combination of their genotypes, float64 (3,) * order.
    blocks
        All genotypes, int8 (variants, individuals) each; they can be taken once.
    """

    is_case: np.ndarray
    planted: np.ndarray
    penetrance: np.ndarray
    blocks: Iterator[np.ndarray]


def draw_cohort(design: Design) -> Simulated:
    """Draw a cohort; the same design gives the same one.

    Raises
    ------
    BadInput
        The heritability is out of reach.
    """
    model_rng, cohort_rng, genotype_rng = np.random.default_rng(design.seed).spawn(3)
    penetrance = make_penetrance(
        design.order,
        design.maf,
        design.heritability,
        design.prevalence,
        pure=design.pure,
        rng=model_rng,
    )
    is_case = cohort_rng.permutation(np.arange(design.individuals) < design.n_cases)
    planted = cohort_rng.choice(design.variants, size=design.order, replace=False)
    blocks = simulate_genotypes(
        design.variants,
        np.sort(planted),
        simulate_planted(penetrance, design.maf, is_case, cohort_rng),
        design.missing_rate,
        genotype_rng,
    )
    return Simulated(is_case, np.sort(planted), penetrance, blocks)
