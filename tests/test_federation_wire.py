"""All that a site writes to its hub, as it is before TLS."""

import itertools
import json
import re
import ssl
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from federations import add_parts
from hpc_connector.federation import transport
from hpc_connector.federation.hub.codec import decode
from hpc_connector.federation.hub.wire import HEADER, read_header
from hpc_connector.federation.masks import cut_parts
from hub_parties import HUB, Federation, run, say
from leaks import is_told
from random_sites import save_trial

MODES = ("hash", "dealt")
SETTINGS = {"cvc": "none", "rank_by": "test", "scorer": "hub"}
BLOCK = re.compile(r"/v1/runs/([0-9a-f]{64})/(\d+)/(\d+)")
OTHERS = {
    "POST": re.compile(r"/v1/(join|runs/[0-9a-f]{64}/leave)"),
    "GET": re.compile(r"/v1/runs/[0-9a-f]{64}/(told/\d+|\d+/\d+)"),
}
HEADS = {"host", "content-length", "content-type", "prefer", "accept-encoding"}
HELLO = {"study", "reference", "site", "nonce", "mask_public", "sizes", "datasets"}


class Request(NamedTuple):
    """What a site has asked."""

    method: str
    path: str
    heads: set[str]
    body: bytes


def record_site(folder):
    """Keep what a site writes to its sockets, and its blocks without and with masks."""
    send, mask_parts = ssl.SSLSocket.send, transport.mask_parts
    number = itertools.count()
    folder.mkdir()

    def keep(self, data, flags=0):
        n = send(self, data, flags)
        if not hasattr(self, "place"):
            self.place = folder / f"{next(number)}.sent"
        with self.place.open("ab") as stream:
            stream.write(bytes(data[:n]))
        return n

    def keep_both(parts, keys, mine, stage, block, into):
        true = add_parts(parts, into.dtype)
        sent = mask_parts(cut_parts(true), keys, mine, stage, block, into)
        np.savez(folder / f"{stage}-{block}.npz", true=true, sent=sent)
        return sent

    ssl.SSLSocket.send = keep
    transport.mask_parts = keep_both


def read_requests(data):
    """Yield the requests of a connection."""
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, version = first.split(" ")
        assert version == "HTTP/1.1"
        heads = dict(line.lower().split(": ", 1) for line in lines)
        n = int(heads.get("content-length", 0))
        yield Request(method, path, set(heads), rest[:n])
        data = rest[n:]


@pytest.fixture(params=MODES, scope="module")
def recorded(request, tmp_path_factory):
    """Return a federation, the folder of what each site wrote, and how it has folds."""
    folder = tmp_path_factory.mktemp("recorded")
    federation = Federation(
        save_trial(folder, 5, 3, fold_mode=request.param, **SETTINGS)
    )
    places = {name: folder / f"of.{name}" for name in federation.trial.names}
    prepare = {name: partial(record_site, place) for name, place in places.items()}
    codes = run(federation, prepare)
    assert set(codes.values()) == {0}, say(federation)
    return federation, places, request.param


def list_requests(place):
    """Return all requests of a site."""
    paths = sorted(place.glob("*.sent"))
    return [r for path in paths for r in read_requests(path.read_bytes())]


def load_blocks(place):
    """Return what a site has counted, and what it has masked, by stage and block."""
    found = {}
    for path in place.glob("*.npz"):
        stage, block = map(int, path.stem.split("-"))
        with np.load(path) as file:
            found[stage, block] = file["true"], file["sent"]
    return found


def test_site__asks_nothing_but_what_the_protocol_has(recorded):
    federation, places, mode = recorded
    assert places.keys() == set(federation.trial.names)
    for name, place in places.items():
        requests = list_requests(place)
        for request in requests:
            known = OTHERS.get(request.method, BLOCK)
            assert known.fullmatch(request.path), request[:2]
            assert request.heads <= HEADS, request.heads
            assert request.method != "GET" or not request.body
        said = {r.path.rsplit("/", 1)[1]: r.body for r in requests if r.body}
        joined = decode(said["join"])
        assert json.loads(said["leave"]) == {"reason": "done"}
        assert joined.keys() == {"hello", "goes_on", "protocol"}
        hello = joined["hello"]
        assert hello.keys() == HELLO
        assert hello["site"] == name
        assert (hello["sizes"] is not None) == (mode == "dealt")


def test_site__sends_its_masked_blocks_and_no_other(recorded):
    for place in recorded[1].values():
        blocks, seen = load_blocks(place), {}
        for request in list_requests(place):
            if request.method != "PUT":
                continue
            stage, block = map(int, BLOCK.fullmatch(request.path).groups()[1:])
            header = read_header(request.body[: HEADER.size])
            numbers = np.frombuffer(request.body[HEADER.size :], header.dtype)
            true, masked = blocks[stage, block]
            assert (numbers == masked).all()
            assert not is_told(true, numbers)
            assert (header.stage, header.block) == (stage, block)
            seen[stage, block] = True
        assert seen.keys() == blocks.keys()
        assert {stage for stage, _ in seen} >= {0, 2, 3}


def test_site__writes_no_name_of_an_individual_or_of_a_file(recorded):
    federation, places, _ = recorded
    for name, place in places.items():
        data = b"".join(path.read_bytes() for path in place.glob("*.sent"))
        fam = (federation.files / f"{name}.fam").read_text()
        ids = [line.split()[1].encode() for line in fam.splitlines()]
        assert len(ids) > 50
        for secret in (*ids, b".bed", str(Path.home()).encode(), HUB.encode() + b"/"):
            assert secret not in data
