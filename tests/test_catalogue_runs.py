"""Runs on data sets of a catalogue, their crates, and data sets of their results."""

import getpass
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

from hpc_connector.catalogue import inputs
from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.lookup import get, list_events
from hpc_connector.commands.main import main
from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.confidential.keys import load_recipients, save_new_keys
from hpc_connector.crypt4gh.whole import encrypt
from imzml import plant_lipids
from mdr_epistasis.program import main as search

COHORT = Path(__file__).parent / "data" / "bitepi_plink_100snps_2000" / "bfile.bed"
ROLE = "realm_access.roles=nd-role"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a cohort, its catalogue, and a run of it by its path."""
    folder = tmp_path_factory.mktemp("catalogue")
    for path in COHORT.parent.glob("bfile.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    with open_catalog(folder / "c.sqlite", is_new=True) as catalog:
        add(catalog, "cohort-1", [str(folder / "bfile.bed")], About(title="T"))
    words = ["run", folder / "bfile.bed", "--out", folder / "plain", "--quiet"]
    assert search([*map(str, words)]) == 0
    return folder


def run(folder, name, *words):
    words = ["run", name, "--catalog", folder / "c.sqlite", "--quiet", *words]
    return search([*map(str, words)])


def describe(folder, name, about, **more):
    with open_catalog(folder / "c.sqlite") as catalog:
        add(catalog, name, [str(folder / "bfile.bed")], about, **more)


def test_run__of_a_data_set_is_that_of_its_files(folder, tmp_path):
    out = tmp_path / "out"
    assert run(folder, "catalog:cohort-1", "--out", out) == 0
    assert (out / "models.tsv").read_bytes() == (
        folder / "plain" / "models.tsv"
    ).read_bytes()
    with open_catalog(folder / "c.sqlite") as catalog:
        one = get(catalog, "cohort-1")
    told = {"id": "cohort-1", "version": 1, "fingerprint": one.fingerprint}
    record = json.loads((out / "manifest.json").read_text())
    assert [each["dataset"] for each in record["inputs"]] == [told] * 3
    assert "catalog:cohort-1" in record["command"]


@pytest.mark.parametrize(
    ("about", "words", "said"),
    [
        (About(purposes=("care",)), (), "expected --purpose, one of care; ask me"),
        (About(purposes=("care",)), ("--purpose", "x"), "one of care; ask me"),
        (About(until="2020-01-01"), (), "has ended on 2020-01-01; ask me"),
        (About(roles=(ROLE,)), (), "expected a login: hpc-connector keys login"),
        (About(access="non-public"), (), "expected a login"),
    ],
)
def test_run__denied_is_a_line_and_an_event(
    folder, tmp_path, capsys, monkeypatch, about, words, said
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    name = f"denied-{tmp_path.name[-2:].strip('_')}"
    more = {"title": "T", "contact": "me"}
    describe(folder, name, About(**{**vars(about), **more}), checksum=False)
    code = run(folder, f"catalog:{name}", "--out", tmp_path / "out", *words)
    err = capsys.readouterr().err
    assert (code, err.count("\n"), said in err) == (2, 1, True)
    assert not (tmp_path / "out").exists()
    with open_catalog(folder / "c.sqlite") as catalog:
        events = [event.what["do"] for event, _, _ in list_events(catalog, name)]
    assert events[-1] == "deny"


def test_run__of_who_has_the_role_and_names_a_purpose(folder, tmp_path, monkeypatch):
    roles = {"realm_access": {"roles": ["nd-role"]}}
    monkeypatch.setattr(inputs, "load_user", lambda: Claims("me", "", 0, roles))
    about = About(title="T", roles=(ROLE,), purposes=("care",), until="2099-01-01")
    describe(folder, "with-role", about, checksum=False)
    words = ("--out", tmp_path / "out", "--purpose", "care")
    assert run(folder, "catalog:with-role@1", *words) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("catalog:gone", "gone is not in"),
        ("catalog:cohort-1@7", "cohort-1@7 is not in"),
        ("catalog:UPPER", "expected ID or ID@VERSION"),
    ],
)
def test_run__refuses_what_is_not_in_the_catalogue(
    folder, tmp_path, capsys, name, said
):
    assert run(folder, name, "--out", tmp_path / "out") == 2
    assert said in capsys.readouterr().err


def test_run__refuses_an_object_that_has_changed(folder, tmp_path, capsys):
    own = tmp_path / "own"
    own.mkdir()
    for path in folder.glob("bfile.*"):
        (own / path.name).write_bytes(path.read_bytes())
    with open_catalog(folder / "c.sqlite") as catalog:
        add(catalog, "own", [str(own / "bfile.bed")], About(title="T"))
    with open(own / "bfile.fam", "a") as stream:
        stream.write("\n")
    assert run(folder, "catalog:own", "--out", tmp_path / "out") == 2
    assert "catalog verify says what has changed" in capsys.readouterr().err


def test_run__of_encrypted_objects_asks_for_evidence(folder, tmp_path, capsys):
    own = tmp_path / "own"
    own.mkdir()
    sec, pub = save_new_keys(tmp_path / "me")
    (reader,) = load_recipients([pub])
    for path in folder.glob("bfile.*"):
        (own / f"{path.name}.c4gh").write_bytes(encrypt(path.read_bytes(), reader))
    place = f"{folder}/c.sqlite"
    words = ["catalog", "add", str(own / "bfile.bed.c4gh"), "--catalog", place]
    words += ["--id", "sealed", "--title", "T"]
    assert main(words) == 0  # nothing of it is opened
    capsys.readouterr()
    out = tmp_path / "out"
    assert run(folder, "catalog:sealed", "--out", out, "--key", sec) == 2
    assert "evidence of level 1, found 0" in capsys.readouterr().err
    assert main([*words, "--key", str(sec), "--least-level", "0"]) == 0
    with open_catalog(place) as catalog:
        one = get(catalog, "sealed")
    assert (one.version, one.facts["individuals"]) == (1, "2000")
    assert [each.role for each in one.objects] == [
        *("genotypes", "individuals", "variants")
    ]
    assert run(folder, "catalog:sealed", "--out", out, "--key", sec) == 0
    plain = (folder / "plain" / "models.tsv").read_bytes()
    assert (out / "models.tsv").read_bytes() == plain


def test_annotation__of_a_data_set_with_its_database(tmp_path, capsys):
    from metabolite_annotation.program import main as annotate

    imzml, database = plant_lipids(tmp_path)
    with open_catalog(tmp_path / "c.sqlite", is_new=True) as catalog:
        add(catalog, "tissue", [str(imzml)], About(title="T"))
        add(catalog, "lipids", [str(database)], About(title="L"))
    words = ["run", "--catalog", tmp_path / "c.sqlite", "--quiet"]
    named = [*words, "catalog:tissue", "--database", "catalog:lipids"]
    by_path = ["run", "--quiet", imzml, "--database", database]
    outs = tmp_path / "named", tmp_path / "plain"
    for command, out in zip((named, by_path), outs, strict=True):
        assert annotate([*map(str, command), "--out", str(out)]) == 0
    one, other = ((out / "annotations.tsv").read_bytes() for out in outs)
    assert one == other


# Crates


@pytest.fixture(scope="module")
def crate(folder, tmp_path_factory):
    """Return the folder of a crate of a run on a data set."""
    place = tmp_path_factory.mktemp("crate")
    assert run(folder, "catalog:cohort-1", "--out", place / "out") == 0
    words = ["catalog", "export", "--ro-crate", place / "crate", "--run", place / "out"]
    assert main([*map(str, words)]) == 0
    return place / "crate"


def test_export__of_a_run_is_read_back_by_rocrate(crate):
    from rocrate.rocrate import ROCrate

    found = ROCrate(crate)
    action = found.dereference("#run")
    assert action["instrument"]["name"] == "mdr-epistasis"
    assert [one["name"] for one in action["object"]] == ["cohort-1@1"]
    files = {one.id: one for one in action["result"]}
    assert files.keys() == {"models.tsv", "results.h5", "report.html"}
    for name, one in files.items():
        done = subprocess.run(["sha256sum", crate / name], capture_output=True)
        assert one["sha256"] == done.stdout.decode().split()[0]
        assert int(one["contentSize"]) == (crate / name).stat().st_size
    assert "agent" not in action.as_jsonld()


def test_export__of_a_run_names_no_user_host_or_folder(crate):
    text = (crate / "ro-crate-metadata.json").read_text()
    words = set(re.split(r"[^\w.-]+", text))
    assert "cohort-1" in words
    here = {getpass.getuser(), socket.gethostname(), *crate.parts[1:-1], "bfile.bed"}
    assert not words & here
    page = (crate / "report.html").read_text()
    assert "bfile.bed" in page
    for folder in (*crate.parents[:-1], *COHORT.parents[:-1]):
        assert str(folder) not in page


def test_hide_folders__leaves_the_last_part_of_names():
    crate = pytest.importorskip("hpc_connector.catalogue.graph.crate")
    record = {
        "command": "mdr-epistasis run '/home/me/a b/x.bed' --out data/out --top 5",
        "parameters": {"keep": ["/home/me/k&k.txt"], "top": 5, "labels": None},
        "inputs": [
            {"path": "/home/me/a b/x.bed"},
            {"path": "https://host/d/y.fam?v=1"},
        ],
    }
    names = crate.list_names(record, Path("/home/me/runs/1"))
    page = (
        "<p>run &#39;/home/me/a b/x.bed&#39; --out data/out</p><b>/home/me/k&amp;k.txt"
        "</b> https://host/d/y.fam?v=1 /home/me/a b/x.bim: no sex /home/me/runs/1/r.h5"
        " <img src='data:image/png;base64,AAdata/outAA/home/me/'>"
    )
    assert crate.hide_folders(page, names) == (
        "<p>run &#39;x.bed&#39; --out out</p><b>k&amp;k.txt"
        "</b> y.fam x.bim: no sex 1/r.h5"
        " <img src='data:image/png;base64,AAdata/outAA/home/me/'>"
    )


def test_add__of_a_run_keeps_where_its_results_come_from(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(folder, "catalog:cohort-1", "--out", out) == 0
    place = f"{folder}/c.sqlite"
    words = ["catalog", "add", "--from-run", str(out), "--id", "found", "--title", "T"]
    assert main([*words, "--catalog", place]) == 0
    with open_catalog(place) as catalog:
        one = get(catalog, "found")
    assert one.provenance.parents == ("cohort-1@1",)
    assert one.provenance.program == "mdr-epistasis"
    assert {each.role for each in one.objects} == {"result"}


def test_export__refuses_a_run_that_is_not_done(folder, tmp_path, capsys):
    (tmp_path / "manifest.json").write_text('{"format_version": 1, "status": "x"}')
    words = ["catalog", "export", "--run", str(tmp_path)]
    assert main([*words, "--ro-crate", str(tmp_path / "crate")]) == 2
    assert "is not done" in capsys.readouterr().err
    assert main([*words, "--dcat", str(tmp_path / "x.ttl")]) == 2


def test_run__refuses_an_object_changed_after_the_look(
    folder, tmp_path, capsys, monkeypatch
):
    own = tmp_path / "own"
    own.mkdir()
    for path in folder.glob("bfile.*"):
        (own / path.name).write_bytes(path.read_bytes())
    bed = own / "bfile.bed"
    with open_catalog(folder / "c.sqlite") as catalog:
        add(catalog, "raced", [str(bed)], About(title="T"))
    look = inputs.check_objects

    def change(one):
        look(one)
        data = bytearray(bed.read_bytes())
        data[100] ^= 1
        bed.write_bytes(data)

    monkeypatch.setattr(inputs, "check_objects", change)
    assert run(folder, "catalog:raced", "--out", tmp_path / "out") == 2
    assert "is not what was added to raced" in capsys.readouterr().err
