"""What may be let out of a study, and how often a cohort may be asked.

Whoever scores applies these rules. There is no noise on tables: one person is in every
pair, and noise that hides a person would hide most cells as well.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.federation.study import Release, Study
from hpc_connector.manifest import get_time
from hpc_connector.publish import publish

KEPT_BACK = ("cases", "controls")  # columns of tables
HIDDEN = "hidden"
NOTHING = 1e-9  # of numbers of order 1
CLASSES = ("cases", "controls")
NOT_SETTINGS = ("sites", "release", "reference", "sha256", "salt", "hub")


class Query(NamedTuple):
    """A search of a cohort, as its budget has it."""

    study: str
    time: str
    settings: dict[str, Any]


def check_columns(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the columns of models that are let out: no tables."""
    return {name: c for name, c in columns.items() if name not in KEPT_BACK}


def check_policy(study: Study, where: str, least_cell: int, top_most: int) -> None:
    """Refuse a study that lets out more than a site's own policy allows.

    Parameters
    ----------
    where
        Whose policy it is, for messages.
    least_cell, top_most
        Smallest count, and models at most, that are let out of its data.

    Raises
    ------
    BadInput
        The study says less, or more.
    """
    least, top = study.release.least_cell, study.top
    if least < least_cell:
        raise BadInput(
            f"{where}: its policy lets out counts of {least_cell} individuals or more, "
            f"study {study.name} of {least}: expected release.least_cell = "
            f"{least_cell} or more"
        )
    if top > top_most:
        raise BadInput(
            f"{where}: its policy lets out {top_most:,} models at most, study "
            f"{study.name} {top:,}: expected study.top = {top_most} or less"
        )


def hide_cells(
    counts: NDArray[np.int64], high_risk: NDArray[np.bool_], least: int
) -> NDArray[np.bool_]:
    """Return which cells of a table are not shown.

    Those below the least number; and then more, the smallest first, until none of them
    is the only solution of what is known (:func:`list_known`). A cell that alone is of
    high or of low risk follows from sensitivity and specificity, whatever is hidden.

    Parameters
    ----------
    counts
        Of one class, int64 (levels, levels).
    high_risk
        Of the same shape.
    least
        Number that is shown.
    """
    hidden = counts < least
    if not hidden.any():
        return hidden
    known = list_known(high_risk)
    is_told = find_solved(known, np.ones_like(hidden))
    while (find_solved(known, hidden) & ~is_told).any():
        others = np.where(hidden, np.iinfo(np.int64).max, counts)
        hidden[np.unravel_index(int(np.argmin(others)), others.shape)] = True
    return hidden


def list_known(high_risk: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weights of cells in the sums of a table that others may know.

    Those of rows and columns, from frequencies and hwe_p; of the high-risk and of the
    low-risk cells, from sensitivity and specificity; and of products of genotypes, from
    r2: float64 (sums, levels, levels).
    """
    n = len(high_risk)
    place = np.arange(n)
    i, j = np.meshgrid(place, place, indexing="ij")
    products = np.where((i < 3) & (j < 3), i * j, 0)
    lines = [i == k for k in place] + [j == k for k in place]
    return np.array([*lines, high_risk, ~high_risk, products], np.float64)


def find_solved(
    known: NDArray[np.float64], hidden: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which hidden cells follow from the sums, once the others are shown.

    That is where no change of hidden cells that keeps all sums changes them.

    Parameters
    ----------
    known
        From :func:`list_known`.
    """
    _, size, rows = np.linalg.svd(known[:, hidden])
    free = rows[int((size > NOTHING).sum()) :]
    solved = np.zeros_like(hidden)
    solved[hidden] = ~(np.abs(free) > NOTHING).any(axis=0)
    return solved


def make_tables(
    cases: NDArray[np.int64],
    controls: NDArray[np.int64],
    high_risk: NDArray[np.bool_],
    least: int,
) -> tuple[dict[str, list[Any]], int]:
    """Return the tables that are let out, a row a model and class; and cells hidden.

    Parameters
    ----------
    cases, controls, high_risk
        (models, cells).
    """
    n_levels = round(cases.shape[1] ** 0.5) if len(cases) else 3
    names = [f"{i}/{j}" for i in range(n_levels) for j in range(n_levels)]
    rows: list[list[Any]] = []
    n_hidden = 0
    shape = (n_levels, n_levels)
    for model in range(len(cases)):
        for said, of_class in zip(CLASSES, (cases, controls), strict=True):
            table = of_class[model].reshape(shape)
            hidden = hide_cells(table, high_risk[model].reshape(shape), least)
            n_hidden += int(hidden.sum())
            cells = zip(table.ravel().tolist(), hidden.ravel().tolist(), strict=True)
            shown = [say_cell(n, least, is_hidden) for n, is_hidden in cells]
            rows.append([model + 1, said, *shown])
    heads = ["model", "class", *names]
    columns = zip(*rows, strict=True) if rows else [[] for _ in heads]
    return dict(zip(heads, map(list, columns), strict=True)), n_hidden


def say_cell(count: int, least: int, is_hidden: bool) -> str:
    """Return a cell as it is shown: one that is hidden for another alike if it can."""
    if not is_hidden:
        return str(count)
    return f"<{least}" if count < least else HIDDEN


def read_queries(path: Path) -> tuple[str, list[Query]]:
    """Return the fingerprint of a cohort, empty if new, and what was asked of it.

    Raises
    ------
    BadInput
        The file is damaged.
    """
    try:
        found = json.loads(path.read_text())
        queries = [Query(**one) for one in found["queries"]]
        return str(found["cohort"]), queries
    except FileNotFoundError:
        return "", []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is not a budget of queries: {error}") from None


def use_budget(
    path: Path,
    study: Study,
    fingerprint: str,
    who: str,
    *,
    people: str = "",
    is_new: bool = True,
) -> tuple[int, int]:
    """Count a query of a cohort, before anything of it is sent.

    The same study of the same cohort gives the same answer, and is no new query.

    Parameters
    ----------
    path
        Of the budget.
    fingerprint
        Of the cohort.
    who
        Whose budget it is, for messages.
    people
        Fingerprint of who is in it, as what; empty where nobody asks that alone.
    is_new
        Whether there may be none yet.

    Returns
    -------
    Queries used, and that there may be.

    Raises
    ------
    BadInput
        The cohort has changed, or the budget is used up; the message says by what.
    """
    cohort, queries = read_queries(path)
    most = study.release.most_queries
    asked = "; ".join(describe_query(one) for one in queries)
    if not (cohort or is_new):
        raise BadInput(
            f"{who}: the log has queries of study {study.name}, and their budget is "
            f"gone: expected {path}"
        )
    if cohort and cohort != fingerprint:
        refuse_change(path, study, who)
    if study.sha256 not in {one.study for one in queries}:
        if len(queries) >= most:
            raise BadInput(
                f"{who}: the budget of {most} quer{'y' if most == 1 else 'ies'} of "
                f"study {study.name} is used up: asked was {asked} (budget {path})"
            )
        queries.append(Query(study.sha256, get_time(), get_settings(study)))
        record: dict[str, Any] = {"cohort": fingerprint}
        record |= {"people": people} if people else {}
        record |= {"queries": [one._asdict() for one in queries]}
        path.parent.mkdir(parents=True, exist_ok=True)
        with publish(path, "open") as stream:
            stream.write(f"{json.dumps(record, indent=2)}\n".encode())
    return len(queries), most


def refuse_change(path: Path, study: Study, who: str) -> None:
    """Raise that a cohort is not the one that has been asked."""
    asked = "; ".join(describe_query(one) for one in read_queries(path)[1])
    raise BadInput(
        f"{who}: the cohort is not that of the last query of study {study.name} "
        f"({asked}): the difference of two answers would tell of the individuals who "
        f"differ (budget {path})"
    )


def check_people(path: Path, study: Study, people: str, who: str) -> None:
    """Refuse other individuals than those of a budget, before others are told how many.

    Parameters
    ----------
    people
        Fingerprint of who is in the cohort, as what.

    Raises
    ------
    BadInput
        They are others, or the budget is damaged.
    """
    _, queries = read_queries(path)
    if queries and json.loads(path.read_text()).get("people", people) != people:
        refuse_change(path, study, who)


def describe_query(query: Query) -> str:
    """Return a query in words: what was asked, and when."""
    settings = ", ".join(f"{name} {value}" for name, value in query.settings.items())
    return f"study {query.study[:12]} of {query.time} ({settings})"


def get_settings(study: Study) -> dict[str, Any]:
    """Return the settings of a study."""
    return {k: v for k, v in vars(study).items() if k not in NOT_SETTINGS}


def get_pooled_fingerprint(counts: NDArray[np.int64]) -> str:
    """Return the fingerprint of the cohorts of all sites: the sums of stage 0.

    Parameters
    ----------
    counts
        int64 (variants, groups, 4).
    """
    of_class = counts.reshape(len(counts), 2, -1, 4).sum(axis=2)
    return hashlib.sha256(of_class.astype("<i8").tobytes()).hexdigest()


def describe_sent(
    sent: dict[str, int], sizes: Sequence[int] | None, site: str, n_ids: int = 0
) -> list[str]:
    """Return in sentences what a site has let out, for a data protection officer.

    Parameters
    ----------
    sent
        Bytes and blocks by stage, of a link.
    sizes
        Cases and controls, if the others were told those; else None.
    n_ids
        Individuals whose ids were shown, hashed under the key of all sites.
    """
    said = []
    if sizes is not None:
        n_cases, n_controls = sizes
        said.append(
            f"in plain, to all sites: that it has {n_cases:,} cases and "
            f"{n_controls:,} controls, by which folds are dealt"
        )
    if n_ids:
        said.append(
            f"to all sites: the ids of {n_ids:,} individuals, hashed under a key that "
            "the sites share, by which each sees which of its own another has too"
        )
    is_bounded = "stage 1 bytes" in sent
    for stage, what in (STAGES if is_bounded else STAGES | ALL_BY_FOLDS).items():
        if n_bytes := sent.get(f"stage {stage} bytes"):
            blocks = sent[f"stage {stage} blocks"]
            cut = "1 block" if blocks == 1 else f"{blocks:,} blocks"
            said.append(f"masked, {n_bytes:,} bytes in {cut}: {what}")
    return said


STAGES = {
    3: "how many cases and controls it has",
    0: "of each variant how many have which genotype, in each fold and class",
    1: "of each pair of variants how many cases and controls have which genotypes",
    2: "the same in each fold, of the pairs that may be among the best",
}
ALL_BY_FOLDS = {2: f"{STAGES[1]}, in each fold"}


def list_rules(release: Release, top: int) -> Iterable[str]:
    """Yield the rules of release of a study, in words."""
    yield f"the {top:,} best models at most, and no other"
    yield (
        "of each of those, of all sites together: how well it predicts, also in each "
        "fold, of how many individuals, odds ratio, chi2, r2 and hwe_p, and which "
        "genotypes are of high risk"
    )
    if release.columns == "tables":
        yield (
            "of each of those how many cases and controls have which genotypes, but no "
            f"cell below {release.least_cell} individuals, nor cells by which one "
            "could be worked out"
        )
    else:
        yield "of those no table of how many have which genotypes"
    yield (
        "of each variant that was searched, of all sites together: its frequency, and "
        "what share of the individuals lack it"
    )
    yield (
        f"sites of {release.least_site} individuals or more, {release.least_class} of "
        f"each class; {release.least_total:,} or more in all"
    )
    most = release.most_queries
    searches = "one search" if most == 1 else f"{most:,} searches"
    yield f"{searches} of these cohorts, which may not change"
    yield "nothing of a single site, nor who is in which fold"
