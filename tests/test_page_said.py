"""What a page, a summary and a command say of what was given after a run."""

import json
import subprocess
import sys

import pytest

from annotation_runs import write_run
from hpc_connector.manifest import read_manifest, save_manifest
from metabolite_annotation.program import main
from metabolite_annotation.report.failure import list_steps
from metabolite_annotation.report.page import save_report
from metabolite_annotation.report.run_file import read_annotation_run
from metabolite_annotation.report.search import list_search
from metabolite_annotation.result import load
from test_page_search import change_manifest

AREA = ("pixel size", "50 um", "the file gives an area", "--pixel-size")


def make_assumed(*entries):
    names = ("what", "taken", "because", "option")
    return [dict(zip(names, entry, strict=True)) for entry in entries]


def test_pixel_size__is_in_the_manifest_alone(tmp_path):
    out = write_run(tmp_path, rows=2)
    change_manifest(
        out,
        dataset={"pixel_size_um": [50.0, 50.0], "pixel_size_from": "the file"},
        assumed=make_assumed(AREA, ("polarity", "positive", "none is named", "")),
    )
    assert read_annotation_run(out).pixel_size_um == [50, 50]
    assert main(["report", str(out), "--pixel-size", "20,25"]) == 0
    record = read_manifest(out)
    assert record["dataset"]["pixel_size_um"] == [20, 25]
    assert [entry["what"] for entry in record["assumed"]] == ["polarity"]
    assert not (out / "page.json").exists()
    assert main(["report", str(out)]) == 0  # and it stays
    said = {one.name: one for one in list_search(read_annotation_run(out))}
    assert said["Pixel size"].text == "20 × 25 µm (by --pixel-size)"  # noqa: RUF001
    assert said["Pixel size"].caution == ""
    data = (out / "report.html").read_text().split('id="data">')[1].split("</script")[0]
    assert json.loads(data)["box"]["pixel_um"] == [20, 25]


@pytest.mark.parametrize("size", ["20", [20], [20, 0], [20, None], {"x": 20}])
def test_pixel_size__that_is_none_is_not_known(tmp_path, size):
    out = write_run(tmp_path, rows=1)
    change_manifest(out, dataset={"pixel_size_um": size})
    assert read_annotation_run(out).pixel_size_um is None


def test_options__are_not_broken_by_a_line(tmp_path):
    page = save_report(write_run(tmp_path, rows=0)).read_text()
    assert '<span class="option">--pixel-size</span> says it' in page
    assert '(<span class="option">--polarity</span>, ' in page


def test_failure__where_all_were_lost(tmp_path):
    out = write_run(tmp_path, rows=0)
    counts = {"targets": 100, "targets_in_range": 100, "targets_with_signal": 0}
    change_manifest(
        out, annotation=counts, search={"databases": {"db": {"formulas": 1}}}
    )
    assert any(step.is_lost for step in list_steps(read_annotation_run(out)))
    page = save_report(out).read_text()
    assert "here all were lost" in page
    assert "db (1 formula)" in page


def test_summary__names_all_files(tmp_path):
    out = write_run(tmp_path, rows=1)
    record = read_manifest(out) | {
        "annotation": {"annotations": 1, "at_fdr": {"10": 1}},
        "parameters": {},
        "outputs": ["annotations.tsv", "results.h5", "images", "report.html", "x.h5ad"],
    }
    del record["format_version"]
    save_manifest(out, record)
    said = load(out).format_summary().splitlines()[-1]
    assert said.endswith("/report.html, annotations.tsv, images/, results.h5, x.h5ad")


def test_export__on_a_full_disk_says_what_helps(tmp_path):
    out = write_run(tmp_path)
    given = {"adducts": ["+H", "+Na", "+K"], "chem_mods": [], "neutral_losses": []}
    normal = {"normalise": "none"}
    change_manifest(out, search=given, parameters=given | normal, outputs=[])
    command = [sys.executable, "-m", "metabolite_annotation", "export", str(out)]
    ended = subprocess.run(
        ["prlimit", "--fsize=9000", *command, "--export", "metaspace"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "disk full" in ended.stderr
    assert ended.stderr.strip().endswith("free some, then repeat the command")
