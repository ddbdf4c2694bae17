"""What a page says was searched, and of a search that has found nothing."""

import pytest

from annotation_runs import write_run
from browser import is_wider, list_faults
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.report.facts import list_facts
from metabolite_annotation.report.failure import list_checks, list_steps
from metabolite_annotation.report.page import save_report
from metabolite_annotation.report.run_file import read_annotation_run
from metabolite_annotation.report.search import list_search
from metabolite_annotation.report.words import WORDS

ASSUMED = [
    ("polarity", "positive", "x.imzML names none", "--polarity"),
    ("resolving power", "140000 at m/z 200", "none is given", "--resolving-power"),
    ("UUID and checksum of x.ibd", "right", "--no-check leaves them out", ""),
]
SEARCH = {
    "polarity": "positive",
    "polarity_from": "assumed",
    "instrument": "FTICR",
    "instrument_from": "LTQ FT in instrumentConfiguration",
    "adducts": ["+H", "[M]+"],
    "neutral_losses": ["-H2O"],
    "chem_mods": [],
    "databases": {"core": {"molecules": 11360, "formulas": 2386}},
}


def change_manifest(out, **parts):
    """Add to parts of a manifest; return the run."""
    record = read_manifest(out)
    for name, part in parts.items():
        record[name] = record.get(name, {}) | part if isinstance(part, dict) else part
    save_manifest(out, record)
    return read_annotation_run(out)


def make_assumed():
    names = ("what", "taken", "because", "option")
    return [dict(zip(names, one, strict=True)) for one in ASSUMED]


def test_list_search__says_each_and_what_was_assumed(tmp_path):
    run = change_manifest(
        write_run(tmp_path, rows=3),
        search=SEARCH,
        assumed=make_assumed(),
        parameters={"decoys": 20, "fdr": 0.5},
        dataset={"mz_range": [100.02, 999.95]},
    )
    said = {one.name: one for one in list_search(run)}
    assert {name: one.text for name, one in said.items()} == {
        "Spectra": "752 pixels in 32 × 30; 524,012 peaks, m/z 100.0 to 1000.0",  # noqa: RUF001
        "Pixel size": "not known",
        "Polarity": "positive",
        "Instrument": "FTICR (by LTQ FT in instrumentConfiguration)",
        "Resolving power": "140000 at m/z 200",
        "Databases": "core (2,386 formulas)",
        "Adducts": "[M+H]⁺, [M]+",
        "Neutral losses": "−H2O",  # noqa: RUF001
        "Modifications": "none",
        "Ions": "54,755 looked for, 20 decoys for each target",
        "Tolerance": "± 3 ppm of m/z",
        "Scored by": "MSM",
        "FDR": "up to 50 %; METASPACE's analysis version 3",
    }
    doubted = {name: one.caution for name, one in said.items() if one.caution}
    assert doubted == {
        "Pixel size": "scale bars count pixels; --pixel-size says it",
        "Polarity": "assumed, for x.imzML names none; --polarity says otherwise",
        "Resolving power": (
            "assumed, for none is given; --resolving-power says otherwise"
        ),
    }
    page = save_report(tmp_path).read_text(encoding="utf-8")
    assert page.count("x.imzML names none") == 1  # and not among the cautions again
    assert "UUID and checksum of x.ibd right is assumed" in page


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {
            "search": {"databases": 5, "adducts": 7},
            "assumed": [3, {"what": "polarity"}],
        },
        {"dataset": {"mz_range": ["a"], "peaks": None}, "annotation": {"ions": "many"}},
        {"parameters": {"resolving_power": 5, "fdr": "x", "isocalc_sigma": [1]}},
    ],
)
def test_list_search__of_manifests_that_say_less(tmp_path, parts):
    run = change_manifest(write_run(tmp_path, rows=2), **parts)
    assert {"Polarity", "Tolerance", "Databases"} <= {s.name for s in list_search(run)}
    assert save_report(tmp_path).exists()


COUNTS = {
    "targets": 7158,
    "targets_in_range": 7000,
    "targets_with_signal": 3000,
    "targets_with_score": 900,
    "target_mz_range": [60.1, 900.2],
    "best_fdr": 0.75,
}


@pytest.mark.parametrize(
    ("changed", "lost", "check"),
    [
        ({}, None, "targets score no better than decoys"),
        ({"targets_in_range": 3}, "range of the spectra", "outside the m/z"),
        ({"targets_with_signal": 0, "targets_with_score": 0}, "ppm", "Calibration"),
        ({"targets_with_score": 0}, "isotopes that agree", "Instrument and resolving"),
    ],
)
def test_list_steps__says_where_a_search_failed(tmp_path, changed, lost, check):
    run = change_manifest(
        write_run(tmp_path, rows=0),
        annotation=COUNTS | changed,
        parameters={"fdr": 0.5},
        dataset={"mz_range": [100.0, 1000.0]},
    )
    steps = list_steps(run)
    assert [step.n for step in steps] == [*(COUNTS | changed).values()][:4]
    found = [step.passed for step in steps if step.is_lost]
    assert len(found) == (lost is not None)
    assert lost is None or lost in found[0]
    assert check in list_checks(run)[0]


def test_page__of_a_search_that_found_nothing(tmp_path, open_page):
    out = write_run(tmp_path, rows=0)
    change_manifest(out, annotation=COUNTS, assumed=make_assumed())
    page = open_page(save_report(out), width=500, dark=True)
    assert "7,158" in page.locator(".steps").inner_text()
    assert "positive was assumed" in page.locator(".checks").inner_text()
    assert list_faults(page) == []
    assert not is_wider(page)


def test_list_facts__in_words():
    record = {
        "annotation": {"at_fdr": {"5": 245, "10": 300}, "ions": 54755},
        "dataset": {"dropped": {"n_nan": 2, "n_zero": 1}},
    }
    assert list_facts(record, ("annotation", "dataset"), WORDS) == {
        "Annotation": [
            ("annotations by FDR", "at 5 % FDR: 245, at 10 % FDR: 300"),
            ("ions looked for", "54,755"),
        ],
        "Dataset": [
            ("left out", "peaks without a number: 2, intensities of 0: 1"),
        ],
    }
