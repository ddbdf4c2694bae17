"""What tells an artefact from an interaction: linkage, lack of equilibrium."""

import numpy as np

from hpc_connector.learner.genetics import (
    count_carriers,
    get_first_control_word,
    get_hwe_p,
    get_model_r2,
)
from mdr_epistasis.cohort.choice import name_chromosomes
from mdr_epistasis.cohort.filters import HAPLOID
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.cohort.sex import X, make_words


def describe_genetics(
    cohort: Cohort, models: np.ndarray, *, of_all: bool = False
) -> dict[str, np.ndarray]:
    """Return the columns r2 and hwe_p of some models.

    Parameters
    ----------
    models
        Variant indices, int64 (models, order).
    of_all
        Equilibrium is expected among all individuals, not among the controls, as
        where a trait is quantitative.

    Returns
    -------
    float64 (models,) and (models, order); NaN where there is none, as on Y, and on X
    if sex is not asked: there it is of females.
    """
    planes, arrangement = cohort.planes, cohort.arrangement
    first_word = 0 if of_all else get_first_control_word(arrangement)
    variants, place = np.unique(models, return_inverse=True)
    names = name_chromosomes(cohort.variants["chromosome"][variants])
    places = cohort.place[variants]
    counts = count_carriers(planes, arrangement, places, first_word)
    if cohort.is_male is not None:
        is_x = names == X
        female = make_words(arrangement, ~cohort.is_male)
        known = (planes, arrangement, places[is_x], first_word)
        counts[is_x] = count_carriers(*known, female)
    p = get_hwe_p(counts)
    p[np.isin(names, HAPLOID if cohort.is_male is not None else (*HAPLOID, X))] = np.nan
    r2 = get_model_r2(planes, arrangement, cohort.place[models])
    return {"r2": r2, "hwe_p": p[place].reshape(models.shape)}
