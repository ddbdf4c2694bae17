"""The browser of annotations of report.html, driven as a user drives it."""

import csv
import io
import re
from urllib.parse import parse_qs, urlparse

import h5py
import numpy as np
import pytest

from annotation_runs import write_run
from browser import is_wider, list_faults
from hpc_connector.manifest import read_manifest, save_manifest
from metabolite_annotation.report.page import save_report

HOSTILE = '<img src=x onerror="alert(1)"> {{ 7 * 7 }} </script>\u202egnp'
IDS = ("HMDB0000001", "CHEBI:15377", "LMGP01010005", "SLM:000000510", "CID:5793")
HOSTS = {
    "hmdb.ca",
    "www.ebi.ac.uk",
    "www.lipidmaps.org",
    "www.swisslipids.org",
    "pubchem.ncbi.nlm.nih.gov",
}
NEAREST = 10
NO_PEAK = [110, 118, 126]  # where there is a spectrum without the ion


def add_neighbours(file, n):
    """Say that the images nearest to each are those that follow it."""
    ions = (np.arange(n)[:, None] + np.arange(1, NEAREST + 1)) % n
    file["colocalisation/ion"] = ions.astype(np.int32)
    file["colocalisation/cosine"] = np.tile(
        np.linspace(0.95, 0.5, NEAREST, dtype=np.float32), (n, 1)
    )


def add_errors(file):
    """Give each pixel of a first image an error, low at the start and then high."""
    indptr = file["images/indptr"][:]
    sizes = np.diff(indptr)[::4]
    file["images/mz_error_indptr"] = np.concatenate([[0], np.cumsum(sizes)])
    errors = [np.linspace(-900, 900, size).astype(np.int16) for size in sizes]
    file["images/mz_error"] = np.concatenate(errors)


def set_texts(file, name, texts):
    del file[name]
    file.create_dataset(name, data=texts, dtype=h5py.string_dtype())


def complete_run(out):
    """Add to a run what newer runs have, ids of every site, and names that are HTML."""
    with h5py.File(out / "results.h5", "r+") as file:
        n = len(file["annotations/mz"])
        add_neighbours(file, n)
        add_errors(file)
        names = [f"Molecule {k}; Other; Other" for k in range(n)]
        names[0] = "; ".join([f"Isomer {k}" for k in range(len(IDS))])
        names[2] = HOSTILE
        ids = [f"ID{k}; A{k}; B{k}" for k in range(n)]
        ids[0] = "; ".join(IDS)
        set_texts(file, "annotations/molecule_names", names)
        set_texts(file, "annotations/molecule_ids", ids)
        set_texts(file, "annotations/isobars", ["", "C1H1+H", *[""] * (n - 2)])
        formula, adduct = (
            file[f"annotations/{x}"].asstr()[3] for x in ("formula", "adduct")
        )
        set_texts(file, "annotations/isomers", [formula + adduct, *[""] * (n - 1)])
        file["annotations/image"][1] = file["annotations/image"][0]
    return out


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the path of the page of METASPACE's golden results."""
    return save_report(complete_run(write_run(tmp_path_factory.mktemp("run"))))


@pytest.fixture(scope="module")
def rows(report):
    """Return the annotations as the run holds them, row by row."""
    with h5py.File(report.parent / "results.h5") as file:
        group = file["annotations"]
        columns = {
            name: group[name].asstr()[:] if group[name].dtype == object else group[name]
            for name in group
        }
        n = len(file["annotations/mz"])
        return [{name: column[k] for name, column in columns.items()} for k in range(n)]


def get_count(page):
    return page.locator("#count").inner_text()


def get_rows(page):
    """Return the rows that are elements: the text of their cells."""
    found = page.locator("#table tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in found]


def get_title(page):
    return page.locator("#chosen-title h3").inner_text()


def say_row(row):
    return f"{row['formula']} [M{row['adduct']}]⁺"


def get_address(page):
    return page.evaluate("location.href")  # that Playwright remembers may be older


def get_fragment(page):
    return {
        name: values[0]
        for name, values in parse_qs(urlparse(get_address(page)).fragment).items()
    }


def test_list__begins_with_the_best_at_10_percent(report, rows, open_page):
    page = open_page(report)
    n = sum(row["fdr_level"] <= 0.1 for row in rows)
    assert get_count(page) == f"{n} of {len(rows)} annotations"
    assert get_title(page) == say_row(rows[0])
    cells = get_rows(page)[1]
    assert cells[:2] == [f"{rows[1]['formula']} ≡2", f"[M{rows[1]['adduct']}]⁺"]
    assert cells[3:] == [f"{rows[1]['mz']:.4f}", f"{rows[1]['msm']:.3f}", "≤ 5 %"]
    assert page.locator("#table").get_attribute("aria-rowcount") == str(n + 1)
    assert len(get_rows(page)) < 60


FILTERED = {
    "fdr=1": lambda r: True,
    "fdr=0.05": lambda r: r["fdr_level"] <= 0.05,
    "fdr=no": lambda r: r["fdr_level"] <= 0.1,
    "fdr=1&adduct=%2BK": lambda r: r["adduct"] == "+K",
    "fdr=1&mz=400-600": lambda r: 400 <= r["mz"] <= 600,
    "fdr=1&mz=600-": lambda r: r["mz"] >= 600,
    "fdr=1&mz=-301,5": lambda r: r["mz"] <= 301.5,
    "fdr=1&mz=320": lambda r: 319.5 <= r["mz"] <= 320.5,
    "fdr=1&mz=nonsense": lambda r: True,
    "fdr=1&msm=0.9": lambda r: r["msm"] >= 0.9,
    "fdr=1&formula=no8p": lambda r: "NO8P" in r["formula"],
    "fdr=1&molecule=molecule 12": lambda r: "Molecule 12" in r["molecule_names"],
    "fdr=1&molecule=id7": lambda r: "ID7" in r["molecule_ids"],
    "fdr=1&search=no8p !%2Bk": lambda r: "NO8P" in r["formula"] and r["adduct"] != "+K",
    "fdr=1&search=other [m%2Bna]": lambda r: (
        r["adduct"] == "+Na" and "Other" in r["molecule_names"]
    ),
}


def follow(page, fragment):
    """Paste a fragment, and wait until it is followed."""
    page.evaluate(
        """fragment => new Promise(done => {
          addEventListener("hashchange", done, {once: true});
          location.hash = fragment;
        })""",
        fragment,
    )


def test_filters__of_the_fragment(report, rows, open_page):
    page = open_page(report)
    for fragment, is_shown in FILTERED.items():
        follow(page, fragment)
        n = sum(map(is_shown, rows))
        assert get_count(page) == f"{n} of {len(rows)} annotations", fragment


def test_filters__one_mz_has_the_window_of_the_run(report, rows, open_page):
    mz = rows[5]["mz"]
    page = open_page(report, f"fdr=1&mz={mz + 2e-6 * mz:.5f}")
    assert say_row(rows[5]) in [f"{f} {a}" for f, a, *_ in get_rows(page)]
    follow(page, f"fdr=1&mz={mz + 4e-6 * mz:.5f}")
    assert get_count(page).startswith("0 of")


def test_filters__of_neutral_losses_and_databases(tmp_path, open_page):
    write_run(tmp_path, rows=9, databases=("core", "<b>own"))
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        adducts = ["-H2O+H"] * 4 + ["+H"] * 14
        is_own = file["annotations/database"].asstr()[:] == "<b>own"
        set_texts(file, "annotations/adduct", adducts)
    parts = {"adducts": ["+H"], "neutral_losses": ["-H2O"]}
    save_manifest(tmp_path, read_manifest(tmp_path) | {"parameters": parts})
    page = open_page(save_report(tmp_path), "fdr=1")
    assert page.get_by_label("Adduct", exact=True).count() == 0  # all have the same
    losses = page.get_by_label("Neutral loss", exact=True)
    assert losses.locator("option").all_inner_texts() == [
        "all",
        "none (14)",
        "−H2O (4)",  # noqa: RUF001
    ]
    for value, said in [("-H2O", "4 of 18"), ("none", "14 of 18")]:
        losses.select_option(value)
        assert get_count(page) == f"{said} annotations"
    page.get_by_label("Database", exact=True).select_option("<b>own")
    assert get_count(page).startswith(f"{is_own[4:].sum()} of 18")


def test_filters__are_set_removed_and_remembered(report, rows, open_page):
    page = open_page(report)
    before = get_count(page)
    page.get_by_label("Adduct", exact=True).select_option("+K")
    n = sum(r["adduct"] == "+K" and r["fdr_level"] <= 0.1 for r in rows)
    assert get_count(page) == f"{n} of {len(rows)} annotations"
    page.wait_for_function("!settling")  # the change is an entry of the history by then
    page.get_by_label("Formula", exact=True).fill("NO8P")
    assert get_fragment(page) | {"ion": ""} == {
        "adduct": "+K",
        "formula": "NO8P",
        "ion": "",
    }
    page.wait_for_function("!settling")
    page.go_back()
    page.wait_for_function("document.forms.filters.formula.value === ''")
    assert get_count(page) == f"{n} of {len(rows)} annotations"
    page.get_by_role("button", name="Remove the filter Adduct").click()
    assert get_count(page) == before
    assert "adduct" not in get_fragment(page)
    page.get_by_role("button", name="Remove the filter FDR").click()
    assert get_count(page) == f"{len(rows)} of {len(rows)} annotations"
    page.get_by_role("button", name="Reset filters").click()
    assert get_count(page) == before


def test_fragment__is_followed_when_pasted(report, rows, open_page):
    page = open_page(report, "search=zzz")
    follow(page, "ion=7&sort=mz&fdr=1")
    assert get_title(page) == say_row(rows[7])
    least = min(row["mz"] for row in rows)
    page.locator("#list").evaluate("list => { list.scrollTop = 0; }")
    page.wait_for_function("find('table').tBodies[0].rows[0].ariaRowIndex === '2'")
    assert get_rows(page)[0][3] == f"{least:.4f}"


def test_fragment__of_nonsense_does_no_harm(report, rows, open_page):
    page = open_page(report, "ion=999999&view=no&sort=no&fdr=no&down=x&wide=0")
    assert get_title(page) == say_row(rows[0])
    assert len(get_rows(page)) > 10
    follow(page, "ion=x&__proto__=x&constructor=y&sort=constructor")
    assert get_title(page) == say_row(rows[0])


def test_list__sorts(report, rows, open_page):
    page = open_page(report, "fdr=1")
    head = page.locator("#table th[data-name=mz]")
    mz = sorted(row["mz"] for row in rows)

    def sort():
        head.get_by_role("button").click()
        page.locator("#list").evaluate("list => { list.scrollTop = 0; }")
        page.wait_for_function("find('table').tBodies[0].rows[0].ariaRowIndex === '2'")
        return get_rows(page)[0][3], head.get_attribute("aria-sort")

    assert sort() == (f"{mz[0]:.4f}", "ascending")
    assert sort() == (f"{mz[-1]:.4f}", "descending")
    assert sort() == (f"{rows[0]['mz']:.4f}", None)
    assert page.evaluate("document.activeElement.textContent") == "m/z"


def test_list__numbers_that_are_none(tmp_path, open_page):
    write_run(tmp_path, rows=5)
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        file["annotations/msm"][:] = [0.9, np.nan, np.nan, 0.7, 0.8]
        file["annotations/mz_err_abs"][0] = np.nan
        file["images/mz_mean"][0] = np.nan
        file["images/total_intensity"][0] = np.nan
        file["annotations/score"][:] = 0.25
    page = open_page(save_report(tmp_path), "fdr=1&sort=msm&wide=1")
    known = ["0.700", "0.800", "0.900"]
    assert [row[4] for row in get_rows(page)] == [*known, "–", "–"]  # noqa: RUF001
    assert "0.250" in page.locator(".score-list").inner_text()
    follow(page, "fdr=1&sort=msm&down=1&wide=1")
    cells = get_rows(page)
    assert [row[4] for row in cells] == [*known[::-1], "–", "–"]  # noqa: RUF001
    assert cells[0][7] == "0.250"
    follow(page, "fdr=1&ion=0&msm=0.1")
    assert get_count(page).startswith("3 of 5")


def test_list__is_walked_by_keys(report, rows, open_page):
    page = open_page(report, "fdr=1")
    page.locator("#table").focus()
    for key, expected in [
        ("ArrowDown", 1),
        ("ArrowDown", 2),
        ("ArrowUp", 1),
        ("End", len(rows) - 1),
        ("ArrowDown", len(rows) - 1),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        assert get_title(page) == say_row(rows[expected])
        active = page.locator("#table").get_attribute("aria-activedescendant")
        assert active == f"row-{expected}"
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
        assert page.locator(f"#{active}").is_visible()
    page.keyboard.press("PageDown")
    assert 5 < int(page.evaluate("state.ion")) < 60
    assert page.evaluate("document.activeElement.id") == "table"


def test_list__keys_of_the_search(report, rows, open_page):
    page = open_page(report)
    page.keyboard.press("ArrowDown")  # the list is in sight, and nothing has the focus
    page.keyboard.press("/")
    page.keyboard.type("no8p")
    n = sum("NO8P" in r["formula"] and r["fdr_level"] <= 0.1 for r in rows)
    assert get_count(page).startswith(f"{n} of")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "table"
    page.keyboard.press("Escape")
    assert page.evaluate("state.search") == ""
    page.keyboard.press("/")
    page.keyboard.type("zzz")
    page.keyboard.press("Escape")
    assert page.locator("#filter-search").input_value() == ""


def test_list__says_what_to_loosen(report, rows, open_page):
    page = open_page(report, "search=zzz")
    said = f"without Search zzz: {sum(r['fdr_level'] <= 0.1 for r in rows)}"
    assert page.locator("#empty button").all_inner_texts() == [said]
    page.get_by_role("button", name=said).click()
    assert not page.locator("#empty").is_visible()
    follow(page, "search=zzz&mz=1-2")
    assert "Two or more filters are in the way" in page.locator("#empty").inner_text()


def test_gallery__shows_a_group_once(report, rows, open_page):
    page = open_page(report, "view=images")
    tiles = page.locator("#gallery .tile")
    n = sum(row["fdr_level"] <= 0.1 for row in rows)
    groups = page.evaluate("new Set(shown.map(n => columns.group[n])).size")
    assert tiles.count() == min(groups, 60) < n
    assert f"same image: {say_row(rows[1])}" in tiles.first.inner_text()
    page.wait_for_function("find('gallery').querySelector('canvas').width > 1")
    assert tiles.nth(50).locator("canvas").evaluate("canvas => canvas.width") == 1
    page.locator("#gallery").focus()
    page.keyboard.press("ArrowRight")
    assert get_title(page) == say_row(rows[2])
    assert tiles.nth(1).get_attribute("aria-selected") == "true"
    page.keyboard.press("End")
    assert tiles.count() == groups
    assert tiles.last.get_attribute("aria-selected") == "true"
    tiles.first.click()
    page.get_by_role("button", name="Table").click()
    assert page.locator("#row-0").get_attribute("aria-selected") == "true"


def test_panel__links_to_sites_by_prefix(report, open_page):
    links = open_page(report).locator(".panel a")
    assert links.all_inner_texts() == list(IDS)
    addresses = [link.get_attribute("href") for link in links.all()]
    assert {urlparse(address).hostname for address in addresses} == HOSTS
    assert {urlparse(address).scheme for address in addresses} == {"https"}
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer"
    text = report.read_text(encoding="utf-8")
    hosts = {
        urlparse(found).hostname for found in re.findall(r"https?://[^\"'`]+", text)
    }
    assert hosts == HOSTS | {"www.w3.org"}


def test_panel__groups_molecules_by_name(report, open_page):
    items = open_page(report, "ion=4").locator(".molecules-part li")
    assert items.all_inner_texts() == ["Molecule 4 ID4", "Other A4 B4"]


def test_panel__related_annotations_are_chosen(report, rows, open_page):
    page = open_page(report)
    page.locator(".panel .related", has_text="Isomers").get_by_role("button").click()
    assert get_title(page) == say_row(rows[3])
    follow(page, "ion=1")
    isobars = page.locator(".panel .related", has_text="Isobars")
    assert isobars.locator("li").all_inner_texts() == ["C1H1+H"]
    page.locator(".panel .related", has_text="Same image").get_by_role("button").click()
    assert get_title(page) == say_row(rows[0])


def test_panel__colocalised_annotations_are_chosen(report, open_page):
    page = open_page(report, "ion=5")
    near = page.locator(".neighbours button")
    assert near.count() == NEAREST
    assert "· 0.95" in near.first.inner_text()
    name = near.first.locator("b").inner_text()
    near.first.click()
    assert get_title(page).startswith(f"{name} ")


def test_panel__shows_isotopes_and_errors(report, open_page):
    page = open_page(report)
    figures = page.locator(".isotopes figure")
    assert figures.count() == 4
    assert figures.locator("svg rect").count() == 8
    page.wait_for_function("document.querySelector('.errors canvas').width === 32")
    pixels = page.locator(".errors canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    rgba = np.array(pixels).reshape(-1, 4)
    with h5py.File(report.parent / "results.h5") as file:
        n_spectra = len(file["pixels/x"])
        n_peaks = file["images/indptr"][1]
    measured = rgba[rgba[:, 3] == 255]
    there = measured[(measured[:, :3] != NO_PEAK).any(axis=1)]
    assert (len(measured), len(there)) == (n_spectra, n_peaks)
    assert there[0, 2] > there[0, 0]  # too low is blue, too high is red
    assert there[-1, 0] > there[-1, 2]
    bars = page.locator(".errors svg title").all_text_contents()
    assert sum(int(said.split(": ")[1].split()[0]) for said in bars) == len(there)


def test_panel__names_that_are_html_are_text(report, open_page):
    page = open_page(report, "ion=2")
    shown = HOSTILE.replace("\u202e", "\ufffd")
    assert page.locator("#chosen-title .molecule").inner_text() == shown
    assert shown in page.locator(".molecules-part").inner_text()
    assert page.locator("#row-2").locator("td").nth(1).inner_text() == shown
    assert page.locator("img").count() == 0


def test_csv__is_of_what_is_shown(report, rows, open_page):
    page = open_page(report, "adduct=%2BNa&sort=mz")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV of what is shown").click()
    text = download.value.path().read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(text)))
    expected = sorted(
        (r for r in rows if r["adduct"] == "+Na" and r["fdr_level"] <= 0.1),
        key=lambda r: r["mz"],
    )
    assert [r["formula"] for r in found] == [r["formula"] for r in expected]
    assert {r["adduct"] for r in found} == {"M+Na"}
    assert [float(r["mz"]) for r in found] == [round(r["mz"], 5) for r in expected]
    assert [r["names"] for r in found] == [
        r["molecule_names"].replace("\u202e", "\ufffd") for r in expected
    ]


STATES = ("wide=1", "view=images", "search=zzz&ion=2")


@pytest.mark.parametrize("dark", [False, True])
def test_page__has_no_serious_fault(report, open_page, dark):
    page = open_page(report, dark=dark)
    for fragment in STATES[:1] if dark else STATES[1:]:
        follow(page, fragment)
        assert list_faults(page) == [], fragment


def test_page__fits_a_narrow_window(report, open_page):
    page = open_page(report, width=500)
    for fragment in STATES:
        follow(page, fragment)
        assert not is_wider(page), fragment


def test_page__of_one_pixel_and_of_none(tmp_path, open_page):
    one = write_run(tmp_path / "one", rows=3, width=1, height=1)
    assert get_count(open_page(save_report(one), "fdr=1")).startswith("3 of 3")
    none = open_page(save_report(write_run(tmp_path / "none", rows=0)))
    assert none.locator("#table").count() == 0
