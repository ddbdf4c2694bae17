"""The exports of a run, all that are asked for."""

from collections.abc import Iterable
from pathlib import Path

from hpc_connector.run_record import RunRecord
from metabolite_annotation.export.ann_data import save_anndata
from metabolite_annotation.export.formats import EXPORTS
from metabolite_annotation.export.found import open_found
from metabolite_annotation.export.intensities import save_csv
from metabolite_annotation.export.metaspace import save_metaspace
from metabolite_annotation.export.peaks import save_peaks
from metabolite_annotation.export.spatial_data import save_spatialdata

SAVE = {
    "csv": save_csv,
    "anndata": save_anndata,
    "spatialdata": save_spatialdata,
    "imzml": save_peaks,
    "metaspace": save_metaspace,
}


def save_exports(
    directory: Path, formats: Iterable[str], norm: str, record: RunRecord
) -> None:
    """Write exports beside the results.h5 that they are made from.

    Parameters
    ----------
    norm
        The name of a column of ``schema.PIXELS`` that intensities are divided by, or
        "none".
    record
        What the manifest says of the dataset and the search.

    Raises
    ------
    BadInput
        results.h5 is not there, or damaged.
    """
    for name in formats:
        with open_found(directory, record, norm) as found:
            SAVE[name](directory / EXPORTS[name][0], found)
