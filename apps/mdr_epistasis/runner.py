"""One run: plan, load, search, merge, store."""

import logging
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import cli, storer
from hpc_connector.errors import BadInput
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import LANES
from hpc_connector.loader.files import exists
from hpc_connector.loader.genotypes.companions import (
    choose_companions,
    get_bed,
    list_companions,
)
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import get_format
from hpc_connector.loader.individuals import Match, find_labels
from hpc_connector.manifest import begin_run, get_time, save_manifest
from hpc_connector.notes import add_counts, log_notes, make_notes
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.executor import check_options, choose_executor
from hpc_connector.pipeline.ledger import Arrays, name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import get_resources, say_fetched
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import RunRecord
from mdr_epistasis.cohort import (
    Cohort,
    Filters,
    get_own_labels,
    load_cohort,
    read_header,
)
from mdr_epistasis.folds import deal_folds, read_folds
from mdr_epistasis.identity import get_places
from mdr_epistasis.lists import count_unknown, read_list
from mdr_epistasis.options import Options
from mdr_epistasis.output import describe, print_top, save_results
from mdr_epistasis.possible import check_models
from mdr_epistasis.remote import pack
from mdr_epistasis.report.page import save_report
from mdr_epistasis.tasks import (
    Search,
    Tasks,
    get_best,
    make_errors,
    make_tasks,
    merge,
    run_task,
)

logger = logging.getLogger(__name__)

RANK_BY = dict(zip(("test", "train", "whole"), learner.STATISTICS, strict=True))


def run(comm: Any, args: Options) -> int:
    """Search the models of a cohort and write the results to ``args.out``."""
    from mdr_epistasis.plan import make_cost

    start_s = time.time()
    out = args.out
    record: Any = None
    header: Any = None
    with end_together(comm):
        if comm.rank == 0:
            record = begin(args)
            header = read_inputs(args)
    record, header = comm.bcast((record, header))
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", out)
        return cli.DONE
    files, match, fold, lists = header
    first_list, second_list = lists
    only = first_list | second_list if first_list and second_list else first_list
    share = get_slice(args)
    filters = Filters(args.min_maf, args.max_missing, only, share)
    before = first_list if second_list else None

    with load_cohort(comm, files, match, fold, filters, before) as cohort:
        with end_together(comm):
            question = make_question(args, cohort, lists)
            check_models(question, cohort.n_variants)
        if comm.rank == 0:
            record |= list_notes(files, match, cohort, lists)
            say_cohort(cohort)
            log_notes(record)
        is_missing = bool(cohort.variants["missing"].any())
        n_read = cohort.facts["variants_read"]
        record["plan"] = asdict(make_cost(args, header, n_read, is_missing))
        n_first = get_n_first(cohort, before)
        shape = cohort.planes.shape
        tasks = make_tasks(shape, args.order, args.permutations, n_first)
        findings, is_done = search_tasks(comm, args, cohort, question, tasks, record)
        if comm.rank == 0:
            record["cohort"] = describe_cohort(cohort, match.notes)
            record["search"] = describe_search(args, cohort, tasks)
        inputs = record["inputs"]
        used = get_resources(comm, args.threads, start_s, inputs)
        with end_together(comm):
            if comm.rank == 0:
                say_fetched(used)
                used = record["resources"] | used
                record |= {"resources": used, "finished": get_time()}
                finish(args, cohort, question, findings, record, is_done)
    return cli.DONE if is_done else cli.STOPPED


def begin(args: Options) -> RunRecord:
    """Make or check the folder of the run; return the record so far."""
    check_options(args)
    if args.burst and args.all_models:
        raise BadInput("--all-models: four bytes a model would travel: not for --burst")
    inputs = list_inputs(args)
    record = begin_run("mdr-epistasis", args, inputs, resume=args.resume)
    if args.all_models:
        (args.out / "all_models").mkdir(exist_ok=True)
    return record


def get_slice(args: Options) -> float:
    """Return the share of the variants whose models are the share to be tried."""
    return float((args.slice or 1.0) ** (1 / args.order))


def list_inputs(args: Options) -> list[str]:
    """Return the files that decide the results, each once."""
    options = choose_options(args)
    names = [get_file(path) for path in args.genotypes]
    for path, chosen in zip(args.genotypes, options, strict=True):
        names += list_companions(path, chosen)
    others = [args.labels, args.fold_file, args.variants, args.with_variants]
    return list(dict.fromkeys([*names, *(name for name in others if name)]))


def get_file(name: str) -> str:
    """Return a genotype file itself, or the .bed file of a PLINK prefix."""
    if exists(name):
        return name
    get_format(name)  # says what it is, if there is none
    return get_bed(name)


def choose_options(args: Options) -> list[ReadOptions]:
    """Return how each genotype file is read."""
    options = ReadOptions(
        args.imputation_threshold,
        args.pass_only,
        args.vcf_field,
        args.half_call,
        args.chromosome or "",
    )
    named = {name: getattr(args, name) or () for name in ("sample_file", "fam", "bim")}
    return choose_companions(args.genotypes, options, named)


def open_files(args: Options) -> tuple[list[SampleFile], Match]:
    """Return opened genotype files, and their individuals matched with the labels."""
    coding = "plain" if args.zero_one else None
    find = partial(get_own_labels, coding=coding)
    if args.labels:
        find = partial(
            find_labels,
            args.labels,
            id_column=args.id_column,
            case_column=args.label_column,
            coding=coding,
        )
    return read_header(args.genotypes, choose_options(args), find, args.labels)


def read_inputs(args: Options) -> tuple:
    """Return opened files, matched individuals, folds, and the two lists of ids."""
    files, match = open_files(args)
    if args.with_variants and not args.variants:
        raise BadInput("--with-variants needs --variants, the first list")
    if args.fold_file:
        fold, of_folds, n_unknown = read_folds(args.fold_file, files[0], match)
        match.counted["individuals of --fold-file have no genotypes"] = n_unknown
    else:
        fold, of_folds = deal_folds(match.is_case, args.folds, args.seed), ()
    first, of_first = read_list(args.variants)
    second, of_second = read_list(args.with_variants)
    match.assumed.extend((*of_folds, *of_first, *of_second))
    return files, match, fold, (first, second)


def make_question(args: Options, cohort: Cohort, lists: tuple) -> learner.Question:
    """Return what is searched for."""
    places: dict[str, np.ndarray] = {}
    if args.min_distance_bp > 0:
        places = get_places(cohort.variants)
    role = np.zeros(0, np.int8)
    if lists[1] is not None:
        of = [[name in chosen for name in cohort.variants["id"]] for chosen in lists]
        role = (np.array(of[0]) + 2 * np.array(of[1])).astype(np.int8)
    return learner.Question(
        order=args.order,
        level=args.missing == "level",
        tie_low=args.tie == "low",
        rank_by=RANK_BY[args.rank_by],
        top=min(args.top, math.comb(cohort.n_variants, args.order)),
        min_distance=args.min_distance_bp,
        seed=args.seed,
        permutations=args.permutations,
        interaction=args.permutation_test == "interaction",
        role=role,
        **places,
    )


def get_n_first(cohort: Cohort, first_list: frozenset[str] | None) -> int | None:
    """Return how many variants stand in the first list, None without two lists."""
    if first_list is None:
        return None
    return sum(name in first_list for name in cohort.variants["id"])


def search_tasks(
    comm: Any,
    args: Options,
    cohort: Cohort,
    question: learner.Question,
    tasks: Tasks,
    record: RunRecord,
) -> tuple[Arrays, bool]:
    """Run the tasks that are left; return what all attempts found, on rank 0."""
    ledger = args.out / "ledger"
    shards = make_shards(args, cohort)
    finished, found = (
        read_finished(ledger, tasks, shards) if comm.rank == 0 else (None, [])
    )
    with end_together(comm):
        if finished is not None:
            begin_tasks(args.out, record, len(tasks), len(finished))
    todo = np.setdiff1d(np.arange(len(tasks)), comm.bcast(finished))
    search = Search(
        cohort.planes,
        cohort.n_variants,
        cohort.arrangement,
        cohort.is_case,
        question,
    )
    mine = [search.make_findings() for _ in range(args.threads)]
    execute = choose_executor(
        comm, args, record, "mdr_epistasis.remote", partial(pack, search, tasks)
    )

    def run(number: int, thread: int) -> None:
        task = tasks[number]
        errors = make_errors(task.tile) if shards and not task.permutations else None
        run_task(search, task, mine[thread], errors)
        if shards and errors is not None:
            shards.save(number, [LANES * b for b in task.tile[::2]], errors)

    def save(thread: int, done: list[int]) -> None:
        path = name_ledger(args.out, record["attempt"], comm.rank, f"{thread:03d}")
        save_ledger(path, done, mine[thread].to_arrays())

    show = make_progress(quiet=args.quiet)
    record["resources"] = {"start_s": args.get_age_s()}
    is_done, away, burst = execute(run, todo, save, show)
    if burst:
        record["burst"] = burst
    found = [*found, *away]
    here = merge([*found, *(f.to_arrays() for f in mine)], question.top)
    everything = comm.reduce(here, lambda a, b: merge([a, b], question.top))
    return everything, is_done


def read_finished(
    ledger: Path, tasks: Tasks, shards: storer.Shards | None
) -> tuple[np.ndarray, list[Arrays]]:
    """Return the tasks that need not run again, and what was found so far."""
    finished, found = read_ledger(ledger)
    if shards:
        is_there = [bool(tasks[n].permutations) or shards.has(n) for n in finished]
        finished = finished[np.array(is_there, bool)]
    return finished, found


def make_shards(args: Options, cohort: Cohort) -> storer.Shards | None:
    """Return where the errors of all models go, if they are wanted."""
    if not args.all_models:
        return None
    shape = (cohort.n_variants,) * args.order
    return storer.Shards(args.out / "all_models", "all_models/error", shape)


def list_notes(
    files: Sequence[SampleFile], match: Match, cohort: Cohort, lists: tuple
) -> RunRecord:
    """Return what was assumed, left out and changed, for the manifest."""
    assumed = [one for file in files for one in file.assumed]
    counted = [cohort.facts.pop("counted"), *(file.counted for file in files)]
    counted += [match.counted, count_unknown(lists, cohort.variants["id"].tolist())]
    return make_notes([*match.assumed, *assumed], add_counts(counted))


def say_cohort(cohort: Cohort) -> None:
    """Log what was read."""
    facts = cohort.facts
    n_cases = int((cohort.is_case == 1).sum())
    logger.info(
        "%d individuals (%d cases), %d of %d variants kept",
        len(cohort.is_case),
        n_cases,
        facts["variants_kept"],
        facts["variants_read"],
    )


def describe_cohort(cohort: Cohort, notes: list[str]) -> dict[str, Any]:
    """Return the cohort's part of the manifest."""
    n_cases = int((cohort.is_case == 1).sum())
    n = len(cohort.is_case)
    counts = {"individuals": n, "cases": n_cases, "controls": n - n_cases}
    return counts | cohort.facts | {"notes": notes}


def describe_search(args: Options, cohort: Cohort, tasks: Tasks) -> dict[str, Any]:
    """Return the search's part of the manifest."""
    m = cohort.n_variants
    models = m * (m - 1) // 2 if args.order == 2 else m * (m - 1) * (m - 2) // 6
    return {
        "order": args.order,
        "folds": cohort.arrangement.folds,
        "models": models,
        "tasks": len(tasks),
    }


def finish(
    args: Options,
    cohort: Cohort,
    question: learner.Question,
    findings: Arrays,
    record: RunRecord,
    is_done: bool,
) -> None:
    """Write the results and the manifest, and print the summary."""
    if not is_done:
        save_manifest(args.out, record | {"status": "stopped"})
        logger.warning("stopped on request; %s can be resumed (--resume)", args.out)
        return
    best, maximum = get_best(findings), findings["maximum"]
    columns = describe(cohort, question, best, maximum)
    outputs = save_results(
        args.out, cohort, question, columns, maximum, make_shards(args, cohort)
    )
    record |= {"status": "done", "outputs": [*outputs, "report.html"]}
    save_manifest(args.out, record)
    save_report(args.out)
    shutil.rmtree(args.out / "ledger")  # last: without it the run is complete
    print_top(args, cohort, columns)
