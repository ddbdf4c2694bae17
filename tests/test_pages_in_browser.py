"""Pages of all kinds in a real browser: legible to all, as wide as their window."""

import pytest

import annotation_runs
import test_report
import test_run_page
from browser import is_wider, list_faults
from mdr_epistasis.report.page import save_report as save_epistasis
from metabolite_annotation.program import main as annotate
from metabolite_annotation.report.page import save_report as save_annotation


def make_annotation(folder):
    return save_annotation(annotation_runs.write_run(folder, rows=40))


def make_epistasis(folder):
    return save_epistasis(test_report.write_run(folder))


def make_comparison(folder):
    runs = [folder / name for name in ("control", "treated")]
    for run, rows in zip(runs, (40, 30), strict=True):
        run.mkdir()
        annotation_runs.write_run(run, rows=rows)
    words = [*map(str, runs), "--out", str(folder / "compared.tsv")]
    assert annotate(["compare", *words]) == 0
    return folder / "compared.html"


def make_telemetry(folder):
    run = test_run_page.make_run(folder / "run", test_run_page.ATTEMPT)
    test_run_page.make_page(run)
    return run / "page.html"


PAGES = (make_annotation, make_epistasis, make_comparison, make_telemetry)


@pytest.fixture(scope="module", params=PAGES, ids=lambda make: make.__name__[5:])
def page_of_a_kind(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (500, True)])
def test_page__has_no_serious_fault(page_of_a_kind, open_page, width, dark):
    page = open_page(page_of_a_kind, width=width, dark=dark)
    assert list_faults(page) == []
    assert not is_wider(page)
