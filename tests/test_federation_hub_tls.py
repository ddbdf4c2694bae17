"""Who may speak with a hub, and what somebody who may not can do to it."""

import contextlib
import http.client
import socket
import ssl
from dataclasses import replace
from functools import partial

import pytest

from federation_hubs import (
    HOST,
    NAMES,
    Stopped,
    Trial,
    ask,
    check,
    get_place,
    get_port,
    make_parties,
    open_party,
)
from hpc_connector.commands.federate import note
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.federation.hub import server, tls
from hpc_connector.federation.hub.tls import make_certificate, read_certificate
from hpc_connector.federation.records import open_log
from programs import PATIENCE_S, wait_for
from s3 import is_open


class Log(list):
    """Events of a hub: who was refused, and why."""

    def __call__(self, event, party, reason=None):
        self.append((event, party, reason))


@contextlib.contextmanager
def serve(study):
    """Give the log of a hub that waits for its sites."""
    log = Log()
    with contextlib.suppress(Stopped), open_party(study, "hub", log=log):
        yield log
        raise Stopped


def save_stranger(study, name, days=1.0):
    """Give a site another certificate than the study's; return the study so."""
    pem, private = make_certificate(name, days=days)
    (get_place(study, name) / "tls.key").write_bytes(private)
    sites = [replace(s, certificate=pem) if s.name == name else s for s in study.sites]
    return replace(study, sites=tuple(sites))


def join(study, name):
    """Return how a site ends."""
    (end,) = Trial(study, patience_s=5.0).run(name).join().values()
    return end


def test_hub__refuses_a_stranger(tmp_path):
    study = make_parties(tmp_path)
    with serve(study) as log:
        end = join(save_stranger(study, "north"), "north")
    assert isinstance(end, BadInput), end
    assert "does not accept the certificate of this site: unknown ca" in str(end)
    assert log == [("refuse", HOST, "TLS: self-signed certificate")]


def test_hub__refuses_a_certificate_that_has_ended(tmp_path, monkeypatch):
    study = save_stranger(make_parties(tmp_path), "north", days=-1 / 48)
    with pytest.raises(BadInput, match="the own certificate in the study ended on"):
        ask(study, "north", "GET", "/")
    monkeypatch.setattr(tls, "check_days", lambda _: None)  # of a clock that is late
    with serve(study) as log:
        end = join(study, "north")
    assert "of this site: certificate expired" in str(end)
    assert log == [("refuse", HOST, "TLS: certificate has expired")]


def test_site__refuses_another_hub(tmp_path):
    study = make_parties(tmp_path)
    pem, private = make_certificate("hub", [HOST])
    (get_place(study, "hub") / "tls.key").write_bytes(private)
    other = replace(study, hub=replace(study.hub, certificate=pem))
    with serve(other) as log:
        end = join(study, "north")
    assert isinstance(end, BadInput), end
    assert "expected the certificate of [hub] in the study" in str(end)
    assert log == [("refuse", HOST, "TLS: TLSV1_ALERT_UNKNOWN_CA")]


def test_site__refuses_a_hub_of_another_name(tmp_path):
    study = make_parties(tmp_path)
    url = study.hub.url.replace(HOST, "localhost")
    with serve(study):
        end = join(replace(study, hub=replace(study.hub, url=url)), "north")
    assert isinstance(end, BadInput), end
    assert "certificate is not valid for 'localhost'" in str(end)


def test_party__shows_the_key_of_its_certificate(tmp_path):
    study = make_parties(tmp_path)
    path = get_place(study, "north") / "tls.key"
    with pytest.raises(BadInput, match="is not the private key of the certificate"):
        ask(study, "north", "GET", "/", key_of="south")
    path.write_text("")
    with pytest.raises(BadInput, match="is not the private key of the certificate"):
        ask(study, "north", "GET", "/")
    path.chmod(0o644)
    with pytest.raises(BadInput, match="open to others"):
        ask(study, "north", "GET", "/")


def connect(study, name, *, most=None):
    """Return a connection of a site, of a version of TLS."""
    context = tls.make_client_context(
        {one.name: one.certificate for one in study.sites}[name],
        get_place(study, name) / "tls.key",
        study.hub.certificate,
    )
    if most:
        context.minimum_version = context.maximum_version = most
    plain = socket.create_connection((HOST, get_port(study)), timeout=PATIENCE_S)
    return context.wrap_socket(plain, server_hostname=HOST)


def test_hub__refuses_an_older_tls(tmp_path):
    study = make_parties(tmp_path)
    with serve(study) as log:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            connect(study, "north", most=ssl.TLSVersion.TLSv1_2)
        wait_for(lambda: log)
    assert log == [("refuse", HOST, "TLS: UNSUPPORTED_PROTOCOL")]


def test_hub__refuses_plain_http(tmp_path):
    study = make_parties(tmp_path)
    with serve(study) as log:
        connection = http.client.HTTPConnection(HOST, get_port(study))
        with contextlib.closing(connection):
            connection.request("GET", "/v1/join")
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                connection.getresponse()
        wait_for(lambda: log)
    assert log == [("refuse", HOST, "TLS: HTTP_REQUEST")]


def test_hub__logs_a_stranger_once(tmp_path, capsys):
    study = make_parties(tmp_path)
    other = save_stranger(study, "north")
    log = partial(note, open_log(tmp_path / "records", study, "hub"), study)
    with contextlib.suppress(Stopped), open_party(study, "hub", log=log):
        for _ in range(5):
            with pytest.raises(ssl.SSLError):
                ask(other, "north", "GET", "/")
        raise Stopped
    assert main(["federate", "log", str(tmp_path / "records")]) == 0
    first, line = capsys.readouterr().out.splitlines()
    assert first.endswith("x.hub.log: 1 lines hold, by their chain and signatures")
    assert f"event refuse  party {HOST}  reason TLS: self-signed certificate" in line


@pytest.mark.parametrize("text", ["", "PEM", "-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_read_certificate__refuses_what_is_none(text):
    with pytest.raises(BadInput, match="expected one certificate"):
        read_certificate(text)


def test_read_certificate__refuses_a_key_and_two():
    pem, private = make_certificate("north")
    assert read_certificate(f"a comment\n{pem}") == pem
    with pytest.raises(BadInput, match="expected one certificate"):
        read_certificate(pem + pem)
    with pytest.raises(BadInput, match="a private key: expected the certificate alone"):
        read_certificate(pem + private.decode())


def test_hub__is_not_held_up_by_who_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "STRANGERS", 1)
    monkeypatch.setattr(server.HubServer, "most_s", 6.0)
    study = make_parties(tmp_path)
    trial = Trial(study).run("hub")
    wait_for(lambda: is_open(get_port(study)))
    with contextlib.ExitStack() as stack:
        for _ in range(40):  # more than are served at once
            address = (HOST, get_port(study))
            stack.enter_context(socket.create_connection(address))
        half = stack.enter_context(connect(study, "west"))
        half.sendall(b"PUT /v1/runs/0/1/1 HTTP/1.1\r\nContent-Length: 99")
        drip = stack.enter_context(connect(study, "south"))
        drip.sendall(b"POST /v1/join HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
        ends = trial.run(*NAMES).join()
    for told in ends.values():
        check(told)
    assert ("end", "hub", "all sites have the result") in trial.log


def test_hub__serves_so_many_connections_of_a_site(tmp_path):
    study = make_parties(tmp_path)
    with serve(study) as log, contextlib.ExitStack() as stack:
        for _ in range(server.CONNECTIONS):
            held = stack.enter_context(connect(study, "north"))
            held.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert held.recv(1 << 12).startswith(b"HTTP/1.1 404 ")
        more = stack.enter_context(connect(study, "north"))
        assert more.recv(1 << 12) == b""
        other = stack.enter_context(connect(study, "south"))
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert other.recv(1 << 12).startswith(b"HTTP/1.1 404 ")
    assert ("refuse", "north", "more than 8 connections") in log
