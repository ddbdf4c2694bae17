"""The options of ``metabolite-annotation export``."""

from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path

from hpc_connector.options import ReaderOptions, local, option
from metabolite_annotation.export.formats import EXPORTS, NORMS, read_exports

_exports = partial(option, group="exports")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(ReaderOptions):
    """What ``metabolite-annotation export`` takes."""

    directory: Path = _exports(
        MISSING, "folder of a finished run", flag="", read=local, metavar="DIR"
    )
    export: tuple[str, ...] = _exports(
        MISSING,
        f"some of {','.join(EXPORTS)}",
        read=read_exports,
        metavar="LIST",
    )
    normalise: str | None = _exports(
        None, "intensities are divided by (default: as the run)", choices=NORMS
    )
