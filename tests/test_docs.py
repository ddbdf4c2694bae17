"""The documentation: it builds without a warning, and what it says is so."""

import re
import shutil
import subprocess
import sys
from html import unescape

import h5py
import pytest

import test_help
import tutorials
from wheel import ROOT

DOCS = ROOT / "docs"
RESULTS = {  # the programs whose columns are described, and the tables they write
    "epistasis": ("pairs", "models.tsv"),
    "annotation": ("spheroid", "annotations.tsv"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder of the built pages, warnings being errors."""
    folder = tmp_path_factory.mktemp("docs")
    ignored = shutil.ignore_patterns("generated")
    shutil.copytree(DOCS, folder / "docs", ignore=ignored)
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", "html"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return the folder in which the tutorials were followed to their end."""
    matplotlib = pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("tutorials")
    with tutorials.open_folder(folder), matplotlib.rc_context():
        matplotlib.use("agg")
        for page in tutorials.PAGES:
            tutorials.run_page(f"tutorials/{page}")
        tutorials.run_page("howto/python")
    return folder


def read_page(path):
    """Return the text of a built page."""
    return unescape(re.sub("<[^>]+>", "", path.read_text()))


@pytest.mark.parametrize("page", tutorials.PAGES)
def test_tutorials__end_with_their_figure(followed, page):
    assert (followed / f"{page}.svg").stat().st_size > 10_000
    assert (DOCS / f"tutorials/{page}.svg").exists()


@pytest.mark.parametrize("command", test_help.COMMANDS)
def test_reference__has_each_option(built, command, monkeypatch):
    program = command.split()[0]
    page = (built / f"reference/commands/{program}.html").read_text()
    parser = test_help.get_parser(command, monkeypatch)
    if command == "hpc-connector telemetry":  # its own commands have the options
        return
    prefix = f"cmdoption-{command.replace(' ', '-')}"
    for action in test_help.get_options(parser):
        for name in action.option_strings:
            assert f'id="{prefix}-{name.lstrip("-")}"' in page, name


@pytest.mark.parametrize("page", RESULTS)
def test_reference__has_each_column(built, followed, page):
    said = set(re.findall(r"[\w/]+", read_page(built / "reference/columns.html")))
    out, table = RESULTS[page]
    names = (followed / out / table).read_text().partition("\n")[0].split("\t")
    with h5py.File(followed / out / "results.h5") as file:
        names += [name for group in file.values() for name in group]
    of_first = {re.sub("_[23]$", "_1", name) for name in names}  # variant_1, and so on
    assert of_first - said == set()


def test_links__of_files_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]:
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        for link in links:
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_pages__need_no_network(built):
    for page in built.rglob("*.html"):
        text = page.read_text()
        assert not re.search(r'(src|href)="(https?:)?//[^"]*\.(js|css)', text), page


def test_changelog__and_citation_have_one_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## \[([0-9.]+)\] - ([0-9-]+)$", text, re.M)
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {newest[1]}\n" in citation
    assert f"\ndate-released: {newest[2]}\n" in citation
