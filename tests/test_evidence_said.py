"""Runs say what was proved before they were given a key: log, manifest, page."""

import html
import json
import logging
import shutil
from pathlib import Path

import pytest

from hpc_connector.confidential.evidence.levels import describe_level
from hpc_connector.report.facts import list_facts
from mdr_epistasis.program import main
from mdr_epistasis.report import page as mdr_page
from metabolite_annotation.report import page as annotation_page

GOLDEN = Path(__file__).parent / "data" / "confidential"
ALONE = describe_level(0, from_file=True)


@pytest.fixture
def key(tmp_path):
    """Return the key of a reader, for its owner alone."""
    path = tmp_path / "me.sec"
    shutil.copy(GOLDEN / "keys" / "reader.sec", path)
    path.chmod(0o600)
    return path


def test_run__says_that_a_key_from_a_file_proves_nothing(key, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    out = tmp_path / "out"
    words = ["run", str(GOLDEN / "cohort.bed.c4gh"), "--key", str(key)]
    assert main([*words, "--folds", "1", "--out", str(out)]) == 0
    assert caplog.messages.count(ALONE) == 1
    said = json.loads((out / "manifest.json").read_text())["confidential"]
    assert (said["evidence"], said["proved"]) == (0, ALONE)
    assert ALONE in html.unescape((out / "report.html").read_text())


def test_run__says_nothing_of_plain_inputs(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    words = ["run", str(GOLDEN / "cohort.bed"), "--folds", "1"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "Evidence level" not in caplog.text
    assert "Evidence level" not in (tmp_path / "out" / "report.html").read_text()
    assert "confidential" not in json.loads(
        (tmp_path / "out" / "manifest.json").read_text()
    )


@pytest.mark.parametrize("page", [mdr_page, annotation_page])
def test_pages__show_what_was_proved(page):
    record = {"confidential": {"evidence": 1, "proved": describe_level(1)}}
    facts = list_facts(record, page.PARTS)["Confidential"]
    assert ("proved", describe_level(1)) in facts
