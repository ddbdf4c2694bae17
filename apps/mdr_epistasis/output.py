"""What a run leaves: models.tsv, results.h5, and the top models on the terminal."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import storer
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.models import describe_models
from mdr_epistasis.cohort import Cohort
from mdr_epistasis.options import Options

STATISTICS = (
    "n",
    "train_balanced_accuracy",
    "test_balanced_accuracy",
    "test_error",
    "cv_consistency",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "odds_ratio",
    "odds_ratio_low",
    "odds_ratio_high",
    "chi2",
)
SHOWN = 10


def describe(
    cohort: Cohort,
    question: learner.Question,
    best: learner.Best,
    maximum: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the columns of the models to report, best first.

    The best models of the folds are appended with rank 0 where they are not in the
    list, so that the model of the classic rule (highest cross-validation consistency,
    then test balanced accuracy) is always there.
    """
    n_top = int(best.size[0])
    listed = [tuple(model) for model in best.model[:n_top].tolist()]
    folds = cohort.arrangement.folds
    winners = [tuple(m) for m in best.fold_model.tolist() if folds > 1 and m[0] >= 0]
    extra = sorted(set(winners) - set(listed))
    models = np.array(listed + extra, np.int64).reshape(-1, question.order)
    columns = describe_models(
        cohort.planes,
        cohort.arrangement,
        models,
        level=question.level,
        tie_low=question.tie_low,
    )
    columns["variant"] = models
    columns["rank"] = np.array([*range(1, n_top + 1), *(0 for _ in extra)], np.int64)
    columns["cv_consistency"] = np.array(
        [winners.count(model) for model in listed + extra], np.int64
    )
    add_means(columns, folds)
    classic = np.lexsort(
        (
            -columns["test_balanced_accuracy"],
            -columns["cv_consistency"],
        )
    )
    columns["is_best"] = np.arange(len(models)) == (classic[0] if folds > 1 else 0)
    if question.permutations:
        statistic = columns[question.rank_by]
        columns["p_value"] = learner.get_p_values(statistic, maximum)
    return columns


def add_means(columns: dict[str, np.ndarray], folds: int) -> None:
    """Add the means over folds, summed in order as the kernels do."""
    for name in ("train", "test"):
        of_fold = columns[f"fold_{name}_balanced_accuracy"]
        if folds == 1:
            unknown = np.full(len(of_fold), np.nan)
            whole = columns["balanced_accuracy"]
            columns[f"{name}_balanced_accuracy"] = whole if name == "train" else unknown
            continue
        known = ~np.isnan(of_fold)
        total = np.zeros(len(of_fold))
        for fold in range(folds):
            total += np.where(known[:, fold], 2 * of_fold[:, fold] - 1, 0.0)
        with np.errstate(invalid="ignore"):
            mean = 0.5 + 0.5 * (total / known.sum(axis=1))
        columns[f"{name}_balanced_accuracy"] = mean
    columns["test_error"] = 1 - columns["test_balanced_accuracy"]


def save_results(
    out: Path,
    cohort: Cohort,
    question: learner.Question,
    columns: dict[str, np.ndarray],
    maximum: np.ndarray,
    shards: storer.Shards | None,
) -> list[str]:
    """Write models.tsv and results.h5; return their names."""
    storer.save_table(out / "models.tsv", make_table(cohort, columns))
    attributes = {
        "program": "mdr-epistasis",
        "order": question.order,
        "folds": cohort.arrangement.folds,
        "levels": round(columns["cases"].shape[1] ** (1 / question.order)),
        "rank_by": question.rank_by,
        "permutation_test": "interaction" if question.interaction else "labels",
    }
    data = {f"models/{name}": column for name, column in columns.items()}
    data |= {f"variants/{name}": column for name, column in cohort.variants.items()}
    if question.permutations:
        data["permutations/maximum"] = maximum
    storer.save_output(out / "results.h5", data, attributes, tiles=shards)
    return ["models.tsv", "results.h5"]


def make_table(cohort: Cohort, columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the columns of models.tsv."""
    table: dict[str, Any] = {"rank": columns["rank"].tolist()}
    variants = cohort.variants
    for k in range(columns["variant"].shape[1]):
        v = columns["variant"][:, k]
        table[f"variant_{k + 1}"] = variants["id"][v]
        table[f"chromosome_{k + 1}"] = variants["chromosome"][v]
        table[f"position_{k + 1}"] = variants["position"][v]
        alleles = zip(variants["counted"][v], variants["other"][v], strict=True)
        table[f"alleles_{k + 1}"] = [f"{counted}/{other}" for counted, other in alleles]
    names = [*STATISTICS, *(["p_value"] if "p_value" in columns else [])]
    table |= {name: columns[name] for name in names}
    table["is_best"] = columns["is_best"].astype(int)
    return table


def print_top(args: Options, cohort: Cohort, columns: dict[str, np.ndarray]) -> None:
    """Print the summary: the top models, or with ``--json`` one object."""
    table = make_table(cohort, columns)
    order = columns["variant"].shape[1]
    names = [table[f"variant_{k + 1}"] for k in range(order)]
    shown = ["test_balanced_accuracy", "train_balanced_accuracy", "cv_consistency"]
    shown += [
        "balanced_accuracy",
        "odds_ratio",
        *(["p_value"] if "p_value" in table else []),
    ]
    rows = range(min(SHOWN, len(columns["rank"])))
    top: list[dict[str, Any]] = [
        {"rank": int(columns["rank"][r]), "variants": [str(n[r]) for n in names]}
        | {name: to_number(columns[name][r]) for name in shown}
        for r in rows
    ]
    if args.json:
        best = int(np.flatnonzero(columns["is_best"])[0]) if len(top) else None
        summary = {
            "out": str(args.out),
            "variants": cohort.n_variants,
            "individuals": len(cohort.is_case),
            "top": top,
            "best": None if best is None else [str(n[best]) for n in names],
        }
        print(json.dumps(summary))
        return
    width = max([len(" x ".join(row["variants"])) for row in top], default=0)
    heads = ["test BA", "train BA", "CVC", "whole BA", "odds ratio", "p"][: len(shown)]
    print(f"{'rank':>4}  {'model':<{width}}  " + "  ".join(f"{h:>10}" for h in heads))
    for row in top:
        values = "  ".join(f"{format_short(row[name]):>10}" for name in shown)
        print(f"{row['rank']:>4}  {' x '.join(row['variants']):<{width}}  {values}")
    report = args.out / "report.html"
    print(f"results: {report if report.exists() else args.out}")


def to_number(value: Any) -> float | int | None:
    """Return a plain number; None for NaN."""
    if np.isnan(value):
        return None
    return int(value) if isinstance(value, np.integer) else float(value)


def format_short(value: float | int | None) -> str:
    """Return a number for the terminal."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
