"""The options of a search."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass
from functools import partial
from typing import Any

from hpc_connector.options import (
    STREAMS,
    RunOptions,
    at_least,
    fraction,
    is_of_catalog,
    option,
    source,
)

MOST_DISTANCE = 10**12  # no genome is as long
# Of objects of a catalogue, by the option that they stand for
ROLES = {"genotypes": ("genotypes",), "labels": ("labels",)}

_stream = partial(option, group=STREAMS)
_input = partial(option, group="genotypes and labels")
_trait = partial(option, group="trait and covariates")
_reading = partial(option, group="what genotypes are")
_individuals = partial(option, group="individuals")
_names = partial(option, group="variants, by name and place")
_variants = partial(option, group="variants, by genotypes")
_models = partial(option, group="models and results")


_LIST: dict[str, Any] = {"read": source, "many": "words", "metavar": "FILE"}


def _companion(what: str) -> Any:
    """Return the option of a file that stands beside the genotypes."""
    said = f"{what}, of another stem (default: beside the genotypes)"
    return _input(None, said, read=source, many="repeat", metavar="FILE")


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What ``mdr-epistasis run`` takes."""

    genotypes: tuple[str, ...] = _input(
        MISSING,
        "VCF, BCF, VCF Zarr, .bed, .pgen, BGEN, .gen, BSC's text or a MDR table",
        flag="",
        read=source,
        many="words",
        metavar="GENOTYPES",
    )
    labels: str | None = _input(
        None, "who is a case; if the genotypes do not say", read=source, metavar="FILE"
    )
    label_column: str | None = _input(
        None,
        "column of the label, name or number (default: by its name)",
        metavar="NAME",
    )
    id_column: str | None = _input(
        None,
        "column of the ids; FID,IID for two (default: by what the ids are)",
        metavar="NAME",
    )
    zero_one: bool = _input(
        False,
        "labels are 0 control, 1 case also in PLINK's files (there 1 and 2)",
        flag="--1",
    )
    sample_file: tuple[str, ...] | None = _companion(
        "individuals in order, for BGEN, .gen, BSC's text"
    )
    fam: tuple[str, ...] | None = _companion(".fam of a .bed file")
    bim: tuple[str, ...] | None = _companion(".bim of a .bed file")
    psam: tuple[str, ...] | None = _companion(".psam of a .pgen file")
    pvar: tuple[str, ...] | None = _companion(".pvar of a .pgen file")

    phenotype: str | None = _trait(
        None,
        "table that has the trait, instead of --labels",
        read=source,
        metavar="FILE",
    )
    trait: str | None = _trait(
        None, "its column, name or number (default: by its name)", metavar="NAME"
    )
    trait_kind: str = _trait(
        "auto",
        "its null model: logistic, linear or Poisson; by its values, which are labels "
        "or not, if auto (default: auto)",
        choices=("auto", "binary", "quantitative", "count"),
    )
    covariates: str | None = _trait(
        None,
        "table of covariates to adjust for (default: that of the trait)",
        read=source,
        metavar="FILE",
    )
    covariate_names: tuple[str, ...] | None = _trait(
        None,
        "columns, such as age,sex,PC1-PC10 (default: all of --covariates)",
        many="repeat",
        metavar="NAMES",
    )
    strata: str | None = _trait(
        None, "column within whose values traits are permuted", metavar="NAME"
    )
    score_bits: int = _trait(
        8,
        "of the residuals in the search; those reported are exact (default: "
        "%(default)s)",
        read=at_least(6, 15),
        metavar="BITS",
    )

    vcf_field: str = _reading(
        "GT",
        "calls, probabilities or dosages: of VCF, Zarr, .pgen (default: GT)",
        choices=("GT", "GP", "DS"),
    )
    imputation_threshold: float = _reading(
        0.9,
        "least probability of a call; below, it is missing (default: %(default)s)",
        read=fraction,
        metavar="FRACTION",
    )
    half_call: str = _reading(
        "missing",
        "what calls such as 0/. are (default: missing)",
        choices=("missing", "haploid", "reference", "error"),
    )
    chromosome: str | None = _reading(
        None, "of files that name none, as .gen may", metavar="NAME"
    )
    missing: str = _reading(
        "exclude",
        "leave individuals out of a model, or a genotype of its own (default: exclude)",
        choices=("exclude", "level"),
    )

    keep: tuple[str, ...] | None = _individuals(
        None, "only those of a list: FID and IID, or IID, a line", **_LIST
    )
    remove: tuple[str, ...] | None = _individuals(
        None, "all but those of a list", **_LIST
    )
    mind: float = _individuals(
        1.0,
        "greatest share of missing genotypes of one (default: 1)",
        read=fraction,
        metavar="FRACTION",
    )
    groups: str | None = _individuals(
        None,
        "id and group of each, as of families or sites: folds keep groups together",
        read=source,
        metavar="FILE",
    )

    pass_only: bool = _names(False, "only records whose FILTER is PASS")
    chr: str | None = _names(
        None, "chromosomes, such as 1-4,22,X (default: all)", metavar="NAMES"
    )
    from_bp: int | None = _names(
        None,
        "first position on the chromosome of --chr (default: any)",
        read=at_least(0, MOST_DISTANCE),
        metavar="BP",
    )
    to_bp: int | None = _names(
        None,
        "last position (default: any)",
        read=at_least(0, MOST_DISTANCE),
        metavar="BP",
    )
    extract: tuple[str, ...] | None = _names(
        None, "only those of a list of ids; after the word range, of ranges", **_LIST
    )
    exclude: tuple[str, ...] | None = _names(
        None, "all but those of a list of ids, or of ranges", **_LIST
    )
    variants: str | None = _names(
        None,
        "ids to search among, one a line (default: all)",
        read=source,
        metavar="FILE",
    )
    with_variants: str | None = _names(
        None, "second list: pairs across the two", read=source, metavar="FILE"
    )
    sets: str | None = _names(
        None,
        "set, as a gene, and variant a line, or PLINK's .set: pairs across sets",
        read=source,
        metavar="FILE",
    )

    min_maf: float = _variants(
        0.01,
        "least frequency of the rarer allele (default: %(default)s)",
        read=fraction,
        metavar="FRACTION",
        alias="--maf",
    )
    max_missing: float = _variants(
        0.05,
        "greatest share of missing genotypes (default: %(default)s)",
        read=fraction,
        metavar="FRACTION",
        alias="--geno",
    )
    hwe: float = _variants(
        0.0,
        "least p-value of Hardy-Weinberg equilibrium, exact, in controls (default: 0)",
        read=fraction,
        metavar="FRACTION",
    )
    x_chr_model: str | None = _variants(
        None,
        "calls of males on X: 0 no X, 1 or 2 one or two copies (default: as called)",
        choices=("0", "1", "2"),
    )
    ld_prune: tuple[str, ...] | None = _variants(
        None,
        "leave out linked ones, as plink --indep-pairwise: such as 50 5 0.2",
        many="words",
        metavar=("WINDOW", "STEP", "R2"),
    )
    min_distance_bp: int = _variants(
        0,
        "least distance in base pairs within a chromosome (default: %(default)s)",
        read=at_least(0, MOST_DISTANCE),
        metavar="BP",
    )

    order: int = _models(
        2, "variants of a model (default: %(default)s)", read=int, choices=(2, 3)
    )
    folds: int = _models(
        10,
        "of the cross-validation; 1 for none (default: %(default)s)",
        read=at_least(1),
        metavar="N",
    )
    fold_file: str | None = _models(
        None,
        "id and fold (0, 1, ...) of each individual (default: by --seed)",
        read=source,
        metavar="FILE",
    )
    tie: str = _models(
        "high",
        "risk of a cell of as many cases as expected (default: high)",
        choices=("high", "low"),
    )
    top: int = _models(
        1000, "models reported (default: %(default)s)", read=at_least(1), metavar="N"
    )
    rank_by: str = _models(
        "test",
        "accuracy by which models are ranked, of folds or whole (default: test)",
        choices=("test", "train", "whole"),
    )
    all_models: bool = _models(False, "store the error of every model too")
    permutations: int = _models(
        0,
        "for p-values over all models (default: %(default)s, none)",
        read=at_least(0),
        metavar="N",
    )
    permutation_test: str = _models(
        "labels",
        "shuffle labels, or genotypes within each class (default: labels)",
        choices=("labels", "interaction"),
    )
    compat: str | None = _models(
        None,
        "write what BSC's Spark program writes (default: our own)",
        choices=("bsc",),
    )
    file_pairs: str | None = _models(
        None,
        "of --compat bsc: FIRST-SECOND a line (default: all pairs of files)",
        read=source,
        metavar="FILE",
    )

    results_stream: str | None = _stream(
        None,
        "append the best models as they are found, a segment a rank",
        metavar="URL",
    )


def choose_inputs(
    options: Options, check: Callable[[Any], None] | None = None
) -> Options:
    """Return options with the files of data sets that a catalogue names.

    Parameters
    ----------
    check
        Refuses a data set that may be used, but not for this.

    Raises
    ------
    BadInput
        One may not be used, has changed, or is not what is searched.
    """
    if not any(map(is_of_catalog, options.genotypes)):
        return options
    # which a run on files does not need
    from hpc_connector.catalogue.inputs import take_inputs

    return take_inputs(options, ROLES, check)
