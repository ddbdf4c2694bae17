"""A hub and sites as programs over TLS: the models of all, whoever is killed."""

import json
from functools import cache

import pytest

from hpc_connector.commands.main import main as operate
from hpc_connector.federation.study import HUB
from hub_programs import OUTPUTS, Parties, kill_at
from mdr_epistasis.program import main
from programs import wait_for
from test_federation_program import GOLDEN, SETS, federate, make_study, read_table

SET = "three_sites_dealt"


@pytest.fixture
def parties(tmp_path):
    made = Parties(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def by_ranks(tmp_path_factory):
    """Return a function that gives the results of a golden set over MPI, as bytes."""

    @cache
    def search(name, settings="", release=None):
        folder = tmp_path_factory.mktemp(name)
        study = make_study(folder, name, settings, release)
        done = federate(study, folder / "out", SETS[name][0])
        assert done.returncode == 0, done.stderr
        return [(folder / "out" / output).read_bytes() for output in OUTPUTS]

    return search


def read_record(parties, site):
    """Return what the manifest of a site says of the search over sites."""
    record = json.loads((parties.get_out(site) / "manifest.json").read_text())
    assert record["status"] == "done"
    return record["federation"]


def check_ends(parties, wanted):
    """Wait until all parties have ended, with a result, and compare that."""
    codes = parties.wait()
    assert set(codes.values()) == {0}, [parties.say(one) for one in codes]
    assert parties.read_results() == wanted


@pytest.mark.parametrize("name", SETS)
def test_federate__with_a_hub_finds_what_ranks_and_the_pooled_run_find(
    by_ranks, tmp_path, name
):
    parties = Parties(tmp_path, name)
    try:
        parties.start_all()
        check_ends(parties, by_ranks(name))
    finally:
        parties.end()
    out = parties.get_out("site2")
    want = read_table(GOLDEN / name / "pooled_models.tsv")
    shown = read_table(out / "models.tsv")
    for column in want:
        assert shown[column][: len(want["rank"])] == want[column], column
    record = read_record(parties, "site2")
    assert [site["name"] for site in record["sites"]] == ["site2"]
    assert record["queries"] == {"used": 1, "most": 1}
    page = (out / "report.html").read_text()
    assert "site site2, whose page this is; the hub, which scores, sees" in page
    assert "masked, " in page
    assert not (out / "ledger").exists()
    for party in (HUB, *parties.sites):
        assert (
            operate(["federate", "log", str(parties.folder / party / "records")]) == 0
        )


@pytest.mark.parametrize(
    ("party", "name", "number"),
    [("site2", "add", 4), (HUB, "tell", 4)],  # others: test_federation_kills
)
def test_federate__goes_on_where_a_party_was_killed(
    parties, by_ranks, party, name, number
):
    for one in (HUB, *parties.sites):
        program = kill_at(party, name, number) if one == party else None
        parties.start(one, program=program)
    assert parties.wait(party) == {party: -9}
    parties.start(party, *([] if party == HUB else ["--resume"]))
    check_ends(parties, by_ranks(SET))
    sent = {read_record(parties, site)["sites"][0]["bytes"] for site in parties.sites}
    assert len(sent) == 1  # as much as without an interruption


def test_federate__where_sites_see_sums_finds_what_ranks_find(by_ranks, tmp_path):
    settings = 'scorer = "sites"\ntop = 30\ncvc = "none"\nmissing = "level"'
    release = '[release]\ncolumns = "tables"\n'
    parties = Parties(tmp_path, SET, settings, release)
    try:
        parties.start_all()
        check_ends(parties, by_ranks(SET, settings, release))
    finally:
        parties.end()
    tables = [parties.get_out(site) / "tables.tsv" for site in parties.sites]
    assert len({path.read_text() for path in tables}) == 1


def test_federate__refuses_to_go_on_with_another_cohort(parties):
    for one in (HUB, *parties.sites):
        program = kill_at("site2", "add", 3) if one == "site2" else None
        parties.start(one, program=program)
    parties.wait("site2")
    fam = parties.folder / "site2" / "site2.fam"
    before = fam.read_text()
    rows = before.splitlines()
    rows[7] = rows[7][:-1] + ("1" if rows[7][-1] == "2" else "2")
    fam.write_text("\n".join(rows) + "\n")
    parties.start("site2", "--resume")
    assert parties.wait("site2") == {"site2": 2}
    assert "cannot be resumed" in parties.say("site2")[-1]
    fam.write_text(before)
    parties.start("site2", "--resume")
    assert set(parties.wait().values()) == {0}


def test_federate__begins_anew_after_an_attempt_without_a_site(parties, by_ranks):
    parties.patience = "15"
    parties.start(HUB)
    parties.patience = "120"
    for one in parties.sites:
        program = kill_at(one, "add", 1) if one == "site3" else None
        parties.start(one, program=program)
    assert parties.wait() == {HUB: 75, "site1": 75, "site2": 75, "site3": -9}
    assert "site site3: silent for 15 s" in parties.say("site1")[-1]
    parties.start(HUB)
    for one in parties.sites:  # of which one does not know that it is over
        parties.start(one, "--resume")
    check_ends(parties, by_ranks(SET))
    assert any("begins anew" in line for line in parties.say("site3"))


def test_federate__tells_a_hub_that_was_away_of_the_result(parties, by_ranks):
    parties.start(HUB, program=kill_at(HUB, "leave", 1))
    wait_for(parties.is_open)
    parties.patience = "3"
    for one in parties.sites:
        parties.start(one)
    codes = parties.wait()
    assert codes.pop(HUB) == -9
    assert set(codes.values()) <= {0, 75}
    assert any("--resume tells it" in parties.say(site)[-1] for site in codes)
    parties.patience = "120"
    parties.start(HUB)
    for site in parties.sites:  # as if one was killed before it had written its page
        (parties.get_out(site) / "report.html").unlink(missing_ok=True)
        parties.start(site, "--resume")
    check_ends(parties, by_ranks(SET))
    assert all((parties.get_out(site) / "report.html").exists() for site in codes)
    assert not any((parties.get_out(site) / "ledger").exists() for site in codes)


def test_federate__ends_all_where_a_site_is_refused(parties):
    parties.start_all()
    assert set(parties.wait().values()) == {0}
    parties.clear("out", "state", "stderr")  # and keep budgets
    bed = parties.folder / "site2" / "site2.bed"
    data = bytearray(bed.read_bytes())
    data[10] ^= 0b1100  # another genotype: whom the budget tells of after all have met
    bed.write_bytes(data)
    parties.start_all()
    assert parties.wait() == dict.fromkeys((HUB, *parties.sites), 2)
    assert "not that of the last query" in parties.say("site2")[-1]
    for name in (HUB, "site1", "site3"):
        assert "site site2 has left" in parties.say(name)[-1]
        assert "query" not in parties.say(name)[-1]
    assert not parties.get_out("site2").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "east"], "expected a site of"),
        (["--site", "site1", "--tls-key", "none.key"], "none.key is not there"),
        (["--site", "site1", "--mask-key", "none.sec"], "none.sec"),
        (["--resume"], "--resume is of one site of a hub"),
        ([], "--site NAME, to search by its hub, or mpirun -n 3"),
    ],
)
def test_federate__says_what_a_site_of_a_hub_lacks(
    parties, capsys, monkeypatch, words, said
):
    folder = parties.folder / "site1"
    monkeypatch.chdir(folder)
    command = ["federate", "STUDY.toml", "--genotypes", "site1.bed", "--out", "out"]
    assert main([*command, *words]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_federate__says_that_a_study_has_no_hub(tmp_path, capsys):
    study = make_study(tmp_path / "set", "three_sites_dealt")
    words = ["--genotypes", "x.bed", "--out", str(tmp_path / "out")]
    assert main(["federate", str(study), "--site", "site1", *words]) == 2
    assert "has no [hub]" in capsys.readouterr().err


def test_hub__has_patience_for_two_signs_of_life(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        operate(["federate", "hub", str(tmp_path / "S.toml"), "--patience", "9s"])
    said = "argument --patience: 9s: expected 10 s or more: a site that counts shows"
    assert said in capsys.readouterr().err
