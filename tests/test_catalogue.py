"""A catalogue, in a file and in journals: what is added, found, granted, verified."""

import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalogue_writers
from hpc_connector.catalogue import catalog as module
from hpc_connector.catalogue import inputs
from hpc_connector.catalogue.catalog import find_place, open_catalog
from hpc_connector.catalogue.database import open_database
from hpc_connector.catalogue.exchange import save_events, take_events, take_records
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.lookup import (
    find,
    get,
    list_clashes,
    list_events,
    list_faults,
    list_versions,
)
from hpc_connector.catalogue.policy import find_denial
from hpc_connector.catalogue.records import (
    DataSet,
    Grant,
    Policy,
    Provenance,
    SliceIndex,
    StoredObject,
    from_json,
    to_json,
)
from hpc_connector.catalogue.search import search
from hpc_connector.catalogue.verify import verify
from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.site import Site
from hpc_connector.commands.main import main
from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.errors import BadInput
from hpc_connector.options import RunOptions

DATA = Path(__file__).parent / "data"
COHORT = DATA / "bitepi_plink_100snps_2000" / "bfile.bed"
ROLE = "realm_access.roles=nd-role"


@pytest.fixture(params=["catalog.sqlite", "journals/"])
def place(request, tmp_path, monkeypatch):
    """Return where a new catalogue is made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"{tmp_path}/{request.param}"


def run(capsys, place, *words):
    """Return the code, the output and the errors of a command on a catalogue."""
    code = main(["catalog", *map(str, words), "--catalog", place])
    out, err = capsys.readouterr()
    return code, out, err


def make_data_set(name="cohort", **more):
    one = StoredObject("genotypes", f"/data/{name}.bed", 3, "tag", "ab" * 32, "bed")
    return DataSet(name, f"Title of {name}", (one,), **more)


def put(catalog, one, base=""):
    told = {"do": "add", "id": one.id, "base": base, "dataset": to_json(one)}
    catalog.write(lambda: told)


def copy_cohort(folder):
    folder.mkdir(exist_ok=True)
    for path in COHORT.parent.glob("bfile.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / "bfile.bed"


def be(role="nd-role", subject="me"):
    return Claims(subject, "", 0.0, {"realm_access": {"roles": [role]}})


def test_add__finds_what_belongs_to_a_file_and_what_headers_say(place, capsys):
    words = ("add", COHORT, "--id", "cohort-1", "--title", "Simulated cases")
    assert run(capsys, place, *words)[0] == 0
    code, out, _ = run(capsys, place, "show", "cohort-1", "--json")
    found = json.loads(out)
    roles = [one["role"] for one in found["objects"]]
    assert (code, roles) == (0, ["genotypes", "individuals", "variants"])
    assert found["facts"] == {"individuals": "2000", "variants": "100"}
    done = subprocess.run(["sha256sum", COHORT], capture_output=True, text=True)
    assert found["objects"][0]["sha256"] == done.stdout.split()[0]


def test_add__of_mass_spectrometry_has_its_pixels(place, capsys):
    imzml = DATA / "imzml" / "Example_Processed.imzML"
    words = ("add", imzml, DATA / "databases", "--id", "tissue", "--title", "T")
    code, _, err = run(capsys, place, *words)
    assert (code, "databases" in err) == (2, True)  # a folder is no object
    words = ("add", imzml, "--id", "tissue", "--title", "T", "--json")
    found = json.loads(run(capsys, place, *words)[1])
    assert [one["role"] for one in found["objects"]] == ["metadata", "spectra"]
    assert found["facts"]["pixels"] == "9"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.bed"], "gone.bed: cannot be read"),
        (["https://host/a.bed?X-Amz-Signature=1f"], "keeps no secret"),
        (["https://host/a.bed?token=1f"], "keeps no secret"),
        ([str(COHORT), "--access", "public", "--role", "x"], "has a role"),
        ([], "expected files"),
    ],
)
def test_add__refused_adds_nothing(place, capsys, words, said):
    words = ["add", *words, "--id", "x", "--title", "T"]
    code, _, err = run(capsys, place, *words)
    assert (code, said in err, "1f" in err) == (2, True, False)
    assert run(capsys, place, "list") == (0, "", "")


def test_add__of_a_changed_object_is_a_new_version(place, capsys, tmp_path):
    bed = copy_cohort(tmp_path / "own")
    about = About(title="T", keywords=("a", "b"))
    with open_catalog(place, is_new=True) as catalog:
        first, _ = add(catalog, "c", [str(bed)], about)
        assert add(catalog, "c", [str(bed)]) == (first, False)
        assert (first.version, first.fingerprint) == (1, get(catalog, "c").fingerprint)
        data = bytearray(bed.read_bytes())
        data[100] ^= 1
        bed.write_bytes(data)
        second, is_written = add(catalog, "c", [str(bed)])
        assert (second.version, is_written) == (2, True)
        assert list_versions(catalog, "c") == [1, 2]
        assert get(catalog, "c@1") == first
        assert get(catalog, "c") == second
        assert (second.title, second.keywords) == ("T", ("a", "b"))
        assert list_clashes(catalog, "c") == []
        with pytest.raises(BadInput, match=r"c is taken by .*bfile\.bed"):
            add(catalog, "c", [str(DATA / "imzml" / "Example_Processed.imzML")])


def test_find__gives_records_back(place):
    index = SliceIndex("VCFGZip-1", "/i", 4, "tag", 3, "2026", 7, {"a": 1})
    one = make_data_set(
        version=3,
        description="ü",
        modified="2026-11-30T00:00:00.000Z",
        keywords=("b", "a"),
        facts={"pixels": "9"},
        policy=Policy((ROLE,), ("research",), "2030-01-01", 0, 5, (), "https://k", "c"),
        provenance=Provenance("ab", "p", "1", "m", ("c@1",), "7"),
    )
    one = replace(one, objects=(replace(one.objects[0], index=index),))
    assert from_json(json.loads(json.dumps(to_json(one))), "") == one
    with open_catalog(place, is_new=True) as catalog:
        put(catalog, one)
        assert find(catalog, "cohort", 3) == get(catalog, "cohort") == one
        assert find(catalog, "cohort", 2) is None
    with open_catalog(place) as catalog:
        assert get(catalog, "cohort@3") == one


def test_search__finds_words_and_never_takes_them_for_a_query(place):
    with open_catalog(place, is_new=True) as catalog:
        put(catalog, make_data_set("liver-1", keywords=("mouse",)))
        put(catalog, make_data_set("brain", description="of a mouse NEAR death"))
        assert {hit.id for hit in search(catalog, ["mouse"])} == {"liver-1", "brain"}
        assert [hit.id for hit in search(catalog, ["liver-1"])] == ["liver-1"]
        assert [hit.id for hit in search(catalog, ["near", "mouse*"])] == ["brain"]
        assert search(catalog, ["bed"], format="vcf") == []
        assert len(search(catalog, format=".BED")) == 2
        assert search(catalog, indexed=True) == []
        for words in (['a"b'], ["NEAR(a b)"], ["title:x"], ["x OR y"], ["^a"], ["-b"]):
            search(catalog, words)
        with pytest.raises(BadInput, match="letters or digits"):
            search(catalog, ["*", '"'])


@pytest.fixture(scope="module")
def memory():
    """Give a catalogue that is in memory alone."""
    place = Path(":memory:")
    with module.Catalog(place, open_database(place, is_new=True)) as catalog:
        yield catalog


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_search__takes_any_words(memory, words):
    if any(character.isalnum() for word in words for character in word):
        search(memory, words)
    else:
        with pytest.raises(BadInput, match="expected words"):
            search(memory, words)


def test_verify__notices_what_has_changed(place, capsys, tmp_path):
    bed = copy_cohort(tmp_path / "own")
    assert run(capsys, place, "add", bed, "--id", "c", "--title", "T")[0] == 0
    assert run(capsys, place, "verify", "--full")[0] == 0
    data = bytearray(bed.read_bytes())
    data[100] ^= 1
    bed.write_bytes(data)
    with open(bed.with_suffix(".fam"), "a") as stream:
        stream.write("x")
    bed.with_suffix(".bim").unlink()
    for words in ((), ("--full",)):
        code, out, _ = run(capsys, place, "verify", "c", *words, "--json")
        faults = {Path(f["url"]).suffix: f["said"] for f in json.loads(out)["faults"]}
        assert code == 2
        assert "has changed" in faults[".bed"] or "have changed" in faults[".bed"]
        assert "37,787 bytes, and had 37,786" in faults[".fam"]
        assert "gone" in faults[".bim"]


def test_verify__says_of_an_index_that_it_is_stale(place, capsys, tmp_path):
    for path in (DATA / "imzml").glob("Example_Continuous.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    imzml = tmp_path / "Example_Continuous.imzML"
    assert run(capsys, place, "add", imzml, "--id", "c", "--title", "T")[0] == 0
    assert run(capsys, place, "index", "c")[0] == 0
    assert "9 slices" in run(capsys, place, "show", "c")[1]
    assert "c@1" in run(capsys, place, "search", "--indexed")[1]
    assert run(capsys, place, "verify")[0] == 0
    imzml.write_bytes(imzml.read_bytes() + b"\n")
    code, out, _ = run(capsys, place, "verify")
    assert (code, "stale: index it again" in out) == (2, True)


def test_grant__holds_until_it_is_revoked(place, capsys):
    with open_catalog(place, is_new=True) as catalog:
        put(catalog, make_data_set(access="non-public"))
    until = str(date.today() + timedelta(days=9))
    grant = ("grant", "cohort", "--to", "role:nd-role", "--until", until)
    assert run(capsys, place, *grant)[0] == 0
    with open_catalog(place) as catalog:
        one = get(catalog, "cohort")
    assert find_denial(one, be()) == ""
    assert "expected a grant" in find_denial(one, be("other"))
    assert "grant to role:" in run(capsys, place, "who", "cohort")[1]
    revoke = ("revoke", "cohort", "--to", "role:nd-role")
    assert [run(capsys, place, *revoke)[0] for _ in range(2)] == [0, 2]
    with open_catalog(place) as catalog:
        assert find_denial(get(catalog, "cohort"), be())


TODAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("access", "policy", "user", "purpose", "level", "said"),
    [
        ("public", Policy(), None, "", None, ""),
        ("restricted", Policy(), None, "", None, ""),
        ("non-public", Policy(), be(), "", None, "a grant"),
        ("restricted", Policy(roles=(ROLE,)), None, "", None, "login"),
        ("restricted", Policy(roles=(ROLE,)), be(), "", None, ""),
        ("restricted", Policy(roles=(ROLE,)), be("x"), "", None, "nd-role"),
        ("restricted", Policy(roles=(f"{ROLE}2",)), be(), "", None, "nd-role2"),
        ("public", Policy(purposes=("a",)), None, "", None, "--purpose"),
        ("public", Policy(purposes=("a",)), None, "a", None, ""),
        ("public", Policy(until="2026-11-30"), None, "", None, ""),
        ("public", Policy(until="2026-11-29"), None, "", None, "has ended"),
        ("restricted", Policy(least_level=1), None, "", 0, "level 1, found 0"),
        ("restricted", Policy(least_level=1), None, "", 1, ""),
        (
            "restricted",
            Policy(grants=(Grant("me", "2026-11-30"),)),
            be("x"),
            "",
            None,
            "",
        ),
        (
            "restricted",
            Policy(grants=(Grant("me", "2026-11-29"),)),
            be("x"),
            "",
            None,
            "a grant",
        ),
    ],
)
def test_find_denial__says_what_is_missing(access, policy, user, purpose, level, said):
    one = make_data_set(access=access, policy=policy)
    sealed = replace(one.objects[0], encryption="crypt4gh")
    one = replace(one, objects=(sealed,))
    found = find_denial(one, user, purpose, level, TODAY)
    assert said in found
    assert bool(said) == bool(found)


def test_find_denial__leaves_who_it_is_to_a_keeper_where_nobody_has_logged_in():
    sealed = replace(make_data_set().objects[0], encryption="crypt4gh")
    policy = Policy(roles=(ROLE,), purposes=("care",))
    one = replace(make_data_set(policy=policy), objects=(sealed,))
    assert not find_denial(one, None, "care", None, TODAY, by_keeper=True)
    assert "--purpose" in find_denial(one, None, "", None, TODAY, by_keeper=True)
    assert "nd-role" in find_denial(one, be("x"), "care", None, TODAY, by_keeper=True)


@pytest.mark.parametrize(
    ("key", "keeper", "encryption", "is_released"),
    [
        ("keeper:https://k:1", "", "crypt4gh", True),
        (None, "https://k:1", "crypt4gh", True),
        ("me.sec", "https://k:1", "crypt4gh", False),
        ("keeper:https://k:1", "", "", False),
        (None, "", "crypt4gh", False),
    ],
)
def test_is_released__by_a_keeper_if_all_is_encrypted(
    key, keeper, encryption, is_released
):
    one = make_data_set(policy=Policy(keeper=keeper))
    plain = replace(one.objects[0], encryption="")
    one = replace(one, objects=(replace(plain, encryption=encryption),))
    options = RunOptions(out=Path("out"), key=key)
    assert inputs.is_released(options, one) == is_released
    mixed = replace(one, objects=(*one.objects, plain))
    assert not inputs.is_released(options, mixed)


# The file


def test_open_catalog__refuses_what_is_none(tmp_path):
    text, newer, other = (tmp_path / name for name in ("text", "newer", "other"))
    text.write_text("no catalogue" * 99)
    for path, statement in ((newer, "PRAGMA user_version = 2"), (other, "SELECT 1")):
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE x(y)")
        connection.execute(statement)
        connection.close()
    for path, said in (
        (text, "is no catalogue"),
        (newer, "format 2; this version reads 1"),
        (other, "has other tables"),
        (tmp_path / "gone", "catalog add makes one"),
    ):
        with pytest.raises(BadInput, match=said):
            open_catalog(path)


def test_open_catalog__refuses_a_file_on_a_network(tmp_path, monkeypatch):
    found = "hpc_connector.catalogue.database.name_network"
    monkeypatch.setattr(found, lambda _: "NFS")
    with pytest.raises(BadInput, match=r"on NFS, .*folder of journals"):
        open_catalog(tmp_path / "c.sqlite", is_new=True)


def test_find_place__is_chosen_or_of_the_site_or_usual(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/x")
    site = tmp_path / "site.env"
    site.write_text("CONNECTOR_CATALOG=/projects/c/\n")
    assert find_place("/own", site) == "/own"
    assert find_place(None, site) == "/projects/c/"
    usual = "/home/x/.local/share/hpc_connector/catalog.sqlite"
    assert find_place(None) == usual


def test_render_sbatch__exports_the_catalogue_of_a_site():
    job = Job("mdr-epistasis", arguments=(("run",),))
    line = "export CONNECTOR_CATALOG='/a b/'"
    assert line in render_sbatch(job, Site(catalog="/a b/")).splitlines()
    assert "CONNECTOR_CATALOG" not in render_sbatch(job, Site())


def test_list_faults__finds_an_event_that_was_changed(tmp_path):
    path = tmp_path / "c.sqlite"
    with open_catalog(path, is_new=True) as catalog:
        for name in "abc":
            put(catalog, make_data_set(name))
        assert list_faults(catalog) == []
        catalog.connection.execute("UPDATE event SET actor = 'x' WHERE seq = 2")
        assert [said.rpartition("event ")[2][0] for said in list_faults(catalog)] == [
            "3"
        ]
        assert verify(catalog).faults[0].said.endswith("the one before")


# Journals


def test_merge__reads_others_around_a_damaged_line(
    tmp_path, monkeypatch, capsys, caplog
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = f"{tmp_path}/journals/"
    with open_catalog(place, is_new=True) as catalog:
        for name in "abc":
            put(catalog, make_data_set(name))
    (path,) = Path(place).glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"Title", b"title") + lines[2] + b"{")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with open_catalog(place) as catalog:
        assert [hit.id for hit in search(catalog)] == ["a", "c"]
        (said,) = list_faults(catalog)
        assert said == f"{path.name}, line 2: its checksum does not hold"
    assert run(capsys, place, "list")[0] == 0
    assert "line 2: its checksum does not hold; it is left out" in caplog.text


def test_import__takes_nothing_of_a_journal_that_was_cut(tmp_path):
    whole, place = tmp_path / "events.jsonl", f"{tmp_path}/c.sqlite"
    with open_catalog(place, is_new=True) as catalog:
        for name in "ab":
            put(catalog, make_data_set(name))
        assert save_events(catalog, whole) == 2
    whole.write_bytes(whole.read_bytes()[:-20])
    with open_catalog(tmp_path / "d.sqlite", is_new=True) as catalog:
        with pytest.raises(BadInput, match=r"events\.jsonl, line 2: it is cut"):
            take_events(catalog, whole)
        assert search(catalog) == []


def test_import__to_a_file_is_whole_or_nothing(tmp_path, monkeypatch):
    whole = tmp_path / "events.jsonl"
    with open_catalog(tmp_path / "c.sqlite", is_new=True) as catalog:
        for name in "abc":
            put(catalog, make_data_set(name))
        save_events(catalog, whole)
    did = module.apply

    def fail(tables, event):
        if event.what["id"] == "c":
            raise OSError("the disk is full")
        did(tables, event)

    with open_catalog(tmp_path / "d.sqlite", is_new=True) as catalog:
        monkeypatch.setattr(module, "apply", fail)
        with pytest.raises(OSError, match="full"):
            take_events(catalog, whole)
        assert (search(catalog), list(list_events(catalog))) == ([], [])
        monkeypatch.undo()
        assert take_events(catalog, whole) == 3
        assert (len(search(catalog)), list_faults(catalog)) == (3, [])


def test_take_records__of_two_versions_sees_the_first(place):
    first = make_data_set("a")
    other = replace(first.objects[0], sha256="cd" * 32)
    sets = [first, replace(first, version=2, objects=(other,)), make_data_set("b")]
    with open_catalog(place, is_new=True) as catalog:
        assert take_records(catalog, sets) == 3
        assert list_versions(catalog, "a") == [1, 2]
        assert get(catalog, "a").objects == (other,)
        assert list_clashes(catalog, "a") == []
        known = [get(catalog, name) for name in ("a@1", "a", "b")]
        assert take_records(catalog, known) == 0
        assert list_faults(catalog) == []


def test_merge__keeps_both_of_a_clash_and_shows_the_later(
    tmp_path, capsys, monkeypatch
):
    place = f"{tmp_path}/journals/"
    for n, user in enumerate(("one", "two")):  # neither sees what the other writes
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / user))
        with open_catalog(f"{tmp_path}/{user}/", is_new=True) as catalog:
            time = f"2026-11-30T00:00:0{n}.000Z"
            put(catalog, make_data_set(description=user, modified=time))
        (path,) = (tmp_path / user).glob("*.jsonl")
        Path(place).mkdir(exist_ok=True)
        path.rename(Path(place, f"{user}-1-1.jsonl"))
    code, out, _ = run(capsys, place, "show", "cohort")
    assert (code, "description: two" in out, "clash: " in out) == (0, True, True)
    with open_catalog(place) as catalog:
        assert len(list(list_events(catalog, "cohort"))) == 2


def test_merge__in_any_order_is_the_same(tmp_path, monkeypatch):
    """Journals that come one by one, and all at once."""
    folders = [tmp_path / name for name in ("one", "two", "three")]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for n, folder in enumerate(folders):
        with open_catalog(f"{folder}/", is_new=True) as catalog:
            put(catalog, make_data_set(description=str(n), modified=f"{n}"))
            what = {"do": "grant", "id": "cohort", "to": f"{n}", "until": "2030-01-01"}
            catalog.write(lambda what=what: what)
    found = []
    for order in (folders, folders[::-1]):
        place = tmp_path / f"all-{len(found)}"
        place.mkdir()
        for folder in order:
            (path,) = folder.glob("*.jsonl")
            (place / f"{folder.name}-1-1.jsonl").write_bytes(path.read_bytes())
            with open_catalog(f"{place}/") as catalog:
                one = get(catalog, "cohort")
                events = [(e.time, e.what, file) for e, file, _ in list_events(catalog)]
        found.append((one, events))
    assert found[0] == found[1]
    assert (one.description, len(one.policy.grants)) == ("2", 3)


def test_open_database__waits_for_another_that_begins(tmp_path, monkeypatch):
    other = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(time, "sleep", lambda _: other.execute("COMMIT"))
    open_database(tmp_path / "a.sqlite", is_new=True).close()
    other.close()


@pytest.mark.parametrize("name", ["catalog.sqlite", "journals/"])
def test_write__told_done_is_there_after_kills(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = f"{tmp_path}/{name}"
    told = catalogue_writers.run(place, tmp_path, writers=3, n=12, kills=3)
    assert catalogue_writers.check(place, told, 12) >= 36


def test_help__imports_no_graphs():
    code = (
        "import sys; from hpc_connector.commands.main import main; import contextlib\n"
    )
    code += "with contextlib.suppress(SystemExit): main(['catalog', '--help'])\n"
    code += "print({'rdflib', 'pyshacl', 'rocrate', 'numpy', 'jwt'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("set()\n"), done.stdout + done.stderr
