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
MASK_S = 1 / 700e6  # of one core, for a byte of masks
FOUR, NINE = 4, 9
FEW = 1 << 16  # individuals whose counts need more than 16 bits
CASES = ("complete", "with_missing", "at_most")
SAYS = (
    "each site sends so many bytes, and receives as many where it sees sums; complete: "
    "nobody lacks a genotype; with_missing: 2 % of genotypes lack, and every seventh "
    "pair goes by folds, as of large cohorts; at_most: every pair does, as of small "
    "ones; variants are of the list, before filters"
)


def make_plan(study: Study, n_variants: int, n_individuals: int = 0) -> dict[str, Any]:
    """Return bytes and hours of a federated search.

    Parameters
    ----------
    n_variants
        Of the list, before filters.
    n_individuals
        Of all sites, 0 if not known: then the plan is of fewer than 65,536, and says
        what more would take.
    """
    by_folds = sends_folds(study, n_variants)
    plan = {
        "study": study.name,
        "sites": len(study.sites),
        "variants": n_variants,
        "pairs": math.comb(n_variants, 2),
        "pairs_by_folds": "all" if by_folds else "those that may be among the best",
        "cv_consistency": study.is_exact(n_variants),
        "permutations": study.permutations,
    }
    if n_individuals:
        width = 2 if n_individuals < FEW else 4
        return plan | describe(study, n_variants, width) | {"says": SAYS}
    many = describe(study, n_variants, 4)
    return plan | describe(study, n_variants, 2) | {"from_65536": many, "says": SAYS}


def describe(study: Study, n_variants: int, itemsize: int) -> dict[str, Any]:
    """Return what a site sends and takes with numbers of some bytes."""
    n_sites, n = len(study.sites), study.permutations
    of_variants = n_variants * 4 * 2 * study.folds * itemsize
    one = replace(study, top=1, cvc="none")
    about = n_variants, itemsize
    shuffled = {c: n * (of_variants + count_bytes(one, c, *about)) for c in CASES}
    own = of_variants + n_variants * itemsize
    totals = {c: own + count_bytes(study, c, *about) + shuffled[c] for c in CASES}
    return {
        "bits": 8 * itemsize,
        "bytes_a_site": totals,
        "of_which_permutations": shuffled,
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
    }


def sends_folds(study: Study, n_variants: int) -> bool:
    """Return whether all pairs are sent by folds, as far as the study says."""
    is_bounded = study.rank_by != "train" and study.fold_mode == "dealt"
    is_bounded |= study.rank_by == "whole" or study.folds == 1
    return study.is_exact(n_variants) or not is_bounded


def count_bytes(study: Study, case: str, n_variants: int, itemsize: int) -> int:
    """Return the bytes of the tables of all pairs, and of those by folds, in a case.

    Tiles are of whole blocks of variants, each with itself too.
    """
    n_cells = FOUR if case == "complete" else NINE
    n_blocks, pairs = -(-n_variants // LANES), math.comb(n_variants, 2)
    tiled = n_blocks * (n_blocks + 1) // 2 * LANES**2
    of_folds = n_cells * 2 * study.folds * itemsize
    top = min(study.top, pairs)
    models = top * NINE * 2 * study.folds * itemsize
    if sends_folds(study, n_variants):
        return tiled * of_folds + models
    listed = min(pairs, int(4 * top * (1 + math.log(max(pairs / top, 1)))))
    if case != "complete" and study.missing == "exclude" and study.rank_by == "test":
        share = MISSING_SHARE if case == "with_missing" else 1
        listed = max(listed, int(share * pairs))
    return tiled * n_cells * 2 * itemsize + listed * of_folds + models
