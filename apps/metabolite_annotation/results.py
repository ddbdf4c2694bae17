"""From scores to results: annotations, their images, results.h5, report, manifest."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.learner.annotation.ion_images import ImageSet, get_images
from hpc_connector.manifest import get_time, save_manifest
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.ranks import run_on_ranks
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.run_record import RunRecord
from hpc_connector.storage import address
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
    get_first_images,
    save_anndata,
    save_csv,
)
from metabolite_annotation.inputs import Library, Setup
from metabolite_annotation.options import Options
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.report.page import save_report
from metabolite_annotation.spectra import Spectra

logger = logging.getLogger(__name__)

PROGRAM = "metabolite-annotation"
IMAGE_VALUES = 1 << 20  # of ion images in memory at once
EXPORTS = {"csv": CSV, "anndata": ANNDATA}


@dataclass(frozen=True)
class Findings:
    """Annotations, what describes them, and the number of the ion of each."""

    search: Search
    columns: dict[str, Any]
    ion: np.ndarray


def find_annotations(
    args: Options,
    setup: Setup,
    library: Library,
    patterns: Patterns,
    scores: np.ndarray,
) -> Findings:
    """Return the annotations to report, best first."""
    search = Search(
        setup.ions,
        library.candidates,
        library.databases,
        patterns[0],
        scores,
        make_score(scores, library.model),
    )
    columns = rank_annotations(search, args.analysis_version, args.fdr, args.ppm)
    return Findings(search, columns, columns.pop("ion_number"))


def save_images(
    comm: Any,
    args: Options,
    spectra: Spectra,
    patterns: Patterns,
    findings: Findings | None,
    save_rest: Callable[[], None],
) -> bool:
    """Write ion images on all ranks, and the rest on rank 0 at the same time.

    Parameters
    ----------
    findings, save_rest
        On rank 0.

    Returns
    -------
    Whether all is written; then the folder of images has its name.
    """
    unfinished, folder = args.out / "images.partial", args.out / "images"
    ion_of = {}
    with end_together(comm):
        if comm.rank == 0 and findings:
            columns = findings.columns
            pairs = zip(columns["formula"], columns["adduct"], strict=True)
            ion_of = dict(zip(pairs, findings.ion.tolist(), strict=True))
            unfinished.mkdir(exist_ok=True)
    names = sorted(comm.bcast(ion_of).items())

    def run_task(number: int, thread: int) -> None:
        (formula, adduct), ion = names[number]
        mz = patterns[0][ion : ion + 1]
        images = get_images(spectra.peaks, spectra.grid, mz, ppm=args.ppm)
        for k in range(mz.shape[1]):
            part = slice(images.start[k], images.start[k + 1])
            if part.start < part.stop:
                path = unfinished / output.get_image_name(formula, adduct, k)
                shown = images.pixel[part], images.intensity[part]
                output.save_png(path, spectra.grid, *shown)

    todo = range(len(names))
    first = save_rest if comm.rank == 0 else None
    is_done = run_on_ranks(
        comm,
        run_task,
        todo,
        lambda *_: None,
        threads=args.threads,
        show=make_progress(quiet=args.quiet),
        first=first,
    )
    with end_together(comm):
        if comm.rank == 0 and is_done:
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
    return is_done


def save_results(
    args: Options,
    record: RunRecord,
    spectra: Spectra,
    patterns: Patterns,
    findings: Findings,
) -> None:
    """Write the table, results.h5 and the exports."""
    search, columns = findings.search, findings.columns
    unique, image = np.unique(findings.ion, return_inverse=True)
    mz, theoretical = patterns[0][unique], patterns[1][unique]
    names = [search.ions.get_name(ion) for ion in unique.tolist()]
    attributes = describe_search(args, record, spectra, mz.shape[1])
    pixels = {"x": spectra.grid.x, "y": spectra.grid.y} | spectra.norms
    output.save_annotations(args.out / "annotations.tsv", columns)
    output.save_results(
        args.out / "results.h5",
        columns | {"image": image},
        list_scores(search),
        {"ion": names, "mz": mz, "theoretical_intensity": theoretical},
        get_image_sets(spectra, mz, args.ppm),
        pixels,
        attributes,
    )
    norm = None if args.normalise == "none" else spectra.norms[args.normalise]
    if "csv" in args.export:
        first = get_first_images(spectra, mz[image], args.ppm, norm)
        save_csv(args.out / CSV, columns, spectra.grid, first)
    if "anndata" in args.export:
        first = get_first_images(spectra, mz[image], args.ppm, norm)
        settings = attributes | {"normalise": args.normalise}
        save_anndata(args.out / ANNDATA, columns, pixels, first, settings)


def get_image_sets(spectra: Spectra, mz: np.ndarray, ppm: float) -> Iterator[ImageSet]:
    """Yield the images of ions, of so many at a time as fit a few megabytes."""
    n = max(1, IMAGE_VALUES // (mz.shape[1] * len(spectra.grid.x)))
    for first in range(0, max(len(mz), 1), n):
        yield get_images(spectra.peaks, spectra.grid, mz[first : first + n], ppm=ppm)


def describe(
    args: Options, setup: Setup, library: Library, spectra: Spectra
) -> RunRecord:
    """Return the dataset's and the search's part of the manifest."""
    return {
        "dataset": {"name": Path(address.get_name(args.dataset)).stem} | spectra.facts,
        "search": {
            "ions": len(setup.ions),
            "polarity": library.polarity.value,
            "polarity_from": library.polarity.source,
            "adducts": list(library.adducts),
            "instrument": library.instrument.value,
            "instrument_from": library.instrument.source,
            "isocalc_sigma": setup.resolution.sigma,
            "databases": {
                d.title: {"molecules": len(d.id), "formulas": len(d.get_formulas())}
                for d in library.databases
            },
        },
    }


def describe_search(
    args: Options, record: RunRecord, spectra: Spectra, n_peaks: int
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


def finish(args: Options, record: RunRecord, findings: Findings | None) -> None:
    """Write the manifest and the report, and print the summary.

    `findings` are None where the run was stopped.
    """
    record |= {"finished": get_time()}
    if findings is None:
        save_manifest(args.out, record | {"status": "stopped"})
        logger.warning("stopped on request; %s can be resumed (--resume)", args.out)
        return
    summary = {"ions": len(findings.search.ions)} | count_levels(findings.columns)
    outputs = ["annotations.tsv", "results.h5", "images", "report.html"]
    outputs += [EXPORTS[name] for name in args.export]
    record |= {"status": "done", "annotation": summary, "outputs": outputs}
    save_manifest(args.out, record)
    save_report(args.out)
    shutil.rmtree(args.out / "ledger")  # last: without it the run is complete
    output.print_summary(args, findings.columns, summary)
