"""What people ask of a keeper by a token, and what it is told by keeper.toml."""

import json
import os
import socket
import ssl
from pathlib import Path

import pytest

from hpc_connector.commands.main import main
from hpc_connector.confidential.keeper.database import list_grants
from hpc_connector.confidential.keeper.settings import read_settings
from hpc_connector.errors import BadInput
from keepers import (
    CLUSTER,
    JOB,
    SUBJECT,
    ask,
    make_grant,
    read_last,
    run_with_cohort,
    write_settings,
)
from programs import PATIENCE_S

ASKED = {"data": ["cohort-1"], "program": "mdr-epistasis", "hours": 24}
PERSON = ("nd-role", "cohort-1")


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    """Return a keeper that serves the cohort."""
    with run_with_cohort(tmp_path_factory.mktemp("keeper"), ["0" * 64]) as running:
        yield running


def send(keeper, method, path, told=None, roles=PERSON, **more):
    """Return the status and what a keeper answers to a person."""
    token = keeper.make_token(*roles, **more)
    data = b"" if told is None else json.dumps(told).encode()
    return ask(keeper, method, path, data, {"Authorization": f"Bearer {token}"})


def test_make_grant__for_a_person_with_the_roles(keeper):
    status, told = send(keeper, "POST", "/v1/grants", ASKED)
    assert status == 200
    (grant,) = list_grants(keeper.keeper.database, told["grant"])
    assert (len(grant.name), set(grant.name) <= set("0123456789abcdef")) == (16, True)
    assert (grant.subject, grant.uid) == (SUBJECT, os.geteuid())
    assert (grant.data, grant.program) == (("cohort-1",), "mdr-epistasis")
    assert 86_000 < grant.ends - grant.made < 86_401
    last = read_last(keeper)
    assert (last["event"], last["actor"], last["grant"]) == (
        "grant",
        SUBJECT,
        grant.name,
    )


@pytest.mark.parametrize(
    ("word", "told", "roles"),
    [
        ("role", {}, ("cohort-1",)),
        ("role", {}, ("nd-role",)),
        ("role", {}, ("nd-role", "cohort-11")),
        ("data", {"data": ["cohort-2"]}, PERSON),
        ("program", {"program": "metabolite-annotation"}, PERSON),
        ("hours", {"hours": 49}, PERSON),
        ("hours", {"hours": 0}, PERSON),
        ("hours", {"hours": float("nan")}, PERSON),
        ("uses", {"uses": 0}, PERSON),
        ("body", {"data": []}, PERSON),
        ("body", {"data": [1]}, PERSON),
        ("body", {"uid": 0}, PERSON),
        ("body", {"hours": True}, PERSON),
    ],
)
def test_make_grant__refuses_by_its_word(word, told, roles, keeper):
    before = len(list_grants(keeper.keeper.database))
    status, said = send(keeper, "POST", "/v1/grants", ASKED | told, roles)
    assert (status, said["refused"]) == (400 if word == "body" else 403, word)
    assert len(list_grants(keeper.keeper.database)) == before


def test_make_grant__to_nobody_the_cluster_does_not_know(keeper):
    said = send(keeper, "POST", "/v1/grants", ASKED, subject="bob")[1]
    assert said["refused"] == "subject"


@pytest.mark.parametrize("authorization", [None, "Basic x", "Bearer x", "Bearer a.b.c"])
def test_keeper__asks_for_a_token(authorization, keeper):
    headers = {"Authorization": authorization} if authorization else {}
    data = json.dumps(ASKED).encode()
    for method, path in (
        ("POST", "/v1/grants"),
        ("PUT", f"/v1/grants/{'0' * 16}/job"),
        ("GET", "/v1/data"),
        ("GET", "/v1/values/session=a/session"),
    ):
        status, said = ask(keeper, method, path, data, headers)
        assert (status, said["refused"]) == (401, "token")
        assert read_last(keeper)["event"] == "refuse"


def test_bind__once_by_its_owner(keeper):
    name, job = make_grant(keeper, ""), {"cluster": CLUSTER, "job_id": JOB}
    path = f"/v1/grants/{name}/job"
    assert send(keeper, "PUT", path, job, subject="bob")[1]["refused"] == "grant"
    other = {"cluster": "other", "job_id": JOB}
    assert send(keeper, "PUT", path, other)[1]["refused"] == "cluster"
    wrong = {"cluster": CLUSTER, "job_id": "17; true"}
    assert send(keeper, "PUT", path, wrong)[1]["refused"] == "body"
    assert send(keeper, "PUT", path, job)[0] == 200
    assert send(keeper, "PUT", path, job)[0] == 200  # as one asks that got no answer
    said = send(keeper, "PUT", path, job | {"job_id": "18"})[1]
    assert said["refused"] == "job"
    assert list_grants(keeper.keeper.database, name)[0].job_id == JOB


def test_get_values__as_a_cas_answers(keeper):
    path = "/v1/values/session=a/session"
    expected = {"values": {"password": {"value": "a value"}}}
    assert send(keeper, "GET", path) == (200, expected)
    path = path.replace("a/", "a%2F")
    assert send(keeper, "GET", f"{path},secret=password") == (200, expected)
    for wrong in (f"{path},secret=other", "/v1/values/session=../keeper"):
        status, said = send(keeper, "GET", wrong)
        assert (status, said["refused"]) == (404, "values")
    assert send(keeper, "GET", path, roles=())[1]["refused"] == "role"


def test_keeper__shows_its_certificate_and_no_key(keeper):
    status, told = ask(keeper, "GET", "/v1/ca.pem")
    assert status == 200
    assert told == (keeper.folder / "keeper.pem").read_bytes()
    assert ask(keeper, "GET", "/v1/keeper.sec")[0] == 404


def test_keeper__takes_no_request_that_hides_in_another(keeper):
    """What was not read of one is not taken for the next."""
    hidden = b"GET /v1/nonces HTTP/1.1\r\nHost: x\r\n\r\n"
    context = ssl.create_default_context(cafile=keeper.folder / "keeper.pem")
    port = int(keeper.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        head = f"GET /v1/none HTTP/1.1\r\nHost: x\r\nContent-Length: {len(hidden)}\r\n"
        stream.sendall(head.encode() + b"\r\n" + hidden)
        answers = b"".join(iter(lambda: stream.recv(4096), b""))
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"404" in answers


def test_describe_data__says_versions_and_policies(keeper):
    told = send(keeper, "GET", "/v1/data")[1]
    assert told["cohort-1"]["purpose"] == "DUO:0000006"
    names = {one["name"]: one["version"] for one in told["cohort-1"]["objects"]}
    assert names["cohort.bed.c4gh"] == 1
    assert told["open"]["objects"] == []


def call(keeper, words, token, tmp_path):
    """Run a command by a token in an open file; return its code."""
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    with pytest.MonkeyPatch.context() as patch, open(path) as stream:
        patch.setenv("SSL_CERT_FILE", str(keeper.folder / "keeper.pem"))
        return main([*words, "--token-fd", str(stream.fileno())])


def test_keys_grant__prints_a_name(keeper, tmp_path, capsys):
    words = ["keys", "grant", "cohort-1", "--keeper", keeper.url]
    words += ["--program", "mdr-epistasis", "--hours", "2"]
    assert call(keeper, words, keeper.make_token(*PERSON), tmp_path) == 0
    name = capsys.readouterr().out.strip()
    (grant,) = list_grants(keeper.keeper.database, name)
    assert 7100 < grant.ends - grant.made < 7201
    assert call(keeper, words, keeper.make_token("cohort-1"), tmp_path) == 2
    assert "role: expected realm_access.roles=nd-role" in capsys.readouterr().err


def test_keeper_list__and_revoke(keeper, capsys):
    name = make_grant(keeper)
    config = ["--config", str(keeper.folder / "keeper.toml")]
    assert main(["keeper", "list", *config]) == 0
    printed = capsys.readouterr().out
    assert "cohort.bed.c4gh\tversion 1" in printed
    assert f"grant\t{name}\tcohort-1\t{SUBJECT}" in printed
    assert main(["keeper", "revoke", name, *config]) == 0
    assert main(["keeper", "revoke", "0" * 16, *config]) == 2
    assert list_grants(keeper.keeper.database, name)[0].revoked
    said = send(
        keeper, "PUT", f"/v1/grants/{name}/job", {"cluster": CLUSTER, "job_id": JOB}
    )[1]
    assert said["refused"] == "grant"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[oidc]", "[open_id]", "unknown key open_id"),
        ("listen =", "listens =", "unknown key listens"),
        ('role = "', 'roles = "', "unknown key roles"),
        ("most_hours =", "hours =", "unknown key hours"),
        ("clusters =", "cluster =", "unknown key cluster"),
        ('issuer = "http://127.0.0.1', 'issuer = "http://10.0.0.1', "expected https"),
        ('listen = "127.0.0.1:0"', 'listen = "127.0.0.1"', "expected HOST:PORT"),
        ('log = "keeper.log"\n', "", "expected also log"),
        ('owner = "the hospital"\npurpose', "purpose", "expected also owner"),
        ("most_hours = 48", "most_hours = 0", "expected hours above 0"),
        ("least_level = 0", "least_level = 4", "expected a level of 0 to 3"),
        ("least_level = 0", "least_level = 1", "without measurements"),
        ('"5f1c-alice" = 0', '"5f1c-alice" = "root"', "expected a number"),
        ('role = "realm_access.roles=', 'role = "', "expected PATH=VALUE"),
    ],
)
def test_read_settings__refuses_what_it_does_not_know(before, after, said, tmp_path):
    path = write_settings(tmp_path, "http://127.0.0.1:1", "/s", 0, ["0" * 64])
    read_settings(path)
    text = Path(path).read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(BadInput, match=said):
        read_settings(path)
