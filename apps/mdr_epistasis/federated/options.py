"""The options of ``mdr-epistasis federate``."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpc_connector.errors import BadInput
from hpc_connector.options import (
    CatalogOptions,
    KeyOptions,
    at_least,
    fill,
    list_options,
    local,
    option,
    seconds,
    source,
)
from mdr_epistasis.options import Options

if TYPE_CHECKING:  # of certificates it needs a library that --help does without
    from hpc_connector.federation.study import Study

# Of ``run``, what is a site's own: the study says the rest
OF_SITES = (
    "labels",
    "label_column",
    "id_column",
    "zero_one",
    "sample_file",
    "fam",
    "bim",
    "psam",
    "pvar",
    "vcf_field",
    "imputation_threshold",
    "half_call",
    "chromosome",
    "pass_only",
    "keep",
    "remove",
)
# Of each site too: what opens its files, and where its data sets are
OF_INPUTS = (*list_options(KeyOptions), *list_options(CatalogOptions))
OF_RUNS = ("out", "encrypt_to", "resume", "quiet", "json", "plan")
MASK_KEY = "mask.sec"  # beside the study, as federate invite writes it
PATIENCE_S = 600.0

_sites = partial(option, group="the study and its sites")
_hub = partial(option, group="a site of a hub")


@dataclass(frozen=True, kw_only=True)
class FederateOptions(KeyOptions, CatalogOptions):
    """What ``mdr-epistasis federate`` takes beside options of ``run``."""

    study: Path = _sites(
        MISSING,
        "STUDY.toml: sites, variants, settings, and what may be let out",
        flag="",
        read=local,
        metavar="STUDY",
    )
    genotypes: tuple[str, ...] | None = _sites(
        None,
        "of each site, catalog:ID too: {site} is its name, {rank} the number of its "
        "rank, from 0; so in other options",
        read=source,
        many="words",
        metavar="GENOTYPES",
    )
    build: str | None = _sites(
        None,
        "of the genotypes (default: by the contigs of a VCF, else the study's)",
        choices=("GRCh37", "GRCh38"),
    )
    fasta: str | None = _sites(
        None,
        "reference sequence of the study's build (.fa or .fa.gz of bgzip, with .fai): "
        "indels are aligned to the left by it; without one they are compared as they "
        "are written",
        read=source,
        metavar="FASTA",
    )
    individuals: int = _sites(
        0,
        "of all sites, for --plan (default: it tells of fewer than 65,536 and of more)",
        read=at_least(1),
        metavar="N",
    )
    mask_key: str | None = _sites(
        None,
        "private key of each site's masks (default: new ones, if the study has none; "
        "with --site mask.sec beside the study)",
        read=source,
        metavar="KEY",
    )
    overlap_key: str | None = _sites(
        None,
        "secret that all sites share, by which they find individuals of two sites; of "
        "a study with check_overlap",
        read=source,
        metavar="FILE",
    )
    records: Path | None = _sites(
        None,
        "folder of budgets and logs of the sites (default: beside the study)",
        read=local,
        metavar="DIR",
    )

    site: str | None = _hub(
        None,
        "this site, as the study names it: its hub adds up and scores (default: a rank "
        "of MPI a site, and no hub)",
        metavar="NAME",
    )
    tls_key: Path | None = _hub(
        None,
        "private key of this site's certificate (default: tls.key beside the study)",
        read=local,
        metavar="KEY",
    )
    patience_s: float = _hub(
        PATIENCE_S,
        "seconds, or 30m, 2h, that a hub may not answer (default: 600)",
        flag="--patience",
        read=seconds,
        metavar="TIME",
    )

    def get_records(self) -> Path:
        """Return the folder of budgets and logs."""
        return self.study.parent / "records" if self.records is None else self.records

    def get_mask_key(self) -> str | None:
        """Return the key of masks, or the one beside the study of a site of a hub."""
        if self.mask_key is None and self.site is not None:
            return str(self.study.parent / MASK_KEY)
        return self.mask_key


def make_run_options(
    options: FederateOptions,
    study: "Study",
    given: dict[str, Any],
    words: Sequence[str],
) -> Options:
    """Return the options of the search that the study asks for.

    Parameters
    ----------
    given
        Values of :data:`OF_SITES` and :data:`OF_RUNS`.
    words
        Of the command line.
    """
    settings = {
        "order": study.order,
        "folds": study.folds,
        "top": study.top,
        "rank_by": study.rank_by,
        "min_maf": study.min_maf,
        "max_missing": study.max_missing,
        "missing": study.missing,
        "tie": study.tie,
    }
    genotypes = list(options.genotypes or ())
    values = given | settings | {"genotypes": genotypes}
    return fill(Options, values, words=tuple(words))


def place(value: Any, site: str, rank: int) -> Any:
    """Return an option with the name and number of a site in its places.

    Raises
    ------
    BadInput
        Another name stands in braces.
    """
    if isinstance(value, tuple):
        return tuple(place(one, site, rank) for one in value)
    if isinstance(value, Path):
        return Path(place(str(value), site, rank))
    if not isinstance(value, str) or "{" not in value:
        return value
    try:
        return value.format(site=site, rank=rank)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        raise BadInput(f"{value}: expected {{site}} or {{rank}} in braces") from None


def place_all(
    options: FederateOptions, args: Options, site: str, rank: int
) -> dict[str, Any]:
    """Return the options of one site, of those that name its files and keys."""
    given = {name: getattr(args, name) for name in ("genotypes", *OF_SITES)}
    given |= {name: getattr(options, name) for name in OF_INPUTS}
    return {name: place(value, site, rank) for name, value in given.items()}
