"""The best model under shuffled labels, which each site shuffles among its own."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpc_connector.federation.folds import shuffle_within
from hpc_connector.federation.pooled import Pooled, is_pruned, refuse
from hpc_connector.federation.stages import (
    Kept,
    Party,
    Show,
    search_pairs,
    sum_carriers,
)

BLOCKS = 1 << 44  # numbers of blocks of a permutation


def find_maxima(
    party: Party,
    total: tuple[int, int],
    kept: Kept,
    pooled: Pooled | None,
    show: Show = None,
) -> NDArray[np.float64] | None:
    """Return the statistic of the best model of each permutation to the scorer.

    It is searched as the models are, but for one model, so that the bound holds most
    pairs back.

    Parameters
    ----------
    total
        Cases and controls of all sites.

    Returns
    -------
    float64 (permutations,); None to others.

    Raises
    ------
    BadInput
        Sums cannot be true.
    """
    by_folds = None if pooled is None else not is_pruned(pooled)
    by_folds = party.link.tell(by_folds)
    searched = kept._replace(by_folds=by_folds, is_exact=False)
    maxima = []
    for permutation, one in enumerate(list_shuffled(party), 1):
        counts = sum_carriers(one, kept.layout.rows, total)
        of_one = None
        if counts is not None and pooled is not None:
            of_one = Pooled(one.study, kept.layout, counts)
            if (of_one.size != pooled.size).any():
                refuse(f"permutation {permutation}, folds of other sizes")
        best = search_pairs(one, searched, of_one)
        if best is not None:
            maxima.append(best.key[0, 0])
        if show:
            show(permutation, party.study.permutations)
    return None if pooled is None else np.array(maxima, np.float64)


def list_shuffled(party: Party) -> Iterator[Party]:
    """Yield a party under the labels of each permutation, whose best model is asked."""
    study, local = replace(party.study, top=1), party.local
    for permutation in range(1, study.permutations + 1):
        one = replace(party, study=study, first=permutation * BLOCKS)
        if local is None:
            yield one
            continue
        size = local.in_folds.arrangement.group_size
        about = study.seed, permutation, study.names.index(party.link.site)
        labels = shuffle_within(local.is_case.astype(np.int8), size, *about)
        yield replace(one, local=local.shuffle(*labels))
