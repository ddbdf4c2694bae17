"""report.html of an MDR run: one page, from results.h5 and the manifest alone."""

from html import escape
from pathlib import Path

import numpy as np

from hpc_connector.report.facts import make_facts
from hpc_connector.report.page import fill_page, make_section, read_part, save_page
from hpc_connector.report.text import clean, shorten
from mdr_epistasis.report import genome, summary
from mdr_epistasis.report.cells import draw_cells
from mdr_epistasis.report.charts import (
    WORDS,
    draw_permutations,
    draw_scatter,
    get_line,
)
from mdr_epistasis.report.network import draw_network
from mdr_epistasis.report.run_file import Run, read_run
from mdr_epistasis.report.tables import MOST_ROWS, make_models_table

PACKAGE = "mdr_epistasis.report"
PARTS = ("cohort", "search", "parameters", "resources", "software")
SHOWN_ROWS = 20  # as in page.css
SHOWN_CELLS = {2: 6, 3: 3}  # by order
SHOWN_ARCS = 20


def save_report(directory: Path) -> Path:
    """Write ``report.html`` of a finished run, published by rename.

    Raises
    ------
    BadInput
        The folder holds no finished run, or a damaged one.
    """
    return save_page(directory, make_page(read_run(directory)))


def make_page(run: Run) -> str:
    """Return the whole page."""
    sections = [
        _make_models(run),
        _make_cells(run),
        f'<div class="pair">{_make_scatter(run)}{_make_permutations(run)}</div>',
        _make_genome(run),
        _make_network(run),
        make_section("run", "About this run", "", make_facts(run.record, PARTS)),
    ]
    finished = escape(clean(str(run.record.get("finished", ""))[:10]))
    return fill_page(
        style=read_part("page.css", PACKAGE),
        title=f"MDR: {escape(shorten(run.get_name(run.best), 60))}",
        kicker=f"mdr-epistasis · {finished}",
        heading=summary.make_heading(run),
        lead=summary.make_summary(run),
        tiles=summary.make_tiles(run),
        about=f"{summary.make_cautions(run)}\n{read_part('about.html', PACKAGE)}",
        sections=sections,
        end=f"<script>\n{read_part('page.js', PACKAGE)}</script>\n",
    )


def get_shown(run: Run, most: int) -> list[int]:
    """Return the models to draw: the best, and the first of the list."""
    first = [m for m in range(len(run.score)) if m != run.best]
    return [run.best, *first[: most - 1]]


def _make_models(run: Run) -> str:
    n = len(run.score)
    said = f"Ordered by {WORDS[run.rank_by]}. A click on a heading sorts."
    switch = ""
    if n > SHOWN_ROWS:
        switch = (
            '<input type="checkbox" id="all"><label for="all">Show '
            f"{min(n, MOST_ROWS)} rather than {SHOWN_ROWS}</label>"
        )
    if n > MOST_ROWS:
        said += " All are in models.tsv."
    table = f'<div class="scroll">{make_models_table(run)}</div>'
    return make_section("models", "Best models", said, switch + table)


def _make_cells(run: Run) -> str:
    said = (
        'Bars are the shares of all <span class="key case">cases</span> and of all '
        '<span class="key control">controls</span> with a genotype combination; '
        "numbers are individuals. Where cases have the higher bar the combination is "
        '<span class="key high">high risk</span>, otherwise '
        '<span class="key low">low risk</span>.'
    )
    figures = []
    for m in get_shown(run, SHOWN_CELLS[run.order]):
        alone = ", ".join(f"{value:.3f}" for value in summary.get_alone(run, m))
        whole = f"{run.models['balanced_accuracy'][m]:.3f}"
        caption = f"{summary.make_name(run, m, 28)}: alone {alone}; together {whole}"
        figures.append(
            f'<figure><div class="panels">{draw_cells(run, m)}</div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    said += " Below each: balanced accuracy on all data, of each variant and of all."
    body = f'<div class="cells">{"".join(figures)}</div>'
    return make_section("cells", "How genotypes carry risk", said, body)


def _make_scatter(run: Run) -> str:
    title = "Test against training"
    if len(run.score) == 1:
        return ""
    if run.folds == 1 or np.isnan(run.score).all():
        said = "Without cross-validation there is no test accuracy to compare."
        return make_section("scatter", title, said, "")
    said = (
        "Each dot is a model of the list. A model on the diagonal does as well on "
        "individuals it has not seen as on those it was trained on; far below it is "
        "overfitted."
    )
    return make_section(
        "scatter", title, said, f'<figure class="scroll">{draw_scatter(run)}</figure>'
    )


def _make_permutations(run: Run) -> str:
    if not len(run.maximum):
        return ""
    within = ", each variant by itself within cases and within controls,"
    said = (
        f"The {run.shuffled} were shuffled{within if run.shuffled != 'labels' else ''} "
        f"{len(run.maximum):,} times and the whole search was repeated: bars count the "
        f"highest {WORDS[run.rank_by]} of each."
    )
    if (line := get_line(run)) is not None:
        said += f" The dashed line, {line:.3f}, is above 95 % of them."
    body = f'<figure class="scroll">{draw_permutations(run)}</figure>'
    return make_section("permutations", f"Against shuffled {run.shuffled}", said, body)


def _make_genome(run: Run) -> str:
    title = "Along the genome"
    models = genome.get_placed(run, SHOWN_ARCS)
    if not models:
        said = "The genotypes name no positions, so there is no map."
        return make_section("genome", title, said, "")
    said = (
        f"Arcs join the variants of the {describe_count(run, len(models))}, thicker "
        "for higher accuracy; chromosomes are laid end to end."
    )
    body = f'<figure class="scroll">{genome.draw_genome(run, models)}</figure>'
    return make_section("genome", title, said, body)


def _make_network(run: Run) -> str:
    models = get_shown(run, SHOWN_ARCS)
    if len(models) == 1:
        return ""
    shape = "line" if run.order == 2 else "triangle"
    said = (
        f"The {describe_count(run, len(models))}: each {shape} is a model, thicker for "
        "higher accuracy. A variant with many partners has an effect of its own more "
        "often than many interactions."
    )
    body = f'<figure class="scroll">{draw_network(run, models)}</figure>'
    return make_section("network", "Interaction network", said, body)


def describe_count(run: Run, n: int) -> str:
    """Return how many models a picture shows, in words."""
    kind = summary.get_kind(run)
    return f"best {kind}" if n == 1 else f"{n} best {kind}s"
