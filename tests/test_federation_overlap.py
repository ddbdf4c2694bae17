"""Individuals of two sites are found by hashes of their ids, and shown to nobody."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from conftest import require
from federations import GOLDEN, make_study
from hpc_connector.commands.main import main as operate
from hpc_connector.errors import BadInput
from hpc_connector.federation.overlap import (
    IDS,
    KEY,
    find_overlaps,
    hash_id,
    load_overlap_key,
    refuse_overlaps,
    save_own,
    show_ids,
)
from hpc_connector.federation.study import HUB
from hpc_connector.federation.transport import Link, Room, ThreadTransport
from hub_programs import Parties
from programs import PATIENCE_S

SECRET = b"not the study's salt"
STUDY = make_study(3, check_overlap=True)
PEOPLE = {
    "site0": ["a", "b", "c", "d"],
    "site1": ["e", "d", "b"],
    "site2": ["x", "d", "ä"],
}


def show_all(key=SECRET):
    return [{"site": name, **show_ids(key, ids)} for name, ids in PEOPLE.items()]


def save_key(folder, key=SECRET, mode=0o600):
    path = folder / "overlap.key"
    path.write_bytes(key)
    path.chmod(mode)
    return str(path)


def test_hash_id__is_the_hmac_of_rfc_2104():
    for key in (b"k", b"k" * 64):
        padded = key.ljust(64, b"\0")
        inner = bytes(b ^ 0x36 for b in padded) + "Zoë".encode()
        outer = bytes(b ^ 0x5C for b in padded) + hashlib.sha256(inner).digest()
        assert hash_id(key, "Zoë") == hashlib.sha256(outer).digest()


def test_find_overlaps__is_what_the_ids_have_in_common(tmp_path):
    hellos = show_all()
    found = find_overlaps(STUDY, hellos)
    for (a, b), hashes in found.items():
        both = set(PEOPLE[a]) & set(PEOPLE[b])
        assert hashes == {hash_id(SECRET, one) for one in both}
    assert [len(hashes) for hashes in found.values()] == [2, 1, 1]
    link = Link(ThreadTransport(Room(1), 0), "site0", {})
    with pytest.raises(BadInput) as raised:
        refuse_overlaps(link, found)
    said = "2 at site0 and at site1; 1 at site0 and at site2; 1 at site1 and at site2"
    assert said in str(raised.value)
    path = tmp_path / "own.tsv"
    assert save_own(path, "site1", SECRET, PEOPLE["site1"], found) == 3
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert rows[0] == ["id", "site"]
    want = [["b", "site0"], ["d", "site0"], ["d", "site2"]]
    assert sorted(rows[1:]) == want
    assert path.stat().st_mode & 0o77 == 0


def test_show_ids__shows_neither_ids_nor_their_order():
    for hello in show_all():
        ids = PEOPLE[hello["site"]]
        assert len(hello[IDS]) == 32 * len(ids)
        hashes = [hello[IDS][k : k + 32] for k in range(0, len(hello[IDS]), 32)]
        assert hashes == sorted(hashes)
        assert not any(hashlib.sha256(one.encode()).digest() in hashes for one in ids)
    assert find_overlaps(STUDY, show_all()[:1]) == {}
    assert show_ids(None, ["a"]) == {}


def test_find_overlaps__refuses_another_key_and_none():
    hellos = show_all()
    hellos[1] |= show_ids(b"another key of someone", PEOPLE["site1"])
    with pytest.raises(BadInput, match="sites site0 and site1 have two keys"):
        find_overlaps(STUDY, hellos)
    for wrong in ({"site": "x"}, {"site": "x", KEY: b"", IDS: b"7"}):
        with pytest.raises(BadInput, match="site x has shown no ids"):
            find_overlaps(STUDY, [*show_all(), wrong])
    assert find_overlaps(replace(STUDY, check_overlap=False), [{"site": "x"}]) == {}


def test_load_overlap_key__is_given_if_the_study_says_so(tmp_path):
    assert load_overlap_key(save_key(tmp_path), STUDY) == SECRET
    assert load_overlap_key(save_key(tmp_path, SECRET + b"\r\n"), STUDY) == SECRET
    with pytest.raises(BadInput, match="has check_overlap: expected --overlap-key"):
        load_overlap_key(None, STUDY)
    with pytest.raises(BadInput, match="a key of 4 bytes: expected 16 or more"):
        load_overlap_key(save_key(tmp_path, b"abcd\n"), STUDY)
    with pytest.raises(BadInput, match="is open to others"):
        load_overlap_key(save_key(tmp_path, mode=0o644), STUDY)
    plain = replace(STUDY, check_overlap=False)
    assert load_overlap_key(None, plain) is None
    with pytest.raises(BadInput, match="study study has no check_overlap"):
        load_overlap_key(str(tmp_path / "any"), plain)


SITES = """[study]
name = "twice"
salt = "any"
folds = 2
top = 5
check_overlap = true
[variants]
reference = "site1.bim"
[[site]]
name = "site1"
[[site]]
name = "site2"
[[site]]
name = "site3"
"""


def federate(study, out, key):
    """Run a search on ranks; return how it ended."""
    command = [require("mpirun"), "-n", "3", "mdr-epistasis", "federate", str(study)]
    command += ["--genotypes", f"{study.parent}/{{site}}.bed", "--out", str(out)]
    command += ["--overlap-key", key, "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def copy_people(one, other):
    """Name three individuals of a site as those of another; return their ids."""
    rows = [path.read_text().splitlines() for path in (one, other)]
    twice = [row.split()[1] for row in rows[0][5:8]]
    for k, name in enumerate(twice):
        words = rows[1][20 + k].split()
        rows[1][20 + k] = " ".join([name, name, *words[2:]])
    other.write_text("\n".join(rows[1]) + "\n")
    return twice


def test_federate__finds_who_is_at_two_sites_and_shows_it_to_these(tmp_path, capsys):
    folder = tmp_path / "sites"
    shutil.copytree(GOLDEN / "three_sites_dealt", folder)
    study, key = folder / "STUDY.toml", save_key(tmp_path)
    study.write_text(SITES)
    honest = (folder / "site2.fam").read_text()
    twice = copy_people(folder / "site1.fam", folder / "site2.fam")
    done = federate(study, tmp_path / "out", key)
    assert done.returncode == 2
    assert "individuals of two sites: 3 at site1 and at site2; expected" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(name in done.stderr for name in twice)
    for site, other in (("site1", "site2"), ("site2", "site1")):
        own = (folder / "records" / f"twice.{site}.overlap.tsv").read_text()
        assert sorted(own.splitlines()[1:]) == sorted(f"{n}\t{other}" for n in twice)
    assert not list((folder / "records").glob("*site3.overlap*"))
    assert not list((folder / "records").glob("*.queries.json"))  # nothing was asked
    assert operate(["federate", "log", str(folder / "records")]) == 0
    said = capsys.readouterr().out
    assert said.count("event show") == 3
    assert said.count("event overlap") == 2
    (folder / "site2.fam").write_text(honest)
    done = federate(study, tmp_path / "out", key)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for site in record["federation"]["sites"]:
        assert "individuals, hashed under a key" in " ".join(site["let_out"])


def test_federate__with_a_hub_ends_at_all_for_who_is_at_two_sites(tmp_path):
    parties = Parties(tmp_path, settings="check_overlap = true")
    try:
        own = [parties.folder / name / f"{name}.fam" for name in parties.sites]
        twice = copy_people(own[0], own[2])
        parties.start(HUB)
        for site in parties.sites:
            parties.start(site, "--overlap-key", save_key(tmp_path))
        codes = parties.wait()
        assert set(codes.values()) == {2}, [parties.say(one) for one in codes]
        for party in codes:
            said = "\n".join(parties.say(party))
            assert "3 at site1 and at site3" in said
            assert not any(name in said for name in twice)
    finally:
        parties.end()
    for k, site in enumerate(parties.sites):
        path = parties.folder / site / "records" / f"golden.{site}.overlap.tsv"
        assert path.exists() == (k != 1)
