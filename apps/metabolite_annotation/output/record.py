"""What the manifest of a run keeps of its search, and how a run ends."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.actions.counts import Row, save_moved
from hpc_connector.learner.annotation.fdr import LEVELS
from hpc_connector.manifest import get_time, save_manifest
from hpc_connector.notes import add_counts, make_notes
from hpc_connector.publish import get_readers, name_outputs
from hpc_connector.run_record import RunRecord
from hpc_connector.storage import address
from metabolite_annotation.annotations import Annotations, describe_search
from metabolite_annotation.export.formats import list_outputs
from metabolite_annotation.inputs.files import Library, Setup
from metabolite_annotation.options import Options
from metabolite_annotation.output.colocalisation import TABLE
from metabolite_annotation.report.images import Packed
from metabolite_annotation.spectra import Spectra

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a run has found, and the pictures of the ions that its report shows.

    Parameters
    ----------
    moved
        What its actions moved between nodes.
    """

    annotations: Annotations
    pictures: Mapping[int, Packed]
    moved: Sequence[Row]


def describe_run(
    options: Options, setup: Setup, library: Library, spectra: Spectra
) -> RunRecord:
    """Return the dataset's and the search's part of the manifest."""
    return {
        "dataset": {"name": Path(address.get_name(options.dataset)).stem}
        | spectra.facts
        | describe_pixel(options, setup)
        | describe_scan(setup.imzml.scan_order),
        "search": {
            "ions": len(setup.ions),
            "polarity": library.polarity.value,
            "polarity_from": library.polarity.source,
            "adducts": list(library.adducts),
            "neutral_losses": list(library.neutral_losses),
            "chem_mods": list(library.chem_mods),
            "instrument": library.instrument.value,
            "instrument_from": library.instrument.source,
            "isocalc_sigma": setup.resolution.sigma,
            "databases": {
                d.title: {"molecules": len(d.id), "formulas": len(d.get_formulas())}
                for d in library.databases
            },
        },
    }


def describe_pixel(options: Options, setup: Setup) -> dict[str, Any]:
    """Return the size of a pixel, micrometres, and who says so; nothing if nobody."""
    if options.pixel_size:
        return {"pixel_size_um": options.pixel_size, "pixel_size_from": "--pixel-size"}
    if size := setup.imzml.pixel_size_um:
        return {"pixel_size_um": size, "pixel_size_from": "the file"}
    return {}


def describe_scan(order: Mapping[str, str]) -> dict[str, Any]:
    """Return in which order pixels were scanned, nothing where the file says none."""
    return {"scan": dict(order)} if order else {}


def say_spectra(spectra: Spectra) -> None:
    """Log what was read."""
    facts = spectra.facts
    counts = ", ".join(f"{facts[one]} {one}" for one in ("spectra", "pixels", "peaks"))
    range_mz = "{:.4f} to {:.4f}".format(*facts["mz_range"])
    logger.info("%s%s", counts, "" if get_readers() else f", m/z {range_mz}")


def list_notes(library: Library, spectra: Spectra) -> RunRecord:
    """Return the notes of the manifest: what was assumed, left out and changed."""
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


def count_levels(columns: dict[str, Any]) -> dict[str, Any]:
    """Return how many annotations there are within each level, of each database."""
    level = np.asarray(columns["fdr_level"])
    database = np.asarray(columns["database"], dtype=object)
    counts = {str(round(100 * limit)): level <= limit for limit in LEVELS}
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


def finish(options: Options, record: RunRecord, found: Found | None) -> None:
    """Write the manifest and the report; of a run that was stopped, the first."""
    from metabolite_annotation.report.page import save_report  # by one rank, at the end

    record |= {"finished": get_time()}
    if found is None:
        save_manifest(options.out, record | {"status": "stopped"})
        logger.warning("stopped on request; %s can be resumed (--resume)", options.out)
        return
    scored, version = found.annotations.scored, options.analysis_version
    summary = {"ions": len(scored.ions)} | count_levels(found.annotations.columns)
    if not summary["annotations"]:  # why there are none
        summary |= describe_search(scored, version, record["dataset"]["mz_range"])
    images = "images.zip" if get_readers() else "images"
    names = ["annotations.tsv", "results.h5", images, "report.html"]
    names += [TABLE] * options.colocalisation + save_moved(options.out, found.moved)
    outputs = name_outputs([*names, *list_outputs(options.export)])
    record |= {"status": "done", "annotation": summary, "outputs": outputs}
    save_manifest(options.out, record)
    save_report(options.out, options, found.pictures)
    shutil.rmtree(options.out / "ledger")  # last: without it the run is complete
