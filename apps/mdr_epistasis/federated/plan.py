"""What a federated search will send, before anything is sent."""

import math
from dataclasses import replace
from typing import Any

from hpc_connector.federation.blocks import MESSAGE_BYTES
from hpc_connector.federation.study import Study
from hpc_connector.learner.mdr.bitplanes import LANES

GBIT_BYTES_A_S = 125e6
HUB_BYTES_A_S = 157 * 2**20  # that Python adds up, of all sites, with TLS
MISSING_SHARE = 1 / 7  # of pairs that need folds where 2 % of genotypes are missing
# Seconds of one core: of a pair and individual, and of a byte of masks
COUNT_S, MASK_S = 1 / 100e9, 1 / 700e6
FOUR, NINE = 4, 9


def make_plan(study: Study, n_variants: int, n_individuals: int) -> dict[str, Any]:
    """Return bytes and hours of a federated search.

    Parameters
    ----------
    n_variants
        Of the list, before filters.
    n_individuals
        Of all sites, 0 if not known: then fewer than 65,536.
    """
    n_sites = len(study.sites)
    itemsize = 2 if n_individuals < 1 << 16 else 4
    pairs = math.comb(n_variants, 2)
    groups = 2 * study.folds
    by_folds = sends_folds(study, n_variants)
    of_variants = 4 * groups * n_variants * itemsize
    totals, of_permutations = {}, {}
    one = replace(study, top=1, cvc="none")
    for kind, n_cells in (("complete", FOUR), ("with_missing", NINE)):
        about = n_variants, n_cells, itemsize
        shuffled = of_variants + count_pairs(one, *about, by_folds=not is_bounded(one))
        of_permutations[kind] = study.permutations * shuffled
        pairs_bytes = count_pairs(study, *about, by_folds=by_folds)
        own = of_variants + n_variants * itemsize + pairs_bytes
        totals[kind] = own + of_permutations[kind]
    return {
        "study": study.name,
        "sites": n_sites,
        "variants": n_variants,
        "pairs": pairs,
        "bits": 8 * itemsize,
        "pairs_by_folds": "all" if by_folds else "those that may be among the best",
        "cv_consistency": study.is_exact(n_variants),
        "permutations": study.permutations,
        "bytes_a_site": totals,
        "of_which_permutations": of_permutations,
        "messages_a_site": {k: -(-n // MESSAGE_BYTES) for k, n in totals.items()},
        "hours_at_1_gbit_a_site": {
            k: round(n / GBIT_BYTES_A_S / 3600, 4) for k, n in totals.items()
        },
        "hours_of_a_python_hub": {
            k: round(n_sites * n / HUB_BYTES_A_S / 3600, 4) for k, n in totals.items()
        },
        "cpu_hours_of_masks_a_site": {
            k: round((n_sites - 1) * n * MASK_S / 3600, 4) for k, n in totals.items()
        },
        "says": (
            "each site sends so many bytes, and receives as many where it sees sums; "
            "complete: nobody lacks a genotype; with_missing: 2 % of genotypes lack; "
            "variants are of the list, before filters"
        ),
    }


def sends_folds(study: Study, n_variants: int) -> bool:
    """Return whether all pairs are sent by folds, as far as the study says."""
    return study.is_exact(n_variants) or not is_bounded(study)


def is_bounded(study: Study) -> bool:
    """Return whether most pairs are held back by a bound, as far as the study says."""
    if study.rank_by == "whole" or study.folds == 1:
        return True
    return study.rank_by != "train" and study.fold_mode == "dealt"


def count_pairs(
    study: Study, n_variants: int, n_cells: int, itemsize: int, *, by_folds: bool
) -> int:
    """Return the bytes of the tables of all pairs, and of those by folds.

    Tiles are of whole blocks of variants, each with itself too.
    """
    n_blocks, pairs = -(-n_variants // LANES), math.comb(n_variants, 2)
    tiled = n_blocks * (n_blocks + 1) // 2 * LANES**2
    of_folds = n_cells * 2 * study.folds * itemsize
    if by_folds:
        return tiled * of_folds + min(study.top, pairs) * NINE * of_folds // n_cells
    top = min(study.top, pairs)
    listed = min(pairs, int(4 * top * (1 + math.log(max(pairs / top, 1)))))
    if n_cells == NINE and study.missing == "exclude" and study.rank_by == "test":
        listed = max(listed, int(MISSING_SHARE * pairs))
    return tiled * n_cells * 2 * itemsize + listed * of_folds
