"""What an annotation run found, in plain words, and what not to overlook."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from hpc_connector.notes import list_notes
from metabolite_annotation.report.run_file import LEVELS, AnnotationRun
from metabolite_annotation.report.search import list_assumed

TRUSTED = 0.1  # the FDR that METASPACE shows first
METHODS = {
    1: (
        "in each of the draws, decoys over targets with at least the same MSM; the "
        "median over the draws, rounded up to 5, 10, 20, 50 or 100 %"
    ),
    3: (
        "decoys over targets with at least the same score, one added to each (the rule "
        "of succession), over the number of draws, and never less for a lower score"
    ),
}


def format_level(level: float) -> str:
    """Return an FDR level as one writes it."""
    return f"{100 * level:g} %"


def format_ppm(error: float) -> str:
    """Return a difference with its sign."""
    return f"{error:+.2f}".replace("-", "−")  # noqa: RUF001


def count_annotations(run: AnnotationRun, level: float, database: str = "") -> int:
    """Count the formulas with an adduct that are annotated at an FDR level."""
    is_in = run.rows["fdr_level"] <= level + 1e-9
    if database:
        is_in &= run.rows["database"] == database
    pairs = zip(run.rows["formula"][is_in], run.rows["adduct"][is_in], strict=True)
    return len(set(pairs))


def get_best_level(run: AnnotationRun) -> float | None:
    """Return the level to head the page: 10 %, or the first that has annotations."""
    levels = (TRUSTED, *LEVELS[2:], 1.0)
    return next((level for level in levels if count_annotations(run, level)), None)


def make_heading(run: AnnotationRun) -> str:
    """Return the finding in one line."""
    level = get_best_level(run)
    if level is None:
        return f"{run.dataset}: no annotations"
    n = count_annotations(run, level)
    at = f"at {format_level(level)} FDR" if level < 1 else "above 50 % FDR"
    return f"{run.dataset}: {n:,} annotation{'s' * (n != 1)} {at}"


def list_tiles(run: AnnotationRun) -> list[tuple[str, int]]:
    """Return the FDR levels and the numbers of annotations at each."""
    return [(format_level(level), count_annotations(run, level)) for level in LEVELS]


def count_by_database(run: AnnotationRun) -> dict[str, list[int]]:
    """Return the numbers of annotations of each database, one a level."""
    return {
        name: [count_annotations(run, level, name) for level in LEVELS]
        for name in run.databases
    }


def count_by_adduct(run: AnnotationRun) -> dict[str, dict[str, dict[float, int]]]:
    """Return the numbers of annotations of each database, adduct and level."""
    database, adduct = run.rows["database"], run.rows["adduct"]
    found: dict[str, dict[str, dict[float, int]]] = {}
    for name, modifier in dict.fromkeys(zip(database, adduct, strict=True)):
        is_here = (database == name) & (adduct == modifier)
        levels = run.rows["fdr_level"][is_here]
        counts = {level: int((levels <= level + 1e-9).sum()) for level in LEVELS}
        found.setdefault(name, {})[modifier] = counts
    return found


def get_method(run: AnnotationRun) -> str:
    """Say how the FDR was estimated."""
    how = METHODS.get(run.analysis_version, METHODS[3])
    return (
        "False discovery rate: the share of annotations expected to be wrong. Every "
        "formula is also looked for with adducts that cannot be there, its decoys; the "
        f"FDR is estimated for each database and adduct on its own: {how} "
        f"(METASPACE's analysis version {run.analysis_version})."
    )


def get_trusted_errors(run: AnnotationRun) -> np.ndarray:
    """Return the errors that tell of calibration: those at 10 % FDR, or else all."""
    errors, is_trusted = run.ppm_errors, run.rows["fdr_level"] <= TRUSTED + 1e-9
    kept = errors[is_trusted] if is_trusted.any() else errors
    return kept[np.isfinite(kept)]


class Shift(NamedTuple):
    """How far m/z is off.

    Parameters
    ----------
    of
        The annotations that tell it, in words.
    low, median, high
        Quartiles of their errors with their signs, ppm.
    """

    of: str
    low: str
    median: str
    high: str


def get_shift(run: AnnotationRun) -> Shift:
    """Compute the shift of m/z; 0 without annotations."""
    errors = get_trusted_errors(run)
    quarters = np.percentile(errors, (25, 50, 75)) if len(errors) else [0.0] * 3
    n = len(errors)
    at = f" at {format_level(TRUSTED)} FDR" if count_annotations(run, TRUSTED) else ""
    return Shift(f"{n:,} annotation{'s' * (n != 1)}{at}", *map(format_ppm, quarters))


def list_cautions(run: AnnotationRun, told: Collection[str] = ()) -> list[str]:
    """List what speaks against taking the run at its word, in sentences.

    Parameters
    ----------
    told
        What was assumed and is told elsewhere.
    """
    doubts = (_doubt_images, _doubt_annotations)
    assumed = [a._asdict() for a in list_assumed(run) if a.what not in told]
    notes = list_notes({**run.record, "assumed": assumed})
    return [*notes, *(said for doubt in doubts for said in doubt(run))]


def _doubt_images(run: AnnotationRun) -> Iterator[str]:
    n = len(run.pixels["x"])
    if n <= 1:
        yield (
            "There is one spectrum and so no image: scores that judge images, and with "
            "them the FDR, mean nothing here."
            if n
            else "There are no spectra."
        )
    elif min(run.width, run.height) == 1:
        yield (
            "The images are one pixel wide: how signals lie in space can hardly be "
            "judged, and scores are less reliable."
        )


def _doubt_annotations(run: AnnotationRun) -> Iterator[str]:
    if len(run) and not count_annotations(run, TRUSTED):
        yield f"No annotation reaches an FDR of {format_level(TRUSTED)}."
    errors = get_trusted_errors(run)
    shift = float(np.median(errors)) if len(errors) else 0.0
    if abs(shift) > run.ppm / 3:
        yield (
            f"m/z is off by {format_ppm(shift)} ppm in the median, much of the window "
            f"of ±{run.ppm:g} ppm: calibrate the data, or widen the window."
        )
