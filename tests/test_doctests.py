"""The examples of docstrings, each of which is run as it stands."""

import doctest
import shutil
from importlib import import_module

import pytest

from wheel import ROOT

ROOTS = {"hpc_connector": ROOT, "apps": ROOT / "apps"}
ELSEWHERE = {"metabolite_annotation.api", "metabolite_annotation.result"}  # their tests


def list_modules():
    """Return the names of all modules with an example."""
    found = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for folder, root in ROOTS.items()
        for path in (ROOT / folder).rglob("*.py")
        if ">>> " in path.read_text()
    }
    return sorted(found - ELSEWHERE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a cohort under the names that examples have."""
    place = tmp_path_factory.mktemp("examples")
    data = ROOT / "tests/data"
    for path in (data / "bitepi_plink_100snps_2000").glob("bfile.*"):
        shutil.copy(path, place / f"cohort{path.suffix}")
    hipster = data / "hipster_1000genomes_vcf/Hipster.vcf.bgz"
    shutil.copy(hipster, place / "chr22.vcf.gz")
    return place


@pytest.mark.parametrize("module", list_modules())
def test_docstrings__say_what_is_true(module, folder, monkeypatch):
    monkeypatch.chdir(folder)
    failed, tried = doctest.testmod(import_module(module.removesuffix(".__init__")))
    assert tried > 0
    assert failed == 0
