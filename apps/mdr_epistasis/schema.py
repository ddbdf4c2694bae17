"""The columns of the results: what each is, in which unit, and how it is stored.

``results.h5`` has the groups :data:`MODELS`, :data:`VARIANTS` and
:data:`PERMUTATIONS`; ``models.tsv`` has :data:`TABLE`. With sets it has the groups
:data:`SETS` and :data:`SET_PAIRS`; ``sets.tsv`` has :data:`SET_TABLE`.

Where models are scored by what a null model leaves of a trait they have :data:`SCORED`
as well, and neither odds ratio nor chi2, which are of cases and controls as they are.
"""

from hpc_connector.storer.columns import TEXT, Column

_BA = "mean of sensitivity and specificity"

MODELS = (
    Column(
        "rank",
        "int64",
        "place of the model, best first; 0 for one that is here "
        "only because a fold chose it",
    ),
    Column("variant", "int64", "its variants: rows of the group variants", "", "order"),
    Column(
        "n",
        "int64",
        "individuals that are called at all of its variants, or all "
        "where missing is a level",
        "individuals",
    ),
    Column(
        "train_balanced_accuracy",
        "float64",
        f"{_BA} on the folds that it was trained on, mean over folds",
        "0..1",
    ),
    Column(
        "test_balanced_accuracy",
        "float64",
        f"{_BA} on the fold left out, mean over folds; NaN without folds",
        "0..1",
    ),
    Column("test_error", "float64", "1 - test_balanced_accuracy", "0..1"),
    Column(
        "cv_consistency",
        "int64",
        "folds in which it is the best of all models by training accuracy",
        "folds",
    ),
    Column("balanced_accuracy", "float64", f"{_BA} on all individuals", "0..1"),
    Column(
        "sensitivity",
        "float64",
        "cases of high-risk combinations, of all cases",
        "0..1",
    ),
    Column(
        "specificity",
        "float64",
        "controls of low-risk combinations, of all controls",
        "0..1",
    ),
    Column(
        "odds_ratio",
        "float64",
        "odds of being a case, high risk against low risk; "
        "half an individual is added to each field where one is empty",
    ),
    Column(
        "odds_ratio_low",
        "float64",
        "lower end of its 95 % interval, by Woolf's logit method",
    ),
    Column("odds_ratio_high", "float64", "upper end of its 95 % interval"),
    Column(
        "chi2",
        "float64",
        "Pearson's statistic of risk by class, one degree of "
        "freedom, without correction",
    ),
    Column(
        "p_value",
        "float64",
        "share of the permutations, and of the data, whose "
        "best model is as good: (b + 1) / (P + 1); only with --permutations",
        "0..1",
    ),
    Column(
        "p_value_within_sites",
        "float64",
        "of federate, instead: the same where each site shuffles labels among its own "
        "individuals, so that a difference between sites is none of the finding; only "
        "with permutations in the study",
        "0..1",
    ),
    Column(
        "is_best",
        "bool",
        "the model of the classic rule: highest cv_consistency, "
        "then highest test_balanced_accuracy",
    ),
    Column(
        "cases",
        "int64",
        "cases of each combination of genotypes, the last variant fastest; of a "
        "quantitative trait or counts, individuals above what is expected of them",
        "individuals",
        "cells",
    ),
    Column(
        "controls",
        "int64",
        "controls of each combination; or individuals below what is expected",
        "individuals",
        "cells",
    ),
    Column(
        "high_risk",
        "bool",
        "whether a combination has more cases than expected",
        "",
        "cells",
    ),
    Column(
        "fold_train_balanced_accuracy",
        "float64",
        f"{_BA}, trained on all folds but one",
        "0..1",
        "folds",
    ),
    Column(
        "fold_test_balanced_accuracy",
        "float64",
        f"{_BA} on each fold left out",
        "0..1",
        "folds",
    ),
    Column(
        "r2",
        "float64",
        "squared correlation of the copies of two of its variants, over individuals "
        "called at both; of three the greatest; NaN where none varies",
        "0..1",
    ),
    Column(
        "hwe_p",
        "float64",
        "exact test of Hardy-Weinberg equilibrium of each variant, in controls; "
        "where a trait has none, in all",
        "0..1",
        "order",
    ),
)
SCORED = (
    Column(
        "effect",
        "float64",
        "of the high-risk class, beside the covariates: difference in the trait, of a "
        "binary one log odds ratio, of counts log rate ratio; not corrected for the "
        "search",
    ),
    Column("effect_se", "float64", "its standard error"),
    Column(
        "effect_p",
        "float64",
        "of its Wald test on the data that chose the model: not corrected for the "
        "search, and far too small; p_value is",
        "0..1",
    ),
    Column(
        "cell_positive_score",
        "float64",
        "sum of the scores above 0 of each combination: a combination is high risk if "
        "its share of them exceeds that of the scores below 0",
        "of the trait",
        "cells",
    ),
    Column(
        "cell_negative_score",
        "float64",
        "sum of the scores below 0 of each combination, without the sign",
        "of the trait",
        "cells",
    ),
    Column(
        "cell_mean_score",
        "float64",
        "mean of the trait less what the covariates let expect, of each combination; "
        "NaN of nobody",
        "of the trait",
        "cells",
    ),
    Column(
        "cell_standard_error",
        "float64",
        "its standard error; NaN of fewer than two individuals",
        "of the trait",
        "cells",
    ),
)
VARIANTS = (
    Column("id", TEXT, "as the genotypes name it"),
    Column("chromosome", TEXT, "as the genotypes name it; empty if they do not"),
    Column(
        "position", "int64", "on the chromosome, from 1; 0 if not known", "base pairs"
    ),
    Column("counted", TEXT, "allele of which genotypes count the copies"),
    Column("other", TEXT, "any other allele"),
    Column(
        "frequency", "float64", "of the counted allele among called genotypes", "0..1"
    ),
    Column("missing", "float64", "share of genotypes that are not called", "0..1"),
)
PERMUTATIONS = (
    Column(
        "maximum", "float64", "rank_by of the best model under each permutation", "0..1"
    ),
)
SETS = (
    Column("name", TEXT, "of a set, as its file has it"),
    Column("n_variants", "int64", "of it that were searched", "variants"),
)
_OF_PAIRS = tuple(
    next(column for column in MODELS if column.name == name)
    for name in (
        "test_balanced_accuracy",
        "train_balanced_accuracy",
        "balanced_accuracy",
    )
)
_R2 = Column("r2", "float64", "squared correlation of the copies of both", "0..1")
_P_VALUE = Column(
    "p_value",
    "float64",
    "share of the permutations, and of the data, whose best pair of all sets is as "
    "good: (b + 1) / (P + 1); only with --permutations",
    "0..1",
)
SET_PAIRS = (
    Column("rank", "int64", "place of the two sets, best first"),
    Column("set", "int64", "the two: rows of the group sets", "", "2"),
    Column(
        "variant",
        "int64",
        "their best pair, the first of the first set: rows of the group variants",
        "",
        "2",
    ),
    *_OF_PAIRS,
    _P_VALUE,
    _R2,
)
SET_TABLE = (
    SET_PAIRS[0],
    Column("set_1", TEXT, "name of the first of two sets; then of the second"),
    Column("variant_1", TEXT, "of their best pair the variant of the first set"),
    *_OF_PAIRS,
    _P_VALUE,
    _R2,
)
P_VALUES = ("p_value", "p_value_within_sites")  # of a cohort, of sites
STATISTICS = tuple(
    column.name
    for column in MODELS
    if column.name not in ("rank", "variant", *P_VALUES, "is_best", "r2")
    and not column.shape
)  # of models.tsv, in order
SCORED_STATISTICS = tuple(column.name for column in SCORED if not column.shape)
TABLE = (
    MODELS[0],
    Column("variant_1", TEXT, "id of its first variant; then of the others"),
    Column("chromosome_1", TEXT, "of that variant, as the genotypes name it"),
    Column(
        "position_1", "int64", "of that variant, from 1; 0 if not known", "base pairs"
    ),
    Column("alleles_1", TEXT, "of that variant: the counted one / the other"),
    *(column for column in MODELS if column.name in (*STATISTICS, *P_VALUES)),
    Column("is_best", "int64", "1 for the model of the classic rule, else 0"),
    next(column for column in MODELS if column.name == "r2"),
    Column(
        "hwe_p_1",
        "float64",
        "exact test of Hardy-Weinberg equilibrium of that variant, in controls",
        "0..1",
    ),
)
