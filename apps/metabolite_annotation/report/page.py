"""report.html of a metabolite-annotation run: one page, from its files alone."""

from html import escape
from pathlib import Path
from string import Template

from hpc_connector.report.facts import make_facts
from hpc_connector.report.page import (
    fill_page,
    make_legend,
    make_section,
    read_part,
    save_page,
)
from hpc_connector.report.text import clean, shorten
from metabolite_annotation.report import summary
from metabolite_annotation.report.charts import (
    HUES,
    MOST_DOTS,
    draw_curve,
    draw_errors,
    draw_scores,
    get_level_class,
)
from metabolite_annotation.report.data import MOST_ROWS, encode_data, make_data
from metabolite_annotation.report.images import (
    MOST_IONS,
    choose_edges,
    get_block,
    get_shown_ions,
)
from metabolite_annotation.report.run_file import (
    LEVELS,
    AnnotationRun,
    read_annotation_run,
)

PACKAGE = "metabolite_annotation.report"
PARTS = ("dataset", "annotation", "parameters", "resources", "software")


def save_report(directory: Path) -> Path:
    """Write ``report.html`` of a finished run, published by rename.

    Raises
    ------
    BadInput
        The folder holds no finished run, or a damaged one.
    """
    return save_page(directory, make_page(read_annotation_run(directory)))


def make_page(run: AnnotationRun) -> str:
    """Return the whole page."""
    sections = [
        _make_browser(run),
        _make_composite(run),
        f'<div class="pair">{_make_errors(run)}{_make_curves(run)}</div>',
        _make_scores(run),
        make_section("run", "About this run", "", make_facts(run.record, PARTS)),
    ]
    finished = escape(clean(str(run.record.get("finished", ""))[:10]))
    about = Template(read_part("about.html", PACKAGE)).substitute(
        databases=summary.make_databases_table(run),
        cautions=summary.make_cautions(run),
        method=summary.get_method(run),
    )
    end = Template(read_part("end.html", PACKAGE)).substitute(
        data=encode_data(make_data(run)), script=read_part("page.js", PACKAGE)
    )
    return fill_page(
        style=read_part("page.css", PACKAGE),
        title=f"Annotation: {escape(shorten(run.dataset, 60))}",
        kicker=f"metabolite-annotation · {finished}",
        heading=summary.make_heading(run),
        lead=summary.make_summary(run),
        tiles=summary.make_tiles(run),
        about=about,
        sections=sections,
        end=end,
    )


def _make_browser(run: AnnotationRun) -> str:
    """Return the frame that the script fills: filters, images and table."""
    if not len(run):
        return make_section("annotations", "Annotations", "Nothing was annotated.", "")
    said = (
        "The first isotope image of each annotation, the best first, every image "
        "scaled from zero to its own 99th percentile. A click opens all isotope "
        "images, scores and molecules."
    )
    if len(set(run.rows["image"].tolist())) > MOST_IONS:
        said += f" The {MOST_IONS} best ions have images here; all are in results.h5."
    if len(run) > MOST_ROWS:
        said += f" The best {MOST_ROWS:,} of {len(run):,} annotations are listed; "
        said += "all are in annotations.tsv."
    said += _say_reduction(run)
    filters = read_part("filters.html", PACKAGE)
    options = "".join(
        f'<option value="{v}">{summary.format_level(v)}</option>' for v in LEVELS
    )
    names = "".join(f"<option>{escape(name)}</option>" for name in run.databases)
    databases = "" if len(run.databases) > 1 else "hidden"
    body = Template(filters).substitute(
        options=options, names=names, databases=databases
    )
    return make_section("annotations", "Annotations", said, body)


def _say_reduction(run: AnnotationRun) -> str:
    """Return how much smaller images are here than they were measured."""
    edges = choose_edges(run.width, run.height, len(get_shown_ions(run)))
    first, other = (get_block(run.width, run.height, edge) for edge in edges)
    if other == 1:
        return ""
    others = f", of {other} × {other} for the other isotopes" if other > first else ""  # noqa: RUF001
    return (
        " Images are smaller here than they were measured: a pixel is the mean of "
        f"{first} × {first}{others}."  # noqa: RUF001
    )


def _make_composite(run: AnnotationRun) -> str:
    if len(run.pixels["x"]) < 2:
        return ""
    said = "The total ion count of every spectrum."
    ions = ""
    if len(run):
        said = (
            "Three ions in one image, each brightest at its 99th percentile. The first "
            "choice is the three of the best that have least in common. Beside it, the "
            "total ion count of every spectrum."
        )
        ions = read_part("composite.html", PACKAGE)
    tic = (
        '<figure><canvas id="tic" role="img" aria-label="Total ion count"></canvas>'
        '<figcaption>Total ion count, <span id="tic-top"></span></figcaption></figure>'
    )
    body = f'<div class="composite">{ions}{tic}</div>'
    return make_section("composite", "In space" if ions else "Total ions", said, body)


def _make_errors(run: AnnotationRun) -> str:
    if not len(summary.get_trusted_errors(run)):
        return ""
    names = {
        f"≤ {summary.format_level(level)} FDR": get_level_class(level)
        for level in LEVELS
    }
    said = summary.say_shift(run)
    if len(run) > MOST_DOTS:
        said += f" The best {MOST_DOTS:,} annotations are drawn."
    figure = f'<figure class="scroll">{draw_errors(run)}</figure>'
    return make_section(
        "errors",
        "Errors of m/z",
        said,
        make_legend(names | {"above": "level100"}) + figure,
    )


def _make_curves(run: AnnotationRun) -> str:
    if not len(run):
        return ""
    adducts = list(dict.fromkeys(run.rows["adduct"]))
    names = {a: f"hue{k % HUES}" for k, a in enumerate(adducts)}
    body = make_legend(names)
    several = len(run.databases) > 1
    for name in dict.fromkeys(run.rows["database"]):
        head = f"<h3>{escape(name)}</h3>" if several else ""
        drawn = draw_curve(run, name, adducts)
        body += f'{head}<figure class="scroll">{drawn}</figure>'
    said = "How many annotations one gets for the FDR one accepts, adduct by adduct."
    return make_section("fdr", "Annotations against FDR", said, body)


def _make_scores(run: AnnotationRun) -> str:
    scores = run.scores
    if not len(scores["score"]):
        return ""
    said = (
        'All ions with a score: <span class="key control">targets</span> upwards, '
        '<span class="key case">decoys</span> downwards. Several decoys were drawn for '
        "each target, so one decoy stands for less than one wrong annotation. Where "
        "targets reach scores that decoys do not, annotations can be trusted."
    )
    figures = []
    groups = zip(scores["database"], scores["target_modifier"], strict=True)
    for database, modifier in sorted(set(groups)):
        is_here = (scores["database"] == database) & (
            scores["target_modifier"] == modifier
        )
        label = modifier if len(run.databases) == 1 else f"{modifier}, {database}"
        targets = scores["score"][is_here & scores["target"]]
        decoys = scores["score"][is_here & ~scores["target"]]
        caption = (
            f"<b>{escape(label)}</b> {len(targets):,} targets, {len(decoys):,} decoys"
        )
        figures.append(
            f"<figure>{draw_scores(targets, decoys, label)}"
            f"<figcaption>{caption}</figcaption></figure>"
        )
    body = f'<div class="scores">{"".join(figures)}</div>'
    return make_section("scores", "Targets and decoys", said, body)
