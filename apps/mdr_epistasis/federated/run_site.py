"""One site's part of a search whose sums a hub makes."""

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hpc_connector.errors import BadInput, Later
from hpc_connector.federation.hub.client import SiteTransport, open_site
from hpc_connector.federation.records import make_folder
from hpc_connector.federation.study import Study, read_study
from hpc_connector.manifest import get_time, read_manifest
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.resources import get_resources
from mdr_epistasis.federated.inputs import take_inputs
from mdr_epistasis.federated.options import FederateOptions
from mdr_epistasis.federated.record import (
    begin,
    clear,
    describe_found,
    name_state,
    save_found,
)
from mdr_epistasis.federated.site import (
    begin_site,
    describe_told,
    log_end,
    take_part,
)
from mdr_epistasis.inputs import list_inputs
from mdr_epistasis.options import Options
from mdr_epistasis.output.result import Ending
from mdr_epistasis.report.page import save_report

logger = logging.getLogger(__name__)

BY_HUB = "HTTPS, a hub"
TLS_KEY = "tls.key"  # beside the study, as federate invite writes it
LAST_S = 5.0  # for a hub to hear that a site has the result


def run_site(
    comm: Communicator, options: FederateOptions, args: Options, name: str
) -> Ending:
    """Search with the sites of a hub, and write the results to ``args.out``.

    Started again with ``--resume`` a site goes on in the same attempt.

    Raises
    ------
    BadInput
        The study, the files or the keys cannot be used, or the search is refused.
    Later
        The hub does not answer, or another site has gone.
    """
    start_s = time.time()
    study = read_study(options.study)
    check_site_options(comm, study, options, name)
    make_folder(options.get_records())
    if is_found(args):
        return end_found(options, args, study, name)
    own = take_inputs(options, args, study, name, study.names.index(name))
    args = replace(args, datasets=own.datasets)
    inputs = [str(options.study), str(study.reference), *list_inputs(own)]
    record = begin(args, study, inputs, BY_HUB)
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", args.out)
        return Ending(True)
    begun = begin_site(options, own, study, name, study.names.index(name))
    with open_attempt(options, args, study, name) as transport:
        found, told = take_part(comm, transport, options, args, begun)
        log_end(options.get_records(), begun, told)
        describe_found(record, study, found, len(begun.reference))
        record["federation"] |= {"site": name, "sites": [describe_told(begun, told)]}
        record["federation"] |= {"datasets": dict(told.link.datasets)}
        record |= {"resources": get_resources(comm, 1, start_s)}
        record |= {"finished": get_time()}
        result = save_found(args, record, study, found)
        is_heard = transport.leave()
    finish(args, is_heard=is_heard)
    return Ending(True, result)


@contextlib.contextmanager
def open_attempt(
    options: FederateOptions, args: Options, study: Study, name: str
) -> Iterator[SiteTransport]:
    """Give the transport of a site to its hub.

    What the site remembers of an attempt is removed if that has ended: the next one has
    other masks.
    """
    state, transport = name_state(args), None
    try:
        with open_site(
            study, name, name_tls_key(options), state, options.patience_s
        ) as transport:
            yield transport
    except (BadInput, Later):
        if transport is not None and transport.has_left:
            shutil.rmtree(state)
        raise


def check_site_options(
    comm: Communicator, study: Study, options: FederateOptions, name: str
) -> None:
    """Refuse a site that is none of the study, and a study without a hub."""
    if name not in study.names:
        known = ", ".join(study.names)
        raise BadInput(f"--site {name}: expected a site of {options.study}: {known}")
    if study.hub is None:
        raise BadInput(
            f"--site: {options.study} has no [hub]: expected one, or a rank a site, by "
            f"mpirun -n {len(study.sites)} and without --site"
        )
    if comm.size > 1:
        raise BadInput(f"--site is of one process, and {comm.size} ranks were started")
    if not options.genotypes:
        raise BadInput("expected --genotypes, of this site")


def name_tls_key(options: FederateOptions) -> Path:
    """Return the key of a site's certificate: as given, or beside the study.

    Raises
    ------
    BadInput
        It is not there.
    """
    path = options.tls_key or options.study.parent / TLS_KEY
    if not path.exists():
        raise BadInput(
            f"{path} is not there: expected --tls-key, the key of this site's "
            "certificate in the study (as hpc-connector federate invite makes it)"
        )
    return path


def is_found(args: Options) -> bool:
    """Return whether results are written, and the hub may not know of it."""
    if not (args.resume and name_state(args).exists()):
        return False
    return read_manifest(args.out)["status"] == "done"


def end_found(
    options: FederateOptions, args: Options, study: Study, name: str
) -> Ending:
    """Tell the hub, if it is still there, that this site has the result."""
    if not (args.encrypt_to or (args.out / "report.html").exists()):
        save_report(args.out)  # the site was killed before it was written
    place = name_tls_key(options), name_state(args), LAST_S
    with open_site(study, name, *place) as transport:
        transport.run = transport.memory.kept.get("run", "")
        is_heard = transport.leave()
    finish(args, is_heard=is_heard)
    return Ending(True)


def finish(args: Options, *, is_heard: bool) -> None:
    """Forget the attempt, unless the hub is still to hear that this site is done."""
    logger.info("%s is complete", args.out)
    if is_heard:
        clear(args)
    else:
        logger.warning("the hub waits for this site: --resume tells it, if it is back")
