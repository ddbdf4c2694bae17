"""False discovery rate: how many decoys score as well as a target.

Palmer et al., Nature Methods 14 (2017), in the two forms of METASPACE's engine. They
are not comparable: version 3 gives a rate for each score, version 1 one of four levels.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation.ions import Candidates

LEVELS = (0.05, 0.1, 0.2, 0.5)


def run_fdr(
    score: NDArray[np.float64], candidates: Candidates, version: int
) -> NDArray[np.float64]:
    """Return the false discovery rate of each target ion of a database.

    Parameters
    ----------
    score
        Of all ions, shape (ions,); 0 for one without.
    version
        METASPACE's analysis version, 3 or 1.

    Returns
    -------
    Shape (formulas, targets), NaN for a target without a score; each target modifier
    is ranked by itself.
    """
    padded = np.append(score, 0.0)  # where -1, no ion, points to
    targets, decoys = padded[candidates.target], padded[candidates.decoy]
    fdr = np.full(targets.shape, np.nan)
    get_fdr = get_continuous_fdr if version == 3 else get_digitised_fdr
    for k in range(targets.shape[1]):
        scored = targets[:, k] > 0
        fdr[scored, k] = get_fdr(targets[scored, k], decoys[:, k])
    return fdr


def get_continuous_fdr(
    targets: NDArray[np.float64], decoys: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the rate of each target score, version 3.

    (1 + decoys at or above) / decoys of a target / (1 + targets at or above), and never
    more than at a lower score. The ones are a rule of succession.

    Parameters
    ----------
    targets
        Shape (targets,).
    decoys
        Shape (formulas, decoys), 0 without a score.
    """
    order = np.argsort(targets)
    fdr = (1 + count_at_least(decoys[decoys > 0], targets[order])) / decoys.shape[1]
    fdr = fdr / (1 + count_at_least(targets, targets[order]))
    found = np.empty(len(targets))
    found[order] = np.minimum.accumulate(fdr)
    return found


def get_digitised_fdr(
    targets: NDArray[np.float64], decoys: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the level of each target score, version 1; 1 if it reaches none.

    Decoys over targets at or above a score, the median over decoys of each draw; a
    level begins at the lowest score whose rate is below it.

    Parameters
    ----------
    targets, decoys
        As in ``get_continuous_fdr``.
    """
    n_targets = count_at_least(targets, targets)
    draws = [count_at_least(d[d > 0], targets) / n_targets for d in decoys.T]
    fdr = np.median(draws, axis=0)
    found = np.ones(len(targets))
    for level in reversed(LEVELS):
        if (fdr < level).any():
            found[targets >= targets[fdr < level].min()] = level
    return found


def count_at_least(
    scores: NDArray[np.float64], limits: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many scores are at or above each limit."""
    return len(scores) - np.searchsorted(np.sort(scores), limits, side="left")


def get_level(fdr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first level that a rate, rounded to two digits, is within; else 1."""
    places = np.searchsorted(LEVELS, np.round(fdr, 2))
    return np.append(LEVELS, 1.0)[places]
