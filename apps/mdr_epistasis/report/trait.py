"""The trait of a run that scores individuals: its words, and its null model."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.report.text import shorten
from mdr_epistasis.report.run_file import SearchRun

Z95 = 1.959963984540054  # of a normal distribution, 95 % lie within as many deviations
RATIOS = {"binary": "odds ratio", "count": "rate ratio"}  # what exp(coefficient) is


class Coefficient(NamedTuple):
    """A coefficient of the null model as the page writes it.

    Parameters
    ----------
    ratio
        Its exponential, where that is an odds or rate ratio; empty of others.
    """

    name: str
    value: str
    interval: str
    ratio: str


def get_name(run: SearchRun) -> str:
    """Return the name of the trait."""
    return shorten(str(run.get_part("trait").get("name", "the trait")), 40)


def get_facts(run: SearchRun) -> dict[str, Any]:
    """Return the part of the manifest without its null model, which has a table."""
    part = run.get_part("trait")
    return {"trait": {k: v for k, v in part.items() if k != "null_model"}}


def get_kind(run: SearchRun) -> str:
    """Return what kind of trait it is; empty of plain cases and controls."""
    return str(run.get_part("trait").get("kind", "")) if run.is_scored else ""


def get_ratio_name(run: SearchRun) -> str:
    """Return what the exponential of an effect is, empty of a quantitative trait."""
    return RATIOS.get(get_kind(run), "")


def say_who(run: SearchRun) -> str:
    """Say who was searched, and for what trait, adjusted for what."""
    cohort, kind = run.get_part("cohort"), get_kind(run)
    n = cohort.get("individuals", int(run.models["n"][run.best]))
    names = run.get_part("trait").get("covariates")
    who = f"{n:,} individuals" if isinstance(n, int) else f"{n} individuals"
    if kind != "binary":
        words = {"count": "counts of"}.get(kind, "the quantitative trait")
        who += f", by {words} {get_name(run)}"
    elif {"cases", "controls"} <= cohort.keys():
        who = f"{cohort['cases']:,} cases and {cohort['controls']:,} controls"
    if isinstance(names, list) and names:
        who += f", adjusted for {', '.join(shorten(str(n), 24) for n in names)}"
    return who


def list_coefficients(run: SearchRun) -> list[Coefficient]:
    """Return the coefficients of the null model, as far as the manifest has them."""
    model = run.get_part("trait").get("null_model")
    if not isinstance(model, dict):
        return []
    return list(_list_coefficients(model, is_ratio=bool(get_ratio_name(run))))


def _list_coefficients(
    model: dict[str, Any], *, is_ratio: bool
) -> Iterator[Coefficient]:
    for name, known in model.items():
        found = known if isinstance(known, dict) else {}
        value, error = found.get("coefficient"), found.get("standard_error")
        if not isinstance(value, int | float) or not isinstance(error, int | float):
            continue
        ends = value - Z95 * error, value + Z95 * error
        interval = f"{_format(ends[0])} to {_format(ends[1])}"
        has_ratio = is_ratio and name != "intercept"
        ratio = _say_ratio(value, *ends) if has_ratio else ""
        yield Coefficient(name, _format(value), interval, ratio)


def _say_ratio(*logarithms: float) -> str:
    """Return a ratio and its interval in words, of their logarithms."""
    with np.errstate(over="ignore"):  # of a covariate of tiny values
        ratios = np.exp(np.array(logarithms)).tolist()
    return "{} ({} to {})".format(*map(_format, ratios))


def say_effect(run: SearchRun, model: int) -> tuple[str, str]:
    """Return the effect of the high-risk class of a model, and what it is."""
    value, error = (float(run.models[n][model]) for n in ("effect", "effect_se"))
    if np.isnan(value + error):
        return "–", "effect of high risk: not known"  # noqa: RUF001
    ends = (value, value - Z95 * error, value + Z95 * error)
    name = f"adjusted {get_ratio_name(run)}"
    if get_kind(run) not in RATIOS:
        name = f"effect of high risk on {get_name(run)}"
        return _format(value), f"{name}, {_format(ends[1])} to {_format(ends[2])}"
    with np.errstate(over="ignore"):
        ratio, low, high = np.exp(ends)
    return f"{ratio:.2f}", f"{name}, {low:.2f} to {high:.2f}"


def _format(value: float) -> str:
    """Return a number in three digits."""
    return f"{value:.3g}"
