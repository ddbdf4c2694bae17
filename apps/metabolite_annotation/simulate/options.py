"""The options of ``metabolite-annotation simulate``."""

from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path

from hpc_connector.options import at_least, local, option, source
from metabolite_annotation.options import resolving_power, split
from metabolite_annotation.simulate.design import Design

_dataset = partial(option, group="dataset")
_ions = partial(option, group="ions and peaks")
_measured = partial(option, group="instrument")


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """What ``metabolite-annotation simulate`` takes."""

    database: str = _dataset(
        MISSING,
        "table with the columns id, name, formula: TSV or CSV",
        read=source,
        metavar="FILE",
    )
    out: Path = _dataset(
        MISSING,
        "the dataset to write; X.ibd and X.truth.tsv come beside it",
        read=local,
        metavar="X.imzML",
    )
    width: int = _dataset(
        50, "columns of pixels (default: %(default)s)", read=at_least(1), metavar="N"
    )
    height: int = _dataset(
        50, "rows of pixels (default: %(default)s)", read=at_least(1), metavar="N"
    )
    seed: int = _dataset(
        42,
        "the same seed, the same files (default: %(default)s)",
        read=at_least(0),
        metavar="N",
    )

    planted: int = _ions(
        100,
        "ions of the database that are there (default: %(default)s)",
        read=at_least(1),
        metavar="N",
    )
    unknown: int = _ions(
        100,
        "ions of molecules like them that the database lacks (default: %(default)s)",
        read=at_least(0),
        metavar="N",
    )
    noise: int = _ions(
        300,
        "peaks of a spectrum that are of no ion (default: %(default)s)",
        read=at_least(0),
        metavar="N",
    )
    polarity: str = _ions(
        "positive",
        "of the ions (default: positive)",
        choices=("positive", "negative"),
    )
    adducts: tuple[str, ...] | None = _ions(
        None,
        "of a molecule and its charge (default: +H,+Na,+K; negative ions -H,+Cl)",
        read=split,
        metavar="LIST",
    )

    instrument: str = _measured(
        "Orbitrap",
        "it sets resolving power and errors of m/z (default: Orbitrap)",
        choices=("FTICR", "Orbitrap", "TOF"),
    )
    resolving_power: tuple[float, float] | None = _measured(
        None,
        "at an m/z (default: FTICR 280000@200, Orbitrap 140000@200, TOF 40000@200)",
        read=resolving_power,
        metavar="R@MZ",
    )

    def get_design(self) -> Design:
        """Return the design that is to be simulated."""
        names = ("width", "height", "planted", "unknown", "noise", "seed")
        return Design(**{name: getattr(self, name) for name in names})
