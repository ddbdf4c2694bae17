"""Pictures of report.html that ranks pack from memory: those that files give."""

import json
import subprocess
import sys

import pytest

from imzml import plant_lipids
from metabolite_annotation.report import images
from metabolite_annotation.report.page import make_page, save_report
from metabolite_annotation.report.run_file import read_annotation_run
from programs import PATIENCE_S

CODE = """
import sys
from metabolite_annotation.program import main
from metabolite_annotation.report import images

images.MOST_IONS, images.MOST_VALUES = {}
sys.exit(main(sys.argv[1:]))
"""
LIMITS = [(1000, 12_000_000), (3, 300)]  # all ions; the best, and coarse


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Return the command of a small run with several annotations."""
    folder = tmp_path_factory.mktemp("data")
    imzml, database = plant_lipids(folder)
    given = ["--database", database, "--pattern-cache", folder / "cache", "--fdr", "1"]
    return list(map(str, ["run", imzml, *given, "--quiet", "--out"]))


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("launch", [[], ["mpirun", "-n", "2"]])
def test_run__its_page_is_that_of_its_files(
    command, launch, limits, tmp_path, monkeypatch
):
    own = [sys.executable, "-c", CODE.format(limits), *command, str(tmp_path / "out")]
    subprocess.run([*launch, *own], check=True, timeout=PATIENCE_S)
    page = (tmp_path / "out/report.html").read_bytes()
    monkeypatch.setattr(images, "MOST_IONS", limits[0])
    monkeypatch.setattr(images, "MOST_VALUES", limits[1])
    run = read_annotation_run(tmp_path / "out")
    n_ions = len(set(run.rows["image"].tolist()))
    assert n_ions > 3
    n_shown = n_ions if limits[0] > n_ions else 3
    assert page.count(b' id="image-') == n_shown
    assert json.loads((tmp_path / "out/manifest.json").read_text())["status"] == "done"
    assert save_report(tmp_path / "out").read_bytes() == page


def test_make_page__takes_the_pictures_that_are_given(command, tmp_path, monkeypatch):
    out = tmp_path / "out"
    code = [sys.executable, "-c", CODE.format(LIMITS[0]), *command, str(out)]
    subprocess.run(code, check=True, timeout=PATIENCE_S)
    run = read_annotation_run(out)
    x, y = run.pixels["x"], run.pixels["y"]
    size = run.width, run.height
    chosen = images.choose_pictures(run.rows["image"], x, y, size)
    pictures = dict(images.pack_ions(run, chosen))
    last = chosen.ions[-1]
    pictures[last] = pictures[last]._replace(text="c29tZXRoaW5nIGVsc2U=")
    monkeypatch.delattr("metabolite_annotation.report.page.pack_ions")
    assert "c29tZXRoaW5nIGVsc2U=" in make_page(run, pictures=pictures)
