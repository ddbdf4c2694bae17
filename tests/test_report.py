"""The report of a run: what it says, that it holds in a browser, and bad input."""

import json
import re
import subprocess
from html.parser import HTMLParser
from itertools import combinations
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import require
from hpc_connector.errors import BadInput
from hpc_connector.report.facts import format_fact
from hpc_connector.report.svg import get_ticks
from hpc_connector.report.text import shorten
from mdr_epistasis.report.genome import get_chromosome_order, get_spans
from mdr_epistasis.report.network import get_layout, spread_labels
from mdr_epistasis.report.page import save_report
from mdr_epistasis.report.run_file import read_run
from mdr_epistasis.report.summary import get_alone, list_cautions
from programs import PATIENCE_S

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a&amp;b' onload='x",
    "rs1\u202egnp\x07\x1b[31m",
    "chr1:1234567:" + "ACGT" * 300 + ":A",
    "变异体-Ωβ-🧬",
    "$title ${run} %s {}",
    "",
]
RUNS = {
    "pairs": {"permutations": 200},
    "no_folds": {"folds": 1},
    "triples": {"order": 3, "variants": 12},
    "one_model": {"variants": 2, "permutations": 3},
    "no_positions": {"positions": False},
    "four_levels": {"levels": 4, "permutations": 30},
    "triples_four_levels": {"order": 3, "levels": 4, "variants": 8},
    "hostile": {"ids": HOSTILE, "permutations": 19},
    "null": {"effect": 0.0, "permutations": 99},
    "many": {"variants": 80, "permutations": 1000, "folds": 20},
}


def make_counts(rng, models, levels, effect):
    """Return cases and controls of models, (m, cells); the first has the effect."""
    shape = (len(models), levels ** len(models[0]))
    share = np.full(levels, 0.04)
    share[:3] = 0.49, 0.42, 0.09
    cell = share
    for _ in models[0][1:]:
        cell = np.outer(cell, share).ravel()
    mean = np.broadcast_to(500 * cell, shape).copy()
    tilt = np.zeros(shape)
    tilt[0] = effect * np.where(np.arange(shape[1]) % 2, 1, -1)
    return rng.poisson(mean * (1 + tilt)), rng.poisson(mean * (1 - tilt))


def write_run(
    out,
    *,
    order=2,
    folds=10,
    levels=3,
    variants=20,
    permutations=0,
    positions=True,
    ids=None,
    effect=0.6,
):
    """Write ``results.h5`` and ``manifest.json`` of a run made up; return `out`."""
    rng = np.random.default_rng(7)
    ids = ids or [f"rs{n}" for n in rng.integers(1000, 10**8, variants)]
    models = np.array(list(combinations(range(len(ids)), order)), np.int64)
    cases, controls = make_counts(rng, models, levels, effect)
    n1, n0 = cases.sum(axis=1), controls.sum(axis=1)
    high = cases * n0[:, None] >= controls * n1[:, None]
    sensitivity = np.where(high, cases, 0).sum(axis=1) / n1
    specificity = np.where(high, 0, controls).sum(axis=1) / n0
    whole = (sensitivity + specificity) / 2
    fold_test = whole[:, None] + rng.normal(-0.01, 0.02, (len(models), folds))
    test = fold_test.mean(axis=1) if folds > 1 else np.full(len(models), np.nan)
    first = np.argsort(-(test if folds > 1 else whole))
    consistency = np.zeros(len(models), np.int64)
    consistency[first[0]] = folds if folds > 1 and effect else 0
    columns = {
        "n": n1 + n0,
        "train_balanced_accuracy": whole + (0.002 if folds > 1 else 0),
        "test_balanced_accuracy": test,
        "test_error": 1 - test,
        "cv_consistency": consistency,
        "balanced_accuracy": whole,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "odds_ratio": 1.5 + whole,
        "odds_ratio_low": 1.2 + whole,
        "odds_ratio_high": 1.8 + whole,
        "chi2": 100 * whole,
        "variant": models,
        "cases": cases,
        "controls": controls,
        "high_risk": high,
        "fold_test_balanced_accuracy": fold_test[:, : folds if folds > 1 else 0],
        "fold_train_balanced_accuracy": fold_test[:, : folds if folds > 1 else 0],
    }
    maximum = rng.normal(0.54, 0.005, permutations)
    if permutations:
        score = test if folds > 1 else whole
        reached = (maximum[None] >= score[:, None]).sum(axis=1)
        columns["p_value"] = (reached + 1) / (permutations + 1)
    columns = {name: column[first][:1000] for name, column in columns.items()}
    m = len(columns["n"])
    columns["rank"] = np.arange(1, m + 1)
    columns["is_best"] = np.arange(m) == 0
    out.mkdir(exist_ok=True)
    with h5py.File(out / "results.h5", "w") as file:
        file.attrs["format_version"] = 1
        file.attrs["program"] = "mdr-epistasis"
        file.attrs.update({"order": order, "folds": folds, "levels": levels})
        file.attrs["rank_by"] = (
            "test_balanced_accuracy" if folds > 1 else ("balanced_accuracy")
        )
        for name, column in columns.items():
            file[f"models/{name}"] = column
        k = len(ids)
        text = h5py.string_dtype()
        places = [str(c) for c in [1, 2, 10, 17, "X"]] if positions else ["0"]
        chromosomes = [places[v * len(places) // k] for v in range(k)]
        alleles = ids if k == len(HOSTILE) else ["G"] * k
        file.create_dataset("variants/id", data=[n.encode() for n in ids], dtype=text)
        file.create_dataset("variants/chromosome", data=chromosomes, dtype=text)
        file["variants/position"] = (
            10**6 * np.arange(1, k + 1) ** 2 if positions else np.zeros(k, np.int64)
        )
        file.create_dataset(
            "variants/counted", data=[a.encode() for a in alleles], dtype=text
        )
        file.create_dataset("variants/other", data=["A"] * k, dtype=text)
        if permutations:
            file["permutations/maximum"] = maximum
    record = {
        "format_version": 1,
        "program": "mdr-epistasis",
        "status": "done",
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T05:07:05+00:00",
        "parameters": {"seed": 12345, "genotypes": ids[:1], "labels": None},
        "inputs": [{"path": ids[0], "bytes": 5 * 2**20, "sha256": "ab" * 32}],
        "cohort": {"cases": 500, "controls": 500, "removed": {"rare": 12}},
        "search": {"order": order, "models": len(models)},
        "resources": {"wall_s": 7384.2, "max_rss_bytes": 3 * 2**30},
        "software": {"python": "3.11", "numpy": "2.4"},
    }
    (out / "manifest.json").write_text(json.dumps(record))
    return out


class Page(HTMLParser):
    """What is on a page: its elements, its text, and what it asks for elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.links += [v for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture(scope="module", params=RUNS)
def run_made_up(request, tmp_path_factory):
    """Return the name and the folder of a run."""
    out = tmp_path_factory.mktemp(request.param)
    return request.param, write_run(out, **RUNS[request.param])


def test_save_report__holds_what_was_found(run_made_up):
    name, out = run_made_up
    path = save_report(out)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    n_models = len(read_run(out).score)
    assert path == out / "report.html"
    assert not (out / "report.html.partial").exists()
    assert page.count("table") == 2
    assert page.count("tr") == 1 + min(n_models, 100) + 2
    assert ("permutations" in RUNS[name]) == ('id="permutations"' in text)
    assert len(text) < 1_500_000
    assert "nan" not in re.findall(r"[\w.]+", " ".join(page.words))


def test_save_report__needs_nothing_from_elsewhere(run_made_up):
    _, out = run_made_up
    text = save_report(out).read_text(encoding="utf-8")
    page = Page(text)
    assert page.links == ["data:,"]
    assert page.count("script") == page.count("style") == 1
    assert not page.count("img")
    assert not re.search(r"https?://|url\(|@import", text)
    handlers = [k for _, attrs in page.elements for k in attrs if k.startswith("on")]
    assert not handlers


def test_save_report__holds_in_a_browser(run_made_up, tmp_path):
    chromium = require("chromium")
    _, out = run_made_up
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--enable-logging=stderr --dump-dom"
    )
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    address = save_report(out).as_uri()
    browser = subprocess.run(
        [chromium, *options.split(), profile, address],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    page = Page(browser.stdout)
    assert "CONSOLE" not in browser.stderr
    assert page.count("tr") == 1 + min(len(read_run(out).score), 100) + 2
    assert page.count("svg") >= 1
    title = re.search("<title>(.*?)</title>", browser.stdout)
    assert title is not None
    assert title[1].startswith("MDR: ")


def test_save_report__same_bytes_again(tmp_path):
    out = write_run(tmp_path, permutations=30)
    assert save_report(out).read_bytes() == save_report(out).read_bytes()


def test_save_report__writes_what_json_allows(tmp_path):
    write_run(tmp_path)
    record = json.loads((tmp_path / "manifest.json").read_text())
    odd = [None, [], {}, "\ud800<b>", 1e999, -1, 10**400, True, [1, {"a": [None]}], "é"]
    record |= {f"odd_{k}_bytes": v for k, v in enumerate(odd)}
    record |= {"resources": {f"odd_{k}_s": v for k, v in enumerate(odd)}}
    for part in ("cohort", "search", "inputs", "parameters", "software", "outputs"):
        for value in odd:
            (tmp_path / "manifest.json").write_text(json.dumps(record | {part: value}))
            save_report(tmp_path)
    bare = {"format_version": 1}
    (tmp_path / "manifest.json").write_text(json.dumps(bare))
    assert "<b>rs" in save_report(tmp_path).read_text(encoding="utf-8")


def say_cautions(out):
    return "\n".join(list_cautions(read_run(out)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "no cross-validation"),
        ({}, "No p-value"),
        ({"permutations": 3}, "With 3 permutations p cannot be below 0.25"),
        ({"effect": 0.0}, "folds disagree"),
        ({"effect": 0.0, "variants": 3}, "close to 0.5"),
        ({"order": 3}, "fewer than 5 individuals"),
    ],
)
def test_list_cautions__say(tmp_path, options, said):
    assert said in say_cautions(write_run(tmp_path, **options))


def test_list_cautions__say_linkage(tmp_path):
    write_run(tmp_path)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["variants/position"][:] = 5000 + 1000 * np.arange(20)
    assert "only 1 kb apart" in say_cautions(tmp_path)


def test_list_cautions__say_one_variant_does_it_all(tmp_path):
    write_run(tmp_path)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["models/cases"][0] = [90, 40, 10, 60, 30, 10, 30, 10, 5]
        file["models/controls"][0] = [30, 13, 3, 60, 30, 10, 60, 20, 10]
        file["models/balanced_accuracy"][0] = 0.65
    run = read_run(tmp_path)
    first, second = get_alone(run, 0)
    assert first == pytest.approx((140 / 285 + 190 / 236) / 2)
    assert second < 0.51
    assert f"effect of {run.get_ids(0)[0]} alone" in say_cautions(tmp_path)


@given(st.data())
def test_get_alone__agrees_with_naive(data):
    counts = data.draw(st.lists(st.integers(0, 9), min_size=54, max_size=54))
    cases, controls = np.reshape(counts, (2, 1, 27)) + 1
    models = {"cases": cases, "controls": controls}
    run = SimpleNamespace(order=3, levels=3, models=models)
    for k, found in enumerate(get_alone(run, 0)):
        digit = [cell // 3 ** (2 - k) % 3 for cell in range(27)]
        risk = []
        for g in range(3):
            a = sum(cases[0, c] for c in range(27) if digit[c] == g)
            u = sum(controls[0, c] for c in range(27) if digit[c] == g)
            risk.append((a / cases.sum(), u / controls.sum()))
        sensitivity = sum(a for a, u in risk if a >= u)
        specificity = sum(u for a, u in risk if a < u)
        assert found == pytest.approx((sensitivity + specificity) / 2)


@pytest.mark.parametrize("name", ["results.h5", "manifest.json"])
def test_save_report__missing_file(tmp_path, name):
    (write_run(tmp_path) / name).unlink()
    with pytest.raises(BadInput, match=f"expected {name}"):
        save_report(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.7, 0.95])
def test_save_report__cut_file(tmp_path, kept):
    path = write_run(tmp_path) / "results.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(BadInput, match=r"results\.h5"):
        save_report(tmp_path)


def test_save_report__without_the_accuracy_of_folds(tmp_path):
    out = write_run(tmp_path)
    with h5py.File(out / "results.h5", "a") as file:
        del file["models/fold_test_balanced_accuracy"]
    assert b"<table" in save_report(out).read_bytes()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Return the folder of a small run and its bytes, to be damaged."""
    out = write_run(tmp_path_factory.mktemp("small"), variants=4, permutations=20)
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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("models/variant", 20, r"models/variant row 0 is 20; expected 0 to 19"),
        ("models/cases", -1, r"models/cases row 0 is -1; expected"),
        ("models/cv_consistency", 11, r"cv_consistency row 0 is 11; expected 0 to 10"),
        ("models/balanced_accuracy", 1.5, r"row 0 is 1\.5; expected 0 to 1"),
        ("models/odds_ratio", None, ""),
        ("models/cases", None, "damaged.*cases"),
        ("variants/id", None, "damaged.*id"),
    ],
)
def test_read_run__impossible_columns(tmp_path, name, value, said):
    write_run(tmp_path)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        if value is None:
            del file[name]
        else:
            file[name][0] = value
    if not said:  # a statistic that is not there is not shown
        assert "Odds ratio<" not in save_report(tmp_path).read_text(encoding="utf-8")
        return
    with pytest.raises(BadInput, match=said):
        read_run(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("format_version", 2), ("order", 5)])
def test_read_run__another_format(tmp_path, name, value):
    with h5py.File(write_run(tmp_path) / "results.h5", "r+") as file:
        file.attrs[name] = value
    with pytest.raises(BadInput, match=str(value)):
        read_run(tmp_path)


def test_read_run__keeps_the_best_beyond_the_list(tmp_path):
    write_run(tmp_path, variants=46)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        for name, column in dict(file["models"].items()).items():
            values = column[:]
            del file[f"models/{name}"]
            file[f"models/{name}"] = np.concatenate([values, values[:1]])
        file["models/is_best"][0] = False
        file["models/rank"][-1] = 0
    run = read_run(tmp_path)
    assert len(run.score) == 1001
    assert run.best == 1000
    text = save_report(tmp_path).read_text(encoding="utf-8")
    assert Page(text).count("tr") == 1 + 101 + 2


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6).filter(lambda n: n == 0 or n > 1e-6),
)
def test_get_ticks__few_and_inside(low, span):
    ticks = get_ticks(low, low + span)
    assert 1 <= len(ticks) <= 15
    near = 1e-6 + 1e-8 * span
    assert all(low - near <= tick <= low + span + near for tick in ticks)


@given(st.text(), st.integers(5, 30))
def test_shorten__keeps_both_ends(name, most):
    short = shorten(name, most)
    assert len(short) <= most
    assert short[:2] == name[:2]
    assert short == name or (short[-2:] == name[-2:] and "…" in short)


@given(st.lists(st.text(max_size=6)))
def test_get_chromosome_order__takes_any_name(names):
    assert sorted(["10", *names, "9"], key=get_chromosome_order).index("9") <= sorted(
        ["10", *names, "9"], key=get_chromosome_order
    ).index("10")


def test_get_spans__only_what_is_touched_of_many_pieces(tmp_path):
    run = read_run(write_run(tmp_path, variants=60))
    run.variants["chromosome"][:] = [f"scaffold{k}" for k in range(60)]
    touched = run.models["variant"][:3].ravel()
    assert set(get_spans(run, [0, 1, 2])) == {f"scaffold{k}" for k in touched}


@given(st.integers(2, 30), st.integers(0, 100))
def test_spread_labels__do_not_overlap(n, seed):
    rng = np.random.default_rng(seed)
    edges = np.array([(k, rng.integers(k)) for k in range(1, n)])
    points = spread_labels(900 * get_layout(n, edges), np.full(n, 120.0))
    for (x0, y0), (x1, y1) in combinations(points.tolist(), 2):
        assert abs(x0 - x1) > 120 or abs(y0 - y1) > 12


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("wall_s", 0.25, "0.25 s"),
        ("wall_s", 125, "2 min 5 s"),
        ("wall_s", 7384.2, "2 h 3 min"),
        ("bytes", 512, "512 bytes"),
        ("max_rss_bytes", 3 * 2**40, "3,072.00 GiB"),
        ("seed", 12345, "12345"),
        ("variants_kept", 12345, "12,345"),
        ("removed", {"rare": 1200}, "rare: 1,200"),
        ("notes", ["one", "two"], "one; two"),
    ],
)
def test_format_fact__with_units(key, value, expected):
    assert format_fact(key, value) == expected
