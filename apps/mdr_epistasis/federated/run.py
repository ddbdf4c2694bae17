"""One federated search, over the ranks of MPI or with a hub."""

import logging
import time
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.federation.blocks import MESSAGE_BYTES
from hpc_connector.federation.records import make_folder
from hpc_connector.federation.study import Study, read_study
from hpc_connector.federation.transport import RankTransport
from hpc_connector.manifest import get_time
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.sums import open_room
from hpc_connector.pipeline.resources import get_resources
from mdr_epistasis.federated.inputs import (
    check_inputs,
    check_ranks_keys,
    take_inputs,
)
from mdr_epistasis.federated.options import FederateOptions
from mdr_epistasis.federated.record import begin, clear, describe_found, save_found
from mdr_epistasis.federated.run_site import run_site
from mdr_epistasis.federated.site import (
    begin_site,
    describe_told,
    log_end,
    take_part,
)
from mdr_epistasis.options import Options
from mdr_epistasis.output.result import Ending, Result

logger = logging.getLogger(__name__)

BY_RANKS = "MPI, a rank a site"


def run(comm: Communicator, options: FederateOptions, args: Options) -> Ending:
    """Search the pairs of all sites, and write the results to ``args.out``."""
    if options.site is not None:
        return run_site(comm, options, args, options.site)
    return run_ranks(comm, options, args)


def run_ranks(comm: Communicator, options: FederateOptions, args: Options) -> Ending:
    """Search over the ranks of MPI, each of which is a site."""
    start_s = time.time()
    record: Any = None
    with end_together(comm):
        study = read_study(options.study)
        check_ranks(comm, study, options, args)
        make_folder(options.get_records())
        if comm.rank == 0:
            inputs = [str(options.study), str(study.reference)]
            record = begin(args, study, inputs, BY_RANKS)
    record = comm.bcast(record)
    with end_together(comm):
        name = study.names[comm.rank]
        own = take_inputs(options, args, study, name, comm.rank)
        check_inputs(own)
        begun = begin_site(options, own, study, name, comm.rank)
    for_all = study.scorer == "sites"
    with open_room(comm, MESSAGE_BYTES) as room:
        transport = RankTransport(comm, for_all=for_all, room=room)
        found, told = take_part(comm, transport, options, args, begun)
    result: Result | None = None
    with end_together(comm):
        log_end(options.get_records(), begun, told)
        gathered = comm.gather(describe_told(begun, told))
        resources = get_resources(comm, 1, start_s)
        if comm.rank == 0:
            describe_found(record, study, found, len(begun.reference))
            record["federation"] |= {"sites": gathered}
            record["federation"] |= {"datasets": dict(told.link.datasets)}
            record |= {"resources": resources, "finished": get_time()}
            result = save_found(args, record, study, found)
            clear(args)
    return Ending(True, result)


def check_ranks(
    comm: Communicator, study: Study, options: FederateOptions, args: Options
) -> None:
    """Refuse another number of ranks than sites."""
    if args.resume:
        raise BadInput("--resume is of one site of a hub: expected --site with it")
    if comm.size != len(study.sites):
        by_hub = "" if study.hub is None else "--site NAME, to search by its hub, or "
        raise BadInput(
            f"{options.study} has {len(study.sites)} sites, and there are {comm.size} "
            f"ranks: expected {by_hub}mpirun -n {len(study.sites)}, a rank a site, in "
            f"the order of the study ({', '.join(study.names)})"
        )
    if not options.genotypes:
        raise BadInput("expected --genotypes, such as 'site{rank}.bed'")
    check_ranks_keys(options)
    if study.hub is not None and comm.rank == 0:
        logger.info("sites are ranks of this run: the hub of the study is not asked")
