"""One federated search over the ranks of MPI, each of which is a site."""

import logging
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector import storer
from hpc_connector.errors import BadInput
from hpc_connector.federation.joining import PrivateKey, join, load_mask_key
from hpc_connector.federation.pooled import RANK_BY
from hpc_connector.federation.records import (
    alone,
    has_queried,
    make_folder,
    open_log,
    tell,
)
from hpc_connector.federation.release import (
    check_people,
    describe_sent,
    get_pooled_fingerprint,
    list_rules,
    use_budget,
)
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
from hpc_connector.federation.stages import (
    Kept,
    Party,
    choose_variants,
    search_pairs,
    sum_sizes,
    sum_tables,
    sum_variants,
)
from hpc_connector.federation.study import Study, read_study
from hpc_connector.federation.transport import Link, RankTransport, get_type
from hpc_connector.federation.variants import (
    Reference,
    check_build,
    describe_cases,
    read_list,
)
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.individuals import Match
from hpc_connector.manifest import begin_run, describe_input, get_time, save_manifest
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.resources import get_resources
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import RunRecord
from mdr_epistasis.cohort.people import choose_individuals
from mdr_epistasis.federated.options import FederateOptions, place, place_all
from mdr_epistasis.federated.result import describe, let_out, list_all, list_variants
from mdr_epistasis.inputs import open_files
from mdr_epistasis.options import Options
from mdr_epistasis.output.result import Ending, Result, save_results
from mdr_epistasis.report.page import save_report

logger = logging.getLogger(__name__)

PROGRAM = "mdr-epistasis"
POOLED = "all"  # of whose records those of who scores are


class Begun(NamedTuple):
    """What a site has before it reads genotypes.

    Parameters
    ----------
    name
        Of the site.
    private
        Key of its masks.
    """

    study: Study
    name: str
    files: list[SampleFile]
    match: Match
    sizes: Sizes
    private: PrivateKey
    reference: Reference


def run(comm: Communicator, options: FederateOptions, args: Options) -> Ending:
    """Search the pairs of all sites, and write the results to ``args.out``."""
    start_s = time.time()
    record: Any = None
    with end_together(comm):
        study = read_study(options.study)
        check_ranks(comm, study, options)
        make_folder(options.get_records())
        if comm.rank == 0:
            record = begin(options, args, study)
    record = comm.bcast(record)
    with end_together(comm):
        begun = begin_site(options, args, study, comm.rank)
        people = hash_people(begun.match)
        look_back(options, study, begun.name, people)
    transport = RankTransport(comm, for_all=study.scorer == "sites")
    link, known = join(transport, study, begun.name, begun.sizes, begun.private)
    total = sum_sizes(link, *begun.sizes)
    with end_together(comm):
        check_total(study, total)
        fold = choose_folds(study, begun.name, begun.match, known)
        about = (begun.files, begun.match, fold, study.folds, begun.reference)
        read = read_site(*about)
        for line in describe_cases(begun.reference.told):
            logger.info("variants of the list: %s", line)
        for line in describe_cases(read.cases):
            logger.info("variants of %s: %s", begun.name, line)
    with end_together(comm):
        cohort = get_fingerprint(begun.match, read.local)
        who = f"site {begun.name}"
        used = spend(options, study, begun.name, cohort, who, people)
    party = Party(study, link, read.local, get_type(sum(total)))
    result = search(comm, options, args, party, begun, total, record)
    with end_together(comm):
        log = open_log(options.get_records(), study, begun.name)
        n_bytes = count_bytes(link)
        tell(log, study, begun.name, "end", cohort=cohort, bytes=n_bytes)
        gathered = comm.gather(tell_sent(begun, link, used))
        resources = get_resources(comm, 1, start_s)
        if comm.rank == 0:
            record["federation"] |= {"sites": gathered}
            record |= {"resources": resources, "finished": get_time()}
            finish(args, record, *result)
    return Ending(True, result[0] if comm.rank == 0 else None)


def check_ranks(comm: Communicator, study: Study, options: FederateOptions) -> None:
    """Refuse another number of ranks than sites."""
    if comm.size != len(study.sites):
        raise BadInput(
            f"{options.study} has {len(study.sites)} sites, and there are {comm.size} "
            f"ranks: expected mpirun -n {len(study.sites)}, a rank a site, in the "
            f"order of the study ({', '.join(study.names)})"
        )
    if not options.genotypes:
        raise BadInput("expected --genotypes, such as 'site{rank}.bed'")


def begin(options: FederateOptions, args: Options, study: Study) -> RunRecord:
    """Make the folder of the results; return the record so far."""
    inputs = [str(options.study), str(study.reference)]
    record = begin_run(PROGRAM, args, inputs, resume=False)
    record["inputs"] = [describe_input(path) for path in inputs]
    record["command"] = shlex.join([PROGRAM, "federate", *args.words])
    record["federation"] = {
        "study": study.name,
        "sha256": study.sha256,
        "transport": "MPI, a rank a site",
        "scorer": study.scorer,
        "rules": list(list_rules(study.release, study.top)),
    }
    return record


def begin_site(
    options: FederateOptions, args: Options, study: Study, rank: int
) -> Begun:
    """Open the files of a site, as far as its individuals, and check those.

    Raises
    ------
    BadInput
        They cannot be used, or too few individuals are left.
    """
    name = study.names[rank]
    own = replace(args, **place_all(args, name, rank))
    reference = read_list(study, place(options.fasta, name, rank))
    files, match = open_files(own)
    match = choose_individuals(own, files[0], match, None)
    if files[0].individuals is None:
        raise BadInput(f"{files[0].path} names no individuals: folds are by their ids")
    for file in files:
        check_build(file.path, options.build, study.build)
    sizes = count_classes(match)
    check_site(study, name, sizes)
    private = load_mask_key(place(options.mask_key, name, rank), study, name)
    return Begun(study, name, files, match, sizes, private, reference)


def look_back(options: FederateOptions, study: Study, party: str, people: str) -> None:
    """Refuse other individuals than have been asked, before others hear of them."""
    records = options.get_records()
    path = name_budget(records, study, party)
    try:
        check_people(path, study, people, f"site {party}")
    except BadInput as error:
        log = open_log(records, study, party)
        tell(log, study, party, "refuse", reason=str(error))
        raise


def name_budget(records: Path, study: Study, party: str) -> Path:
    """Return the path of the budget of a party."""
    return records / f"{study.name}.{party}.queries.json"


def spend(
    options: FederateOptions,
    study: Study,
    party: str,
    cohort: str,
    who: str,
    people: str = "",
) -> tuple[int, int]:
    """Count a query in the budget of a party; return what is used, and there is.

    It is in the log of the party too, also where it is refused.
    """
    records = options.get_records()
    path = name_budget(records, study, party)
    with alone(records, study, party):
        log = open_log(records, study, party)
        try:
            is_new = not has_queried(log)
            used = use_budget(path, study, cohort, who, people=people, is_new=is_new)
        except BadInput as error:
            tell(log, study, party, "refuse", cohort=cohort, reason=str(error))
            raise
        tell(log, study, party, "query", cohort=cohort)
    return used


def search(
    comm: Communicator,
    options: FederateOptions,
    args: Options,
    party: Party,
    begun: Begun,
    total: Sequence[int],
    record: RunRecord,
) -> tuple[Result, dict[str, Any]]:
    """Return the result, and what else is let out; the record is completed."""
    study = party.study
    counts = sum_variants(party, (total[0], total[1]))
    used = None
    with end_together(comm):
        if counts is not None:
            cohort = get_pooled_fingerprint(counts)
            used = spend(options, study, POOLED, cohort, "all sites together")
    kept, pooled = choose_variants(party, counts)
    say_kept(begun, kept)
    best = search_pairs(party, kept, pooled, make_progress(quiet=args.quiet))
    models = list_all(best, study.folds)[2]
    tables = sum_tables(party, kept, pooled, models)
    variants = list_variants(begun.reference, kept)
    out = None
    if pooled is not None and tables is not None:
        columns = describe(pooled, kept, best, tables, variants)
        n_cells = columns["cases"].shape[1]
        out = let_out(study, columns) | {"levels": round(n_cells**0.5)}
    out = party.link.tell(out)
    describe_search(record, begun, kept, total)
    record["federation"] |= {
        "cells_hidden": out.get("hidden", 0),
        "queries": {"used": used[0], "most": used[1]} if used else {},
    }
    attributes = get_attributes(study, out["levels"])
    return Result(out["columns"], variants, None, attributes, record), out


def get_attributes(study: Study, levels: int) -> dict[str, Any]:
    """Return what the file of results says of the search, as that of one cohort."""
    return {
        "order": study.order,
        "folds": study.folds,
        "levels": levels,
        "rank_by": RANK_BY[study.rank_by if study.folds > 1 else "whole"],
        "permutation_test": "labels",
    }


def describe_search(
    record: RunRecord, begun: Begun, kept: Kept, total: Sequence[int]
) -> None:
    """Add to the record what was searched, of all sites together.

    Parameters
    ----------
    total
        Cases and controls.
    """
    m = len(kept.layout.rows)
    record["cohort"] = {
        "individuals": sum(total),
        "cases": total[0],
        "controls": total[1],
        "variants_read": len(begun.reference),
        "variants_kept": m,
        "removed": kept.removed,
        "notes": list(kept.notes),
    }
    folds = begun.study.folds
    record["search"] = {"order": 2, "folds": folds, "models": m * (m - 1) // 2}
    some = "those that may be among the best"
    record["federation"]["pairs_by_folds"] = "all" if kept.by_folds else some


def say_kept(begun: Begun, kept: Kept) -> None:
    """Log how many variants are searched."""
    n, of = len(kept.layout.rows), len(begun.reference)
    logger.info("%d of %d variants of the list kept", n, of)
    for reason, n_removed in kept.removed.items():
        logger.info("note: variants left out, %s: %d", reason, n_removed)
    for note in kept.notes:
        logger.info("note: %s", note)


def count_bytes(link: Link) -> int:
    """Return the masked bytes that left a site."""
    return sum(n for name, n in link.sent.items() if name.endswith("bytes"))


def tell_sent(begun: Begun, link: Link, used: tuple[int, int]) -> dict[str, Any]:
    """Return what the manifest says of a site: what left it, and its budget."""
    sizes = begun.sizes if begun.study.fold_mode == "dealt" else None
    return {
        "name": begun.name,
        "bytes": count_bytes(link),
        "let_out": describe_sent(dict(link.sent), sizes, begun.name),
        "queries": {"used": used[0], "most": used[1]},
    }


def finish(
    args: Options, record: RunRecord, result: Result, out: dict[str, Any]
) -> None:
    """Write the results and the manifest."""
    names = save_results(args.out, result)
    if "tables" in out:
        storer.save_table(args.out / "tables.tsv", out["tables"])
        names.append("tables.tsv")
    record |= {"status": "done", "outputs": [*names, "report.html"]}
    save_manifest(args.out, record)
    save_report(args.out)
    shutil.rmtree(args.out / "ledger")
