"""One run: plan, load, score, rank, store."""

import logging
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from hpc_connector import cli
from hpc_connector.learner.annotation.ion_images import SCORES
from hpc_connector.manifest import begin_run
from hpc_connector.notes import add_counts, log_notes, make_notes
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.executor import check_options, choose_executor
from hpc_connector.pipeline.ledger import name_ledger, read_ledger, save_ledger
from hpc_connector.pipeline.progress import begin_tasks
from hpc_connector.pipeline.resources import get_resources, say_fetched
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import Resources, RunRecord
from metabolite_annotation.inputs import Library, Setup, list_inputs, read_inputs
from metabolite_annotation.options import Options
from metabolite_annotation.patterns import Patterns, get_patterns
from metabolite_annotation.remote import join, pack, score
from metabolite_annotation.results import (
    PROGRAM,
    Findings,
    describe,
    find_annotations,
    finish,
    save_images,
    save_results,
)
from metabolite_annotation.spectra import Spectra, load_compiler, load_spectra
from metabolite_annotation.staging import stage

logger = logging.getLogger(__name__)

IONS_A_TASK = 512
MOST_TASKS = 1024


def run(comm: Any, args: Options) -> int:
    """Annotate a dataset and write the results to ``args.out``."""
    from metabolite_annotation.plan import make_cost

    start_s = time.time()
    record: Any = None
    setup: Any = None
    library: Any = None
    with end_together(comm):
        if comm.rank == 0:
            check_options(args)
            record = begin_run(PROGRAM, args, list_inputs(args), resume=args.resume)
            if record["status"] != "done":
                setup, library = read_inputs(args)
                record["plan"] = asdict(make_cost(setup))
        else:
            load_compiler()
    record, setup = comm.bcast((record, setup))
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", args.out)
        return cli.DONE
    patterns = get_patterns(comm, args, setup.ions, setup.resolution)
    findings: Any = None
    used: Resources = {"start_s": args.get_age_s()}
    if patterns is not None:
        findings = search(comm, args, setup, library, patterns, record)
    is_done = comm.bcast(findings is not None)
    used |= get_resources(comm, args.threads, start_s, record["inputs"])
    with end_together(comm):
        if comm.rank == 0:
            say_fetched(used)
            finish(args, record | {"resources": used}, findings)
    return cli.DONE if is_done else cli.STOPPED


def search(
    comm: Any,
    args: Options,
    setup: Setup,
    library: Library | None,
    patterns: Patterns,
    record: RunRecord,
) -> Findings | None:
    """Score the ions, and write all but the report and the manifest.

    Returns
    -------
    The annotations on rank 0; None on other ranks, and after a stop signal.
    """
    findings: Any = None
    with (
        stage(comm, setup.imzml, args.scratch) as imzml,
        load_spectra(comm, imzml, setup.picked) as spectra,
    ):
        if comm.rank == 0 and library:
            say_spectra(spectra)
            record |= describe(args, setup, library, spectra)
            record |= list_notes(library, spectra)
            log_notes(record)
        scores, is_done = score_ions(comm, args, spectra, patterns, record)
        if not is_done:
            return None
        with end_together(comm):
            if comm.rank == 0 and library:
                findings = find_annotations(args, setup, library, patterns, scores)

        def save_rest() -> None:
            save_results(args, record, spectra, patterns, findings)

        is_done = save_images(comm, args, spectra, patterns, findings, save_rest)
    return findings if is_done else None


def say_spectra(spectra: Spectra) -> None:
    """Log what was read."""
    facts = spectra.facts
    logger.info(
        "%d spectra, %d pixels, %d peaks, m/z %.4f to %.4f",
        facts["spectra"],
        facts["pixels"],
        facts["peaks"],
        *facts["mz_range"],
    )


def list_notes(library: Library, spectra: Spectra) -> RunRecord:
    """Return what was assumed, left out and changed, for the manifest."""
    dropped = spectra.facts["dropped"]
    counted = {
        "peaks without a number were left out": dropped["n_nan"],
        "negative intensities were left out": dropped["n_negative"],
        "spectra are not in order of m/z": dropped["n_unsorted"],
        "spectra share a pixel with another and are added to it": (
            spectra.facts["duplicate_spectra"]
        ),
        "spectra are empty": spectra.facts["empty_spectra"],
        "spectra have no total ion current above 0 in the file, so the sums of peaks "
        "were taken for all": spectra.facts["unusable_tic"],
    }
    return make_notes(library.assumed, add_counts([library.counted, counted]))


def score_ions(
    comm: Any,
    args: Options,
    spectra: Spectra,
    patterns: tuple[np.ndarray, np.ndarray],
    record: RunRecord,
) -> tuple[np.ndarray, bool]:
    """Score the ions that are left to do; return the scores of all, on every rank.

    Ions are taken in order of m/z, so a task has a stretch of the peaks.
    """
    mz, theoretical = patterns
    order = np.argsort(mz[:, 0], kind="stable")
    order = order[mz[order, 0] > 0]
    n = max(IONS_A_TASK, -(-len(order) // MOST_TASKS))
    tasks = [order[first : first + n] for first in range(0, len(order), n)]
    finished, found = comm.bcast(
        read_ledger(args.out / "ledger") if comm.rank == 0 else None
    )
    with end_together(comm):
        if comm.rank == 0:
            begin_tasks(args.out, record, len(tasks), len(finished))
    todo = sorted(set(range(len(tasks))) - set(finished.tolist()))
    nothing = {"ion": np.zeros(0, np.int64), "scores": np.zeros((0, len(SCORES)))}
    mine = [[nothing] for _ in range(args.threads)]
    pack_all = partial(pack, spectra, patterns, tasks, args.ppm)
    execute = choose_executor(
        comm, args, record, "metabolite_annotation.remote", pack_all
    )

    def run_task(number: int, thread: int) -> None:
        found = score(
            spectra.peaks, spectra.grid, tasks[number], mz, theoretical, args.ppm
        )
        mine[thread].append(found)

    def save(thread: int, done: list[int]) -> None:
        path = name_ledger(args.out, record["attempt"], comm.rank, f"{thread:03d}")
        save_ledger(path, done, join(mine[thread]))

    show = make_progress(quiet=args.quiet)
    is_done, away, burst = execute(run_task, todo, save, show)
    if burst:
        record["burst"] = burst
    mine[0] += away
    here = join([arrays for parts in mine for arrays in parts])
    everything = join([nothing, *found, *comm.allgather(here)])
    scores = np.zeros((len(mz), len(SCORES)))
    scores[everything["ion"]] = everything["scores"]
    return scores, is_done
