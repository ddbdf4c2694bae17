"""What a run has found, read from its folder, for Python."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.manifest import is_in_use, read_whole_manifest
from hpc_connector.report.page import render_table
from hpc_connector.report.results_file import open_results
from hpc_connector.run_record import RunRecord
from hpc_connector.storer.columns import to_plain, to_table
from metabolite_annotation import schema
from metabolite_annotation.export.ann_data import make_anndata
from metabolite_annotation.export.formats import check_exports
from metabolite_annotation.export.found import open_found, read_columns
from metabolite_annotation.options import PROGRAM

if TYPE_CHECKING:
    from anndata import AnnData

SHOWN = 10
BEST = ("formula", "adduct", "mz", "msm", "fdr", "molecule_names")


@dataclass(frozen=True)
class Result:
    """The annotations of a dataset, and the images of their ions.

    Parameters
    ----------
    directory
        Folder of the run, which is read as it is asked for.
    record
        What ``manifest.json`` says: parameters, inputs, counts, what was assumed.

    Examples
    --------
    >>> import metabolite_annotation as ma
    >>> import numpy as np
    >>> result = ma.load("results")
    >>> result.record["dataset"]["pixels"]
    231
    >>> image = result.ion_image("C23H42NO4P", "+H")
    >>> image.shape, int(np.isnan(image).sum())
    ((15, 18), 39)
    >>> result.to_anndata().shape
    (270, 20)
    """

    directory: Path
    record: RunRecord

    def __len__(self) -> int:
        """Return how many annotations there are."""
        return int(self.record["annotation"]["annotations"])

    @property
    def annotations(self) -> Any:
        """The table of annotations, best first, as ``annotations.tsv`` has it.

        A ``pandas.DataFrame`` if pandas is installed, else a dict of columns: arrays
        by name.
        """
        return to_table(self._read(schema.TABLE.names))

    def ion_image(self, formula: str, adduct: str, peak: int = 0) -> np.ndarray:
        """Return an isotope image of an annotated ion.

        Parameters
        ----------
        formula, adduct
            Of an annotation, as the table has them.
        peak
            Which isotope peak, from 0, the lightest.

        Returns
        -------
        Intensities, float32 (height, width), as they were measured: 0 where the
        spectrum has no such peak, NaN where there is no spectrum.

        Raises
        ------
        BadInput
            There is no such annotation, or no such peak.
        """
        if not isinstance(peak, (int, np.integer)):
            raise BadInput(f"peak {peak!r}: expected a whole number")
        with open_results(self.directory, PROGRAM) as file:
            ion = self._find_ion(file, formula, adduct)
            n_peaks, start = int(file.attrs["n_peaks"]), file["images/indptr"]
            if not 0 <= peak < n_peaks:
                raise BadInput(f"has no peak {peak}: expected 0 to {n_peaks - 1}")
            first, last = start[n_peaks * ion + peak : n_peaks * ion + peak + 2]
            image = np.full((file.attrs["height"], file.attrs["width"]), np.nan, "f4")
            x, y = file["pixels/x"][:], file["pixels/y"][:]
            image[y, x] = 0
            pixel = file["images/pixel"][first:last]
            image[y[pixel], x[pixel]] = file["images/intensity"][first:last]
        return image

    def _find_ion(self, file: Any, formula: str, adduct: str) -> int:
        """Return the row of the ion of an annotation."""
        names = read_columns(file, schema.ANNOTATIONS, ("formula", "adduct"))
        known = list(zip(*names.values(), strict=True))
        if (formula, adduct) not in known:
            raise BadInput(f"has no annotation {formula} {adduct}: see annotations.tsv")
        return int(file["annotations/image"][known.index((formula, adduct))])

    def to_anndata(self) -> "AnnData":
        """Return intensities of all places by annotations, as ``--export anndata``.

        Returns
        -------
        An ``anndata.AnnData``. Its rows are all places of the box of pixels, row by
        row, named "0" to the last; ``X`` holds the first isotope images, float32, dense
        and by the run's ``normalise``, and 0 where there is no spectrum;
        ``obsm["spatial"]`` x and y, ``var`` the table of annotations, and
        ``uns["metaspace"]`` the size of the box, as METASPACE's tools expect.

        Raises
        ------
        BadInput
            anndata is not installed.
        """
        check_exports(["anndata"])
        norm = self.record["parameters"]["normalise"]
        with open_found(self.directory, self.record, norm) as found:
            return make_anndata(found)

    def save(self, directory: str | Path) -> Path:
        """Copy all files of the run to a folder, which is made; return it.

        Raises
        ------
        BadInput
            The folder is in use.
        """
        out = Path(directory)
        if is_in_use(out):
            raise BadInput(f"{out} is not empty: expected a new folder")
        shutil.copytree(self.directory, out, dirs_exist_ok=True)
        return out

    def list_best(self, most: int = SHOWN) -> list[dict[str, Any]]:
        """Return the best annotations, in a few columns."""
        columns = self._read(BEST, most)
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(BEST, map(to_plain, row), strict=True)) for row in rows]

    def _repr_html_(self) -> str:
        """Return the counts and the best annotations, as notebooks show them."""
        rows = [[_format(value) for value in row.values()] for row in self.list_best()]
        caption = f"{self.record['dataset']['name']}: {self._say_counts()}"
        return render_table(BEST, rows, caption)

    def __repr__(self) -> str:
        """Return the counts in one line."""
        return f"<{self.record['dataset']['name']}: {self._say_counts()}>"

    def _say_counts(self) -> str:
        """Return how many annotations there are at each rate."""
        most = 100 * float(self.record["parameters"].get("fdr", 1.0))
        levels = self.record["annotation"]["at_fdr"].items()
        known = [(level, k) for level, k in levels if float(level) <= most]
        counts = ", ".join(f"{k} at {level} %" for level, k in known)
        return f"{len(self)} annotations ({counts})"

    def format_summary(self, *, as_json: bool = False) -> str:
        """Return the best annotations and the counts as text, or as one JSON object."""
        if as_json:
            facts = {"out": str(self.directory), "top": self.list_best()}
            return json.dumps(self.record["annotation"] | facts)
        where = f"results: {self.directory}/report.html, annotations.tsv, images/"
        best = [_format_row(row) for row in self.list_best()]
        return "\n".join([*best, self._say_counts(), f"{where}, results.h5"])

    def format_counts(self, *, as_json: bool = False) -> str:
        """Return the counts and where results are, and no annotation."""
        annotation = self.record["annotation"]
        counts = {name: annotation[name] for name in ("ions", "annotations", "at_fdr")}
        if as_json:
            return json.dumps(counts | {"out": str(self.directory)})
        return f"{self._say_counts()}\nresults: {self.directory}"

    def _read(
        self, names: Sequence[str], most: int | None = None
    ) -> dict[str, np.ndarray]:
        """Return columns of the annotations."""
        with open_results(self.directory, PROGRAM) as file:
            return read_columns(file, schema.ANNOTATIONS, names, most)


def load(directory: str | Path) -> Result:
    """Return the result of a run from its folder, wherever it was made.

    Raises
    ------
    BadInput
        The folder holds no finished run of this program.

    Examples
    --------
    >>> import metabolite_annotation as ma
    >>> result = ma.load("results")
    >>> len(result)
    20
    """
    folder = Path(directory).absolute()
    record = read_whole_manifest(folder)
    if record.get("program") != PROGRAM or record.get("status") != "done":
        raise BadInput(f"{folder}: expected a finished run of {PROGRAM}")
    with open_results(folder, PROGRAM):
        return Result(folder, record)


def _format(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _format_row(row: dict[str, Any]) -> str:
    """Return an annotation as a line of text."""
    ion, molecules = f"{row['formula']} {row['adduct']}", row["molecule_names"][:40]
    return (
        f"{ion:<24} m/z {row['mz']:<10.4f} MSM {row['msm']:.3f}  "
        f"FDR {100 * row['fdr']:.1f} %  {molecules}"
    )
