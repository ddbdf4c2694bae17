"""From the scores of ions to annotations: rates, names, isomers and isobars."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.learner.annotation.fdr import get_level, run_fdr
from hpc_connector.learner.annotation.ion_images import SCORES
from hpc_connector.learner.annotation.ions import Candidates, Ions
from hpc_connector.loader.spectra.molecules import Database
from metabolite_annotation.inputs.files import Library, Setup
from metabolite_annotation.inputs.scoring_model import Model
from metabolite_annotation.options import Options
from metabolite_annotation.patterns import Patterns

SEPARATOR = "; "
N_PIXELS = SCORES.index("n_pixels")
MEASURES = SCORES[:5]  # chaos, spatial, spectral and the two errors of m/z


class Hit(NamedTuple):
    """A target ion that is reported.

    Parameters
    ----------
    ion
        Its number among all.
    database, formula, adduct
        Rows of the databases, and of the candidates of this one.
    """

    fdr: float
    ion: int
    database: int
    formula: int
    adduct: int


@dataclass(frozen=True)
class ScoredIons:
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


@dataclass(frozen=True)
class Annotations:
    """Annotations, what describes them, and the number of the ion of each.

    Parameters
    ----------
    columns
        Those of ``schema.ANNOTATIONS`` but for ``image``, best first.
    ion
        int64 (annotations,).
    """

    scored: ScoredIons
    columns: dict[str, Any]
    ion: np.ndarray


def find_annotations(
    options: Options,
    setup: Setup,
    library: Library,
    patterns: Patterns,
    scores: np.ndarray,
) -> Annotations:
    """Return the annotations to report, best first."""
    scored = ScoredIons(
        setup.ions,
        library.candidates,
        library.databases,
        patterns.mz,
        scores,
        make_score(scores, library.model),
    )
    columns = rank_annotations(
        scored, options.analysis_version, options.fdr, options.ppm
    )
    return Annotations(scored, columns, columns.pop("ion_number"))


def get_msm(scores: np.ndarray) -> np.ndarray:
    """Return the metabolite-signal match: chaos times spatial times spectral."""
    chaos, spatial, spectral = scores[:, :3].T
    return np.asarray(chaos * spatial * spectral)


def rank_annotations(
    scored: ScoredIons, version: int, limit: float, ppm: float
) -> dict[str, Any]:
    """Return the columns of the annotations to report, best first.

    Parameters
    ----------
    limit
        Greatest false discovery rate reported, rounded to two digits; never 1.
    """
    hits = find_hits(scored, version, limit)
    rates = np.array([hit.fdr for hit in hits])
    reported = np.array([hit.ion for hit in hits], np.int64)
    columns = describe_ions(scored, hits)
    columns |= {"fdr": rates, "fdr_level": get_level(rates)}
    labels = [f + a for f, a in zip(columns["formula"], columns["adduct"], strict=True)]
    columns["isomers"] = find_isomers(labels, reported)
    columns["isobars"] = find_isobars(labels, reported, scored.mz, ppm)
    return columns | {"ion_number": reported}


def find_hits(scored: ScoredIons, version: int, limit: float) -> list[Hit]:
    """Return the target ions within a false discovery rate, best first."""
    hits = []
    for number, candidates in enumerate(scored.candidates):
        fdr = run_fdr(scored.score, candidates, version)
        with np.errstate(invalid="ignore"):
            is_reported = (fdr < 1) & (np.round(fdr, 2) <= limit)
        for f, t in np.argwhere(is_reported).tolist():
            hits.append(Hit(fdr[f, t], int(candidates.target[f, t]), number, f, t))
    return sorted(hits, key=lambda hit: (hit.fdr, -scored.score[hit.ion], hit[2:]))


def describe_search(
    scored: ScoredIons, version: int, mz_range: Sequence[float]
) -> dict[str, Any]:
    """Return how far target ions came, for the manifest.

    Parameters
    ----------
    mz_range
        Of the spectra.
    """
    targets = [c.target[c.target >= 0] for c in scored.candidates]
    target = np.unique(np.concatenate(targets)) if targets else np.array([], np.int64)
    mz = scored.mz[target, 0]
    rates = [run_fdr(scored.score, c, version).ravel() for c in scored.candidates]
    known = [rate[np.isfinite(rate)] for rate in rates]
    best = min((rate.min() for rate in known if len(rate)), default=None)
    return {
        "targets": len(target),
        "targets_in_range": int(((mz >= mz_range[0]) & (mz <= mz_range[1])).sum()),
        "targets_with_signal": int((scored.scores[target, N_PIXELS] > 0).sum()),
        "targets_with_score": int((get_msm(scored.scores)[target] > 0).sum()),
        "target_mz_range": [float(mz.min()), float(mz.max())] if len(mz) else None,
        "best_fdr": None if best is None else float(best),
    }


def describe_ions(scored: ScoredIons, hits: Sequence[Hit]) -> dict[str, Any]:
    """Return names and scores of reported ions."""
    reported = np.array([hit.ion for hit in hits], np.int64)
    molecules = [list_molecules(database) for database in scored.databases]
    formulas = [
        scored.ions.formulas[scored.candidates[hit.database].formula[hit.formula]]
        for hit in hits
    ]
    known = [molecules[h.database][f] for h, f in zip(hits, formulas, strict=True)]
    columns: dict[str, Any] = {
        "formula": formulas,
        "adduct": [scored.ions.modifiers[hit.adduct] for hit in hits],
        "ion": [scored.ions.get_name(hit.ion) for hit in hits],
        "database": [scored.databases[hit.database].title for hit in hits],
        "mz": scored.mz[reported, 0],
        "msm": get_msm(scored.scores)[reported],
        "score": scored.score[reported],
    }
    columns |= {name: scored.scores[reported, k] for k, name in enumerate(SCORES)}
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


def list_scores(scored: ScoredIons) -> dict[str, Any]:
    """Return a row for every ion with a score, target or decoy, in each ranking."""
    msm = get_msm(scored.scores)
    parts = []
    for number, candidates in enumerate(scored.candidates):
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
    ions = scored.ions
    table: dict[str, Any] = {
        "database": [scored.databases[d].title for d in database.tolist()],
        "formula": [ions.formulas[f] for f in formula.tolist()],
        "modifier": [ions.modifiers[m] for m in modifier.tolist()],
        "target_modifier": [ions.modifiers[m] for m in target_modifier.tolist()],
        "target": is_target,
        "msm": msm[ion],
        "score": scored.score[ion],
    }
    return table | {name: scored.scores[ion, k] for k, name in enumerate(MEASURES)}


def make_score(scores: np.ndarray, model: Model | None) -> np.ndarray:
    """Return the score that ranks ions: MSM, or a model's where MSM is not 0.

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
