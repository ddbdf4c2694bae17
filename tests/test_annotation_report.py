"""The report of an annotation run: numbers, images, a browser, and bad input."""

import base64
import json
import re
import subprocess
import zlib
from html import unescape
from itertools import combinations

import h5py
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import annotation_runs
from annotation_runs import GOLDEN, read_golden, write_run
from conftest import require
from hpc_connector.errors import BadInput
from metabolite_annotation.report import images
from metabolite_annotation.report.data import (
    RAMP,
    make_columns,
    make_data,
)
from metabolite_annotation.report.page import save_report
from metabolite_annotation.report.run_file import read_annotation_run, read_images
from metabolite_annotation.report.summary import (
    count_annotations,
    get_shift,
    list_cautions,
    make_heading,
)
from programs import PATIENCE_S
from test_report import Page

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


def browse(address, profile):
    """Return the page as a browser makes it, and what the browser complains of."""
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--enable-logging=stderr --virtual-time-budget=5000 --dump-dom"
    )
    browser = subprocess.run(
        [require("chromium"), *options.split(), f"--user-data-dir={profile}", address],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    console = [line for line in browser.stderr.splitlines() if "CONSOLE" in line]
    return browser.stdout, console


def get_table(text):
    """Return the text of the cells of the table of annotations, row by row."""
    body = re.search(r'<table id="table">.*?<tbody>(.*?)</tbody>', text, re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr.*?</tr>", body[1], re.DOTALL)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in cells]


def read_page(out):
    return save_report(out).read_text(encoding="utf-8")


def test_save_report__needs_nothing_from_elsewhere(run_made_up):
    text = read_page(run_made_up[1])
    page = Page(text)
    assert page.links == ["data:,"]
    assert page.count("script") == 2
    assert page.count("style") == 1
    assert not page.count("img")
    assert set(re.findall(r"https?://[^\"']*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", text)
    handlers = [k for _, attrs in page.elements for k in attrs if k.startswith("on")]
    assert not handlers


def test_save_report__holds_in_a_browser(run_made_up, tmp_path):
    name, out = run_made_up
    n = len(read_annotation_run(out))
    text, console = browse(save_report(out).as_uri() + "#ion=0", tmp_path)
    assert console == []
    assert "<title>Annotation: " in text
    assert ('<dialog id="detail" aria-labelledby="detail-title" open' in text) == (
        n > 0
    )
    if n:
        assert len(get_table(text)) == min(n, 25)
        assert len(re.findall(r"<figcaption><b>Isotope \d", text)) == 4
    assert Page(text).count("img") == 0
    assert ('id="rgb"' in text) == (n > 0 and name != "one_spectrum")


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


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", lambda r: (float(r["fdr"]), -float(r["msm"]))),
        ("sort=mz", lambda r: float(r["theo_mz_0"])),
        ("sort=mz&down=1", lambda r: -float(r["theo_mz_0"])),
    ],
)
def test_table__sorts(golden_run, tmp_path, address, expected):
    text, console = browse(f"{save_report(golden_run).as_uri()}#{address}", tmp_path)
    rows = sorted(read_golden("annotations"), key=expected)
    best = [f"{float(row['theo_mz_0']):.4f}" for row in rows[:25]]
    found = [row[2] for row in get_table(text)]
    assert found == best
    assert console == []


@pytest.mark.parametrize(
    ("address", "is_shown"),
    [
        ("fdr=0.05", lambda r: float(r["fdr"]) <= 0.05),
        ("filter=no8p", lambda r: "NO8P" in r["formula"]),
        (
            "filter=%2Bk]&fdr=0.1",
            lambda r: r["modifier"] == "+K" and float(r["fdr"]) <= 0.1,
        ),
        ("filter=nothing%20like%20this", lambda r: False),
    ],
)
def test_table__filters(golden_run, tmp_path, address, is_shown):
    text, _ = browse(f"{save_report(golden_run).as_uri()}#{address}", tmp_path)
    n = sum(map(is_shown, read_golden("annotations")))
    assert f'<output id="count">{n} of 311</output>' in text
    assert len(get_table(text)) == min(n, 25)


ACTIONS = """
<script>
addEventListener("load", async () => {
  const wait = () => new Promise(done => setTimeout(done, 100));
  const said = [];
  const first = () => document.querySelector("#table tbody tr");
  const press = (element, key) =>
    element.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const head = document.querySelector("#table th[data-name=mz] button");
  head.click(); said.push(first().cells[2].textContent);
  head.click(); said.push(first().cells[2].textContent);
  said.push(head.parentElement.getAttribute("aria-sort"));
  const box = document.querySelector("[name=filter]");
  box.value = "C14H30N4O2";
  box.dispatchEvent(new Event("input", {bubbles: true}));
  said.push(document.querySelectorAll("#table tbody tr").length);
  box.value = "";
  box.dispatchEvent(new Event("input", {bubbles: true}));
  document.querySelector("#more-rows").click();
  said.push(document.querySelectorAll("#table tbody tr").length);
  first().querySelector("button").click();
  said.push(document.querySelector("#detail-title").textContent);
  press(document.querySelector("#detail h2"), "ArrowRight");
  said.push(document.querySelector("#detail-title").textContent);
  document.querySelector("#detail").close();
  await wait();
  said.push(location.hash);
  const canvas = document.querySelector("#gallery canvas");
  await wait();
  said.push([canvas.width, canvas.height]);
  const rgb = document.querySelector("#rgb");
  const look = (x, y) => {
    const copy = Object.assign(document.createElement("canvas"),
      {width: rgb.width, height: rgb.height});
    const context = copy.getContext("2d", {willReadFrequently: true});
    context.drawImage(rgb, 0, 0);
    return [...context.getImageData(x, y, 1, 1).data];
  };
  said.push(look(0, 0), look(16, 15));
  const select = document.querySelector("#rgb-choices select");
  select.value = ""; select.dispatchEvent(new Event("change"));
  await wait();
  said.push(look(16, 15));
  const done = document.createElement("pre");
  done.id = "said"; done.textContent = JSON.stringify(said);
  document.body.append(done);
});
</script>
"""


def test_page__does_what_it_is_told(golden_run, tmp_path):
    path = tmp_path / "driven.html"
    path.write_text(read_page(golden_run).replace("</body>", f"{ACTIONS}</body>"))
    text, console = browse(path.as_uri(), tmp_path / "profile")
    assert console == []
    found = re.search(r'<pre id="said">(.*?)</pre>', text)
    assert found is not None
    mz = sorted(float(row["theo_mz_0"]) for row in read_golden("annotations"))
    by_mz = sorted(read_golden("annotations"), key=lambda r: -float(r["theo_mz_0"]))
    names = [f"{r['formula']} [M{r['modifier']}]⁺" for r in by_mz[:2]]
    n = sum(r["formula"] == "C14H30N4O2" for r in by_mz)
    said = json.loads(unescape(found[1]))
    assert said[:5] == [f"{mz[0]:.4f}", f"{mz[-1]:.4f}", "descending", n, 100]
    assert said[5:9] == [*names, "#sort=mz&down=1", [32, 30]]
    run = read_annotation_run(golden_run)
    data = make_data(run)
    pictures, _ = images.make_pictures(run)
    greys = [int(pictures[ion][0].grey[15, 16]) - 1 for ion in data["composite"]]
    assert said[9:] == [[0, 0, 0, 0], [*greys, 255], [0, *greys[1:], 255]]


def test_save_report__shows_names_as_text(tmp_path):
    out = write_run(tmp_path / "run", rows=5, names=HOSTILE)
    text, console = browse(save_report(out).as_uri(), tmp_path / "profile")
    assert console == []
    assert "<title>Annotation: sim_small</title>" in text
    names = [row[-1] for row in get_table(text)]
    assert unescape(names[0]) == f"{HOSTILE[0]}; Isomer 0"
    assert "\ufffdgnp\ufffd" in names[3]


def test_make_columns__cuts_long_lists_of_names(tmp_path):
    names = [f"name, {k}; name" for k in range(70)]
    run = read_annotation_run(write_run(tmp_path, rows=1, names=["; ".join(names)]))
    column = make_columns(run)["names"][0]
    assert column[:3] == ["name, 0", "name", "name, 1"]
    assert column[100:] == ["and 41 more"]


def test_save_report__score_of_another_model(tmp_path):
    write_run(tmp_path, rows=5)
    assert "METASPACE-ML" in read_page(tmp_path)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["annotations/score"][:] = 0.25
    text, _ = browse(save_report(tmp_path).as_uri(), tmp_path / "profile")
    assert [row[3] for row in get_table(text)] == ["0.250"] * 5


def test_save_report__isomers_and_isobars(tmp_path):
    write_run(tmp_path, rows=3)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["annotations/isomers"][1] = "C9H9+H;C8H8+Na"
        file["annotations/isobars"][1] = "C7H7Na"
    address = save_report(tmp_path).as_uri()
    text, _ = browse(f"{address}#ion=1", tmp_path / "profile")
    assert "<h3>Isomers</h3><ul><li>C9H9+H</li><li>C8H8+Na</li></ul>" in text
    assert "<h3>Isobars</h3><ul><li>C7H7Na</li></ul>" in text


def decode(uri):
    """Return the grey values of a PNG, with zlib alone."""
    png = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    width, height = (int.from_bytes(png[k : k + 4]) for k in (16, 20))
    at, packed = 33, b""
    while at < len(png):
        n = int.from_bytes(png[at : at + 4])
        packed += png[at + 8 : at + 8 + n] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + n
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width)
    assert (rows[:, 0] == 1).all()  # each is the difference to that on its left
    return np.cumsum(rows[:, 1:], axis=1, dtype=np.uint8)


def test_make_picture__agrees_with_naive(tmp_path):
    run = read_annotation_run(write_run(tmp_path, rows=2, width=23, height=31))
    grid = images.make_grid(run, 8)  # blocks of 4 x 4
    for four in read_images(run, [0, 1]):
        for pixel, intensity in four:
            dense = np.full((31, 23), np.nan)
            dense[run.pixels["y"], run.pixels["x"]] = 0
            dense[run.pixels["y"][pixel], run.pixels["x"][pixel]] = intensity
            cells = [
                [dense[r : r + 4, c : c + 4] for c in range(0, 23, 4)]
                for r in range(0, 31, 4)
            ]
            mean = np.array(
                [
                    [np.nan if np.isnan(b).all() else np.nanmean(b) for b in row]
                    for row in cells
                ]
            )
            picture = images.make_picture(grid, (pixel, intensity))
            npt.assert_array_equal(picture.grey == 0, np.isnan(mean))
            npt.assert_array_equal(picture.grey > 1, mean > 0)
            if picture.top:
                top = np.percentile(mean[mean > 0], 99)
                assert picture.top == pytest.approx(top)
                grey = 1 + 254 * np.nan_to_num(mean / top).clip(0, 1)
                assert (abs(picture.grey - grey)[~np.isnan(mean)] <= 1 + 1e-9).all()
                uri = images.encode_picture(picture)
                npt.assert_array_equal(decode(uri), picture.grey)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 500))
def test_choose_edges__keeps_the_page_small(width, height, n):
    edges = images.choose_edges(width, height, n)
    first, other = (images.get_block(width, height, edge) for edge in edges)
    cells = -(-width // first) * -(-height // first)
    cells += 3 * (-(-width // other) * -(-height // other))
    assert n * cells <= images.MOST_PIXELS
    assert max(width, height) <= edges[0] * first <= 200 * first


def test_save_report__noise_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_PIXELS", 100_000)
    out = write_run(tmp_path, rows=12, width=140, height=90, noise=1.0)
    text = read_page(out)
    assert "the mean of 2 × 2, of 3 × 3 for the other isotopes" in text  # noqa: RUF001
    pictures = re.findall('data:image/png;base64,[^"]*', text)
    assert sum(map(len, pictures[:-1])) < 1.4 * 100_000 + 48 * 200


def test_choose_composite__least_alike(tmp_path):
    run = read_annotation_run(write_run(tmp_path, rows=14, noise=0))
    pictures, _ = images.make_pictures(run)
    greys = [p[0].grey.ravel().astype(float) for p in pictures.values()]
    inside = greys[0] > 0
    alike = np.corrcoef([g[inside] for g in greys])
    worst = {
        t: max(alike[a, b] for a, b in combinations(t, 2))
        for t in combinations(range(14), 3)
    }
    chosen = tuple(images.choose_composite(pictures, 752))
    assert worst[chosen] == pytest.approx(min(worst.values()))


def test_ramp__rises_evenly():
    rgb = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in RAMP.split()])
    light = np.where(rgb > 10, ((rgb / 255 + 0.055) / 1.055) ** 2.4, rgb / 255 / 12.92)
    cone = np.array(  # linear sRGB to LMS; B. Ottosson, OKLab, 2020
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    weights = [0.2104542553, 0.7936177850, -0.0040720468]
    lightness = np.cbrt(light @ cone.T) @ weights
    steps = np.diff(lightness)
    assert steps.min() > 0.8 * steps.mean()
    assert steps.max() < 1.2 * steps.mean()


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


def test_save_report__says_that_nothing_was_found(tmp_path):
    text = read_page(write_run(tmp_path, rows=0))
    assert "sim_small: no annotations" in text
    assert "Nothing was annotated." in text


def test_save_report__only_so_many(tmp_path, monkeypatch):
    monkeypatch.setattr("metabolite_annotation.report.images.MOST_IONS", 7)
    monkeypatch.setattr("metabolite_annotation.report.page.MOST_IONS", 7)
    monkeypatch.setattr("metabolite_annotation.report.data.MOST_ROWS", 20)
    monkeypatch.setattr("metabolite_annotation.report.page.MOST_ROWS", 20)
    out = write_run(tmp_path, rows=30)
    text = read_page(out)
    assert "The 7 best ions have images here" in text
    assert "The best 20 of 30 annotations are listed" in text
    page, console = browse(save_report(out).as_uri() + "#ion=8", tmp_path / "profile")
    assert console == []
    assert len(get_table(page)) == 20
    assert "beyond those with images" in page


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


def test_save_report__numbers_that_are_none(tmp_path):
    write_run(tmp_path, rows=5)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        for name in ("mz_err_abs", "chaos", "total_intensity", "msm"):
            file[f"annotations/{name}"][:] = np.nan
        for name in ("images/intensity", "pixels/tic"):
            file[name][:3] = np.nan, np.inf, -1
    text, console = browse(save_report(tmp_path).as_uri() + "#ion=1", tmp_path / "p")
    assert console == []
    assert get_table(text)[0][4] == "–"  # noqa: RUF001


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
