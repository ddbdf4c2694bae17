"""One run: plan, load, score, rank, store."""

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import numpy as np

from hpc_connector.manifest import begin_run
from hpc_connector.notes import log_notes
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.executor import check_options, choose_executor
from hpc_connector.pipeline.ledger import Arrays, name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import get_resources, say_fetched
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import Resources, RunRecord
from hpc_connector.storage.address import Source
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
from metabolite_annotation.remote import pack
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

Ending = Literal["done", "complete", "stopped"]  # complete: nothing was left to do


def run(comm: Any, options: Options) -> Ending:
    """Annotate a dataset and write the results to ``options.out``; say how it ended."""
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
    used |= get_resources(comm, options.threads, start_s, record["inputs"])
    with end_together(comm):
        if comm.rank == 0:
            say_fetched(used)
            finish(options, record | {"resources": used}, annotations)
    return "done" if is_done else "stopped"


def begin(comm: Any, options: Options) -> tuple[RunRecord, Inputs | None]:
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
    comm: Any,
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
        scores, is_done = score_ions(comm, options, spectra, patterns, record)
        if not is_done:
            return None
        with end_together(comm):
            if comm.rank == 0 and library:
                annotations = find_annotations(
                    options, setup, library, patterns, scores
                )

        def save_rest() -> None:
            save_results(options, record, spectra, patterns, annotations)

        is_done = save_images(comm, options, spectra, patterns, annotations, save_rest)
    return annotations if is_done else None


def score_ions(
    comm: Any,
    options: Options,
    spectra: Spectra,
    patterns: Patterns,
    record: RunRecord,
) -> tuple[np.ndarray, bool]:
    """Score the ions that are left to do.

    Returns
    -------
    The scores of all ions, shape (ions, 8), on every rank; and whether all are done.
    """
    tasks = make_tasks(patterns.mz)
    todo, earlier = find_left(comm, options, record, len(tasks))
    scored = [[score_nothing()] for _ in range(options.threads)]

    def run_task(number: int, thread: int) -> None:
        ions = tasks[number]
        found = score(spectra.peaks, spectra.grid, ions, patterns, options.ppm)
        scored[thread].append(found)

    package = partial(pack, spectra, patterns, tasks, options.ppm)
    is_done, away = do_tasks(comm, options, record, todo, run_task, scored, package)
    here = join([*itertools.chain(*scored), *away])
    return spread([*earlier, *comm.allgather(here)], len(patterns.mz)), is_done


def find_left(
    comm: Any, options: Options, record: RunRecord, n_tasks: int
) -> tuple[list[int], list[Arrays]]:
    """Return the tasks that are left to do, and what earlier attempts found."""
    finished, found = comm.bcast(
        read_ledger(options.out / "ledger") if comm.rank == 0 else None
    )
    with end_together(comm):
        if comm.rank == 0:
            begin_tasks(options.out, record, n_tasks, len(finished))
    return sorted(set(range(n_tasks)) - set(finished.tolist())), found


def do_tasks(
    comm: Any,
    options: Options,
    record: RunRecord,
    todo: Sequence[int],
    run_task: Callable[[int, int], None],
    scored: Sequence[Sequence[Arrays]],
    package: Callable[[Source], tuple[str, int]],
) -> tuple[bool, Sequence[Arrays]]:
    """Have tasks run where the options say: on the ranks alone, or in functions too.

    Parameters
    ----------
    scored
        What each thread has found so far, for the ledger.
    package
        Puts into a store what tasks need elsewhere.

    Returns
    -------
    Whether all were run, and what was found elsewhere.
    """
    module = "metabolite_annotation.remote"
    execute = choose_executor(comm, options, record, module, package)
    name = partial(name_ledger, options.out, record["attempt"], comm.rank)

    def save(thread: int, done: list[int]) -> None:
        save_ledger(name(f"{thread:03d}"), done, join(scored[thread]))

    show = make_progress(quiet=options.quiet)
    is_done, away, burst = execute(run_task, todo, save, show)
    if burst:
        record["burst"] = burst
    return is_done, away
