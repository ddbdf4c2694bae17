"""Who sends other than its counts to a hub, is no site, or asks twice, gets nothing."""

import json
import socket
import ssl
from functools import partial

import numpy as np
import pytest

from hpc_connector.federation import transport
from hpc_connector.federation.blocks import FOLDS, PAIRS, VARIANTS
from hpc_connector.federation.hub import client
from hpc_connector.federation.hub.tls import make_certificate
from hpc_connector.federation.hub.wire import (
    get_bytes,
    make_header,
    pack_header,
    read_header,
)
from hpc_connector.federation.records import verify_all
from hub_parties import HUB, Federation, run, say
from random_sites import save_trial

REFUSED = 2
SETTINGS = {"cvc": "none", "rank_by": "whole", "missing": "exclude", "folds": 3}
SETTINGS |= {"scorer": "hub", "fold_mode": "dealt", "top": 10, "min_maf": 0.0}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("federation")
    return Federation(save_trial(folder, 3, 3, **SETTINGS))


def spoil_counts(stage):
    """Send one more of everything in a stage than was counted."""
    mask_parts = transport.mask_parts

    def spoil(parts, keys, mine, of_stage, block, into):
        numbers = mask_parts(parts, keys, mine, of_stage, block, into)
        if of_stage == stage:
            numbers += numbers.dtype.type(20_000)
        return numbers

    transport.mask_parts = spoil


def spoil_masks():
    """Mask as if in another run."""
    mask_parts = transport.mask_parts

    def spoil(parts, keys, *place):
        return mask_parts(parts, {other: bytes(32) for other in keys}, *place)

    transport.mask_parts = spoil


def send_twice():
    """Send every block again, with other numbers."""
    send = client.SiteTransport.send

    def spoil(self, path, parts):
        found = send(self, path, parts)
        header = read_header(parts[0])
        numbers = np.frombuffer(parts[1], header.dtype) + header.dtype.type(1)
        again = make_header(header.stage, header.block, numbers)
        send(self, path, (pack_header(again), get_bytes(numbers)))
        return found

    client.SiteTransport.send = spoil


def cut_blocks():
    """Send fewer numbers than the others."""
    add = client.SiteTransport.add

    def cut(self, stage, block, make):
        return add(self, stage, block, lambda: make()[:-1])

    client.SiteTransport.add = cut


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (partial(spoil_counts, VARIANTS), "implausible sums (stage 0"),
        (partial(spoil_counts, PAIRS), "implausible sums (stage A"),
        (partial(spoil_counts, FOLDS), "implausible sums (stage B"),
        (spoil_masks, "implausible sums"),
        (send_twice, "twice, and not the same"),
        (cut_blocks, "numbers of 32 bits of site"),
    ],
)
def test_search__of_a_site_that_changes_numbers_ends_without_results(
    federation, act, said
):
    federation.clear()
    liar = federation.trial.names[1]
    codes = run(federation, {liar: act})
    assert codes == dict.fromkeys(federation.names, REFUSED), say(federation)
    for name in federation.names:
        assert said in (federation.folder / name / "log").read_text(), name
        if name != HUB:
            assert not list(federation.get_out(name).glob("models.tsv"))


def drop_one(federation, name):
    """Take one individual out of the cohort of a site; return how to undo it."""
    path = federation.files / f"{name}.fam"
    before = path.read_text()
    rows = before.splitlines()
    (row, *_) = [k for k, row in enumerate(rows) if row.endswith(("1", "2"))]
    rows[row] = f"{rows[row][:-1]}0"
    path.write_text("\n".join(rows) + "\n")
    return partial(path.write_text, before)


def test_hub__refuses_one_person_less_whose_site_has_forgotten_its_budget(federation):
    federation.clear()
    assert set(run(federation).values()) == {0}
    name = federation.trial.names[0]
    undo = drop_one(federation, name)
    federation.clear(keeps=[HUB])
    try:
        codes = run(federation)
    finally:
        undo()
    assert codes == dict.fromkeys(federation.names, REFUSED), say(federation)
    for name in federation.names:
        log = (federation.folder / name / "log").read_text()
        assert "all sites together: the cohort is not that of the last query" in log
        if name != HUB:
            assert not list(federation.get_out(name).glob("models.tsv"))


def test_hub__keeps_no_sums_once_all_sites_have_the_result(federation):
    federation.clear()
    assert set(run(federation).values()) == {0}
    state = federation.folder / HUB / "state"
    assert not [path for path in state.rglob("*") if path.name.startswith("sums")]
    assert (
        sum(path.stat().st_size for path in state.rglob("*") if path.is_file()) < 4000
    )
    for name in federation.trial.names:
        assert not (federation.get_out(name) / "ledger").exists()


def knock(federation):
    """Ask the hub with a certificate that is not of the study, until it answers."""
    pem, key = make_certificate("stranger")
    own = federation.files / "stranger.pem"
    own.write_bytes(pem.encode() + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(own)
    address = "127.0.0.1", federation.port
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain) as secured,
    ):
        secured.sendall(b"GET /v1/runs/0/told/0 HTTP/1.1\r\nHost: hub\r\n\r\n")
        return secured.recv(1)


def test_hub__hears_no_stranger(federation):
    federation.clear()
    heard = []

    def look():
        try:
            heard.append(knock(federation))
        except (ssl.SSLError, ConnectionError):
            heard.append(b"")

    codes = run(federation, at_hub=look)
    assert set(codes.values()) == {0}, say(federation)
    assert heard == [b""]
    told = [
        json.loads(line)
        for _, _, lines in verify_all(federation.folder / HUB / "records")
        for line in lines
    ]
    refused = [one["reason"] for one in told if one["event"] == "refuse"]
    assert [reason for reason in refused if "certificate" in reason], refused
