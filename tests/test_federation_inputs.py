"""``mdr-epistasis federate`` on encrypted files and data sets of a catalogue."""

import json
import subprocess
from pathlib import Path

import pytest

from conftest import require
from federations import GOLDEN
from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.lookup import get, list_events
from hpc_connector.commands.main import main as operate
from hpc_connector.confidential.evidence.measurement import measure
from hpc_connector.confidential.files import encrypt_file
from hpc_connector.confidential.keys import (
    load_recipients,
    save_new_keys,
    save_new_signer,
)
from hpc_connector.errors import BadInput
from hpc_connector.federation.joining import read_datasets
from hpc_connector.federation.study import read_study
from hpc_connector.options import list_options
from hpc_connector.storage.objects import get_object
from hub_programs import Parties, kill_at
from keepers import CLUSTER, JOB, NODE, make_grant, run_with_cohort
from keepers import GOLDEN as SEALED
from mdr_epistasis.federated.inputs import (
    check_ranks_keys,
    describe_access,
    take_inputs,
)
from mdr_epistasis.federated.options import (
    OF_RUNS,
    OF_SITES,
    FederateOptions,
    make_run_options,
    place,
)
from mdr_epistasis.options import Options
from programs import PATIENCE_S
from test_federation_program import make_study, read_table

SITES = ("site1", "site2", "site3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return three sites, each with a key, encrypted files and a catalogue of its own.

    What was there plain is gone; a folder ``plain`` has the results of before.
    """
    folder = tmp_path_factory.mktemp("sites")
    study = make_study(folder, "three_sites_dealt")
    words = ("--genotypes", folder / "{site}.bed")
    assert federate(study, folder / "plain", *words).returncode == 0
    for site in SITES:
        _, public = save_new_keys(folder / site)
        readers = load_recipients([public])
        for ending in ("bed", "bim", "fam"):
            plain = folder / f"{site}.{ending}"
            encrypt_file(plain, folder / f"{plain.name}.c4gh", readers, None)
            if ending != "bim" or site != "site1":  # which is the list of the study
                plain.unlink()
        with open_catalog(folder / f"{site}.sqlite", is_new=True) as catalog:
            about = About(title=f"Cohort of {site}", least_level=0, purposes=("care",))
            add(catalog, "cohort", [str(folder / f"{site}.bed.c4gh")], about)
    return folder


def federate(study, out, *words):
    """Run a search on three ranks; return how it ended."""
    command = [require("mpirun"), "-n", "3", "mdr-epistasis", "federate", study]
    command = [*command, *words, "--out", out, "--quiet"]
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S
    )


def name_sealed(folder):
    """Return the words by which each site has its encrypted files opened."""
    sealed, key = folder / "{site}.bed.c4gh", folder / "{site}.sec"
    return ("--genotypes", sealed, "--key", key)


def name_sets(folder):
    """Return the words by which each site has its data set opened."""
    place, key = folder / "{site}.sqlite", folder / "{site}.sec"
    words = ("--genotypes", "catalog:cohort", "--catalog", place, "--key", key)
    return (*words, "--purpose", "care")


def test_federate__of_encrypted_files_is_that_of_the_plain_ones(folder, tmp_path):
    done = federate(folder / "STUDY.toml", tmp_path / "out", *name_sealed(folder))
    assert done.returncode == 0, done.stderr
    for name in ("models.tsv", "results.h5"):
        found = (tmp_path / "out" / name).read_bytes()
        assert found == (folder / "plain" / name).read_bytes()
    record = json.loads((tmp_path / "out/manifest.json").read_text())
    sites = record["federation"]["sites"]
    assert [one["confidential"]["evidence"] for one in sites] == [0, 0, 0]


def test_federate__refuses_the_key_of_another_site(folder, tmp_path):
    words = ("--genotypes", folder / "{site}.bed.c4gh", "--key", folder / "site1.sec")
    done = federate(folder / "STUDY.toml", tmp_path / "out", *words)
    assert done.returncode == 2
    assert "no packet for this key" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_federate__of_data_sets_is_told_in_manifest_and_crate(folder, tmp_path):
    out = tmp_path / "out"
    done = federate(folder / "STUDY.toml", out, *name_sets(folder))
    assert done.returncode == 0, done.stderr
    found = (out / "models.tsv").read_bytes()
    assert found == (folder / "plain/models.tsv").read_bytes()
    part = json.loads((out / "manifest.json").read_text())["federation"]
    for site, told in zip(SITES, part["sites"], strict=True):
        with open_catalog(folder / f"{site}.sqlite") as catalog:
            want = get(catalog, "cohort").fingerprint
        one = {"id": "cohort", "version": 1, "fingerprint": want}
        assert part["datasets"][site] == [one]
        assert any(want in said for said in told["let_out"])
    words = ["catalog", "export", "--ro-crate", tmp_path / "crate", "--run", out]
    assert operate([*map(str, words)]) == 0
    text = (tmp_path / "crate/ro-crate-metadata.json").read_text()
    assert "urn:hpc-connector:dataset:cohort:1" in text
    assert str(folder) not in text


def test_federate__denied_at_one_site_is_a_line_and_an_event(folder, tmp_path):
    with open_catalog(folder / "site2.sqlite") as catalog:
        about = About(until="2020-01-01", contact="who@x.org")
        add(catalog, "cohort", [str(folder / "site2.bed.c4gh")], about)
    done = federate(folder / "STUDY.toml", tmp_path / "out", *name_sets(folder))
    with open_catalog(folder / "site2.sqlite") as catalog:
        events = [event.what["do"] for event, _, _ in list_events(catalog, "cohort")]
        about = About(until="2099-01-01")
        add(catalog, "cohort", [str(folder / "site2.bed.c4gh")], about)
    assert done.returncode == 2
    said = "mdr-epistasis: cohort@1: its use has ended on 2020-01-01; ask who@x.org\n"
    assert done.stderr.count(said) == 1
    assert "Traceback" not in done.stderr
    assert events[-1] == "deny"
    assert not (tmp_path / "out").exists()


def test_federate__encrypts_what_is_let_out(folder, tmp_path, capsys):
    sec, pub = save_new_keys(tmp_path / "lab")
    out = tmp_path / "out"
    words = (*name_sealed(folder), "--encrypt-to", pub)
    done = federate(folder / "STUDY.toml", out, *words)
    assert done.returncode == 0, done.stderr
    shown = json.loads((out / "manifest.json").read_text())
    assert "federation" not in shown
    assert {f"{name}.c4gh" for name in ("models.tsv", "results.h5")} <= {
        *shown["outputs"]
    }
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["manifest.json", "manifest.json.c4gh", *shown["outputs"]]
    )
    words = ["decrypt", out / "models.tsv.c4gh", "--key", sec, "--out", out / "m.tsv"]
    assert operate([*map(str, words)]) == 0
    assert (out / "m.tsv").read_bytes() == (folder / "plain/models.tsv").read_bytes()
    best = read_table(folder / "plain/models.tsv")["variant_1"][0]
    assert best not in done.stdout + done.stderr


# With a hub: each site by itself

PHRASE = ["bash", "-c", 'exec mdr-epistasis "$@" 3<"$0"']


@pytest.fixture
def parties(tmp_path):
    """Give a hub and three sites: encrypted for a key, of a catalogue, and plain."""
    found = Parties(tmp_path)
    for site, phrase in (("site1", b"phrase"), ("site2", b"")):
        own = found.folder / site
        _, public = save_new_keys(own / "reader", phrase)
        for path in [own / f"{site}.{ending}" for ending in ("bed", "bim", "fam")]:
            target = own / f"{path.name}.c4gh"
            encrypt_file(path, target, load_recipients([public]), None)
            if path.name != "site1.bim":  # which is the list of the study
                path.unlink()
    (found.folder / "phrase").write_text("phrase\n")
    with open_catalog(found.folder / "c.sqlite", is_new=True) as catalog:
        about = About(title="T", least_level=0, purposes=("care",))
        add(catalog, "cohort", [str(found.folder / "site2/site2.bed.c4gh")], about)
    yield found
    found.end()


def start_sealed(parties, *words, program=None):
    """Start site 2, of a data set."""
    own = parties.folder / "site2"
    named = ["--genotypes", "catalog:cohort", "--catalog", parties.folder / "c.sqlite"]
    named += ["--purpose", "care", "--key", own / "reader.sec"]
    return parties.start("site2", *map(str, [*named, *words]), program=program)


def test_federate__of_a_hub_goes_on_with_what_is_sealed(folder, parties):
    own = parties.folder / "site1"
    sealed = ["--genotypes", own / "site1.bed.c4gh", "--key", own / "reader.sec"]
    words = map(str, [*sealed, "--passphrase-fd", "3"])
    parties.start("hub")
    parties.start("site1", *words, program=[*PHRASE, str(parties.folder / "phrase")])
    sec, pub = save_new_keys(parties.folder / "lab")
    parties.start("site3", "--encrypt-to", str(pub))
    start_sealed(parties, program=kill_at("site2", "add", 3))
    assert parties.wait("site2") == {"site2": -9}
    start_sealed(parties, "--resume")
    assert set(parties.wait().values()) == {0}, parties.say("site2")
    out = parties.get_out("site3")
    for name in ("models.tsv", "manifest.json"):
        words = ["decrypt", out / f"{name}.c4gh", "--key", sec]
        words += ["--out", out.parent / name]
        assert operate([*map(str, words)]) == 0
    folders = [parties.get_out("site1"), parties.get_out("site2"), out.parent]
    expected = (folder / "plain/models.tsv").read_bytes()
    assert [(one / "models.tsv").read_bytes() for one in folders] == [expected] * 3
    known = [json.loads((one / "manifest.json").read_text()) for one in folders]
    for record in known:  # all know of which data set a site is
        (one,) = record["federation"]["datasets"]["site2"]
        assert (one["id"], one["version"]) == ("cohort", 1)
        assert "site1" not in record["federation"]["datasets"]
    named = [[one.get("dataset") for one in record["inputs"]] for record in known]
    assert named == [[None] * 5, [None, None, one, one, one], [None] * 5]
    page = (parties.get_out("site2") / "report.html").read_text()
    assert f"that its data set is cohort@1, of fingerprint {one['fingerprint']}" in page


def test_federate__of_a_hub_refuses_a_study_before_it_is_called(parties):
    with open_catalog(parties.folder / "c.sqlite") as catalog:
        sealed = str(parties.folder / "site2/site2.bed.c4gh")
        add(catalog, "cohort", [sealed], About(least_cell=20))
    start_sealed(parties)  # no hub is there
    assert parties.wait("site2") == {"site2": 2}
    (said,) = [line for line in parties.say("site2") if "policy" in line]
    assert "expected release.least_cell = 20 or more" in said
    assert not parties.get_out("site2").exists()


# A site's own part


def take(folder, *, rules="", **told):
    """Return the options of the second site, as its own process takes them."""
    path = folder / "STUDY.toml"
    if rules:
        path = folder / "OTHER.toml"
        path.write_text((folder / "STUDY.toml").read_text() + rules)
    study = read_study(path)
    asked = FederateOptions(study=path, **told)
    defaults = {name: one.default for name, one in list_options(Options).items()}
    given = {name: defaults[name] for name in (*OF_SITES, *OF_RUNS)}
    given["out"] = folder / "never"
    return take_inputs(
        asked, make_run_options(asked, study, given, []), study, "site2", 1
    )


@pytest.mark.parametrize(
    ("policy", "rules", "said"),
    [
        (
            {"least_cell": 20},
            "",
            "site site2: asked@1: its policy lets out counts of 20 individuals or "
            "more, study golden of 10: expected release.least_cell = 20 or more",
        ),
        ({"least_cell": 20}, "[release]\nleast_cell = 20\n", ""),
        ({"top_most": 50}, "", "50 models at most, study golden 1,000: expected"),
        ({"top_most": 1000}, "", ""),
    ],
)
def test_take_inputs__holds_a_study_to_the_policy(
    folder, tmp_path, policy, rules, said
):
    place = tmp_path / "c.sqlite"
    with open_catalog(place, is_new=True) as catalog:
        about = About(title="T", least_level=0, **policy)
        files = [str(folder / "site2.bed.c4gh")]
        add(catalog, "asked", files, about, checksum=False)
    told = {"genotypes": ("catalog:asked",), "catalog": str(place)}
    told["key"] = str(folder / "{site}.sec")
    if said:
        with pytest.raises(BadInput, match=said):
            take(folder, rules=rules, **told)
        return
    own = take(folder, rules=rules, **told)
    assert own.genotypes == (str(folder / "site2.bed.c4gh"),)
    assert own.key == str(folder / "site2.sec")


def test_take_inputs__wants_the_seal_of_who_is_trusted(folder, tmp_path):
    trusted = save_new_signer(tmp_path / "lab")[1]
    told = {"key": str(folder / "{site}.sec"), "trust": (trusted,)}
    plain = GOLDEN / "three_sites_dealt/site2.bed"
    with pytest.raises(BadInput, match="which nobody has sealed"):
        take(folder, genotypes=(str(plain),), **told)


def test_take_inputs__opened_by_a_keeper_in_a_job(folder, tmp_path, monkeypatch):
    told = {"SLURM_JOB_ID": JOB, "SLURM_CLUSTER_NAME": CLUSTER, "SLURMD_NODENAME": NODE}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    (tmp_path / "keeper").mkdir()
    with run_with_cohort(tmp_path / "keeper", [measure()]) as keeper:
        monkeypatch.setenv("SSL_CERT_FILE", str(keeper.folder / "keeper.pem"))
        asked = {"key": f"keeper:{keeper.url}", "grant": make_grant(keeper)}
        sealed = SEALED / "cohort.bed.c4gh"
        own = take(folder, genotypes=(str(sealed),), **asked)
        assert describe_access(own)["confidential"]["evidence"] == 1
        assert get_object(str(sealed))[1].size == (SEALED / "cohort.bed").stat().st_size


def test_place__of_paths_and_descriptors():
    found = place((Path("/k/{site}.pem"), "fd:1{rank}"), "north", 2)
    assert found == (Path("/k/north.pem"), "fd:12")


def test_federate__refuses_one_open_file_for_all_ranks(folder, tmp_path):
    words = ("--genotypes", folder / "{site}.bed.c4gh", "--key", "fd:3")
    done = federate(folder / "STUDY.toml", tmp_path / "out", *words)
    assert done.returncode == 2
    assert "--key fd:: one open file is not for several ranks" in done.stderr
    study = folder / "STUDY.toml"
    with pytest.raises(BadInput, match="--passphrase-fd: one open file"):
        check_ranks_keys(FederateOptions(study=study, key="x.sec", passphrase_fd=3))
    check_ranks_keys(FederateOptions(study=study, key="fd:1{rank}"))


# What others are told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "../x"),
        ("id", 3),
        ("version", "1"),
        ("version", -1),
        ("fingerprint", "<b>"),
        ("fingerprint", None),
    ],
)
def test_read_datasets__takes_no_more_than_they_are(name, value):
    one = {"id": "cohort", "version": 1, "fingerprint": "ab" * 32}
    assert read_datasets({"site": "x", "datasets": [one]}) == [one]
    with pytest.raises(BadInput, match="site x: what it says of its data sets"):
        read_datasets({"site": "x", "datasets": [one | {name: value}]})
    with pytest.raises(BadInput, match="site x"):
        read_datasets({"site": "x", "datasets": [{}]})
    with pytest.raises(BadInput, match="site x"):
        read_datasets({"site": "x", "datasets": 7})
