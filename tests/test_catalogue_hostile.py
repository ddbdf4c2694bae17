"""A catalogue against what others write: journals, clocks, graphs, addresses."""

import json
import os
import threading
import zlib
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hpc_connector.catalogue import journal
from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.events import START
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.lookup import get, list_faults, list_ids
from hpc_connector.catalogue.policy import find_denial
from hpc_connector.catalogue.records import (
    DataSet,
    Policy,
    StoredObject,
    refuse_secret,
    to_json,
)
from hpc_connector.commands.main import main
from hpc_connector.confidential.chain import FIRST
from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.errors import BadInput
from hpc_connector.text import pack_json

DATA = Path(__file__).parent / "data"
TIME = "2026-11-30T00:00:00.000Z"
ROLE = "realm_access.roles=nd-role"
INDEX = {"plugin": "p", "url": "/i", "bytes": 1, "of_tag": "", "of_bytes": 1}
INDEX |= {"made": TIME}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of journals, none of which is there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "journals").mkdir()
    return tmp_path / "journals"


def make_data_set(**more):
    one = StoredObject("genotypes", "/data/c.bed", 3, "tag", "ab" * 32, "bed")
    return DataSet("c", "Title", (one,), **more)


def do_add(**more):
    return {"do": "add", "id": "c", "dataset": to_json(make_data_set()) | more}


def pack(what, **more):
    """Return a line of a journal, whose checksum holds."""
    told = {
        "seq": 1,
        "time": TIME,
        "actor": "a",
        "what": what,
        "prev": FIRST,
        "sig": "",
    }
    packed = json.dumps(told | more, sort_keys=True, separators=(",", ":")).encode()
    return START % zlib.crc32(packed) + packed[1:] + b"\n"


@pytest.mark.parametrize(
    ("what", "more"),
    [
        (do_add(policy={"until": "some day"}), {}),
        (do_add(policy={"roles": ["no path"]}), {}),
        (do_add(policy={"roles": "abc"}), {}),
        (do_add(version=10**30), {}),
        (do_add(description="\ud800"), {}),
        (do_add(license="https://host/a?token=1f"), {}),
        (do_add(), {"time": "zz"}),
        (do_add(), {"time": 5}),
        (do_add(), {"seq": "x"}),
        ({"do": "index", "id": "c", "index": INDEX}, {}),
        ({"do": "index", "id": "c", "index": INDEX, "version": [1], "n": {}}, {}),
        ({"do": "grant", "id": "c", "until": "2027-01-01"}, {}),
        ({"do": "revoke", "id": "c"}, {}),
    ],
)
def test_journal__leaves_out_a_line_that_no_catalogue_has_written(folder, what, more):
    (folder / "other-1-2.jsonl").write_bytes(pack(what, **more) + pack(do_add()))
    with open_catalog(f"{folder}/") as catalog:
        assert list_ids(catalog) == ["c"]
        assert any("line 1: " in said for said in list_faults(catalog))
        assert find_denial(get(catalog, "c"), None) == ""


def test_journal__is_a_file_and_nothing_else(folder):
    (folder / "folder.jsonl").mkdir()
    os.mkfifo(folder / "pipe.jsonl")  # which a reader would wait at for ever
    with open_catalog(f"{folder}/") as catalog:
        assert list_ids(catalog) == []


def test_journal__of_a_slow_clock_takes_a_grant_back(folder, monkeypatch):
    """Who revokes has seen the grant, and is later whatever the clocks say."""
    grant = {"do": "grant", "id": "c", "to": "me", "until": "2099-01-01"}
    lines = pack(do_add()) + pack(grant, time="2098-12-31T23:59:59.999Z")
    (folder / "fast-1-2.jsonl").write_bytes(lines)
    with open_catalog(f"{folder}/") as catalog:
        assert find_denial(get(catalog, "c"), Claims("me", "", 0.0, {})) == ""
        catalog.append({"do": "revoke", "id": "c", "to": "me"})
        assert find_denial(get(catalog, "c"), Claims("me", "", 0.0, {}))
    assert journal.add_instant("9999-12-31T23:59:59.999Z") == "9999-12-31T23:59:59.999Z"


def test_import__of_events_takes_no_id_of_another(tmp_path, capsys):
    place = tmp_path / "c.sqlite"
    with open_catalog(place, is_new=True) as catalog:
        catalog.append({"do": "add", "id": "c", "dataset": to_json(make_data_set())})
    other = replace(make_data_set().objects[0], url="/else/c.bed")
    told = {"do": "add", "id": "c", "dataset": to_json(make_data_set())}
    told["dataset"]["objects"] = [to_json(other)]
    (tmp_path / "x.jsonl").write_bytes(pack(told))
    words = ["catalog", "import", f"{tmp_path}/x.jsonl", "--catalog", str(place)]
    assert main(words) == 2
    assert "c is taken by /data/c.bed" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["c", "c@1", "c@2"])
def test_get__of_an_old_version_has_the_access_of_now(tmp_path, version):
    first = make_data_set(access="public")
    objects = (replace(first.objects[0], tag="other"),)
    policy = Policy(roles=(ROLE,))
    second = replace(first, version=2, objects=objects, policy=policy)
    with open_catalog(tmp_path / "c.sqlite", is_new=True) as catalog:
        for one in (first, replace(second, access="restricted")):
            catalog.append({"do": "add", "id": "c", "dataset": to_json(one)})
        found = get(catalog, version)
    assert "login" in find_denial(found, None, today=date(2026, 11, 30))


@pytest.mark.parametrize(
    "text",
    [
        "https://host/a?X-Amz-Signature=1f",
        "https://host/a#access_token=1f",
        "https://host/a?x=1;token=1f",
        "s3://bucket/a?X-Amz-Signature=1f",
        "s3://me:1f@bucket/a",
        "ftp://me:1f@host/a",
        "https://me:1f@host/a",
    ],
)
def test_refuse_secret__of_any_scheme_and_shows_none(text):
    with pytest.raises(BadInput, match="keeps no secret") as raised:
        refuse_secret(text)
    assert "1f" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "/data/a;b#c", "s3://bucket/a@b:c/d", "https://host/a?v=2", "mail@x"]
)
def test_refuse_secret__takes_what_has_none(text):
    refuse_secret(text)


@pytest.mark.parametrize("option", ["--license", "--keeper", "--theme"])
def test_add__refuses_a_secret_in_what_is_told(tmp_path, capsys, option):
    bed = DATA / "bitepi_plink_100snps_2000" / "bfile.bed"
    words = ["catalog", "add", str(bed), "--id", "c", "--title", "T", "--no-checksum"]
    words += [option, "https://me:1f@host/", "--catalog", f"{tmp_path}/c.sqlite"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "keeps no secret" in said
    assert "1f" not in said


def test_add__refuses_a_name_that_is_no_text_in_a_line(folder, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.bin")
    path.write_bytes(b"x")
    for place in (f"{folder}/", tmp_path / "c.sqlite"):
        with (
            open_catalog(place, is_new=True) as catalog,
            pytest.raises(BadInput, match="expected UTF-8"),
        ):
            add(catalog, "c", [str(path)], About(title="T"), checksum=False)


ASKED = []


class Asked(BaseHTTPRequestHandler):
    """A server that notes what it is asked for."""

    def do_GET(self):
        ASKED.append(self.path)
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """Return the address of a server that nothing may ask."""
    pytest.importorskip("rdflib")
    with HTTPServer(("127.0.0.1", 0), Asked) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/c"
        served.shutdown()


@pytest.mark.parametrize(
    "make",
    [
        lambda url: {"@context": url},
        lambda url: {"@context": [[url]]},
        lambda url: {"@context": [{"t": {"@id": "urn:t", "@context": [[url]]}}]},
        lambda url: {"@included": [{"@context": [[[url]]]}]},
    ],
)
def test_read_graph__fetches_no_context_however_it_is_wrapped(server, tmp_path, make):
    from hpc_connector.catalogue.graph.text import read_graph

    told = make(server) | {"@id": "urn:a", "urn:b": "c", "t": {"urn:d": "e"}}
    path = tmp_path / "x.jsonld"
    path.write_bytes(pack_json(told))
    with pytest.raises(BadInput, match="none is fetched"):
        read_graph(path)
    assert ASKED == []
