"""Events of a catalogue that are signed, and who finds that one is not."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.events import (
    is_signed,
    pack_event,
    sign_event,
    unpack_event,
)
from hpc_connector.catalogue.lookup import list_events, list_faults
from hpc_connector.confidential.chain import FIRST, hash_line
from hpc_connector.confidential.keys import load_signer, load_trusted, save_new_signer
from hpc_connector.errors import BadInput
from test_catalogue import make_data_set, put, run

EVIL = "Title of nobody"


@pytest.fixture(params=["catalog.sqlite", "journals/"])
def place(request, tmp_path, monkeypatch):
    """Return where a new catalogue is made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"{tmp_path}/{request.param}"


@pytest.fixture
def keys(tmp_path):
    """Return the files of two signers: private and public of each."""
    return [save_new_signer(tmp_path / name) for name in ("own", "other")]


def fill(place, private):
    with open_catalog(place, is_new=True, signer=load_signer(private)) as catalog:
        for name in "ab":
            put(catalog, make_data_set(name))
        catalog.append({"do": "grant", "id": "a", "to": "me", "until": "2099-01-01"})


def find_faults(place, *public):
    with open_catalog(place) as catalog:
        return list_faults(catalog, load_trusted(public))


def test_list_faults__of_signed_events_trusts_their_key_alone(place, keys):
    (private, public), (_, other) = keys
    fill(place, private)
    assert find_faults(place) == find_faults(place, public) == []
    assert find_faults(place, other, public) == []  # one of several is enough
    faults = find_faults(place, other)
    assert len(faults) == 3
    assert all("is of nobody trusted" in said for said in faults)


def test_list_faults__finds_what_was_written_without_a_key(place, keys):
    (private, public), _ = keys
    fill(place, private)
    with open_catalog(place) as catalog:  # as a run does, whose use was denied
        catalog.append({"do": "deny", "id": "a", "version": 1, "reason": "no role"})
    assert find_faults(place, public) == []
    with open_catalog(place) as catalog:
        catalog.append({"do": "revoke", "id": "a", "to": "me"})
    (said,) = find_faults(place, public)
    assert said.endswith("it is not signed")


def forge(events):
    """Return events with another title in the second, chained anew."""
    found, prev = [], FIRST
    for event in events:
        text = json.dumps(event.what).replace("Title of b", EVIL)
        event = replace(event, what=json.loads(text), prev=prev)
        found.append(event)
        prev = hash_line(pack_event(event))
    return found


def rewrite(place):
    """Forge a catalogue, chain and checksums, as whoever may write to it can."""
    path = Path(place)
    if path.is_dir():
        (journal,) = path.glob("*.jsonl")
        lines = journal.read_bytes().splitlines()
        events = forge(map(unpack_event, lines))
        journal.write_bytes(b"".join(pack_event(one) + b"\n" for one in events))
        return
    with open_catalog(place) as catalog:
        events = forge([event for event, _, _ in list_events(catalog)])
    tables = sqlite3.connect(path)
    for one in events:
        told = (json.dumps(dict(one.what), ensure_ascii=False), one.prev, one.seq)
        tables.execute("UPDATE event SET what = ?, prev = ? WHERE seq = ?", told)
    tables.commit()
    tables.close()


def test_list_faults__finds_a_forged_chain_by_its_signatures(
    place, keys, tmp_path, monkeypatch
):
    (private, public), _ = keys
    fill(place, private)
    rewrite(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    with open_catalog(place) as catalog:
        assert any(EVIL in json.dumps(e.what) for e, _, _ in list_events(catalog))
        assert list_faults(catalog) == []  # the chain alone cannot know
    faults = find_faults(place, public)
    assert len(faults) >= 2  # that event, and who is chained to it
    assert all("does not hold" in said for said in faults)


def test_sign_event__covers_the_place_in_the_chain(keys, tmp_path):
    (private, public), _ = keys
    fill(f"{tmp_path}/c.sqlite", private)
    key, trusted = load_signer(private), load_trusted([public])
    with open_catalog(f"{tmp_path}/c.sqlite") as catalog:
        event = next(list_events(catalog))[0]
    assert is_signed(event, trusted)
    assert unpack_event(pack_event(event)) == event
    for change in (
        {"seq": 2},
        {"prev": "1" * 64},
        {"time": "2020-01-01T00:00:00.000Z"},
        {"actor": "you"},
        {"sig": ""},
        {"sig": "ä"},
        {"sig": "AAAA"},
    ):
        assert not is_signed(replace(event, **change), trusted), change
    assert sign_event(event, key) == event  # Ed25519 gives one signature


def test_commands__sign_by_option_or_site_and_verify(place, keys, tmp_path, capsys):
    (private, public), (_, other) = keys
    file = tmp_path / "a.bed.txt"
    file.write_text("x")
    words = ("add", file, "--id", "a", "--title", "T", "--signer", private)
    assert run(capsys, place, *words)[0] == 0
    site = tmp_path / "site.env"
    site.write_text(f"CONNECTOR_CATALOG_SIGNER={private}\n")
    grant = ("grant", "a", "--to", "me", "--until", "2099-01-01", "--site", site)
    assert run(capsys, place, *grant)[0] == 0
    code, out, _ = run(capsys, place, "verify")
    assert (code, "2 signed events (not checked: --trust" in out) == (0, True)
    code, out, _ = run(capsys, place, "verify", "--trust", public)
    assert (code, "2 signed events: all as they were" in out) == (0, True)
    code, out, _ = run(capsys, place, "verify", "--trust", other)
    assert (code, "2 faults" in out) == (2, True)
    code, _, err = run(capsys, place, "verify", "a", "--trust", public)
    assert (code, "without an id" in err) == (2, True)


def test_commands__refuse_a_key_that_is_none(place, keys, tmp_path, capsys):
    (private, public), _ = keys
    file = tmp_path / "a.txt"
    file.write_text("x")
    for key, said in (
        (public, "is a public key: expected the private one"),
        (tmp_path / "gone.pem", "No such file"),
    ):
        words = ("add", file, "--id", "a", "--title", "T", "--signer", key)
        code, _, err = run(capsys, place, *words)
        assert (code, said in err) == (2, True), err
    with pytest.raises(BadInput, match=r"expected the public one, NAME\.pub\.pem"):
        load_trusted([private])
    private.chmod(0o644)
    words = ("add", file, "--id", "a", "--title", "T", "--signer", private)
    assert "open to others" in run(capsys, place, *words)[2]
    assert not Path(place).exists()


def test_export__keeps_signatures_of_a_file_and_import_makes_its_own(
    keys, tmp_path, capsys
):
    (private, public), (private_of_other, other) = keys
    place, journal = f"{tmp_path}/c.sqlite", tmp_path / "events.jsonl"
    fill(place, private)
    assert run(capsys, place, "export", "--journal", journal)[0] == 0
    events = [unpack_event(line) for line in journal.read_bytes().splitlines()]
    with open_catalog(place) as catalog:
        assert events == [event for event, _, _ in list_events(catalog)]
    new = f"{tmp_path}/d.sqlite"
    words = ("import", journal, "--signer", private_of_other)
    assert run(capsys, new, *words)[0] == 0
    assert find_faults(new, other) == []
    assert len(find_faults(new, public)) == 3
