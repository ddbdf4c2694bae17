"""report.html of an MDR run: one page, from results.h5 and the manifest alone."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import h5py
import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from hpc_connector.storer import _plots as plots

SHOWN_ROWS, SHOWN_CELLS, SHOWN_ARCS = 25, 6, 15
NEAR_BP = 100_000
COLUMNS = {
    "rank": "rank",
    "n": "n",
    "test_balanced_accuracy": "test BA",
    "train_balanced_accuracy": "train BA",
    "cv_consistency": "CVC",
    "balanced_accuracy": "whole BA",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "odds_ratio": "odds ratio",
    "chi2": "χ²",
    "p_value": "p",
}

Columns = dict[str, np.ndarray]


def save_report(directory: Path) -> Path:
    """Write ``report.html`` of a finished run, published by rename.

    Raises
    ------
    BadInput
        The folder holds no finished run.
    """
    record = read_manifest(directory)
    models, variants, run = read_results(directory / "results.h5")
    names = get_names(models, variants)
    page = Template((files("hpc_connector.storer") / "report.html").read_text())
    best = int(np.flatnonzero(models["is_best"])[0])
    line = get_permutation_line(run)
    text = page.substitute(
        title=f"MDR: {escape(names[best])}",
        finished=escape(str(record.get("finished", ""))),
        heading=escape(names[best]),
        summary=make_summary(record, models, names, best),
        cautions=make_cautions(models, variants, run, best),
        table=make_table(models, names),
        cells="".join(
            plots.draw_cells(
                models["cases"][m],
                models["controls"][m],
                models["high_risk"][m],
                names[m],
                [get_genotype_names(variants, v, run["levels"]) for v in model],
            )
            for m, model in enumerate(models["variant"][:SHOWN_CELLS])
        ),
        scatter=draw_scatter(models, names, line),
        scatter_caption=get_scatter_caption(run, line),
        genome=plots.draw_genome(
            variants["chromosome"],
            variants["position"],
            models["variant"][:SHOWN_ARCS],
            variants["id"],
            get_score(models)[:SHOWN_ARCS],
        ),
        network=plots.draw_network(
            models["variant"][:SHOWN_ARCS],
            variants["id"],
            get_score(models)[:SHOWN_ARCS],
        ),
        facts=make_facts(record),
    )
    partial = directory / "report.html.partial"
    partial.write_text(text)
    return partial.replace(directory / "report.html")


def read_results(path: Path) -> tuple[Columns, Columns, dict[str, Any]]:
    """Return columns of the models, of the variants, and attributes of a run."""
    if not path.exists():
        raise BadInput(f"{path.parent} holds no finished run: expected {path.name}")
    with h5py.File(path) as file:
        models = {name: column[:] for name, column in file["models"].items()}
        variants = {
            name: column.asstr()[:] if column.dtype.kind == "O" else column[:]
            for name, column in file["variants"].items()
        }
        run = dict(file.attrs)
        if "permutations/maximum" in file:
            run["maximum"] = file["permutations/maximum"][:]
    return models, variants, run


def get_names(models: Columns, variants: Columns) -> list[str]:
    """Return the name of each model: the ids of its variants."""
    return [" × ".join(variants["id"][model]) for model in models["variant"]]  # noqa: RUF001


def get_genotype_names(variants: Columns, variant: int, levels: int) -> list[str]:
    """Return the genotypes of a variant, written with its alleles."""
    a, b = variants["other"][variant], variants["counted"][variant]
    if len(a) > 4 or len(b) > 4 or a == b:
        a, b = "ref", "alt"
    return [f"{a}/{a}", f"{a}/{b}", f"{b}/{b}", "missing"][:levels]


def get_score(models: Columns) -> np.ndarray:
    """Return test balanced accuracy, whole-data where there was no cross-validation."""
    test = models["test_balanced_accuracy"]
    return np.where(np.isnan(test), models["balanced_accuracy"], test)


def get_permutation_line(run: dict[str, Any]) -> float | None:
    """Return what 5 % of the permutations reach, None without permutations."""
    return float(np.quantile(run["maximum"], 0.95)) if "maximum" in run else None


def make_summary(
    record: dict[str, Any], models: Columns, names: Sequence[str], best: int
) -> str:
    """Return what was searched and found, in words."""
    cohort, search = record.get("cohort", {}), record.get("search", {})
    kind = "triples" if search.get("order") == 3 else "pairs"
    text = (
        f"All {search.get('models', 0):,} {kind} of {cohort.get('variants_kept', 0):,} "
        f"variants were searched in {cohort.get('cases', 0):,} cases and "
        f"{cohort.get('controls', 0):,} controls. <b>{escape(names[best])}</b> "
    )
    test = models["test_balanced_accuracy"][best]
    if np.isnan(test):
        whole = models["balanced_accuracy"][best]
        return text + f"has the highest balanced accuracy, {whole:.3f}, on all data."
    text += (
        f"is the best model: it predicts individuals it has not seen with a balanced "
        f"accuracy of {test:.3f}, and was best in {models['cv_consistency'][best]} of "
        f"{search.get('folds')} folds."
    )
    if "p_value" in models:
        text += f" Corrected for the whole search, p = {models['p_value'][best]:.3g}."
    return text


def make_cautions(
    models: Columns, variants: Columns, run: dict[str, Any], best: int
) -> str:
    """Return what a reader must not overlook, as paragraphs."""
    cautions = []
    if run["folds"] == 1:
        cautions.append("There was no cross-validation: accuracies are optimistic.")
    elif models["test_balanced_accuracy"][best] < 0.55:
        cautions.append("Test accuracy is close to chance: nothing stands out.")
    if "p_value" not in models:
        cautions.append("No permutations were asked for: there is no p-value.")
    elif models["p_value"][best] > 0.05:
        cautions.append("Shuffled labels reach this accuracy: p is above 0.05.")
    chosen = models["variant"][best]
    if len(set(variants["chromosome"][chosen])) < len(chosen):
        distance = np.ptp(variants["position"][chosen])
        if distance < NEAR_BP and variants["position"][chosen].any():
            cautions.append(
                "Variants of the best model are less than 100 kb apart: linkage "
                "disequilibrium can pass for interaction (see --min-distance-bp)."
            )
    return "".join(f'<p class="caution">{escape(text)}</p>' for text in cautions)


def make_table(models: Columns, names: Sequence[str]) -> str:
    """Return the table of the best models."""
    shown = {name: head for name, head in COLUMNS.items() if name in models}
    heads = "".join(f"<th>{head}</th>" for head in shown.values())
    rows = []
    chosen = np.flatnonzero((models["rank"] <= SHOWN_ROWS) | models["is_best"])
    for m in chosen.tolist():
        cells = "".join(make_cell(models[name][m]) for name in shown)
        kind = ' class="best"' if models["is_best"][m] else ""
        name = f'<td class="name">{escape(names[m])}</td>'
        rows.append(f"<tr{kind}>{name}{cells}</tr>")
    return (
        f'<table><thead><tr><th class="name">model</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def make_cell(value: Any) -> str:
    """Return one number of the table, sorted by its full value."""
    if isinstance(value, np.integer):
        return f"<td>{value}</td>"
    text = "–" if np.isnan(value) else f"{value:.4g}"  # noqa: RUF001
    return f'<td data-value="{-1.0 if np.isnan(value) else value!s}">{text}</td>'


def draw_scatter(models: Columns, names: Sequence[str], line: float | None) -> str:
    """Return test against training accuracy of the models, or a sentence."""
    train, test = models["train_balanced_accuracy"], models["test_balanced_accuracy"]
    if np.isnan(test).all():
        return "<p>Without cross-validation there is no test accuracy.</p>"
    return plots.draw_scatter(train, test, names, models["is_best"], line)


def get_scatter_caption(run: dict[str, Any], line: float | None) -> str:
    """Return what the scatter shows."""
    text = "Each dot is a model of the list; far below the diagonal it is overfitted."
    if line is not None:
        text += (
            f" 95 % of {len(run['maximum'])} permutations stay below the dashed line."
        )
    return text


def make_facts(record: dict[str, Any]) -> str:
    """Return the manifest as a list of terms."""
    facts = []
    for name in ("parameters", "cohort", "search", "resources", "software"):
        for key, value in record.get(name, {}).items():
            facts.append((f"{name}: {key.replace('_', ' ')}", value))
    for source in record.get("inputs", []):
        facts.append((source["path"], f"{source['bytes']:,} bytes, {source['sha256']}"))
    return "".join(
        f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts
    )
