"""What an annotation run found, in plain words, and what not to overlook."""

from collections.abc import Iterator
from html import escape

import numpy as np

from hpc_connector.notes import list_notes
from hpc_connector.report.text import clean
from metabolite_annotation.report.run_file import LEVELS, AnnotationRun

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
    """Return how many formulas with an adduct are annotated at an FDR level."""
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
        return f"{escape(run.dataset)}: no annotations"
    n = count_annotations(run, level)
    at = f"at {format_level(level)} FDR" if level < 1 else "above 50 % FDR"
    return f"{escape(run.dataset)}: {n:,} annotation{'s' * (n != 1)} {at}"


def make_summary(run: AnnotationRun) -> str:
    """Return what was looked at and how, as paragraphs."""
    n = len(run.pixels["x"])
    polarity = f", {escape(run.polarity)} mode" if run.polarity else ""
    ions = run.get_part("annotation").get("ions")
    looked = f"{ions:,} ions" if isinstance(ions, int) else "Ions"
    databases = ", ".join(f"<b>{escape(name)}</b>" for name in run.databases)
    where = f" of {databases}" if databases else ""
    seen = (
        f"{n:,} {'spectrum' if n == 1 else 'spectra'} in a box of {run.width:,} × "  # noqa: RUF001
        f"{run.height:,} pixels{polarity}. {looked}{where} were looked for within "
        f"{run.ppm:g} ppm."
    )
    seen += say_sources(run)
    if not len(run):
        seen += " None of them was found with an FDR below 100 %."
    return f"<p>{seen}</p>"


def say_sources(run: AnnotationRun) -> str:
    """Return by what polarity and instrument are known, or that they were assumed."""
    search = run.get_part("search")
    said = ""
    for name in ("polarity", "instrument"):
        taken, source = (str(search.get(key, "")) for key in (name, f"{name}_from"))
        if taken and source:
            how = source if source == "assumed" else f"by {source}"
            said += f" {name.capitalize()}: {escape(clean(f'{taken} ({how})'))}."
    return said


def make_tiles(run: AnnotationRun) -> str:
    """Return the numbers of annotations at each FDR level."""
    return "".join(
        f"<div><dt>at {format_level(level)} FDR</dt><dd>{n:,}</dd></div>"
        for level in LEVELS
        for n in [count_annotations(run, level)]
    )


def make_databases_table(run: AnnotationRun) -> str:
    """Return the numbers of each database, where there are several."""
    if len(run.databases) < 2:
        return ""
    heads = "".join(
        f'<th scope="col">{format_level(level)} FDR</th>' for level in LEVELS
    )
    rows = ""
    for name in run.databases:
        counts = (count_annotations(run, level, name) for level in LEVELS)
        cells = "".join(f"<td>{n:,}</td>" for n in counts)
        rows += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    return (
        '<div class="scroll"><table class="databases"><thead><tr>'
        f'<th scope="col">Database</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def get_method(run: AnnotationRun) -> str:
    """Return how the FDR was estimated."""
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


def say_shift(run: AnnotationRun) -> str:
    """Return how far m/z is off, in a sentence or two."""
    errors = get_trusted_errors(run)
    quarters = np.percentile(errors, (25, 50, 75)) if len(errors) else [0.0] * 3
    low, shift, high = map(format_ppm, quarters)
    n = len(errors)
    at = f" at {format_level(TRUSTED)} FDR" if count_annotations(run, TRUSTED) else ""
    return (
        f"Median shift of the {n:,} annotation{'s' * (n != 1)}{at}: "
        f"<b>{shift} ppm</b>; the middle half lies between {low} and {high} ppm. "
        f"The axis is the window of ±{run.ppm:g} ppm."
    )


def make_cautions(run: AnnotationRun) -> str:
    """Return what speaks against taking the run at its word."""
    items = "".join(f"<li>{item}</li>" for item in _find_cautions(run))
    return f'<ul class="cautions">{items}</ul>' if items else ""


def _find_cautions(run: AnnotationRun) -> Iterator[str]:
    yield from (escape(clean(text)) for text in list_notes(run.record))
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
    if len(run) and not count_annotations(run, TRUSTED):
        yield f"No annotation reaches an FDR of {format_level(TRUSTED)}."
    errors = get_trusted_errors(run)
    shift = float(np.median(errors)) if len(errors) else 0.0
    if abs(shift) > run.ppm / 3:
        yield (
            f"m/z is off by {format_ppm(shift)} ppm in the median, much of the window "
            f"of ±{run.ppm:g} ppm: calibrate the data, or widen the window."
        )
