"""From the scores of ions to annotations: rates, names, isomers and isobars."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpc_connector.learner.annotation.fdr import get_level, run_fdr
from hpc_connector.learner.annotation.ion_images import SCORES
from hpc_connector.learner.annotation.ions import Candidates, Ions
from hpc_connector.loader.spectra.molecules import Database

SEPARATOR = "; "
MEASURES = SCORES[:5]  # chaos, spatial, spectral and the two errors of m/z
Row = tuple[int, int, int]  # database, formula, adduct


@dataclass(frozen=True)
class Search:
    """What was searched for, and what was found.

    ``mz``, shape (ions, images), holds the isotope peaks, ``scores`` columns ``SCORES``
    and ``score`` what ions are ranked by; 0 for an ion without.
    """

    ions: Ions
    candidates: Sequence[Candidates]
    databases: Sequence[Database]
    mz: np.ndarray
    scores: np.ndarray
    score: np.ndarray


def get_msm(scores: np.ndarray) -> np.ndarray:
    """Return the metabolite-signal match: chaos times spatial times spectral."""
    return scores[:, 0] * scores[:, 1] * scores[:, 2]


def rank_annotations(
    search: Search, version: int, limit: float, ppm: float
) -> dict[str, Any]:
    """Return the columns of the annotations to report, best first.

    Parameters
    ----------
    limit
        Greatest false discovery rate reported, rounded to two digits; never 1.
    """
    rows = []
    for number, candidates in enumerate(search.candidates):
        fdr = run_fdr(search.score, candidates, version)
        with np.errstate(invalid="ignore"):
            is_reported = (fdr < 1) & (np.round(fdr, 2) <= limit)
        for f, t in np.argwhere(is_reported).tolist():
            rows.append((fdr[f, t], candidates.target[f, t], (number, f, t)))
    rows.sort(key=lambda row: (row[0], -search.score[row[1]], row[2]))
    rates = np.array([fdr for fdr, _, _ in rows])
    reported = np.array([ion for _, ion, _ in rows], np.int64)
    columns = describe_ions(search, reported, [place for _, _, place in rows])
    columns |= {"fdr": rates, "fdr_level": get_level(rates)}
    labels = [f + a for f, a in zip(columns["formula"], columns["adduct"], strict=True)]
    columns["isomers"] = find_isomers(labels, reported)
    columns["isobars"] = find_isobars(labels, reported, search.mz, ppm)
    return columns | {"ion_number": reported}


def describe_ions(
    search: Search, reported: np.ndarray, places: Sequence[Row]
) -> dict[str, Any]:
    """Return names and scores of reported ions."""
    molecules = [list_molecules(database) for database in search.databases]
    formulas = [
        search.ions.formulas[search.candidates[d].formula[f]] for d, f, _ in places
    ]
    known = [molecules[d][f] for (d, _, _), f in zip(places, formulas, strict=True)]
    columns: dict[str, Any] = {
        "formula": formulas,
        "adduct": [search.ions.modifiers[t] for _, _, t in places],
        "ion": [search.ions.get_name(ion) for ion in reported.tolist()],
        "database": [search.databases[d].title for d, _, _ in places],
        "mz": search.mz[reported, 0],
        "msm": get_msm(search.scores)[reported],
        "score": search.score[reported],
    }
    columns |= {name: search.scores[reported, k] for k, name in enumerate(SCORES)}
    columns["n_pixels"] = columns["n_pixels"].astype(np.int64)
    columns["molecule_names"] = [SEPARATOR.join(names) for names, _ in known]
    columns["molecule_ids"] = [SEPARATOR.join(ids) for _, ids in known]
    return columns


def list_molecules(database: Database) -> dict[str, tuple[list[str], list[str]]]:
    """Return names and ids of the molecules of each formula."""
    molecules: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    rows = zip(database.formula, database.name, database.id, strict=True)
    for formula, name, number in rows:
        molecules[formula][0].append(name)
        molecules[formula][1].append(number)
    return molecules


def find_isomers(labels: Sequence[str], ion: np.ndarray) -> list[str]:
    """Return the other annotations of the same ion, which no spectrum tells apart."""
    of_ion = defaultdict(set)
    for label, number in zip(labels, ion.tolist(), strict=True):
        of_ion[number].add(label)
    return [
        SEPARATOR.join(sorted(of_ion[number] - {label}))
        for label, number in zip(labels, ion.tolist(), strict=True)
    ]


def find_isobars(
    labels: Sequence[str], ion: np.ndarray, mz: np.ndarray, ppm: float
) -> list[str]:
    """Return the annotations of other ions whose peaks an annotation's first may be.

    Windows of half the width `ppm` about both overlap.
    """
    peaks = mz[ion].ravel()
    order = np.argsort(peaks, kind="stable")
    owner = np.repeat(np.arange(len(ion)), mz.shape[1])[order]
    half = 2 * ppm * 1e-6 * mz[ion, 0]
    first = np.searchsorted(peaks[order], mz[ion, 0] - half, side="left")
    last = np.searchsorted(peaks[order], mz[ion, 0] + half, side="right")
    near = [owner[a:b].tolist() for a, b in zip(first, last, strict=True)]
    return [
        SEPARATOR.join(sorted({labels[k] for k in others if ion[k] != ion[i]}))
        for i, others in enumerate(near)
    ]


def list_scores(search: Search) -> dict[str, Any]:
    """Return a row for every ion with a score, target or decoy, in each ranking."""
    msm = get_msm(search.scores)
    parts = []
    for number, candidates in enumerate(search.candidates):
        ion = np.concatenate([candidates.target[..., None], candidates.decoy], axis=2)
        own = np.broadcast_to(candidates.modifier, candidates.target.shape)
        modifier = np.concatenate([own[..., None], candidates.decoy_modifier], axis=2)
        found = np.nonzero(np.append(msm, 0.0)[ion] > 0)
        formula, target = candidates.formula[found[0]], candidates.modifier[found[1]]
        database = np.full(len(formula), number)
        rest = modifier[found], target, found[2] == 0, ion[found]
        parts.append((database, formula, *rest))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    database, formula, modifier, target_modifier, is_target, ion = columns
    ions = search.ions
    table: dict[str, Any] = {
        "database": [search.databases[d].title for d in database.tolist()],
        "formula": [ions.formulas[f] for f in formula.tolist()],
        "modifier": [ions.modifiers[m] for m in modifier.tolist()],
        "target_modifier": [ions.modifiers[m] for m in target_modifier.tolist()],
        "target": is_target,
        "msm": msm[ion],
        "score": search.score[ion],
    }
    return table | {name: search.scores[ion, k] for k, name in enumerate(MEASURES)}


def make_score(scores: np.ndarray, model: Callable | None) -> np.ndarray:
    """Return what ions are ranked by: MSM, or the score of a model where MSM is not 0.

    The model takes chaos, spatial, spectral, and the errors of m/z, negated.
    """
    msm = get_msm(scores)
    if model is None:
        return msm
    score = np.zeros(len(msm))
    chosen = msm > 0
    features = scores[chosen, : len(MEASURES)].copy()
    features[:, 3:] = -np.abs(features[:, 3:])
    score[chosen] = np.clip(model(features), 0, 1)
    return score
