"""Pages of all kinds in a real browser: legible to all, as wide as their window."""

import pytest

from annotation_runs import write_run
from browser import is_wider, list_faults
from metabolite_annotation.report.page import save_report


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    return save_report(write_run(tmp_path_factory.mktemp("run"), rows=40))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 500])
def test_annotation__has_no_serious_fault(annotated, open_page, width, dark):
    page = open_page(annotated, width=width, dark=dark)
    assert list_faults(page) == []
    assert not is_wider(page)
