"""A site's part of a federated search, whoever the others are and scores."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.federation.blocks import Local
from hpc_connector.federation.joining import (
    PrivateKey,
    join,
    load_mask_key,
    make_hello,
)
from hpc_connector.federation.records import open_log, tell
from hpc_connector.federation.release import describe_sent
from hpc_connector.federation.site import (
    Sizes,
    check_site,
    check_total,
    choose_folds,
    count_classes,
    get_fingerprint,
    hash_people,
    read_site,
)
from hpc_connector.federation.stages import Party, sum_sizes
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Link, Transport, get_type
from hpc_connector.federation.variants import (
    Reference,
    check_build,
    describe_cases,
    read_reference,
)
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.individuals import Match
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.terminal import make_progress
from mdr_epistasis.cohort.people import choose_individuals
from mdr_epistasis.federated.budget import look_back, spend
from mdr_epistasis.federated.options import FederateOptions, place
from mdr_epistasis.federated.search import Found, search
from mdr_epistasis.inputs import open_files
from mdr_epistasis.options import Options

logger = logging.getLogger(__name__)


class Begun(NamedTuple):
    """What a site has before it reads genotypes.

    Parameters
    ----------
    name
        Of the site.
    private
        Key of its masks.
    people
        Fingerprint of who is in its cohort, as what.
    """

    study: Study
    name: str
    files: list[SampleFile]
    match: Match
    sizes: Sizes
    private: PrivateKey
    people: str
    reference: Reference


class Told(NamedTuple):
    """What a site has told others, and what it knows of its budget.

    Parameters
    ----------
    cohort
        Its fingerprint.
    """

    cohort: str
    link: Link
    used: dict[str, int]

    @property
    def n_bytes(self) -> int:
        """Masked bytes that left the site."""
        return sum(n for name, n in self.link.sent.items() if name.endswith("bytes"))


def begin_site(
    options: FederateOptions, args: Options, study: Study, name: str, rank: int
) -> Begun:
    """Open the files of a site, as far as its individuals, and check those.

    Parameters
    ----------
    args
        With the files of this site.

    Raises
    ------
    BadInput
        They cannot be used, too few individuals are left, or others than were asked.
    """
    reference = read_reference(study.reference, study.palindromic)
    files, match = open_files(args)
    match = choose_individuals(args, files[0], match, None)
    if files[0].individuals is None:
        raise BadInput(f"{files[0].path} names no individuals: folds are by their ids")
    for file in files:
        check_build(file.path, options.build, study.build)
    sizes, people = count_classes(match), hash_people(match)
    check_site(study, name, sizes)
    look_back(options.get_records(), study, name, people)
    private = load_mask_key(place(options.get_mask_key(), name, rank), study, name)
    return Begun(study, name, files, match, sizes, private, people, reference)


def take_part(
    comm: Communicator,
    transport: Transport,
    options: FederateOptions,
    args: Options,
    begun: Begun,
) -> tuple[Found, Told]:
    """Search with the other sites; return what was found, and what left this one.

    Parameters
    ----------
    comm
        Of the sites that are ranks of one run, else of this process alone.

    Raises
    ------
    BadInput
        The sites do not fit, or what they send cannot be true.
    """
    study, records = begun.study, options.get_records()
    hello = make_hello(study, begun.name, begun.sizes, begun.private)
    link, shown = join(transport, study, hello, begun.private)
    total = sum_sizes(link, begun.sizes)
    with end_together(comm):
        check_total(study, total)
        local = read_local(begun, shown)
    with end_together(comm):
        cohort = get_fingerprint(begun.match, local)
        who = f"site {begun.name}"
        used = spend(records, study, begun.name, cohort, who, begun.people)
    party = Party(study, link, local, len(begun.reference), get_type(sum(total)))
    show = make_progress(quiet=args.quiet, unit="blocks")
    found = search(party, total, begun.reference, records, show)
    return found, Told(cohort, link, used)


def read_local(begun: Begun, shown: dict[str, Sizes]) -> Local:
    """Read the genotypes of a site.

    Parameters
    ----------
    shown
        Sizes of all sites, by which folds are dealt.
    """
    study, match = begun.study, begun.match
    fold = choose_folds(study, begun.name, match, shown)
    read = read_site(begun.files, match, fold, study.folds, begun.reference)
    for line in describe_cases(read.cases):
        logger.info("variants of %s: %s", begun.name, line)
    return read.local


def log_end(records: Path, begun: Begun, told: Told) -> None:
    """Log that a search has ended, and how much left the site."""
    log = open_log(records, begun.study, begun.name)
    about = {"cohort": told.cohort, "bytes": told.n_bytes}
    tell(log, begun.study, begun.name, "end", **about)


def describe_told(begun: Begun, told: Told) -> dict[str, Any]:
    """Return what the manifest says of a site: what left it, and its budget."""
    sizes = begun.sizes if begun.study.fold_mode == "dealt" else None
    return {
        "name": begun.name,
        "bytes": told.n_bytes,
        "let_out": describe_sent(dict(told.link.sent), sizes, begun.name),
        "queries": told.used,
    }
