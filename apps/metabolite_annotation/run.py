"""One run: plan, load, score, rank, store."""

import argparse
import functools
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import cli, pipeline
from hpc_connector.errors import BadInput
from hpc_connector.learner.elements import ISOTOPES, LABELS
from hpc_connector.learner.formulas import parse_formula
from hpc_connector.learner.ion_images import SCORES, annotate, get_images
from hpc_connector.learner.ions import Candidates, Chemistry, Ions, make_ions
from hpc_connector.learner.patterns import Resolution, get_instrument, get_sigma
from hpc_connector.loader.ibd import check_ibd
from hpc_connector.loader.imzml import Imzml, read_imzml
from hpc_connector.loader.molecules import Database, read_database
from hpc_connector.manifest import begin_run, get_time, save_manifest
from hpc_connector.partitioner.communicator import end_together
from hpc_connector.storer.annotation_report import save_report
from metabolite_annotation import output
from metabolite_annotation.annotations import (
    Search,
    list_scores,
    make_score,
    rank_annotations,
)
from metabolite_annotation.export import (
    ANNDATA,
    CSV,
    check_exports,
    get_first_images,
    save_anndata,
    save_csv,
)
from metabolite_annotation.patterns import get_cache_folder, get_patterns
from metabolite_annotation.spectra import Spectra, load_spectra

logger = logging.getLogger(__name__)

PROGRAM = "metabolite-annotation"
ADDUCTS = {"positive": ("+H", "+Na", "+K"), "negative": ("-H", "+Cl")}
EXPORTS = {"csv": CSV, "anndata": ANNDATA}
IONS_A_TASK = 512
MOST_TASKS = 1024


@dataclass(frozen=True)
class Setup:
    """What all ranks know before they begin."""

    imzml: Imzml
    ions: Ions
    resolution: Resolution


@dataclass(frozen=True)
class Library:
    """What rank 0 alone knows: molecules, and the ions of each database."""

    databases: Sequence[Database]
    candidates: Sequence[Candidates]
    polarity: str
    adducts: tuple[str, ...]
    notes: tuple[str, ...]


def run(comm: Any, args: argparse.Namespace) -> int:
    """Annotate a dataset and write the results to ``args.out``."""
    start_s = time.time()
    record: Any = None
    setup: Any = None
    library: Any = None
    model = None
    with end_together(comm):
        if comm.rank == 0:
            record = begin_run(PROGRAM, args, list_inputs(args), resume=args.resume)
            if record["status"] != "done":
                check_exports(args.export)
                model = read_model(args)
                setup, library = read_inputs(args)
    record, setup = comm.bcast((record, setup))
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", args.out)
        return cli.DONE
    folder = args.pattern_cache or get_cache_folder()
    patterns, is_known = get_patterns(comm, setup.ions, setup.resolution, folder)
    if comm.rank == 0:
        where = "from the cache" if is_known else "computed"
        logger.info("%d isotope patterns %s", len(setup.ions), where)

    with load_spectra(comm, setup.imzml) as spectra:
        if comm.rank == 0:
            say_spectra(spectra)
        record["resources"] = {"start_s": cli.get_age_s()}
        scores, is_done = score_ions(comm, args, spectra, patterns, record)
        columns = search = None
        if is_done:
            with end_together(comm):
                if comm.rank == 0:
                    search = make_search(setup, library, patterns, scores, model)
                    columns = rank_annotations(
                        search, args.analysis_version, args.fdr, args.ppm
                    )
            columns = comm.bcast(columns)
            is_done = save_images(comm, args, spectra, patterns[0], columns)
        used = pipeline.get_resources(comm, args.threads, start_s)
        with end_together(comm):
            if comm.rank == 0:
                record["resources"] |= used
                record |= describe(args, setup, library, spectra)
                finish(args, record, spectra, patterns, search, columns, is_done)
    return cli.DONE if is_done else cli.STOPPED


def list_inputs(args: argparse.Namespace) -> list[str]:
    """Return the files that decide the results."""
    stem = args.dataset[: -len(Path(args.dataset).suffix) or None]
    ibd = [
        stem + ending for ending in (".ibd", ".IBD") if os.path.exists(stem + ending)
    ]
    model = [args.model] if args.model else []
    return [args.dataset, *ibd[:1], *args.database, *model]


def read_inputs(args: argparse.Namespace) -> tuple[Setup, Library]:
    """Read all but the spectra, and make the ions."""
    imzml = read_imzml(args.dataset)
    check_ibd(imzml)
    notes = []
    polarity = args.polarity or imzml.polarity or "positive"
    if imzml.polarity and polarity != imzml.polarity:
        raise BadInput(
            f"{args.dataset} was acquired in {imzml.polarity} mode: expected "
            f"--polarity {imzml.polarity}, found {polarity}"
        )
    if not args.polarity and not imzml.polarity:
        notes.append(f"{args.dataset} names no polarity, positive is taken")
    adducts = args.adducts or ADDUCTS[polarity]
    databases = read_databases(args.database)
    chemistry = Chemistry(
        tuple(adducts),
        tuple(args.neutral_losses),
        tuple(args.chem_mods),
        args.decoys,
        args.analysis_version,
        args.seed,
    )
    try:
        formulas = [database.get_formulas() for database in databases]
        ions, candidates = make_ions(formulas, chemistry)
    except ValueError as error:
        raise BadInput(f"adducts, losses and modifications: {error}") from None
    charge = 1 if polarity == "positive" else -1
    resolution = make_resolution(args, imzml.analyzer, charge)
    library = Library(databases, candidates, polarity, tuple(adducts), tuple(notes))
    return Setup(imzml, ions, resolution), library


def read_databases(paths: Sequence[str]) -> list[Database]:
    """Read the databases, whose file names must differ."""
    databases = [read_database(path, check_formula) for path in paths]
    titles = [database.title for database in databases]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise BadInput(f"two databases are named {twice[0]}: expected different names")
    return databases


@functools.cache
def check_formula(text: str) -> None:
    """Raise ValueError for a formula that cannot be parsed."""
    for element in parse_formula(text.replace("=", "")):
        if element not in ISOTOPES and element not in LABELS:
            raise ValueError(f"{element!r} is no element")


def make_resolution(args: argparse.Namespace, analyzer: str, charge: int) -> Resolution:
    """Return what decides isotope patterns, by the options and the file."""
    instrument = args.instrument
    if instrument == "auto":
        instrument = get_instrument(analyzer)
    sigma = args.isocalc_sigma or get_sigma(instrument, *args.resolving_power)
    return Resolution(instrument, sigma, charge, args.analysis_version)


def read_model(args: argparse.Namespace) -> Callable | None:
    """Return the scoring function of METASPACE-ML, None without a model."""
    if args.model is None:
        return None
    if args.analysis_version != 3:
        raise BadInput("--model needs --analysis-version 3, for which it was trained")
    from metabolite_annotation.scoring_model import load_model

    return load_model(args.model)


def say_spectra(spectra: Spectra) -> None:
    """Log what was read, and what was left out."""
    facts = spectra.facts
    logger.info(
        "%d spectra, %d pixels, %d peaks, m/z %.4f to %.4f",
        facts["spectra"],
        facts["pixels"],
        facts["peaks"],
        *facts["mz_range"],
    )
    dropped = facts["dropped"]
    notes = {
        "peaks without a number were left out": dropped["n_nan"],
        "negative intensities were left out": dropped["n_negative"],
        "spectra are not in order of m/z": dropped["n_unsorted"],
        "spectra share a pixel with another and are added to it": (
            facts["duplicate_spectra"]
        ),
        "spectra are empty": facts["empty_spectra"],
    }
    for text, n in notes.items():
        if n:
            logger.info("note: %d %s", n, text)


def score_ions(
    comm: Any,
    args: argparse.Namespace,
    spectra: Spectra,
    patterns: tuple[np.ndarray, np.ndarray],
    record: dict[str, Any],
) -> tuple[np.ndarray, bool]:
    """Score the ions that are left to do; return the scores of all, on every rank.

    Ions are taken in order of m/z, so a task has a stretch of the peaks.
    """
    mz, theoretical = patterns
    order = np.argsort(mz[:, 0], kind="stable")
    order = order[mz[order, 0] > 0]
    n = max(IONS_A_TASK, -(-len(order) // MOST_TASKS))
    tasks = [order[first : first + n] for first in range(0, len(order), n)]
    ledger = args.out / "ledger"
    finished, found = comm.bcast(
        pipeline.read_ledger(ledger) if comm.rank == 0 else None
    )
    todo = sorted(set(range(len(tasks))) - set(finished.tolist()))
    nothing = {"ion": np.zeros(0, np.int64), "scores": np.zeros((0, len(SCORES)))}
    mine = [[nothing] for _ in range(args.threads)]

    def run_task(number: int, thread: int) -> None:
        ions = tasks[number]
        scores = annotate(
            spectra.peaks, spectra.grid, mz[ions], theoretical[ions], ppm=args.ppm
        )
        (kept,) = np.nonzero(scores[:, 0])
        mine[thread].append({"ion": ions[kept], "scores": scores[kept]})

    def save(thread: int, done: list[int]) -> None:
        name = f"{record['attempt']:04d}-{comm.rank:05d}-{thread:03d}.npz"
        pipeline.save_ledger(ledger / name, done, join(mine[thread]))

    show = pipeline.make_progress(quiet=args.quiet)
    is_done = pipeline.run_on_ranks(
        comm, run_task, todo, save, threads=args.threads, show=show
    )
    here = join([arrays for parts in mine for arrays in parts])
    everything = join([nothing, *found, *comm.allgather(here)])
    scores = np.zeros((len(mz), len(SCORES)))
    scores[everything["ion"]] = everything["scores"]
    return scores, is_done


def join(parts: Sequence[pipeline.Arrays]) -> pipeline.Arrays:
    """Return the scored ions of several tasks as one set of arrays."""
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def make_search(
    setup: Setup,
    library: Library,
    patterns: tuple[np.ndarray, np.ndarray],
    scores: np.ndarray,
    model: Callable | None,
) -> Search:
    """Return what was searched for and found."""
    return Search(
        setup.ions,
        library.candidates,
        library.databases,
        patterns[0],
        scores,
        make_score(scores, model),
    )


def save_images(
    comm: Any,
    args: argparse.Namespace,
    spectra: Spectra,
    mz: np.ndarray,
    columns: dict[str, Any],
) -> bool:
    """Write the images of annotations on all ranks; return whether all are there."""
    folder = args.out / "images"
    with end_together(comm):
        if comm.rank == 0:
            folder.mkdir(exist_ok=True)
    names = list(zip(columns["formula"], columns["adduct"], strict=True))
    ion_of = dict(zip(names, columns["ion_number"].tolist(), strict=True))
    names = sorted(ion_of)

    def run_task(number: int, thread: int) -> None:
        ion = ion_of[names[number]]
        images = get_images(
            spectra.peaks, spectra.grid, mz[ion : ion + 1], ppm=args.ppm
        )
        for k in range(mz.shape[1]):
            part = slice(images.start[k], images.start[k + 1])
            if part.start < part.stop:
                path = folder / output.get_image_name(*names[number], k)
                value = images.intensity[part]
                output.save_png(path, spectra.grid, images.pixel[part], value)

    todo = range(len(names))
    return pipeline.run_on_ranks(
        comm, run_task, todo, lambda *_: None, threads=args.threads
    )


def describe(
    args: argparse.Namespace, setup: Setup, library: Library, spectra: Spectra
) -> dict[str, Any]:
    """Return the dataset's and the search's part of the manifest."""
    return {
        "dataset": {"name": Path(args.dataset).stem}
        | spectra.facts
        | {"notes": list(library.notes)},
        "search": {
            "ions": len(setup.ions),
            "polarity": library.polarity,
            "adducts": list(library.adducts),
            "instrument": setup.resolution.instrument,
            "isocalc_sigma": setup.resolution.sigma,
            "databases": {
                d.title: {"molecules": len(d.id), "formulas": len(d.get_formulas())}
                for d in library.databases
            },
        },
    }


def count_levels(columns: dict[str, Any]) -> dict[str, Any]:
    """Return how many annotations there are within each level, of each database."""
    level = np.asarray(columns["fdr_level"])
    database = np.asarray(columns["database"], dtype=object)
    counts = {
        str(round(100 * limit)): level <= limit for limit in (0.05, 0.1, 0.2, 0.5)
    }
    return {
        "annotations": len(level),
        "at_fdr": {name: int(there.sum()) for name, there in counts.items()},
        "by_database": {
            title: {
                n: int(there[database == title].sum()) for n, there in counts.items()
            }
            for title in dict.fromkeys(database.tolist())
        },
    }


def finish(
    args: argparse.Namespace,
    record: dict[str, Any],
    spectra: Spectra,
    patterns: tuple[np.ndarray, np.ndarray],
    search: Search | None,
    columns: dict[str, Any] | None,
    is_done: bool,
) -> None:
    """Write the results and the manifest, and print the summary."""
    record |= {"finished": get_time()}
    if not is_done or search is None or columns is None:
        save_manifest(args.out, record | {"status": "stopped"})
        logger.warning("stopped on request; %s can be resumed (--resume)", args.out)
        return
    save_results(args, record, spectra, patterns, search, columns)
    summary = {"ions": len(search.ions)} | count_levels(columns)
    outputs = ["annotations.tsv", "results.h5", "images", "report.html"]
    outputs += [EXPORTS[name] for name in args.export]
    record |= {"status": "done", "annotation": summary, "outputs": outputs}
    save_manifest(args.out, record)
    save_report(args.out)
    shutil.rmtree(args.out / "ledger")  # last: without it the run is complete
    output.print_summary(args, columns, summary)


def save_results(
    args: argparse.Namespace,
    record: dict[str, Any],
    spectra: Spectra,
    patterns: tuple[np.ndarray, np.ndarray],
    search: Search,
    columns: dict[str, Any],
) -> None:
    """Write the table, results.h5 and the exports."""
    unique, image = np.unique(columns.pop("ion_number"), return_inverse=True)
    mz, theoretical = patterns[0][unique], patterns[1][unique]
    images = get_images(spectra.peaks, spectra.grid, mz, ppm=args.ppm)
    names = [search.ions.get_name(ion) for ion in unique.tolist()]
    attributes = describe_search(args, record, spectra, mz.shape[1])
    pixels = {"x": spectra.grid.x, "y": spectra.grid.y} | spectra.norms
    output.save_annotations(args.out / "annotations.tsv", columns)
    output.save_results(
        args.out / "results.h5",
        columns | {"image": image},
        list_scores(search),
        output.describe_images(names, mz, theoretical, images),
        pixels,
        attributes,
    )
    norm = None if args.normalise == "none" else spectra.norms[args.normalise]
    if "csv" in args.export:
        first = get_first_images(images, image, norm)
        save_csv(args.out / EXPORTS["csv"], columns, spectra.grid, first)
    if "anndata" in args.export:
        first = get_first_images(images, image, norm)
        settings = attributes | {"normalise": args.normalise}
        save_anndata(args.out / EXPORTS["anndata"], columns, pixels, first, settings)


def describe_search(
    args: argparse.Namespace, record: dict[str, Any], spectra: Spectra, n_peaks: int
) -> dict[str, Any]:
    """Return the attributes of results.h5."""
    return {
        "program": PROGRAM,
        "dataset": record["dataset"]["name"],
        "width": spectra.grid.width,
        "height": spectra.grid.height,
        "n_peaks": n_peaks,
        "ppm": args.ppm,
        "analysis_version": args.analysis_version,
        "polarity": record["search"]["polarity"],
    }
