"""What a hub does beside adding up: it scores, and has no genotypes."""

import logging
from pathlib import Path

from hpc_connector.federation.joining import join
from hpc_connector.federation.records import make_folder, open_log, tell
from hpc_connector.federation.site import check_total
from hpc_connector.federation.stages import Party, sum_sizes
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Transport, get_type
from hpc_connector.federation.variants import read_reference
from hpc_connector.pipeline.terminal import make_progress
from mdr_epistasis.federated.budget import POOLED
from mdr_epistasis.federated.search import search

logger = logging.getLogger(__name__)


def run(transport: Transport, study: Study, records: Path) -> None:
    """Score the search of a study, once its sites are there.

    Parameters
    ----------
    transport
        Of who scores.
    records
        Folder of the hub's budget and log.

    Raises
    ------
    BadInput
        The sites do not fit, what they send cannot be true, or the budget is used up.
    """
    make_folder(records)
    reference = read_reference(study.reference, study.palindromic)
    link, _ = join(transport, study, None, None)
    logger.info("all %d sites are here", len(study.sites))
    total = sum_sizes(link, None)
    check_total(study, total)
    party = Party(study, link, None, len(reference), get_type(sum(total)))
    show = make_progress(quiet=False, unit="blocks")
    found = search(party, total, reference, records, show)
    n = len(found.out["columns"]["rank"])
    logger.info("scored: the sites are told %d models", n)
    tell(open_log(records, study, POOLED), study, POOLED, "end")
