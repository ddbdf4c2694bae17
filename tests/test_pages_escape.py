"""Names that are HTML: every page shows them as text, wherever they come from."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import h5py
import pytest

import annotation_runs
import test_report
from hpc_connector.commands.main import main
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.report import svg as _svg
from mdr_epistasis.report.page import save_report as save_search_report
from metabolite_annotation.report.page import save_report as save_annotation_report
from test_run_page import ATTEMPT, make_run
from test_telemetry_files import make_rows

ROOT = Path(__file__).parent.parent
NASTY = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'><b onload='x' a=\"",
    "&lt&amp <!-- ]]>",
    "{{ run }} {% raw %} $title",
]


class Page(HTMLParser):
    """What a page is made of: elements, the names of their attributes, and its text."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.texts += [value for _, value in attrs if value]

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def assert_shows(make, out, name, fields):
    """Check that a page has the elements of one with a plain name, and shows each."""
    named = {field: name + field for field in fields}
    plain = {field: "n" * len(name) + field for field in fields}
    page = Page(make(out / "named", named))
    assert page.elements == Page(make(out / "plain", plain)).elements
    text = "\n".join(page.texts)
    hidden = [field for field, value in named.items() if value not in text]
    assert not hidden
    return text


def set_text(file, name, value):
    """Put a text in every row of a column."""
    n = len(file[name])
    del file[name]
    file.create_dataset(name, data=[value] * n, dtype=h5py.string_dtype())


def add_facts(out, value):
    """Put a name in every part of a manifest that a page shows."""
    inputs = [{"path": value["path"], "bytes": 3, "sha256": value["sha256"]}]
    more = {value["key"]: 1, "parameters": {"labels": [value["labels"]]}}
    more |= {"software": {value["package"]: value["version"]}}
    more |= {"assumed": [{"what": "what", "taken": value["note"]}]}
    save_manifest(out, read_manifest(out) | more | {"inputs": inputs})


FACTS = ["path", "sha256", "key", "labels", "package", "version", "note"]


def make_search_page(out, value):
    test_report.write_run(out, variants=6, order=3, permutations=19)
    with h5py.File(out / "results.h5", "r+") as file:
        for name in ("id", "chromosome", "counted", "other"):
            set_text(file, f"variants/{name}", value.get(name, value["id"][:2]))
    add_facts(out, value)
    more = {"status": value["status"], "finished": value["id"]}
    save_manifest(out, read_manifest(out) | more)
    return save_search_report(out)


@pytest.mark.parametrize("name", NASTY)
def test_search_page__shows_names_as_text(name, tmp_path):
    assert_shows(make_search_page, tmp_path, name, ["id", "status", *FACTS])


def make_annotation_page(out, value):
    databases = value["database"], "other" + value["database"]
    dataset, names = value["dataset"], [value["molecule"]]
    annotation_runs.write_run(
        out, rows=9, dataset=dataset, names=names, databases=databases
    )
    with h5py.File(out / "results.h5", "r+") as file:
        file.attrs["polarity"] = value["polarity"]
        for name in IN_DATA:
            set_text(file, f"annotations/{name}", value[name])
        set_text(file, "annotations/molecule_ids", f"{value['id']}; second")
        set_text(file, "scores/target_modifier", value["adduct"])
    add_facts(out, value)
    search = {"polarity": value["polarity"], "polarity_from": value["source"]}
    more = {"search": search, "finished": value["dataset"]}
    save_manifest(out, read_manifest(out) | more)
    return save_annotation_report(out)


IN_HTML = ["dataset", "database", "adduct", "polarity", "source", *FACTS]
IN_DATA = ["formula", "adduct", "ion", "isomers", "isobars"]


@pytest.mark.parametrize("name", NASTY)
def test_annotation_page__shows_names_as_text(name, tmp_path):
    def make(out, value):
        data = {field: name + field for field in [*IN_DATA, "molecule", "id"]}
        return make_annotation_page(out, data | value)

    assert_shows(make, tmp_path, name, IN_HTML)
    page = (tmp_path / "named/report.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert data is not None
    assert not set("<>&'") & set(data[1])
    columns = json.loads(data[1])["columns"]
    assert columns["names"][0][0] == f"{name}molecule"
    assert columns["ids"][0][0] == f"{name}id"
    for field in IN_DATA:
        assert columns[field][0] == f"{name}{field}"


def test_annotation_page__shows_names_as_text_in_a_browser(tmp_path, open_page):
    """What the script makes of the data, in the table and in the panel of an ion."""
    value = {
        field: NASTY[1] + field for field in {*IN_HTML, *IN_DATA, "molecule", "id"}
    }
    page = open_page(make_annotation_page(tmp_path / "run", value), "fdr=1&wide=1")
    assert page.locator("img, [onerror], [onload]").count() == 0
    shown = page.locator("body").evaluate("body => body.textContent")
    shown = shown.replace("−", "-")  # noqa: RUF001 # of adducts
    seen = [field for field in value if value[field] in shown]
    assert sorted(seen) == sorted(value)


def make_telemetry_page(out, value):
    attempt = ATTEMPT | {k: value[k] for k in ("job", "state", "nodes")}
    more = {k: value[k] for k in ("program", "version", "command")}
    more |= {"finished": value["program"][:9], "job": value["job"]}
    make_run(out, attempt, resources={"wall_s": 20.0}, **more)
    rows = make_rows().replace(",n1,", f",{value['node']},")
    (out / "telemetry/n1.csv").write_text(rows)
    assert main(["telemetry", "forecast", str(out), "--window", "2"]) == 0
    forecast = out / "telemetry/forecast.json"
    told = forecast.read_text().replace('"persistence"', json.dumps(value["by"]))
    forecast.write_text(told)
    assert main(["inspect", str(out), "--html", str(out / "page.html")]) == 0
    return out / "page.html"


@pytest.mark.parametrize("name", NASTY)
def test_telemetry_page__shows_names_as_text(name, tmp_path):
    fields = ["job", "state", "nodes", "program", "version", "command", "node", "by"]
    assert_shows(make_telemetry_page, tmp_path, name, fields)


@pytest.mark.parametrize("name", NASTY)
def test_make_picture__holds_names_as_text(name):
    parts = [
        _svg.draw_text(1, 1, name),
        _svg.draw_rect(1, 1, 1, 1, "a", name),
        _svg.draw_circle(1, 1, 1, "a", name),
        _svg.draw_path("M1 1", "a", name),
    ]
    picture = _svg.make_picture(9, 9, name, "".join(parts), "")
    root = ElementTree.fromstring(picture)
    assert root.get("aria-label") == name
    assert list(root.itertext()).count(name) == len(parts)


def list_sources(*kinds):
    roots = ROOT / "hpc_connector", ROOT / "apps"
    return [p for root in roots for kind in kinds for p in root.rglob(f"*.{kind}")]


def test_sources__escape_in_one_place():
    """Markup is made by templates, by make_svg, and of files of our packages."""
    texts = {path: path.read_text(encoding="utf-8") for path in list_sources("py")}
    escape = [
        p.stem for p, text in texts.items() if re.search(r"html import esc", text)
    ]
    assert [stem.strip("_") for stem in escape] == ["svg"]
    markup = {p.stem.strip("_"): text.count("Markup(") for p, text in texts.items()}
    assert {k: n for k, n in markup.items() if n} == {"svg": 1, "templates": 1}


def test_templates__trust_no_value():
    templates = {p: p.read_text(encoding="utf-8") for p in list_sources("html")}
    assert len(templates) >= 9
    for path, text in templates.items():
        assert not re.search(r"\|\s*safe|autoescape|\bon\w+=", text), path
        assert not re.search(r"=\{\{", text), f"{path}: an attribute without quotes"
