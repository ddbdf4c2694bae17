"""One run: plan, load, score, rank, store."""

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from hpc_connector.manifest import begin_run
from hpc_connector.notes import log_notes
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.executor import check_options, choose_executor
from hpc_connector.pipeline.ledger import Arrays, name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import Usage, get_resources, say_fetched
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import Resources, RunRecord
from metabolite_annotation.annotations import Annotations, find_annotations
from metabolite_annotation.inputs.files import (
    Inputs,
    Library,
    Setup,
    list_inputs,
    read_inputs,
)
from metabolite_annotation.options import PROGRAM, Options
from metabolite_annotation.output.images import save_images
from metabolite_annotation.output.record import (
    describe_run,
    finish,
    list_notes,
    say_spectra,
)
from metabolite_annotation.output.results import save_results
from metabolite_annotation.patterns import Patterns, get_patterns
from metabolite_annotation.plan import make_cost
from metabolite_annotation.spectra import Spectra, load_compiler, load_spectra
from metabolite_annotation.staging import stage
from metabolite_annotation.tasks import (
    join,
    make_tasks,
    score,
    score_nothing,
    spread,
)

logger = logging.getLogger(__name__)

REMOTE = "metabolite_annotation.remote"  # which runs tasks in functions
Ending = Literal["done", "complete", "stopped"]  # complete: nothing was left to do


def run(comm: Any, options: Options, since: Usage = Usage()) -> Ending:  # noqa: B008
    """Annotate a dataset and write the results to ``options.out``; say how it ended.

    Parameters
    ----------
    since
        What this process had used before; nothing, where it was started for the run.
    """
    start_s = time.time()
    record, inputs = begin(comm, options)
    record, setup = comm.bcast((record, inputs and inputs.setup))
    if setup is None:
        logger.info("%s is complete, nothing is left to do", options.out)
        return "complete"
    library = inputs and inputs.library
    patterns = get_patterns(comm, options, setup.ions, setup.resolution)
    annotations: Any = None
    used: Resources = {"start_s": options.get_age_s()}
    if patterns is not None:
        annotations = search(comm, options, setup, library, patterns, record)
    is_done = comm.bcast(annotations is not None)
    used |= get_resources(comm, options.threads, start_s, record["inputs"], since)
    with end_together(comm):
        if comm.rank == 0:
            say_fetched(used)
            finish(options, record | {"resources": used}, annotations)
    return "done" if is_done else "stopped"


def begin(comm: Communicator, options: Options) -> tuple[RunRecord, Inputs | None]:
    """Read the inputs on rank 0, while the others load what kernels need.

    Returns
    -------
    The record so far, and the inputs; None where nothing is left to do, and on the
    other ranks.
    """
    record: RunRecord = {}
    inputs = None
    with end_together(comm):
        if comm.rank == 0:
            check_options(options)
            files = list_inputs(options)
            record = begin_run(PROGRAM, options, files, resume=options.resume)
            if record["status"] != "done":
                inputs = read_inputs(options)
                record["plan"] = asdict(make_cost(inputs.setup))
        else:
            load_compiler()
    return record, inputs


def search(
    comm: Communicator,
    options: Options,
    setup: Setup,
    library: Library | None,
    patterns: Patterns,
    record: RunRecord,
) -> Annotations | None:
    """Score the ions, and write all but the report and the manifest.

    Returns
    -------
    The annotations on rank 0; None on other ranks, and after a stop signal.
    """
    annotations: Any = None
    with (
        stage(comm, setup.imzml, options.scratch) as imzml,
        load_spectra(comm, imzml, setup.picked) as spectra,
    ):
        if comm.rank == 0 and library:
            say_spectra(spectra)
            record |= describe_run(options, setup, library, spectra)
            record |= list_notes(library, spectra)
            log_notes(record)
        tasks = make_tasks(patterns.mz)
        work, scored, known = prepare(comm, options, spectra, patterns, tasks, record)
        packed = (spectra, patterns, tasks, options.ppm)
        execute = choose_executor(comm, options, record, REMOTE, *packed)
        is_done, away, burst = execute(*work, show=make_progress(quiet=options.quiet))
        if burst:
            record["burst"] = burst
        here = comm.allgather(join([*itertools.chain(*scored), *away]))
        if not is_done:
            return None
        scores = spread([*known, *here], len(patterns.mz))
        with end_together(comm):
            if comm.rank == 0 and library:
                annotations = find_annotations(
                    options, setup, library, patterns, scores
                )

        def save_rest() -> None:
            save_results(options, record, spectra, patterns, annotations)

        is_done = save_images(comm, options, spectra, patterns, annotations, save_rest)
    return annotations if is_done else None


class Work(NamedTuple):
    """The tasks that are left to do, as an executor takes them.

    Parameters
    ----------
    run_task
        Takes a task and the thread that runs it.
    todo
        The tasks.
    save
        Records what a thread has done.
    """

    run_task: Callable[[int, int], None]
    todo: Sequence[int]
    save: Callable[[int, list[int]], None]


def prepare(
    comm: Communicator,
    options: Options,
    spectra: Spectra,
    patterns: Patterns,
    tasks: Sequence[np.ndarray],
    record: RunRecord,
) -> tuple[Work, list[list[Arrays]], list[Arrays]]:
    """Return the work that is left, where each thread scores, and earlier scores."""
    todo, earlier = find_left(comm, options, record, len(tasks))
    scored = [[score_nothing()] for _ in range(options.threads)]
    name = partial(name_ledger, options.out, record["attempt"], comm.rank)

    def run_task(number: int, thread: int) -> None:
        ions = tasks[number]
        found = score(spectra.peaks, spectra.grid, ions, patterns, options.ppm)
        scored[thread].append(found)

    def save(thread: int, done: list[int]) -> None:
        save_ledger(name(f"{thread:03d}"), done, join(scored[thread]))

    return Work(run_task, todo, save), scored, earlier


def find_left(
    comm: Communicator, options: Options, record: RunRecord, n_tasks: int
) -> tuple[list[int], list[Arrays]]:
    """Return the tasks that are left to do, and what earlier attempts found."""
    finished, found = comm.bcast(
        read_ledger(options.out / "ledger") if comm.rank == 0 else None
    )
    with end_together(comm):
        if comm.rank == 0:
            begin_tasks(options.out, record, n_tasks, len(finished))
    return sorted(set(range(n_tasks)) - set(finished.tolist())), found
