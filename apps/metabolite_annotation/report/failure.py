"""Why a search has found nothing: how far its ions came, and what to check."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from metabolite_annotation.report.run_file import AnnotationRun
from metabolite_annotation.report.search import get_range, list_assumed

FEW = 0.05  # of the ions before
HALF = 0.5


class Step(NamedTuple):
    """A step of a search, and how many ions got there.

    Parameters
    ----------
    passed
        What ions have that got there.
    n
        How many; None where the run does not say.
    is_lost
        Whether this is where nearly all were lost.
    """

    passed: str
    n: int | None
    is_lost: bool


def list_steps(run: AnnotationRun) -> list[Step]:
    """Return how many target ions passed each step of a search."""
    part = run.get_part("annotation")
    targets = run.scores["score"][run.scores["target"]]
    limits = _say_ranges(run)
    names = {
        "targets": "ions of the databases' formulas with the adducts were looked for",
        "targets_in_range": f"of them are in the range of the spectra{limits}",
        "targets_with_signal": f"have a peak within ± {run.ppm:g} ppm of their first "
        "isotope, in some pixel",
        "targets_with_score": "have a score above 0: an image with structure, and "
        "isotopes that agree",
    }
    steps: list[Step] = []
    for key, said in names.items():
        n = part.get(key)
        if n is None and key == "targets_with_score":  # of a run before these counts
            n = len(targets)
        if not isinstance(n, int):
            continue
        before = steps[-1].n if steps else None
        is_lost = before is not None and n <= FEW * before
        steps.append(Step(said, n, is_lost and not any(s.is_lost for s in steps)))
    return steps


def _say_ranges(run: AnnotationRun) -> str:
    spectra = get_range(run.get_part("dataset"), "mz_range")
    ions = get_range(run.get_part("annotation"), "target_mz_range")
    if spectra is None or ions is None:
        return ""
    return (
        f" (m/z {spectra[0]:.1f} to {spectra[1]:.1f}; the ions are of {ions[0]:.1f} to "
        f"{ions[1]:.1f})"
    )


def list_checks(run: AnnotationRun) -> list[str]:
    """Return what to check where nothing was annotated, what is most likely first."""
    lost = next((step.passed for step in list_steps(run) if step.is_lost), "")
    checks = [*_check_where_lost(lost), *_check_assumed(run), *_check_rate(run)]
    return [*checks, *_check_rest(run)]


def _check_where_lost(lost: str) -> Iterator[str]:
    if "range" in lost:
        yield (
            "Databases and adducts: their ions lie outside the m/z that were measured."
        )
    if "peak within" in lost:
        yield (
            "Calibration, the polarity and the tolerance: hardly any ion has a peak in "
            "its window. Try a wider one (--ppm)."
        )
    if "score" in lost:
        yield (
            "Instrument and resolving power: signals are there, but the isotope "
            "patterns do not agree, or the images have no structure. Profile spectra "
            "need --profile centroid."
        )


def _check_assumed(run: AnnotationRun) -> Iterator[str]:
    for one in list_assumed(run):
        if one.option:
            what = f"{one.what[:1].upper()}{one.what[1:]}"
            yield (
                f"{what}: {one.taken} was assumed, for {one.because} ({one.option})."
            )


def _check_rate(run: AnnotationRun) -> Iterator[str]:
    best = run.get_part("annotation").get("best_fdr")
    limit = run.get_part("parameters").get("fdr")
    if not isinstance(best, int | float):
        return
    upto = ""
    if isinstance(limit, int | float):
        upto = f", and up to {100 * limit:.3g} % are reported (--fdr)"
    why = ": targets score no better than decoys" if best >= HALF else ""
    yield f"The FDR: the best of all ions is {100 * best:.3g} %{upto}{why}."


def _check_rest(run: AnnotationRun) -> Iterator[str]:
    search: dict[str, Any] = run.get_part("search")
    polarity = search.get("polarity") or run.polarity
    if polarity:
        yield f"The polarity: {polarity} ions were looked for (--polarity, --adducts)."
    yield f"The tolerance: ± {run.ppm:g} ppm (--ppm); that of the instrument, or wider."
    if len(run.pixels["x"]) < 100:
        n = len(run.pixels["x"])
        yield (
            f"The images: {n:,} pixel{'s' * (n != 1)} can hardly tell structure from "
            "noise."
        )
