"""The search itself, as every party does it: sites, ranks, a hub."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.federation.release import get_pooled_fingerprint
from hpc_connector.federation.stages import (
    Kept,
    Party,
    Show,
    choose_variants,
    search_pairs,
    sum_tables,
    sum_variants,
)
from hpc_connector.federation.variants import Reference
from mdr_epistasis.federated.budget import POOLED, spend
from mdr_epistasis.federated.result import describe, let_out, list_all, list_variants
from mdr_epistasis.output.files import Columns

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a search over sites has found, as all sites are told.

    Parameters
    ----------
    total
        Cases and controls of all sites.
    variants
        Columns of the variants that were searched.
    out
        What is let out: columns of the models, maybe tables, and the budget of all.
    """

    total: tuple[int, int]
    kept: Kept
    variants: Columns
    out: dict[str, Any]


def search(
    party: Party,
    total: tuple[int, int],
    reference: Reference,
    records: Path,
    show: Show,
) -> Found:
    """Search the pairs of all sites; who scores counts the query of all.

    Parameters
    ----------
    records
        Folder of the budget of who scores.

    Raises
    ------
    BadInput
        Sums cannot be true, the budget is used up, or no variants are left.
    """
    study, link = party.study, party.link
    counts = sum_variants(party, total)
    used = None
    if counts is not None:
        cohort = get_pooled_fingerprint(counts)
        used = spend(records, study, POOLED, cohort, "all sites together")
    kept, pooled = choose_variants(party, counts)
    say_kept(kept, len(reference))
    best = search_pairs(party, kept, pooled, show)
    models = link.tell(None if best is None else list_all(best, study.folds)[2])
    tables = sum_tables(party, kept, pooled, models)
    variants = list_variants(reference, kept)
    out = None
    if pooled is not None and best is not None and tables is not None:
        columns = describe(pooled, kept, best, tables, variants)
        levels = round(columns["cases"].shape[1] ** 0.5)
        out = let_out(study, columns) | {"levels": levels, "queries": used}
    return Found(total, kept, variants, link.tell(out))


def say_kept(kept: Kept, n_listed: int) -> None:
    """Log how many variants are searched."""
    logger.info("%d of %d variants of the list kept", len(kept.layout.rows), n_listed)
    for reason, n_removed in kept.removed.items():
        logger.info("note: variants left out, %s: %d", reason, n_removed)
    for note in kept.notes:
        logger.info("note: %s", note)
