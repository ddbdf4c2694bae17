"""Logins at real OpenID Connect servers: a small one, and Keycloak."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from forms import fill_forms
from hpc_connector.commands.main import main
from hpc_connector.confidential.identity.claims import Settings, has_role
from hpc_connector.confidential.identity.device import (
    ask_code,
    renew,
    wait_for_tokens,
)
from hpc_connector.confidential.identity.key_set import get_keys
from hpc_connector.confidential.identity.provider import discover
from hpc_connector.confidential.identity.tokens import validate_token
from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput
from identity_servers import AUDIENCE, serve_keycloak, serve_provider

CLIENT = "hpc-connector"
COMMAND = Path(sys.executable).with_name("hpc-connector")
SERVERS = {"oidc-provider": serve_provider, "keycloak": serve_keycloak}


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    with SERVERS[request.param]() as found:
        yield found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the path of the token, in a folder as the system gives each user."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder / "hpc_connector" / "token.json"


def read_process(pid, name):
    return Path(f"/proc/{pid}/{name}").read_bytes()


def log_in(server, name, *words, does_allow=True):
    """Return how a login ended, what it said, and what all could see of it."""
    command = [COMMAND, "keys", "login", "--issuer", server.issuer, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        line = process.stdout.readline()
        shown = re.fullmatch(r"Open (\S+) and enter the code (\S+)\n", line)
        assert shown, line + process.stderr.read()
        seen = read_process(process.pid, "cmdline") + read_process(
            process.pid, "environ"
        )
        typed = server.get_answers(name, does_allow=does_allow)
        fill_forms(shown[1], typed, last=server.deny)
        out, err = process.communicate()
    return process.returncode, out, err, seen


def ask(server, client=CLIENT):
    provider = discover(server.issuer)
    return provider, client, ask_code(provider, client, AUDIENCE)


def get_tokens(server, name, client=CLIENT):
    """Return tokens of a user, without a wait."""
    provider, client, code = ask(server, client)
    fill_forms(code.address, server.get_answers(name))
    return wait_for_tokens(provider, client, code, tell=print, wait=lambda _: None)


def run(capsys, *words):
    """Return the code of a command, and the one line that it says."""
    capsys.readouterr()
    code = main(["keys", *words])
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert len(lines) <= 1
    return code, "".join(lines)


def test_login__is_kept_renewed_and_forgotten(server, place, capsys):
    code, out, err, seen = log_in(server, "alice")
    assert code == 0, err
    assert re.fullmatch(
        rf"alice( \(\S+\))? of {server.issuer}, with the role nd-role, until .* UTC\n",
        out,
    )
    first = json.loads(place.read_text())
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    assert [path.name for path in place.parent.iterdir()] == ["token.json"]
    for secret in (first["access"], first["refresh"]):
        assert len(secret) > 20
        assert secret not in out + err
        assert secret.encode() not in seen

    said = run(capsys, "whoami")
    assert said == (0, out.strip())
    assert json.loads(place.read_text()) == first

    place.write_text(json.dumps(first | {"expires_s": time.time() + 29}))
    both = [subprocess.Popen([COMMAND, "keys", "whoami"]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]  # one renews, one waits
    second = json.loads(place.read_text())
    assert second["access"] != first["access"]
    assert place.stat().st_mode & 0o777 == 0o600

    assert run(capsys, "logout") == (0, "")
    assert not place.exists()
    with pytest.raises(BadInput, match=r"the login has ended.*invalid_grant"):
        renew(discover(server.issuer), CLIENT, second["refresh"])
    code, said = run(capsys, "whoami")
    assert (code, "nobody has logged in: expected" in said) == (2, True)
    assert run(capsys, "logout")[0] == 2


def test_login__of_who_has_another_role(server, place):
    code, out, _, _ = log_in(server, "bob")
    assert (code, "WITHOUT the role nd-role" in out) == (0, True)
    login = json.loads(place.read_text())
    claims = validate_token(login["access"], Settings(server.issuer, AUDIENCE))
    assert not has_role(claims, "realm_access.roles=nd-role")
    assert has_role(claims, "realm_access.roles=nd-role-viewer")


def test_login__for_another_audience_keeps_nothing(server, place):
    code, _, err, _ = log_in(server, "alice", "--audience", "hpc")
    assert code == 2
    assert err.splitlines()[-1].startswith("hpc-connector: audience: expected")
    assert list(place.parent.iterdir()) == []


def test_login__that_is_denied(server, place):
    code, _, err, _ = log_in(server, "alice", does_allow=False)
    assert code == 2
    assert err.splitlines()[-1].endswith(
        "the login was refused where the code was entered (access_denied)"
    )
    assert not place.exists()


def test_login__with_a_code_that_expires(server):
    provider, client, code = ask(server, "short-codes")
    assert code.life_s == 1
    late = replace(code, life_s=1e9)
    with pytest.raises(BadInput, match=r"code has expired .*keys login \(expired_"):
        wait_for_tokens(provider, client, late, tell=print, wait=lambda _: None)
    with pytest.raises(BadInput, match="code has expired before it was entered"):
        wait_for_tokens(provider, client, code, tell=print)


def test_login__of_a_client_that_may_not(server):
    for client in ("no-device", "nobody"):
        with pytest.raises(BadInput, match=server.issuer):
            ask(server, client)


def test_whoami__of_tokens_from_elsewhere(server, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    path = tmp_path / "token"
    path.write_text(get_tokens(server, "alice").access + "\n")
    words = ["whoami", "--issuer", server.issuer, "--token-command", f"cat '{path}'"]
    code, said = run(capsys, *words)
    assert (code, "with the role nd-role" in said) == (0, True)
    with open(path) as stream:
        words[3:] = ["--token-fd", str(stream.fileno())]
        assert run(capsys, *words) == (0, said)
    code, said = run(capsys, "login", "--issuer", server.issuer)
    assert (code, "XDG_RUNTIME_DIR names no folder" in said) == (2, True)


def test_token__that_ends_is_refused(server, place):
    """A server's own clock, and ours."""
    tokens = get_tokens(server, "alice", "short-tokens")
    settings = Settings(server.issuer, AUDIENCE)
    claims = validate_token(tokens.access, settings)
    assert claims.expires_s - claims.values["iat"] == 10
    late_s = claims.expires_s + settings.leeway_s
    assert validate_token(tokens.access, settings, now_s=late_s - 1)
    with pytest.raises(Refused, match="the token has expired"):
        validate_token(tokens.access, settings, now_s=late_s)
    assert get_keys(server.issuer).find("made-up") == []


class Enough(Exception):
    """Of what a test waits for."""


def test_login__asked_for_too_often(server):
    """Keycloak says slow_down; oidc-provider never does."""
    waited, told, is_slowed = [], [], "accept" in server.allow

    def wait(interval_s):
        waited.append(interval_s)
        if interval_s == 11 or (not is_slowed and len(waited) == 4):
            raise Enough

    with pytest.raises(Enough):
        wait_for_tokens(*ask(server), tell=told.append, wait=wait)
    if is_slowed:  # a poll that is late is not too often
        assert list(dict.fromkeys(waited)) == [1, 6, 11]
        assert told[1:] == [
            f"the server is asked less often: every {s} s" for s in (6, 11)
        ]
    else:
        assert waited == [1, 1, 1, 1]
    assert told[0] == "waiting until the code is entered"


def test_token__of_keycloak_without_a_mapper(server):
    client = "no-mapper" if server.allow else CLIENT
    token = get_tokens(server, "alice", client).access
    settings = Settings(server.issuer, AUDIENCE if server.allow else "another")
    with pytest.raises(Refused, match=r"Keycloak gives aud: account unless .* mapper"):
        validate_token(token, settings)
