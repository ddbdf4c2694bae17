"""One acquisition: growing results while its spectra come, and the result at its end.

The first rank receives; all search. Each result is that of a search of its own, of what
is there: it has no other code than a run on a file, and so no other numbers.
"""

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from hpc_connector.manifest import begin_run, save_manifest
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.executor import check_options
from hpc_connector.pipeline.resources import read_usage
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import RunRecord
from hpc_connector.storage.checksums import Hasher
from hpc_connector.streams.stream import Stream
from metabolite_annotation.export.formats import check_exports, check_folders
from metabolite_annotation.follow.dataset import Growing
from metabolite_annotation.follow.options import FollowOptions, make_search_options
from metabolite_annotation.follow.pace import Pace
from metabolite_annotation.follow.publish import publish_result
from metabolite_annotation.follow.receive import open_source, receive, watch_seal
from metabolite_annotation.inputs.files import (
    list_known,
    read_databases,
    read_inputs,
    read_model,
)
from metabolite_annotation.options import PROGRAM
from metabolite_annotation.output.record import Found, finish
from metabolite_annotation.patterns import get_patterns
from metabolite_annotation.report.acquiring import say_pixels
from metabolite_annotation.run import Acquired, Ending, search

logger = logging.getLogger(__name__)

FOLDER = "acquired.partial"  # in that of the results: the peaks, the result in hand


class Source(NamedTuple):
    """What the first rank has: the stream, and what came of it."""

    stream: Stream
    growing: Growing
    pace: Pace


class Effort(NamedTuple):
    """How many growing results were made, and their CPU seconds on the first rank."""

    results: int = 0
    cpu_s: float = 0.0


def follow(comm: Communicator, options: FollowOptions) -> Ending:
    """Annotate a dataset as its spectra come; say how it ended.

    Raises
    ------
    BadInput
        Inputs, or records of the stream, that cannot be used.
    """
    record = begin(comm, options)
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", options.out)
        return "complete"
    with open_all(comm, options) as source:
        if not get_ready(comm, options, source):
            return stop(comm, options, record)
        effort = Effort()
        while True:
            is_last = wait(comm, options, source)
            ending, used_s = make_result(comm, options, source, record, effort, is_last)
            if ending != "done":
                return stop(comm, options, record)
            if is_last:
                return "done"
            effort = Effort(effort.results + 1, effort.cpu_s + used_s)


def begin(comm: Communicator, options: FollowOptions) -> RunRecord:
    """Return the record so far on all ranks; what can be checked already is checked."""
    record: RunRecord = {}
    with end_together(comm):
        if comm.rank == 0:
            check_options(options)
            check_exports(options.export)
            check_folders(options.export)
            record = begin_run(PROGRAM, options, list_known(options), resume=True)
            if record["status"] != "done":
                read_model(options)
                read_databases(options)
    found: RunRecord = comm.bcast(record)
    return found


@contextlib.contextmanager
def open_all(comm: Communicator, options: FollowOptions) -> Iterator[Source | None]:
    """Give the source, on the first rank; what lies beside results goes with it."""
    if comm.rank:
        yield None
        return
    folder = options.out / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
    folder.mkdir()
    try:
        with open_source(options) as stream:
            growing = Growing(options.dataset, folder / "peaks.ibd")
            yield Source(stream, growing, Pace(options.every))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def get_ready(
    comm: Communicator, options: FollowOptions, source: Source | None
) -> bool:
    """Have isotope patterns, once it is known what is measured, for the first result.

    Returns
    -------
    False after a stop signal.
    """
    setup: Any = None
    with end_together(comm):
        if source:
            once = Pace(0.0)
            receive(source.stream, source.growing, once)
            source.pace.count(once.n, time.monotonic())
            source.pace.expected = once.expected
            known = make_search_options(
                options, source.growing.name, options.out, options.started_s
            )
            setup = read_inputs(known, source.growing.make_imzml()).setup
    ions, resolution = comm.bcast(setup and (setup.ions, setup.resolution))
    return get_patterns(comm, options, ions, resolution) is not None


def wait(comm: Communicator, options: FollowOptions, source: Source | None) -> bool:
    """Wait until a result is due, asleep; return whether it is the last."""
    is_last = False
    with end_together(comm):
        if source:
            took = source.growing.get_took_s
            show = make_progress(quiet=options.quiet, unit="spectra", get_took_s=took)
            is_last = receive(source.stream, source.growing, source.pace, show)
            source.pace.begin(time.monotonic())
    return bool(comm.bcast(is_last))


def make_result(
    comm: Communicator,
    options: FollowOptions,
    source: Source | None,
    record: RunRecord,
    effort: Effort,
    is_last: bool,
) -> tuple[Ending, float]:
    """Search what is there, and publish what is found.

    Returns
    -------
    How the search ended: also "done" where it was ended by the seal; and the CPU
    seconds of this rank.
    """
    used, partial = read_usage(), options.out / FOLDER / "result"
    is_stopped, is_over = threading.Event(), threading.Event()
    if source:
        shutil.rmtree(partial, ignore_errors=True)  # of a search that was ended
    acquired = source and describe(
        source.growing, effort, options.every, is_stopped, is_last
    )
    name = comm.bcast(source and source.growing.name)
    own = make_search_options(options, name, partial, time.monotonic())
    with Hasher() as hasher, contextlib.ExitStack() as stack:
        if not is_last:
            own = replace(own, quiet=True)
            stack.enter_context(be_quiet())
            stack.enter_context(watch_seal(source and options, is_stopped, is_over))
        searched, found, ending = search(comm, own, used, hasher, acquired)
    with end_together(comm):
        if source and found and not is_over.is_set():
            finish(own, searched, found)
            publish_result(partial, options.out, record, is_final=is_last)
            say_result(searched, found)
            shutil.rmtree(partial)
    if not is_last and is_stopped.is_set():  # also while what was found was written
        ending = "done" if is_over.is_set() else "stopped"
    return comm.bcast(ending), read_usage().since(used).cpu_s


def describe(
    growing: Growing,
    effort: Effort,
    every_s: float,
    is_stopped: threading.Event,
    is_final: bool,
) -> Acquired:
    """Return what a search takes for its dataset."""
    imzml = growing.make_imzml()
    told = growing.describe(imzml, is_final=is_final) | describe_effort(effort)
    if not is_final:  # in the frame of all that is to come
        imzml = replace(imzml, box=growing.find_box())
        told["every_s"] = every_s
    return Acquired(imzml, {"acquired": told}, is_stopped)


def describe_effort(effort: Effort) -> dict[str, Any]:
    """Return what growing results took, for the manifest."""
    return {"results": effort.results, "results_cpu_s": round(effort.cpu_s, 3)}


@contextlib.contextmanager
def be_quiet() -> Iterator[None]:
    """Log no notes of a growing result: those of the last are of all."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def say_result(record: RunRecord, found: Found) -> None:
    """Log how much of the dataset a growing result has, and what is found there."""
    n, told = len(found.annotations.columns["fdr_level"]), record["acquired"]
    if not told["final"]:
        logger.info("%s: %d annotations", say_pixels(told), n)


def stop(comm: Communicator, options: FollowOptions, record: RunRecord) -> Ending:
    """Note that a signal has ended it; the same command goes on."""
    with end_together(comm):
        if comm.rank == 0:
            save_manifest(options.out, record | {"status": "stopped"})
            logger.warning("stopped on request; the same command goes on")
    return "stopped"
