"""The options of ``metabolite-annotation compare``."""

from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path

from hpc_connector.options import ReaderOptions, fraction, local, option

_runs = partial(option, group="runs")
_what = partial(option, group="what is compared")


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ReaderOptions):
    """What ``metabolite-annotation compare`` takes."""

    runs: tuple[Path, ...] = _runs(
        MISSING,
        "folders of two runs or more, all compared with the first",
        flag="",
        read=local,
        many="words",
        metavar="DIR",
    )
    out: Path | None = _runs(
        None,
        "write this table, and a page beside it that ends with .html (default: print "
        "counts alone)",
        read=local,
        metavar="FILE.tsv",
    )
    json: bool = _runs(False, "print the counts as one JSON object")

    fdr: float = _what(
        0.1,
        "an annotation counts in a run up to this rate (default: %(default)s)",
        read=fraction,
        metavar="FRACTION",
    )
    any_database: bool = _what(
        False,
        "take formula and adduct for one annotation whatever database has them, with "
        "its best score (default: each database for itself)",
    )
