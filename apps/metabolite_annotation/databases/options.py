"""The options of ``metabolite-annotation databases``."""

from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path

from hpc_connector.options import local, option, source
from metabolite_annotation.options import split

_files = partial(option, group="files")
_ions = partial(option, group="ions")


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """What ``databases list`` takes."""

    files: tuple[str, ...] = _files(
        MISSING,
        "databases as --database reads them: TSV or CSV",
        flag="",
        read=source,
        many="words",
        metavar="FILE",
    )
    json: bool = _files(False, "print a JSON array, an object a file")


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What ``databases check`` takes."""

    file: str = _files(
        MISSING,
        "a database as --database reads it: TSV or CSV",
        flag="",
        read=source,
        metavar="FILE",
    )
    json: bool = _files(False, "print one JSON object")

    adducts: tuple[str, ...] | None = _ions(
        None,
        "of molecules, to count the formulas that each makes an ion of "
        "(default: +H,+Na,+K,-H,+Cl)",
        read=split,
        metavar="LIST",
    )


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What ``databases convert`` takes."""

    sources: tuple[str, ...] = _files(
        MISSING,
        "as its source ships it, plain, gzip or zip: XML of HMDB; SDF of ChEBI, LIPID "
        "MAPS or HMDB; TSV of LIPID MAPS; compounds.tsv and chemical_data.tsv of ChEBI",
        flag="",
        read=source,
        many="words",
        metavar="SOURCE",
    )
    out: Path = _files(MISSING, "the database to write", read=local, metavar="FILE.tsv")
    json: bool = _files(False, "print one JSON object")
    charged: bool = _files(
        False,
        "take charged molecules by the formula they have, for the adducts [M]+ and "
        "[M]- (default: leave them out and count them)",
    )
