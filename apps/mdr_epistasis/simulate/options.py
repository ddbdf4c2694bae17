"""The options of ``mdr-epistasis simulate``."""

from dataclasses import MISSING, dataclass, fields
from functools import partial
from pathlib import Path

from hpc_connector.options import local, option
from mdr_epistasis.simulate.cohorts import Design

_cohort = partial(option, group="cohort")
_interaction = partial(option, group="interaction")


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """What ``mdr-epistasis simulate`` takes."""

    out: Path = _cohort(
        MISSING, "files are PREFIX.bed and so on", read=local, metavar="PREFIX"
    )
    variants: int = _cohort(MISSING, "number of variants", read=int, metavar="N")
    individuals: int = _cohort(
        MISSING, "number of cases and controls together", read=int, metavar="N"
    )
    cases_fraction: float = _cohort(
        0.5, "of individuals (default: %(default)s)", read=float, metavar="FRACTION"
    )
    missing_rate: float = _cohort(
        0.0, "of genotypes (default: %(default)s)", read=float, metavar="FRACTION"
    )
    seed: int = _cohort(
        42,
        "the same seed, the same files (default: %(default)s)",
        read=int,
        metavar="N",
    )
    format: str = _cohort(
        "bed", "of the files (default: bed)", choices=("bed", "vcf.gz")
    )

    order: int = _interaction(
        2, "interacting variants (default: %(default)s)", read=int, choices=(2, 3)
    )
    heritability: float = _interaction(
        MISSING, "of the interaction, 0..1", read=float, metavar="FRACTION"
    )
    maf: float = _interaction(
        MISSING,
        "frequency of the rarer allele of the interacting variants",
        read=float,
        metavar="FRACTION",
    )
    prevalence: float = _interaction(
        0.5,
        "of the disease in the population (default: %(default)s)",
        read=float,
        metavar="FRACTION",
    )
    pure: bool = _interaction(False, "no effect of fewer than all of them")

    def get_design(self) -> Design:
        """Return the design that is to be simulated."""
        return Design(
            **{each.name: getattr(self, each.name) for each in fields(Design)}
        )
