"""One run: plan, load, score, rank, store."""

import contextlib
import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from threading import Event
from typing import Literal, NamedTuple

import numpy as np

from hpc_connector.loader.spectra.imzml import Imzml
from hpc_connector.manifest import begin_run
from hpc_connector.notes import log_notes
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.shared_memory import drop_shared
from hpc_connector.pipeline.access import share_keys
from hpc_connector.pipeline.executor import Work, check_options, choose_executor
from hpc_connector.pipeline.fingerprints import is_hashing
from hpc_connector.pipeline.ledger import Arrays, name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import Usage, get_resources, say_fetched
from hpc_connector.pipeline.signals import on_signals
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import Resources, RunRecord
from hpc_connector.storage.checksums import Hasher
from metabolite_annotation.annotations import Annotations, find_annotations
from metabolite_annotation.dataset.overview import make_overview
from metabolite_annotation.export.formats import check_folders
from metabolite_annotation.inputs.checksums import (
    add_checksums,
    begin_checksums,
    begin_copy,
)
from metabolite_annotation.inputs.files import (
    Inputs,
    Library,
    Setup,
    list_inputs,
    list_known,
    read_inputs,
)
from metabolite_annotation.options import PROGRAM, Options
from metabolite_annotation.output.parts import make_images
from metabolite_annotation.output.record import (
    Found,
    describe_run,
    finish,
    list_notes,
    say_spectra,
)
from metabolite_annotation.output.results import save_results, save_tables
from metabolite_annotation.patterns import Patterns, get_patterns
from metabolite_annotation.plan import make_cost
from metabolite_annotation.spectra import Spectra, load_compiler, load_spectra
from metabolite_annotation.staging import stage
from metabolite_annotation.tasks import (
    join,
    make_run_task,
    make_tasks,
    score_nothing,
    spread,
)

logger = logging.getLogger(__name__)

REMOTE = "metabolite_annotation.remote"  # which runs tasks in functions
Ending = Literal["done", "complete", "stopped"]  # complete: nothing was left to do


class Acquired(NamedTuple):
    """A dataset that is not read from its file, but has been received.

    Parameters
    ----------
    imzml
        What is known of it, whose peaks lie in a file that all ranks read.
    told
        What the manifest has of it.
    is_stopped
        Ends the search once it is set, as a signal does.
    """

    imzml: Imzml
    told: RunRecord
    is_stopped: Event


def run(comm: Communicator, options: Options, since: Usage = Usage()) -> Ending:  # noqa: B008
    """Annotate a dataset and write the results to ``options.out``; say how it ended.

    Parameters
    ----------
    since
        What this process had used before; nothing, where it was started for the run.
    """
    with Hasher() as hasher:
        record, found, ending = search(comm, options, since, hasher)
    with end_together(comm):
        if comm.rank == 0 and ending != "complete":
            finish(options, record, found)
    return ending


def search(
    comm: Communicator,
    options: Options,
    since: Usage,
    hasher: Hasher,
    acquired: Acquired | None = None,
) -> tuple[RunRecord, Found | None, Ending]:
    """Annotate a dataset; write all but the report and the end of the manifest.

    Parameters
    ----------
    since
        As in :func:`run`.
    hasher
        Which reads the inputs for their checksums meanwhile.
    acquired
        The dataset of a search that reads no file of one, on rank 0.
    """
    start_s = time.time()
    record, inputs = begin(comm, options, hasher, acquired)
    record, setup = comm.bcast((record, inputs and inputs.setup))
    if setup is None:
        logger.info("%s is complete, nothing is left to do", options.out)
        return record, None, "complete"
    patterns = get_patterns(comm, options, setup.ions, setup.resolution)
    found, is_done = None, False
    is_stopped = acquired and acquired.is_stopped
    used: Resources = {"start_s": options.get_age_s()}
    if patterns is not None:
        library = inputs and inputs.library
        with open_spectra(comm, options, setup, library, record, hasher) as spectra:
            tasks = make_tasks(patterns.mz)
            work, scored, known = prepare(
                comm, options, spectra, patterns, tasks, record
            )
            packed = (spectra, patterns, tasks, options.ppm)
            execute = choose_executor(
                comm, options, record, REMOTE, *packed, is_stopped=is_stopped
            )
            show = make_progress(quiet=options.quiet)
            is_done, away, burst = execute(*work, show=show)
            if burst:
                record["burst"] = burst
            here = comm.allgather(join([*itertools.chain(*scored), *away]))
            if is_done:
                scores = spread([*known, *here], len(patterns.mz))
                given = (inputs, spectra, patterns, scores, record)
                found, is_done = store(comm, options, *given, is_stopped)
    used |= get_resources(comm, options.threads, start_s, record["inputs"], since)
    if comm.rank == 0:
        say_fetched(used)
    ending: Ending = "done" if is_done else "stopped"
    return record | {"resources": used}, found, ending


def begin(
    comm: Communicator, options: Options, hasher: Hasher, acquired: Acquired | None
) -> tuple[RunRecord, Inputs | None]:
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
            check_folders(options.export)
            files = list_known(options) if acquired else list_inputs(options)
            record = begin_run(PROGRAM, options, files, resume=options.resume)
            if acquired:
                record |= acquired.told
    record = comm.bcast(record)
    share_keys(comm)
    if record["status"] == "done":
        return record, None
    with end_together(comm):
        if is_hashing(comm):
            begin_checksums(options, record, hasher)
        if comm.rank == 0:
            imzml = acquired and acquired.imzml
            inputs = read_inputs(options, imzml, checksum=False)
            record["plan"] = asdict(make_cost(inputs.setup))
        else:
            load_compiler()
    return record, inputs


@contextlib.contextmanager
def open_spectra(
    comm: Communicator,
    options: Options,
    setup: Setup,
    library: Library | None,
    record: RunRecord,
    hasher: Hasher,
) -> Iterator[Spectra]:
    """Load the spectra into memory of each node; put into the record what they are.

    Parameters
    ----------
    library
        None but on rank 0.

    Raises
    ------
    BadInput
        Spectra that cannot be read, or a file of another checksum than is declared.
    """
    with stage(comm, setup.imzml, options.scratch) as imzml:
        if is_hashing(comm):
            begin_copy(options, record, hasher, setup.imzml, imzml.ibd_path)
        with load_spectra(comm, imzml, setup.picked) as spectra:
            add_checksums(comm, options, record, hasher, setup.imzml)
            if library:
                say_spectra(spectra)
                record |= describe_run(options, setup, library, spectra)
                record |= list_notes(library, spectra)
                log_notes(record)
            yield spectra


def store(
    comm: Communicator,
    options: Options,
    inputs: Inputs | None,
    spectra: Spectra,
    patterns: Patterns,
    scores: np.ndarray,
    record: RunRecord,
    is_stopped: Event | None,
) -> tuple[Found | None, bool]:
    """Write all but the report and the manifest.

    Parameters
    ----------
    inputs
        None but on rank 0.
    scores
        Of all ions, shape (ions, 8).

    Returns
    -------
    What was found, on rank 0; and whether no signal came between.
    """
    annotations: Annotations | None = None
    found: Found | None = None
    with end_together(comm):
        if inputs:
            setup, library = inputs
            annotations = find_annotations(options, setup, library, patterns, scores)
    overview, is_done = make_overview(comm, options, spectra, patterns, annotations)
    if not is_done:
        return None, False

    def save_rest() -> None:
        assert annotations is not None  # on rank 0
        assert overview is not None
        save_tables(options, annotations, overview.colocalised)

    stored = make_images(
        comm, options, spectra, patterns, annotations, save_rest, is_stopped
    )
    drop_shared(comm, spectra.peaks.to_tuple())
    note = is_stopped.set if is_stopped else lambda: None
    with on_signals(note), end_together(comm):  # the end is near: go on
        if annotations and overview and stored:
            given = (options, record, spectra, patterns, annotations)
            save_results(*given, overview, stored)
            if options.export:
                save_asked(options, record)
            moved = overview.colocalised.moved
            found = Found(annotations, stored.get_pictures(), moved)
    return found, stored is not None


def save_asked(options: Options, record: RunRecord) -> None:
    """Write the exports that are asked for, whose modules are loaded for them."""
    from metabolite_annotation.export.save import save_exports

    save_exports(options.out, options.export, options.normalise, record)


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
    peaks, grid = spectra.peaks, spectra.grid
    run_task = make_run_task(peaks, grid, tasks, patterns, options.ppm, scored)

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
