"""One run: plan, load, search, merge, store."""

import contextlib
import logging
import math
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector import storer
from hpc_connector.actions.area import near_data
from hpc_connector.actions.counts import Row, save_moved
from hpc_connector.actions.reduced import Reduce, add_arrays
from hpc_connector.learner.gmdr.search import get_candidates
from hpc_connector.learner.mdr import search as learner
from hpc_connector.manifest import get_time, save_manifest
from hpc_connector.notes import log_notes
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.access import share_keys
from hpc_connector.pipeline.executor import Work, choose_executor
from hpc_connector.pipeline.fingerprints import (
    add_fingerprints,
    begin_fingerprints,
    is_hashing,
)
from hpc_connector.pipeline.ledger import Arrays, name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import Usage, get_resources, say_fetched
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.publish import get_readers, name_outputs
from hpc_connector.run_record import Input, Resources, RunRecord
from hpc_connector.storage.checksums import Hasher
from mdr_epistasis.cohort.loading import Cohort, load_cohort
from mdr_epistasis.cohort.pruning import read_pruning
from mdr_epistasis.cohort.sets import find_members
from mdr_epistasis.cohort.traits import Trait, has_controls
from mdr_epistasis.inputs import (
    Inputs,
    look_for_calls,
    make_filters,
    read_inputs,
)
from mdr_epistasis.options import Options
from mdr_epistasis.output.all_models import (
    count_earlier,
    describe_errors,
    list_earlier,
)
from mdr_epistasis.output.record import (
    begin,
    describe_cohort,
    describe_search,
    list_notes,
)
from mdr_epistasis.output.result import Ending, Result, make_result, save_results
from mdr_epistasis.output.sets import describe_sets
from mdr_epistasis.plan import make_cost
from mdr_epistasis.possible import check_models
from mdr_epistasis.question import get_n_first, make_question
from mdr_epistasis.report.page import save_report
from mdr_epistasis.set_search import search_sets
from mdr_epistasis.tasks import (
    Findings,
    Search,
    Tasks,
    make_run_task,
    make_tasks,
    merge,
)

if TYPE_CHECKING:
    from mdr_epistasis.output.best_stream import BestStream

logger = logging.getLogger(__name__)

LEAST_CANDIDATES = 1000  # test accuracies by integers may be off by 0.005
REMOTE = "mdr_epistasis.remote"  # which runs tasks in functions


def run(comm: Communicator, args: Options, since: Usage = Usage()) -> Ending:  # noqa: B008
    """Search the models of a cohort and write the results to ``args.out``.

    Parameters
    ----------
    since
        What this process had used before; nothing, where it was started for the run.
    """
    measure = partial(get_resources, comm, args.threads, time.time(), since=since)
    record = begin_together(comm, args)
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", args.out)
        if comm.rank == 0:
            end_best(args)
        return Ending(True)
    with Hasher() as hasher, tell_best(comm, args) as best:
        return search(comm, args, record, hasher, measure, best)


def tell_best(
    comm: Communicator, args: Options
) -> contextlib.AbstractContextManager["BestStream | None"]:
    """Return what makes the stream of a run that has one, and closes it."""
    if args.results_stream is None:
        return contextlib.nullcontext()
    from mdr_epistasis.output.best_stream import open_best  # most runs have none

    return open_best(comm, args)


def end_best(args: Options) -> None:
    """End the stream of a complete run that has one."""
    if args.results_stream is not None:
        from mdr_epistasis.output.best_stream import end_stream  # most runs have none

        end_stream(args)


def search(
    comm: Communicator,
    args: Options,
    record: RunRecord,
    hasher: Hasher,
    measure: Callable[[list[Input]], Resources],
    best: "BestStream | None",
) -> Ending:
    """Search what earlier attempts have left, and write the results.

    Parameters
    ----------
    record
        Of the run so far.
    hasher
        Which reads the inputs for their checksums meanwhile.
    measure
        Returns what the run has used, given its inputs.
    best
        Which tells the best models as they are found; None without a stream.
    """
    with end_together(comm):
        if is_hashing(comm):
            begin_fingerprints(record, hasher)
    inputs = read_together(comm, args)
    with load(comm, args, inputs) as cohort:
        question, members = ask(comm, args, cohort, inputs)
        add_fingerprints(comm, record, hasher, datasets=args.datasets)
        describe_inputs(comm, args, cohort, inputs, record)
        search = make_search(cohort, question, inputs.trait)
        n_first = get_n_first(cohort, get_before(inputs))
        tasks = make_tasks(cohort.planes.shape, args.order, args.permutations, n_first)
        shards = make_shards(args, cohort)
        if best:
            best.begin(cohort.variants["id"], question)
        is_done, joined = run_tasks(comm, args, search, tasks, shards, record, best)
        across = None
        if members and is_done:
            across = search_sets(comm, search, members, args.threads)
        used, result = measure(record["inputs"]), None
        with end_together(comm):
            if comm.rank == 0:
                describe_run(args, cohort, inputs, tasks, record, used)
                if joined.counts is not None:
                    record["all_models"] = describe_errors(joined.counts)
                if is_done:
                    of_sets, findings = None, joined.found
                    if inputs.sets and members and across:
                        known = (cohort, question, inputs.sets, members, across)
                        of_sets = describe_sets(
                            *known, findings["maximum"], inputs.trait
                        )
                    asked = (cohort, question, findings, record, inputs.trait, of_sets)
                    result = make_result(*asked)
                finish(args, record, result, shards, joined.moved)
    return Ending(is_done, result)


def begin_together(comm: Communicator, args: Options) -> RunRecord:
    """Return the record of the run so far, on all ranks."""
    record: Any = None
    with end_together(comm):
        if comm.rank == 0:
            record = begin(args)
    found: RunRecord = comm.bcast(record)
    return found


def read_together(comm: Communicator, args: Options) -> Inputs:
    """Return the inputs, which one rank reads, and share their keys."""
    inputs: Any = None
    calls = look_for_calls(comm, args)
    with end_together(comm):
        if comm.rank == 0:
            inputs = read_inputs(args, calls)
    found: Inputs = comm.bcast(inputs)
    share_keys(comm)
    return found


def load(
    comm: Communicator, args: Options, inputs: Inputs
) -> contextlib.AbstractContextManager[Cohort]:
    """Return what loads the cohort for a block."""
    files, match, fold, lists, choice, sets, is_male, trait = inputs
    chosen = (args, lists, choice, sets, is_male)
    filters = make_filters(*chosen, of_all=not has_controls(trait))
    known = (match, fold, filters, get_before(inputs), read_pruning(args.ld_prune))
    in_order = args.all_models  # its array is of places
    return load_cohort(comm, files, *known, in_order=in_order)


def get_before(inputs: Inputs) -> frozenset[str] | None:
    """Return the variants that come before the others: of two lists, the first."""
    return inputs.lists.first if inputs.lists.second else None


def ask(
    comm: Communicator, args: Options, cohort: Cohort, inputs: Inputs
) -> tuple[learner.Question, list[np.ndarray] | None]:
    """Return the question of the search, and the members of sets if it has some."""
    with end_together(comm):
        ids = cohort.variants["id"]
        members = find_members(inputs.sets, ids) if inputs.sets else None
        question = make_question(args, cohort, inputs.lists, members)
        check_models(question, cohort.n_variants)
    return question, members


class Joined(NamedTuple):
    """What all ranks have found, on rank 0.

    Parameters
    ----------
    counts
        Of all models by their error; None if they are not wanted.
    moved
        What was counted of what moved between nodes.
    """

    found: Arrays
    counts: NDArray[np.int64] | None
    moved: list[Row]


def run_tasks(
    comm: Communicator,
    args: Options,
    search: Search,
    tasks: Tasks,
    shards: storer.Shards | None,
    record: RunRecord,
    best: "BestStream | None",
) -> tuple[bool, Joined]:
    """Run the tasks that are left; return whether that is done, then all findings."""
    work, mine, earlier = prepare(comm, args, search, tasks, shards, record, best)
    execute = choose_executor(comm, args, record, REMOTE, search, tasks)
    record["resources"] = {"start_s": args.get_age_s()}
    is_done, away, burst = execute(*work, show=make_progress(quiet=args.quiet))
    if burst:
        record["burst"] = burst
    if best:
        best.close()  # before the last rank goes on to the end of all segments
    if not comm.bcast(is_done):  # the ledger has it all, and there is little time
        return False, Joined({}, None, [])
    counts = None
    if shards:
        tiles = list_earlier(tasks, work.todo)[comm.rank :: comm.size]
        with end_together(comm):
            counts = count_earlier(shards, tiles)
    known = [*earlier, *away]
    return True, join_findings(comm, known, mine, search.question.top, counts)


def make_search(
    cohort: Cohort, question: learner.Question, trait: Trait | None = None
) -> Search:
    """Return the search that all tasks share.

    That of scores, which are integers in it, keeps more models than are reported: the
    best of them are chosen by exact scores.
    """
    number = np.argsort(cohort.place)
    known = (cohort.planes, number, cohort.arrangement, cohort.is_case)
    if trait is None:
        return Search(*known, question)
    n_models = math.comb(cohort.n_variants, question.order)
    top = min(max(get_candidates(question), LEAST_CANDIDATES), n_models)
    asked = replace(question, top=top)
    return Search(*known, asked, trait.scores, trait.strata)


def join_findings(
    comm: Communicator,
    known: Sequence[Arrays],
    mine: Sequence[Findings],
    top: int,
    counts: NDArray[np.int64] | None = None,
) -> Joined:
    """Return the findings of all attempts, ranks and threads, merged on each node.

    Parameters
    ----------
    counts
        Errors of all models that earlier attempts have stored, this rank's share; None
        where they are not wanted.
    """
    join = partial(merge, top=top)
    here = join([*known, *(each.to_arrays() for each in mine)])
    with near_data(comm) as area:
        best = area.create("best models", partial(Reduce, pickle.loads, join))
        best.write([pickle.dumps(here)])
        found: Arrays = area.reduce(best.name)
        if counts is not None:
            errors = area.create("errors of all models", add_arrays(np.int64))
            errors.write([sum((each.errors for each in mine), counts)])
            counts = area.reduce(errors.name)
    return Joined(found, counts, area.rows)


def describe_inputs(
    comm: Communicator, args: Options, cohort: Cohort, inputs: Inputs, record: RunRecord
) -> None:
    """Add to the record what was read, and what that will take; log it on rank 0."""
    if comm.rank == 0:
        files, match, _, lists, _, sets, _, trait = inputs
        record |= list_notes(files, match, cohort, lists, sets)
        say_cohort(cohort, trait)
        log_notes(record)
    is_missing = bool(cohort.variants["missing"].any())
    n_read = cohort.facts["variants_read"]
    record["plan"] = asdict(make_cost(args, inputs, n_read, is_missing))


def describe_run(
    args: Options,
    cohort: Cohort,
    inputs: Inputs,
    tasks: Tasks,
    record: RunRecord,
    used: Resources,
) -> None:
    """Add to the record what was searched, and what that has used."""
    say_fetched(used)
    record["cohort"] = describe_cohort(cohort, inputs.match.notes, inputs.trait)
    record["search"] = describe_search(args, cohort, tasks)
    record["resources"] = record["resources"] | used
    record["finished"] = get_time()


def finish(
    args: Options,
    record: RunRecord,
    result: Result | None,
    shards: storer.Shards | None,
    moved: list[Row],
) -> None:
    """Write the results and the manifest; without results the run was stopped."""
    if result is None:
        save_manifest(args.out, record | {"status": "stopped"})
        logger.warning("stopped on request; %s can be resumed (--resume)", args.out)
        return
    names = [*save_results(args.out, result, shards), *save_moved(args.out, moved)]
    outputs = name_outputs([*names, "report.html"])
    record |= {"status": "done", "outputs": outputs}
    save_manifest(args.out, record)
    save_report(args.out)
    shutil.rmtree(args.out / "ledger")  # last: without it the run is complete
    end_best(args)


def prepare(
    comm: Communicator,
    args: Options,
    search: Search,
    tasks: Tasks,
    shards: storer.Shards | None,
    record: RunRecord,
    best: "BestStream | None" = None,
) -> tuple[Work, list[Findings], list[Arrays]]:
    """Return the work that is left, where it is found, and what was found before.

    Parameters
    ----------
    best
        Which tells what is found, each time that it is saved.
    """
    finished: NDArray[np.int64] | None = None
    earlier: list[Arrays] = []
    with end_together(comm):
        if comm.rank == 0:
            finished, earlier = read_finished(args.out / "ledger", tasks, shards)
            begin_tasks(args.out, record, len(tasks), len(finished))
    todo = np.setdiff1d(np.arange(len(tasks)), comm.bcast(finished))
    findings = [search.make_findings() for _ in range(args.threads)]
    name = partial(name_ledger, args.out, record["attempt"], comm.rank)

    if best:
        best.add(earlier)

    def save(thread: int, done: list[int]) -> None:
        found = findings[thread].to_arrays()
        save_ledger(name(f"{thread:03d}"), done, found)
        if best:
            best.tell(thread, len(done), found)

    run_task = make_run_task(search, tasks, findings, shards)
    return Work(run_task, todo, save), findings, earlier


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


def say_cohort(cohort: Cohort, trait: Trait | None = None) -> None:
    """Log what was read."""
    facts = cohort.facts
    who = f"{int((cohort.is_case == 1).sum())} cases"
    if trait and not has_controls(trait):
        who = f"{trait.kind} {'trait' if get_readers() else trait.name}"
    logger.info(
        "%d individuals (%s), %d of %d variants kept",
        len(cohort.is_case),
        who,
        facts["variants_kept"],
        facts["variants_read"],
    )
    for reason, n in facts["removed"].items():
        logger.info("note: variants left out, %s: %d", reason, n)
