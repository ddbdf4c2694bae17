"""Every column that a run writes: its name, what it means, its unit and its type.

What writes a file and what reads it take the names from here, and the reference of the
documentation is made of it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hpc_connector.storer.columns import TEXT, Column


class Table(NamedTuple):
    """Columns of one length, and what a row of them is."""

    place: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)


INTENSITY = "of the instrument"

NAMED = (
    Column("formula", TEXT, "sum formula of the molecule, as its database has it", ""),
    Column(
        "adduct",
        TEXT,
        "what makes an ion of the molecule: modification, neutral loss and adduct",
        "",
    ),
    Column("ion", TEXT, "sum formula of the ion", ""),
    Column("database", TEXT, "name of the database, that of its file", ""),
)

MEASURES = (
    Column(
        "chaos",
        "float64",
        "measure of chaos of the first isotope image, 0 to 1: one less the mean number "
        "of its connected parts, over 30 thresholds of intensity, a pixel with signal",
        "1",
    ),
    Column(
        "spatial",
        "float64",
        "Pearson's correlation of each other isotope image with the first over all "
        "pixels; their mean weighted by theoretical intensity, no less than 0",
        "1",
    ),
    Column(
        "spectral",
        "float64",
        "one less the mean absolute difference of measured and theoretical intensities "
        "of the isotope peaks, each set of length 1, over pixels of the first image",
        "1",
    ),
    Column(
        "mz_err_abs",
        "float64",
        "mean m/z of the peaks of the first image, by intensity, less the theoretical",
        "Da",
    ),
    Column(
        "mz_err_rel",
        "float64",
        "the same of the other images less mz_err_abs; their mean weighted by "
        "theoretical intensity",
        "Da",
    ),
)

MSM = Column(
    "msm",
    "float64",
    "metabolite-signal match: chaos times spatial times spectral",
    "1",
)
SCORE = Column(
    "score", "float64", "what ions are ranked by: msm, or the score of --model", "1"
)

COSINE = Column(
    "cosine",
    "float64",
    "of two images whose hot spots are cut, whose values below the median are 0, and "
    "that a median filter of 3 x 3 pixels has smoothed; 0 for none",
    "1",
)

ANNOTATIONS = Table(
    "results.h5/annotations",
    "a molecule's formula with an adduct, annotated by a database; the best first",
    (
        *NAMED,
        Column("mz", "float64", "theoretical m/z of the first peak", "Da per charge"),
        MSM,
        SCORE,
        *MEASURES,
        Column(
            "fdr",
            "float64",
            "false discovery rate among the annotations of this database and adduct "
            "with at least this score",
            "1",
        ),
        Column(
            "fdr_level",
            "float64",
            "least of 0.05, 0.1, 0.2, 0.5 that fdr, of two digits, is within; else 1",
            "1",
        ),
        Column(
            "total_intensity", "float64", "sum of the first isotope image", INTENSITY
        ),
        Column(
            "max_intensity",
            "float64",
            "greatest value of the first isotope image",
            INTENSITY,
        ),
        Column("n_pixels", "int64", "pixels with signal in the first image", "1"),
        Column(
            "molecule_names",
            TEXT,
            "names of the molecules of that formula in the database, between '; '",
            "",
        ),
        Column("molecule_ids", TEXT, "their ids in the database, between '; '", ""),
        Column(
            "isomers",
            TEXT,
            "other annotations of the same ion, which no spectrum tells apart",
            "",
        ),
        Column(
            "isobars",
            TEXT,
            "annotations of other ions with a peak so near the first of this one that "
            "their windows of m/z overlap",
            "",
        ),
        Column("image", "int64", "row of images/ion that has its images", ""),
    ),
)

SCORES = Table(
    "results.h5/scores",
    "an ion with a score, target or decoy, in the ranking of a target adduct",
    (
        Column("database", TEXT, "name of the database", ""),
        Column("formula", TEXT, "sum formula of the molecule", ""),
        Column("modifier", TEXT, "what makes the ion of it: adduct or decoy", ""),
        Column("target_modifier", TEXT, "adduct of whose ranking it is", ""),
        Column("target", "bool", "whether it is a target, and no decoy", ""),
        MSM,
        SCORE,
        *MEASURES,
    ),
)

IONS = Table(
    "results.h5/images",
    "an annotated ion",
    (
        Column("ion", TEXT, "sum formula of the ion", ""),
        Column(
            "mz",
            "float64",
            "theoretical m/z of its isotope peaks, 0 for none",
            "Da per charge",
            "images",
        ),
        Column(
            "theoretical_intensity",
            "float64",
            "of its isotope peaks, the greatest 100",
            "percent",
            "images",
        ),
        Column(
            "mz_mean",
            "float64",
            "mean measured m/z by intensity; the theoretical where there is no peak",
            "Da per charge",
            "images",
        ),
        Column(
            "mz_std",
            "float64",
            "standard deviation of measured m/z by intensity",
            "Da per charge",
            "images",
        ),
        Column(
            "total_intensity",
            "float64",
            "sum of the isotope image",
            INTENSITY,
            "images",
        ),
    ),
)

IMAGES = Table(
    "results.h5/images",
    "a pixel with signal in an isotope image; image after image, in order of pixels",
    (
        Column("pixel", "uint32", "row of pixels", ""),
        Column(
            "intensity",
            "float32",
            "sum of the peaks within the window of m/z",
            INTENSITY,
        ),
    ),
)

ERRORS = Table(
    "results.h5/images",
    "a pixel with signal in the first isotope image of an ion; ion after ion, in order "
    "of pixels",
    (
        Column(
            "mz_error",
            "int16",
            "mean m/z by intensity of the peaks within the window, less the "
            "theoretical: -1000 to 1000, from border to border; times the attribute "
            "ppm / 1000 it is in ppm",
            "ppm / 1000",
        ),
    ),
)

ERROR_ENDS = Table(
    "results.h5/images",
    "an annotated ion, and one row more",
    (Column("mz_error_indptr", "int64", "where its values begin in mz_error", ""),),
)

ENDS = Table(
    "results.h5/images",
    "an isotope image, and one row more",
    (
        Column(
            "indptr",
            "int64",
            "where its values begin in pixel and intensity; image k of an ion is "
            "n_peaks * ion + k",
            "",
        ),
    ),
)

NORMS = (
    Column(
        "tic",
        "float64",
        "total ion current: the file's own, or the sum of the peaks; of several "
        "spectra of a pixel their sum",
        INTENSITY,
    ),
    Column(
        "rms",
        "float64",
        "root mean square of the peaks; of several spectra their mean",
        INTENSITY,
    ),
    Column(
        "median",
        "float64",
        "median of the peaks; of several spectra their mean",
        INTENSITY,
    ),
)

PIXELS = Table(
    "results.h5/pixels",
    "a pixel with a spectrum, row by row",
    (
        Column("x", "int32", "column, from 0 at the least of the dataset", "pixels"),
        Column("y", "int32", "row, from 0 at the least of the dataset", "pixels"),
        *NORMS,
    ),
)

COLOCALISED = Table(
    "results.h5/colocalisation",
    "an annotated ion, as in images; the 2,000 best have others near",
    (
        Column(
            "ion",
            "int32",
            "rows of images/ion that have the most similar first images, the nearest "
            "first; -1 where there are fewer",
            "",
            "ten",
        ),
        COSINE._replace(dtype="float32", shape="ten"),
    ),
)

SPECTRUM = Table(
    "results.h5/spectrum",
    "a bin of m/z with peaks, twice ppm wide and at least 1 ppm; the 16,384 most "
    "intense, in ascending order",
    (
        Column("mz", "float64", "mean m/z of its peaks by intensity", "Da per charge"),
        Column(
            "intensity",
            "float32",
            "sum of its peaks, a pixel with a spectrum",
            INTENSITY,
        ),
    ),
)

NAMES_OF_PAIR = ("formula", "adduct", "ion", "mz")

COLOCALISATION = Table(
    "colocalisation.tsv",
    "an annotated ion and another whose first image is similar: of each up to 100 "
    "others with a cosine of at least 0.3, the nearest first",
    (
        *(
            next(c for c in ANNOTATIONS.columns if c.name == name)._replace(
                name=f"{name}_{side}"
            )
            for side in "ab"
            for name in NAMES_OF_PAIR
        ),
        COSINE,
    ),
)

NOT_IN_TABLE = ("max_intensity", "image")

TABLE = Table(
    "annotations.tsv",
    ANNOTATIONS.row,
    tuple(c for c in ANNOTATIONS.columns if c.name not in NOT_IN_TABLE),
)

CSV = Table(
    "pixel_intensities.csv.gz",
    "an annotation, in the order of annotations.tsv; after these columns one for each "
    "pixel with a spectrum, named by its place such as x12_y3, with the intensity of "
    "the first isotope image, by --normalise",
    tuple(
        next(c for c in ANNOTATIONS.columns if c.name == name)
        for name in ("formula", "adduct", "database", "mz")
    ),
)

VAR = Table(
    "annotations.h5ad/var",
    ANNOTATIONS.row,
    tuple(c for c in ANNOTATIONS.columns if c.name != "image"),
)

OBS = Table(
    "annotations.h5ad/obs",
    "a place of the box of pixels, row by row",
    (
        Column("ion_image_pixel_x", "int32", "column, from 0", "pixels"),
        Column("ion_image_pixel_y", "int32", "row, from 0", "pixels"),
        *(c._replace(definition=f"{c.definition}; 0 without one") for c in NORMS),
    ),
)

REGIONS = Table(
    "regions.tsv",
    "an annotation in a region of --regions, in the order of annotations.tsv",
    (
        *NAMED,
        next(c for c in ANNOTATIONS.columns if c.name == "mz"),
        Column("region", TEXT, "name of the region", ""),
        Column(
            "pixels",
            "int64",
            "pixels with a spectrum whose centre is in the region",
            "1",
        ),
        Column(
            "n_pixels",
            "int64",
            "those of them with signal in the first isotope image",
            "1",
        ),
        Column(
            "mean",
            "float64",
            "mean of the first isotope image over these pixels, 0 where it has no "
            "signal; NA without a pixel",
            INTENSITY,
        ),
        Column("median", "float64", "their median", INTENSITY),
    ),
)

TABLES = (
    TABLE,
    COLOCALISATION,
    ANNOTATIONS,
    SCORES,
    IONS,
    ENDS,
    IMAGES,
    ERROR_ENDS,
    ERRORS,
    PIXELS,
    COLOCALISED,
    SPECTRUM,
    CSV,
    VAR,
    OBS,
    REGIONS,
)


def check(table: Table, columns: Iterable[str]) -> None:
    """Raise where columns to write are not those that are defined.

    Raises
    ------
    ValueError
        With those that are too many or too few.
    """
    if wrong := set(columns) ^ set(table.names):
        raise ValueError(f"{table.place}: {', '.join(sorted(wrong))}: see schema.py")
