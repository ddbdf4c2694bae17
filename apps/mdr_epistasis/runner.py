"""One run: plan, load, search, merge, store."""

import logging
import shutil
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector import storer
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import LANES
from hpc_connector.manifest import get_time, save_manifest
from hpc_connector.notes import log_notes
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.executor import choose_executor
from hpc_connector.pipeline.ledger import Arrays, name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import get_resources, say_fetched
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import RunRecord
from mdr_epistasis.cohort.lists import Lists
from mdr_epistasis.cohort.loading import Cohort, Filters, load_cohort
from mdr_epistasis.inputs import Inputs, get_slice, read_inputs
from mdr_epistasis.options import Options
from mdr_epistasis.output.record import (
    begin,
    describe_cohort,
    describe_search,
    list_notes,
)
from mdr_epistasis.output.result import Result, make_result, save_results
from mdr_epistasis.plan import make_cost
from mdr_epistasis.possible import check_models
from mdr_epistasis.question import get_n_first, make_question
from mdr_epistasis.remote import pack
from mdr_epistasis.report.page import save_report
from mdr_epistasis.tasks import (
    Search,
    Tasks,
    make_errors,
    make_tasks,
    merge,
    run_task,
)

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a run has ended.

    Parameters
    ----------
    is_done
        Whether it is complete; it is not after a stop signal.
    result
        What it has found, on rank 0; None if an earlier attempt had found it.
    """

    is_done: bool
    result: Result | None = None


def run(comm: Any, args: Options) -> Outcome:
    """Search the models of a cohort and write the results to ``args.out``."""
    start_s = time.time()
    record: Any = None
    inputs: Any = None
    with end_together(comm):
        if comm.rank == 0:
            record = begin(args)
            inputs = read_inputs(args)
    record, inputs = comm.bcast((record, inputs))
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", args.out)
        return Outcome(True)
    files, match, fold, lists = inputs
    filters, before = make_filters(args, lists)
    with load_cohort(comm, files, match, fold, filters, before) as cohort:
        with end_together(comm):
            question = make_question(args, cohort, lists)
            check_models(question, cohort.n_variants)
        describe_inputs(comm, args, cohort, inputs, record)
        n_first = get_n_first(cohort, before)
        shape = cohort.planes.shape
        tasks = make_tasks(shape, args.order, args.permutations, n_first)
        findings, is_done = search_tasks(comm, args, cohort, question, tasks, record)
        used = get_resources(comm, args.threads, start_s, record["inputs"])
        result = None
        with end_together(comm):
            if comm.rank == 0:
                say_fetched(used)
                record["cohort"] = describe_cohort(cohort, match.notes)
                record["search"] = describe_search(args, cohort, tasks)
                used = record["resources"] | used
                record |= {"resources": used, "finished": get_time()}
                if is_done:
                    result = make_result(cohort, question, findings, record)
                finish(args, record, result, make_shards(args, cohort))
    return Outcome(is_done, result)


def make_filters(args: Options, lists: Lists) -> tuple[Filters, frozenset[str] | None]:
    """Return which variants are read; and which of them come first, if some do."""
    first, second = lists
    only = first | second if first and second else first
    filters = Filters(args.min_maf, args.max_missing, only, get_slice(args))
    return filters, first if second else None


def describe_inputs(
    comm: Any, args: Options, cohort: Cohort, inputs: Inputs, record: RunRecord
) -> None:
    """Add to the record what was read, and what that will take; log it on rank 0."""
    if comm.rank == 0:
        files, match, _, lists = inputs
        record |= list_notes(files, match, cohort, lists)
        say_cohort(cohort)
        log_notes(record)
    is_missing = bool(cohort.variants["missing"].any())
    n_read = cohort.facts["variants_read"]
    record["plan"] = asdict(make_cost(args, inputs, n_read, is_missing))


def finish(
    args: Options,
    record: RunRecord,
    result: Result | None,
    shards: storer.Shards | None,
) -> None:
    """Write the results and the manifest; without results the run was stopped."""
    if result is None:
        save_manifest(args.out, record | {"status": "stopped"})
        logger.warning("stopped on request; %s can be resumed (--resume)", args.out)
        return
    outputs = save_results(args.out, result, shards)
    record |= {"status": "done", "outputs": [*outputs, "report.html"]}
    save_manifest(args.out, record)
    save_report(args.out)
    shutil.rmtree(args.out / "ledger")  # last: without it the run is complete


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
