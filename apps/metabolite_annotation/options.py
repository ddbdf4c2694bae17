"""The options of an annotation."""

import math
from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.options import (
    ABOVE_0,
    RunOptions,
    at_least,
    fraction,
    is_of_catalog,
    local,
    option,
    positive,
    source,
    takes,
)
from metabolite_annotation.export.formats import EXPORTS, NORMS, read_exports

PROGRAM = "metabolite-annotation"
# Of objects of a catalogue, by the option that they stand for
ROLES = {"dataset": ("metadata",), "database": ("database", "other", "labels")}

_input = partial(option, group="dataset and databases")
_ions = partial(option, group="ions and isotope patterns")
_scores = partial(option, group="scores and rates")
_exports = partial(option, group="exports and staging")
_page = partial(option, group="page")


NUMBER = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"  # of a transform


@takes("string", many="commas")
def split(text: str) -> tuple[str, ...]:
    """Return the parts of a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@takes("string", pattern=f"^{ABOVE_0}(?:@{ABOVE_0})?$")
def resolving_power(text: str) -> tuple[float, float]:
    """Return a resolving power and its m/z from text such as 140000@200."""
    power, _, mz = text.partition("@")
    return positive(power), positive(mz or "200")


@takes("string", pattern=f"^{ABOVE_0}(?:,{ABOVE_0})?$")
def pixel_size(text: str) -> tuple[float, float]:
    """Return the size of a pixel along x and y from text such as 50 or 50,25."""
    x, _, y = text.partition(",")
    return positive(x), positive(y or x)


@takes("string", pattern=f"^{NUMBER}(?:,{NUMBER}){{5}}(?:(?:,{NUMBER}){{3}})?$")
def transform(text: str) -> tuple[float, ...]:
    """Return six or nine numbers with commas, brackets left out."""
    numbers = split(text.translate(dict.fromkeys(map(ord, "[]() "), None)))
    found = tuple(map(float, numbers))
    if len(found) not in (6, 9) or not all(map(math.isfinite, found)):
        raise BadInput(f"{text}: expected a,b,c,d,e,f, or nine numbers of a matrix")
    return found


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What the page is given beyond what a run finds."""

    pixel_size: tuple[float, float] | None = _page(
        None,
        "side of a pixel in micrometres, or both: 50 or 50,25 (default: the file's)",
        read=pixel_size,
        metavar="UM",
    )
    optical: Path | None = _page(
        None,
        "optical image to lay under ion images: JPEG, PNG or TIFF",
        read=Path,
        metavar="FILE",
    )
    optical_transform: tuple[float, ...] | None = _page(
        None,
        "a,b,c,d,e,f: ion x = a*x + c*y + e, ion y = b*x + d*y + f of its pixels; or "
        "METASPACE's 3 x 3 matrix, row by row (default: over the whole image)",
        read=transform,
        metavar="NUMBERS",
    )
    regions: Path | None = _page(
        None,
        "GeoJSON of polygons, in pixels of ion images: intensities by region",
        read=Path,
        metavar="FILE",
    )


@dataclass(frozen=True, kw_only=True)
class Options(PageOptions, RunOptions):
    """What ``metabolite-annotation run`` takes."""

    dataset: str = _input(
        MISSING,
        "the .ibd file stands beside it; a file or an object",
        flag="",
        read=source,
        metavar="DATASET.imzML",
    )
    database: tuple[str, ...] = _input(
        MISSING,
        "tables with the columns id, name, formula: TSV or CSV",
        read=source,
        many="words",
        metavar="FILE",
    )
    skip_bad_rows: bool = _input(
        False, "of databases: leave them out and count them (default: an error)"
    )
    section: float | None = _input(
        None,
        "position z of the section, if there are several (default: the only one)",
        read=float,
        metavar="Z",
    )
    check: bool = _input(
        True,
        "take the .ibd file whatever its UUID and checksum are",
        flag="--no-check",
    )
    polarity: str | None = _input(
        None, "of the ions (default: the file's)", choices=("positive", "negative")
    )
    profile: str | None = _input(
        None,
        "profile spectra: pick their peaks, or search each point (default: refuse)",
        choices=("centroid", "as-is"),
    )

    adducts: tuple[str, ...] | None = _ions(
        None,
        "of a molecule and its charge (default: +H,+Na,+K; negative ions -H,+Cl)",
        read=split,
        metavar="LIST",
    )
    neutral_losses: tuple[str, ...] = _ions(
        (), "such as -H2O,-CO2 (default: none)", read=split, metavar="LIST"
    )
    chem_mods: tuple[str, ...] = _ions(
        (),
        "changes of a molecule, such as -CO2+CO (default: none)",
        read=split,
        metavar="LIST",
    )
    instrument: str = _ions(
        "auto",
        "by the model or analyzer that the file names, else Orbitrap (default: auto)",
        choices=("auto", "FTICR", "Orbitrap", "TOF"),
    )
    resolving_power: tuple[float, float] | None = _ions(
        None,
        "resolving power at an m/z (default: 140000@200)",
        read=resolving_power,
        metavar="R@MZ",
    )
    isocalc_sigma: float | None = _ions(
        None,
        "width of a peak in dalton, instead (default: by the resolving power)",
        read=positive,
        metavar="DA",
    )
    pattern_cache: Path | None = _ions(
        None,
        "of isotope patterns, for later runs (default: ~/.cache/hpc_connector)",
        read=local,
        metavar="DIR",
    )

    ppm: float = _scores(
        3.0,
        "half the window of a peak, parts per million (default: %(default)g)",
        read=positive,
        metavar="PPM",
    )
    analysis_version: int = _scores(
        3,
        "METASPACE's; rates of the two do not compare (default: %(default)s)",
        read=int,
        choices=(3, 1),
    )
    fdr: float = _scores(
        0.5,
        "greatest false discovery rate reported (default: %(default)s)",
        read=fraction,
        metavar="FRACTION",
    )
    decoys: int = _scores(
        20,
        "decoys of a target ion (default: %(default)s)",
        read=at_least(1),
        metavar="N",
    )
    model: str | None = _scores(
        None,
        "METASPACE-ML's, which scores instead (default: the MSM score)",
        metavar="FILE.cbm",
    )

    export: tuple[str, ...] = _exports(
        (),
        f"for other programs, some of {','.join(EXPORTS)} (default: none)",
        read=read_exports,
        metavar="LIST",
    )
    colocalisation: bool = _exports(
        False, "write colocalisation.tsv: ions whose images are alike (default: not)"
    )
    normalise: str = _exports(
        "none",
        "intensities of an export; scores are of what was measured (default: none)",
        choices=NORMS,
    )
    scratch: Path | None = _exports(
        None,
        "of each node, to copy the .ibd file to: '$TMPDIR', say (default: no copy)",
        read=local,
        metavar="DIR",
    )


def choose_inputs(options: Options) -> Options:
    """Return options with the files of data sets that a catalogue names.

    Raises
    ------
    BadInput
        One may not be used, has changed, or is not what is annotated, or by.
    """
    if not any(map(is_of_catalog, (options.dataset, *options.database))):
        return options
    # which a run on files does not need
    from hpc_connector.catalogue.inputs import take_inputs

    return take_inputs(options, ROLES)
