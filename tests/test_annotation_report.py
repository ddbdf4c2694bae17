"""The report of an annotation run: numbers, what it needs, and bad input."""

import json
import re

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import annotation_runs
from annotation_runs import GOLDEN, read_golden, write_run
from hpc_connector.errors import BadInput
from metabolite_annotation.report import columns, images
from metabolite_annotation.report.columns import make_columns
from metabolite_annotation.report.page import save_report
from metabolite_annotation.report.run_file import read_annotation_run
from metabolite_annotation.report.summary import (
    count_annotations,
    get_shift,
    list_cautions,
    make_heading,
)
from test_report import Page

HOSTS = {  # of links that a reader may follow; none is asked for anything
    "hmdb.ca",
    "www.ebi.ac.uk",
    "www.lipidmaps.org",
    "www.swisslipids.org",
    "pubchem.ncbi.nlm.nih.gov",
}
HOSTILE = [
    "<script>document.title = 'alert'</script>",
    "</script><img src=x onerror=alert(1)>",
    '"><!-- <script> & &amp; ',
    "rs1\u202egnp\x07\u2028 $title ${run} %s",
    "变异体-Ωβ-🧬",
]
RUNS = {
    "golden": {},
    "empty": {"rows": 0},
    "one_spectrum": {"rows": 3, "width": 1, "height": 1},
    "one_pixel_wide": {"rows": 40, "width": 1, "height": 50},
    "one_annotation": {"rows": 1, "version": 1},
    "two_databases": {"databases": ("core", "<b>own & 'private'")},
    "hostile": {"rows": 30, "names": HOSTILE, "dataset": "</title><script>x"},
    "wide": {"rows": 20, "width": 900, "height": 210},
}


@pytest.fixture(scope="module", params=RUNS)
def run_made_up(request, tmp_path_factory):
    """Return the name and the folder of a run."""
    out = tmp_path_factory.mktemp(request.param)
    return request.param, write_run(out, **RUNS[request.param])


@pytest.fixture(scope="module")
def golden_run(tmp_path_factory):
    """Return the folder of METASPACE's golden results."""
    return write_run(tmp_path_factory.mktemp("golden"))


def read_page(out):
    return save_report(out).read_text(encoding="utf-8")


def test_save_report__needs_nothing_from_elsewhere(run_made_up):
    text = read_page(run_made_up[1])
    page = Page(text)
    assert page.links == ["data:,"]
    assert page.count("style") == 1
    assert not page.count("img")
    found = set(re.findall(r"https?://([^/\"'`]*)", text))
    assert found <= {"www.w3.org", *HOSTS}
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", text)
    handlers = [k for _, attrs in page.elements for k in attrs if k.startswith("on")]
    assert not handlers


def test_save_report__packs_images_after_its_script(run_made_up):
    name, out = run_made_up
    run = read_annotation_run(out)
    scripts = [a for tag, a in Page(read_page(out)).elements if tag == "script"]
    ions = dict.fromkeys(run.rows["image"].tolist())
    packed = [a["id"] for a in scripts[2:]]
    assert packed == [f"image-{ion}" for ion in ions], name
    assert {a["type"] for a in scripts[2:]} <= {"text/plain"}


def test_save_report__holds_in_a_browser(run_made_up, open_page):
    name, out = run_made_up
    n = len(read_annotation_run(out))
    page = open_page(save_report(out), "fdr=1&ion=0")
    assert page.title().startswith("Annotation: ")
    assert page.locator("img").count() == 0
    assert page.evaluate("total") == n
    if n:
        assert page.locator("#count").inner_text() == f"{n} of {n} annotations"
    else:
        assert "What to check" in page.locator("#annotations").text_content()
    assert page.locator("#regions").count() == (n > 0 and name != "one_spectrum")


def test_save_report__same_numbers_as_golden(golden_run):
    counts = json.loads((GOLDEN / "sim_small_cm3_v3_counts.json").read_text())
    run = read_annotation_run(golden_run)
    assert len(run) == counts["n_results"]
    for level in (0.05, 0.1, 0.2, 0.5):
        assert count_annotations(run, level) == counts[f"fdr<={level:g}"]
    text = read_page(golden_run)
    tiles = re.findall(r"<dt>at (\d+) % FDR</dt><dd>([\d,]+)</dd>", text)
    assert tiles == [("5", "245"), ("10", "300"), ("20", "311"), ("50", "311")]
    assert make_heading(run) == "sim_small: 300 annotations at 10 % FDR"
    scores = re.findall(r"<b>(\+\w+)</b> ([\d,]+) targets", text)
    targets = [
        r["modifier"] for r in read_golden("all_scores") if r["target"] == "True"
    ]
    assert {m: int(n) for m, n in scores} == {m: targets.count(m) for m, _ in scores}
    errors = [
        1e6 * float(row["mz_err_abs"]) / float(row["theo_mz_0"])
        for row in read_golden("annotations")
        if float(row["fdr"]) <= 0.1
    ]
    shift = f"{np.median(errors):+.2f}".replace("-", "−")  # noqa: RUF001
    assert get_shift(run).median == shift
    assert f"<b>{shift} ppm</b>" in text


def test_save_report__shows_names_as_text(tmp_path, open_page):
    out = write_run(tmp_path / "run", rows=5, names=HOSTILE)
    page = open_page(save_report(out), "fdr=1")
    assert page.title() == "Annotation: sim_small"
    shown = page.locator("#table tbody").inner_text()
    assert HOSTILE[0] in shown
    assert "\ufffdgnp\ufffd" in shown


def test_make_columns__cuts_long_lists_of_names(tmp_path):
    names = [f"name, {k}; name" for k in range(70)]
    run = read_annotation_run(write_run(tmp_path, rows=1, names=["; ".join(names)]))
    column = make_columns(run, {})["names"][0]
    assert column[:3] == ["name, 0", "name", "name, 1"]
    assert column[100:] == ["and 41 more"]


def test_save_report__score_of_another_model(tmp_path):
    write_run(tmp_path, rows=5)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["annotations/score"][:] = 0.25
    found = make_columns(read_annotation_run(tmp_path), {})
    assert found["score"] == [0.25] * 5
    assert min(found["msm"]) > 0.9


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 5000))
def test_get_block__keeps_the_page_small(width, height, n):
    block = images.get_block(width, height, n)
    cells = -(-width // block) * -(-height // block)
    is_least = max(width, height) // (block + 1) < images.SHORTEST
    assert n * cells <= images.MOST_VALUES or is_least
    assert max(width, height) <= block * images.LONGEST


def test_save_report__noise_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_VALUES", 12 * 3150)
    out = write_run(tmp_path, rows=12, width=140, height=90, noise=1.0)
    text = read_page(out)
    assert "the mean of 2 × 2" in text  # noqa: RUF001
    packed = re.findall(r'id="image-\d+">([^<]*)<', text)
    assert len(packed) == 12
    assert sum(map(len, packed)) < 1.4 * 5 * 12 * 3150


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": 3, "width": 1, "height": 1}, "There is one spectrum and so no image"),
        ({"rows": 3, "width": 1, "height": 9}, "one pixel wide"),
        ({"rows": 3}, ""),
    ],
)
def test_list_cautions__say(tmp_path, options, said):
    cautions = list_cautions(read_annotation_run(write_run(tmp_path, **options)))
    assert said in "".join(cautions)
    assert bool(cautions) == bool(said)


def test_list_cautions__say_what_is_doubtful(tmp_path):
    write_run(tmp_path, rows=9)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["annotations/fdr_level"][:] = 0.5
        file["annotations/mz_err_abs"][:] = 2e-6 * file["annotations/mz"][:]
    run = read_annotation_run(tmp_path)
    cautions = "\n".join(list_cautions(run))
    assert "No annotation reaches an FDR of 10 %" in cautions
    assert "off by +2.00 ppm" in cautions
    assert make_heading(run) == "sim_small: 9 annotations at 50 % FDR"
    assert get_shift(run).of == "9 annotations"


def test_save_report__only_so_many(tmp_path, monkeypatch, open_page):
    monkeypatch.setattr(images, "MOST_IONS", 7)
    monkeypatch.setattr(images, "MOST_VALUES", 7)
    monkeypatch.setattr(columns, "MOST_ROWS", 20)
    monkeypatch.setattr("metabolite_annotation.report.data.MOST_ROWS", 20)
    monkeypatch.setattr("metabolite_annotation.report.page.MOST_ROWS", 20)
    out = write_run(tmp_path, rows=30)
    text = read_page(out)
    assert "The 7 best ions have images here" in text
    assert "The best 20 of 30 annotations are listed" in text
    page = open_page(out / "report.html", "fdr=1&ion=8")
    assert page.evaluate("total") == 20
    assert "images of the best ions only" in page.locator("#no-picture").inner_text()


def test_save_report__same_bytes_again(golden_run):
    assert save_report(golden_run).read_bytes() == save_report(golden_run).read_bytes()


@pytest.mark.parametrize("name", ["results.h5", "manifest.json"])
def test_save_report__missing_file(tmp_path, name):
    (write_run(tmp_path, rows=2) / name).unlink()
    with pytest.raises(BadInput, match=f"expected {name}"):
        save_report(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("annotations/image", 5, "annotations/image is not in 0 to 4"),
        ("annotations/fdr", np.nan, "annotations/fdr is not in 0 to 1"),
        ("images/pixel", 2**31, "images/pixel is 2147483648 where there is none"),
        ("images/indptr", 2**40, "images/indptr does not rise"),
        ("pixels/x", 32, "pixels/x is not in 0 to 31"),
        ("annotations/mz", None, "damaged.*mz"),
        ("scores/score", None, "damaged.*score"),
    ],
)
def test_save_report__impossible_columns(tmp_path, name, value, said):
    write_run(tmp_path, rows=5)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        if value is None:
            del file[name]
        else:
            file[name][0] = value
    with pytest.raises(BadInput, match=said):
        save_report(tmp_path)


def test_save_report__numbers_that_are_none(tmp_path, open_page):
    write_run(tmp_path, rows=5)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        for name in ("mz_err_abs", "chaos", "total_intensity", "msm"):
            file[f"annotations/{name}"][:] = np.nan
        for name in ("images/intensity", "pixels/tic"):
            file[name][:3] = np.nan, np.inf, -1
    page = open_page(save_report(tmp_path), "fdr=1&ion=1")
    assert "–" in page.locator("#table tbody tr").first.inner_text()  # noqa: RUF001


@pytest.mark.parametrize("kept", [0, 1, 0.3, 0.7, 0.95])
def test_save_report__cut_file(tmp_path, kept):
    path = write_run(tmp_path, rows=5) / "results.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(BadInput, match=r"results\.h5"):
        save_report(tmp_path)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Return the folder of a small run and its bytes, to be damaged."""
    out = write_run(tmp_path_factory.mktemp("small"), rows=3, width=5, height=4)
    return out, (out / "results.h5").read_bytes()


@given(st.data())
def test_save_report__flipped_bytes(small_run, data):
    out, whole = small_run
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(
            st.integers(1, 255)
        )
    (out / "results.h5").write_bytes(damaged)
    message = ""
    try:
        save_report(out)
    except BadInput as error:
        message = str(error)
    assert "\n" not in message


def test_write_run__ions_of_the_truth():
    path = GOLDEN / "sim_small_truth.csv.gz"
    rows = annotation_runs.read_table(path)
    atoms = annotation_runs.count_atoms
    for row in rows:
        ion = annotation_runs.get_ion(row["formula"], row["modifier"])
        assert atoms(ion) == atoms(row["ion_formula"])
