"""The client of CAS, before a double of it."""

import json
import os

import pytest

from cas_double import save_certificate, serve
from hpc_connector.commands.main import main

POLICY = """# a policy
name: lab/run-1
version: "0.3.10"
services:
  - name: one  # the only one
    command: /bin/one
    attestation: {mrenclave: %s}
""" % ("a1" * 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = save_certificate(folder, "authority")
    save_certificate(folder, "server", authority)
    save_certificate(folder, "me", authority)
    save_certificate(folder, "locked", authority, b"open sesame")
    stranger = save_certificate(folder, "stranger")
    save_certificate(folder, "unknown", stranger)
    return folder


@pytest.fixture
def double(folder):
    with serve(folder) as server:
        yield server


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def ask(double, folder, capsys):
    """Return a call of a command, which gives code, output and errors."""

    def call(what, *words, ca="authority", who="me", **more):
        port = double.server_address[1]
        words = [*words, "--cas", f"127.0.0.1:{port}", "--ca", folder / f"{ca}.pem"]
        words += ["--cert", folder / f"{who}.pem", "--key", folder / f"{who}.key"]
        for name, value in more.items():
            words += [f"--{name.replace('_', '-')}", value]
        capsys.readouterr()
        code = main(["scone", what, *map(str, words)])
        return code, *capsys.readouterr()

    return call


def refuse(answer):
    code, out, said = answer
    assert (code, out) == (2, "")
    (line,) = said.splitlines()
    return line


def test_upload__of_a_new_policy_and_of_one_that_follows(ask, double, policy):
    code, out, _ = ask("upload", policy)
    assert code == 0
    first, text = double.sessions["lab/run-1"]
    assert (out, text) == (f"{first}\n", POLICY)

    policy.write_text(POLICY.replace("/bin/one", "/bin/two"))
    assert ask("upload", policy)[0] == 0
    second, text = double.sessions["lab/run-1"]
    lines = [line for line in text.splitlines() if not line.startswith("predecessor:")]
    assert "\n".join(lines) + "\n" == policy.read_text()  # comments are kept
    assert f'\npredecessor: "{first}"\n' in text

    stale = POLICY.replace("services:", f"predecessor: {'9f' * 32}\nservices:")
    policy.write_text(stale)
    assert ask("upload", policy)[0] == 0
    assert second in double.sessions["lab/run-1"][1]
    assert "9f9f" not in double.sessions["lab/run-1"][1]


def test_upload__of_a_namespace_that_is_there(ask, double, policy):
    """What follows another has no namespace_hash, and what does not no predecessor."""
    text = POLICY.replace("0.3.10", "0.3.11")
    policy.write_text(text.replace("services:", f"namespace_hash: {HEX}\nservices:"))
    assert ask("upload", policy)[0] == 0
    assert "namespace_hash" in double.sessions["lab/run-1"][1]
    assert ask("upload", policy)[0] == 0
    assert "namespace_hash" not in double.sessions["lab/run-1"][1]

    double.sessions.clear()
    policy.write_text(text.replace("services:", f"predecessor: {HEX}\nservices:"))
    assert ask("upload", policy)[0] == 0
    assert "predecessor" not in double.sessions["lab/run-1"][1]


HEX = "12" * 32


def test_upload__refuses_what_has_faults(ask, double, policy):
    policy.write_text(POLICY.replace("0.3.10", "0.2"))
    code, out, said = ask("upload", policy)
    assert (code, out) == (2, "")
    assert ":3: E03 " in said
    assert double.sessions == {}
    policy.write_text(POLICY.replace("lab/run-1", "$NAME"))
    assert "expected one that is filled in" in refuse(ask("upload", policy))
    policy.write_text(f"{{name: a, version: 0.3, predecessor: {HEX}}}")
    assert "expected a key a line" in refuse(ask("upload", policy))


def test_upload__says_why_cas_refuses(ask, double, policy):
    double.canned["/v1/sessions/lab/run-1"] = 403, {"msg": ["not", "for\nyou"]}
    assert "CAS refuses lab/run-1 (403): not for you" in refuse(ask("upload", policy))
    double.canned["/v1/sessions/lab/run-1"] = 200, {"session": POLICY}
    assert "does not say the hash" in refuse(ask("upload", policy))
    double.canned["/v1/sessions/lab/run-1"] = 200, {"hash": HEX}
    assert "(409): predecessor is None" in refuse(ask("upload", policy))


def test_show(ask, policy):
    assert ask("upload", policy)[0] == 0
    code, out, _ = ask("show", "lab/run-1")
    assert code == 0
    assert out.startswith("# hash: ")
    assert out.partition("\n")[2] == POLICY
    said = json.loads(ask("show")[1])
    assert said["version"] == {"version": "double"}
    assert "quote" in said["unverified"]
    values = json.loads(ask("show", "lab/run-1", "--secret", "all")[1])
    assert values == {"values": {"ca": {"value": "public"}}}
    assert (
        json.loads(ask("show", "lab/run-1", "--secret", "ca")[1])["value"] == "public"
    )
    assert "CAS has no policy other" in refuse(ask("show", "other"))
    assert "there is none of that" in refuse(ask("show", "x", "--secret", "y"))


def test_cas__is_trusted_by_its_authority_alone(ask, double, folder):
    assert "self-signed certificate" in refuse(ask("show", ca="stranger"))
    assert ask("show", cas_name="cas")[0] == 0
    assert "match" in refuse(ask("show", cas_name="other"))
    assert "PEM" in refuse(ask("show", ca="none"))
    (folder / "text.pem").write_text("text")
    assert "text.pem: is no certificate" in refuse(ask("show", ca="text"))


def test_cas__knows_who_asks(ask, double, folder):
    refuse(ask("show", who="unknown"))
    key = folder / "me.key"
    key.chmod(0o644)
    assert "expected chmod 600" in refuse(ask("show"))
    key.chmod(0o600)
    assert "a certificate and its key" in refuse(ask("show", who="locked"))
    reading, writing = os.pipe()
    os.write(writing, b"open sesame\n")
    os.close(writing)
    assert ask("show", who="locked", passphrase_fd=reading)[0] == 0
    os.close(reading)


def test_cas__that_is_none(ask, double, folder, capsys):
    double.canned["/v1/version"] = 200, b"<html>"
    assert "answers 200, no JSON" in refuse(ask("show"))
    double.canned["/v1/version"] = 200, b"[" * 100_000
    assert "answers 200, no JSON" in refuse(ask("show"))
    assert "expected HOST" in refuse(ask("show", cas="127.0.0.1:no"))
    words = ["--ca", folder / "authority.pem", "--cert", folder / "me.pem"]
    words += ["--key", folder / "me.key", "--cas", "127.0.0.1:1"]
    assert main(["scone", "show", *map(str, words)]) == 2
    assert "https://127.0.0.1:1/v1/version: " in capsys.readouterr().err
