"""Tokens at rest, and what servers and their answers may not do."""

import http.server
import json
import os
import ssl
import stat
import threading
import time
import traceback
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from hpc_connector.commands.main import main
from hpc_connector.confidential.identity import store
from hpc_connector.confidential.identity.device import (
    Code,
    Tokens,
    ask_code,
    renew,
    revoke,
    wait_for_tokens,
)
from hpc_connector.confidential.identity.key_set import fetch_keys
from hpc_connector.confidential.identity.provider import Provider, discover
from hpc_connector.confidential.identity.source import load_token
from hpc_connector.confidential.identity.web import Unreachable, ask, check_address
from hpc_connector.errors import BadInput

ACCESS, REFRESH, DEVICE = "acc.ess-T0ken", "refr.esh-T0ken", "dev-1ce-c0de"
LOGIN = store.Login(
    *("https://id.example.org", "keeper", "groups=x", "us", 1e12), ACCESS, REFRESH
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder as the system gives each user."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv(store.VARIABLE, str(folder))
    return folder


@pytest.fixture
def path(folder):
    with store.locked() as path:
        store.save(path, LOGIN)
    return path


class Script(http.server.BaseHTTPRequestHandler):
    """Answers in turn, by path: status, what is said, headers; the last one stays."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        said = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append((self.path, said))
        answers = self.server.answers.get(self.path, [(404, {})])
        status, text, *headers = answers.pop(0) if len(answers) > 1 else answers[0]
        data = text if isinstance(text, bytes) else json.dumps(text).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers[0].items() if headers else ():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script) as server:
        server.answers, server.asked = {}, []
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def provider(server):
    paths = [
        f"{server.address}/{name}" for name in ("jwks", "token", "device", "revoke")
    ]
    return Provider(server.address, *paths)


def test_load_token__of_a_login(path):
    assert load_token() == ACCESS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_save__is_for_its_owner_whatever_the_mask(folder):
    before = os.umask(0)
    try:
        with store.locked() as path:
            path.with_suffix(".partial").write_text("left by one that was killed")
            store.save(path, LOGIN)
            assert store.read(path) == LOGIN
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)]
    assert modes == [0o700, 0o600]
    assert [one.name for one in path.parent.iterdir()] == ["token.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_read__of_a_file_that_is_open_to_others(path, mode):
    path.chmod(mode)
    with pytest.raises(BadInput, match=r"open to others: expected chmod 600"):
        load_token()


def test_read__of_a_link(path, tmp_path):
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=r"keys login"):
        load_token()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        json.dumps(asdict(LOGIN) | {"format_version": 2}),
        json.dumps(asdict(LOGIN) | {"expires_s": "soon"}),
        json.dumps(asdict(LOGIN) | {"access": 1}),
        json.dumps(asdict(LOGIN) | {"more": 1}),
        json.dumps({"access": ACCESS}),
    ],
    ids=lambda text: text[-30:],
)
def test_read__of_no_login(path, text):
    path.write_text(text)
    with pytest.raises(BadInput, match=r"expected hpc-connector keys login") as caught:
        load_token()
    assert ACCESS not in str(caught.value)


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/at/all", "/dev/null"])
def test_folder__that_cannot_be(monkeypatch, place):
    monkeypatch.setenv(store.VARIABLE, place)
    with pytest.raises(BadInput, match=r"^XDG_RUNTIME_DIR.*expected --token-fd N"):
        load_token()


def test_folder__that_is_open_to_others(folder):
    folder.chmod(0o755)
    with pytest.raises(BadInput, match=r"open to others: expected --token-fd N"):
        load_token()


def test_load_token__that_has_expired(path):
    store.save(path, replace(LOGIN, expires_s=time.time() + 29, refresh=""))
    with pytest.raises(
        BadInput, match=r"the token has expired: expected .* keys login"
    ):
        load_token()


def test_load_token__is_not_lost_when_the_server_is_away(path, server):
    old = replace(LOGIN, issuer=server.address, expires_s=0.0)
    store.save(path, old)
    with pytest.raises(Unreachable, match="found status 404"):
        load_token()
    assert store.read(path) == old


def test_log_out__without_its_server(path, server, capsys):
    store.save(path, replace(LOGIN, issuer=server.address))
    assert main(["keys", "logout"]) == 2
    assert not path.exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_load_token__of_an_open_file(tmp_path):
    path = tmp_path / "token"
    for text, expected in ((f"{ACCESS}\nmore", ACCESS), (f"  {ACCESS}\r\n", ACCESS)):
        path.write_text(text)
        with open(path) as stream:
            assert load_token(descriptor=stream.fileno()) == expected
            assert not stream.closed
    for text in ("", "\n", f"Bearer {ACCESS}", f"{ACCESS}\0", "é", "\udcff"):
        path.write_bytes(text.encode(errors="surrogateescape"))
        with (
            open(path) as stream,
            pytest.raises(
                BadInput, match=r"--token-fd \d+: expected an access"
            ) as told,
        ):
            load_token(descriptor=stream.fileno())
        assert ACCESS not in str(told.value)
    with pytest.raises(BadInput, match=r"--token-fd 999: Bad file descriptor"):
        load_token(descriptor=999)
    with pytest.raises(BadInput, match=r"expected one of them"):
        load_token(descriptor=0, command="true")


def test_load_token__of_a_command(capfd):
    assert load_token(command=f"printf '%s\\n' {ACCESS}") == ACCESS
    for command, said in (
        ("false", "false ended with 1"),
        ("true", "expected an access token"),
        (f"echo {ACCESS} {REFRESH}", "expected an access token"),
        ("no-such-command x", "no-such-command: No such file"),
        ("'", "expected words of a shell"),
        (" ", "expected words of a shell"),
        ("echo $HOME;x", "expected an access token"),
    ):
        with pytest.raises(BadInput, match=said) as caught:
            load_token(command=command)
        assert ACCESS not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_secrets__are_in_no_text():
    code = Code(DEVICE, "ABCD", "https://id.example.org", 5, 60)
    texts = [repr(one) for one in (LOGIN, Tokens(ACCESS, REFRESH), code)]
    assert not [
        one for one in texts if ACCESS in one or REFRESH in one or DEVICE in one
    ]


@pytest.mark.parametrize(
    "address",
    [
        "http://id.example.org",
        "http://localhost",
        "http://127.0.0.1.example.org/",
        "http://127.0.0.1@example.org/",
        "http://127.0.0.2",
        "http://[::1]/",
        "https://user@example.org/",
        "https://user:word@example.org/",
        "https://example.org\\@127.0.0.1/",
        "https://example.org/\r\nX: y",
        "https://example.org/\x1b[2J",
        "https://example.org/#x",
        "https:///x",
        "ftp://example.org",
        "file:///etc/passwd",
        "HTTPS://example.org",
        " https://example.org",
        "",
        None,
        1,
    ],
    ids=str,
)
def test_check_address__that_no_secret_goes_to(address):
    with pytest.raises(BadInput, match=r"^issuer: expected https://"):
        check_address(address, "issuer")


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example.org/realms/neardata",
        "https://id.example.org:8443",
        "https://[2001:db8::1]:8443/x",
        "http://127.0.0.1",
        "http://127.0.0.1:80/x?user_code=AB-CD",
    ],
)
def test_check_address__that_is_good(address):
    assert check_address(address, "issuer") == address


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:1/",
        "https://a..b/",
        f"https://{'a' * 70}.b/",
        "https://127.0.0.1:1/",
    ],
)
def test_ask__where_nobody_is(address):
    with pytest.raises(Unreachable, match="does not answer"):
        ask(address, {"refresh_token": REFRESH})


def test_ask__is_sent_nowhere_else(server, monkeypatch):
    """Neither to where a server points, nor to a proxy for what is on this machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    for status in (301, 302, 303, 307, 308):
        server.answers["/from"] = [(status, {}, {"Location": f"{server.address}/to"})]
        said = ask(f"{server.address}/from", {"token": ACCESS})
        assert said == (status, {})
    assert {place for place, _ in server.asked} == {"/from"}


def certify(path):
    """Write the key of a server of this machine, and a certificate by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    here = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    kind = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key.private_bytes(*kind) + certificate.public_bytes(Encoding.PEM))


def test_ask__over_tls_trusts_no_stranger(server, tmp_path, monkeypatch):
    certify(tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # a client that goes away
    server.answers["/x"] = [(200, {"a": 1})]
    address = server.address.replace("http", "https") + "/x"
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        ask(address, {"refresh_token": REFRESH})
    assert server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    assert ask(address) == (200, {"a": 1})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"half": ',
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        b'"' + b"x" * (1 << 20) + b'"',
    ],
)
def test_ask__is_told_no_json(server, text):
    server.answers["/x"] = [(200, text)]
    assert ask(f"{server.address}/x") == (200, None)


def test_discover__says_whose_document_it_is(server):
    place = "/.well-known/openid-configuration"
    good = {"issuer": server.address, "jwks_uri": f"{server.address}/keys"}
    for changed, said in (
        ({"issuer": "https://other.example"}, "calls itself otherwise"),
        ({"issuer": f"{server.address}/"}, "calls itself otherwise"),
        ({"issuer": None}, "calls itself otherwise"),
        ({"jwks_uri": "http://other.example/keys"}, "^jwks_uri: expected https"),
        ({"token_endpoint": "http://other.example"}, "^token_endpoint: expected https"),
        ({"device_authorization_endpoint": 1}, "^device_authorization_endpoint: exp"),
    ):
        server.answers[place] = [(200, good | changed)]
        with pytest.raises(BadInput, match=said):
            discover(server.address)
    server.answers[place] = [(200, good)]
    assert discover(server.address).device == ""
    for keys in ({}, {"keys": {}}, []):
        server.answers["/keys"] = [(200, keys)]
        with pytest.raises(Unreachable):
            fetch_keys(server.address)
    server.answers["/keys"] = [(200, {"keys": [{"kid": "x"}, 1]})]
    assert fetch_keys(server.address) == [{"kid": "x"}]
    server.answers[place] = [(200, {"issuer": server.address})]
    with pytest.raises(Unreachable):
        fetch_keys(server.address)
    with pytest.raises(BadInput, match=r"no device flow \(RFC 8628\)"):
        ask_code(discover(server.address), "us", "keeper")


GIVEN = {
    "device_code": DEVICE,
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://id.example.org/device",
    "expires_in": 60,
}


def test_ask_code__as_the_standard_has_it(server, provider):
    server.answers["/device"] = [(200, GIVEN)]
    code = ask_code(provider, "us", "keeper")
    assert code == Code(DEVICE, "ABCD-EFGH", GIVEN["verification_uri"], 5, 60)
    ask_code(provider, "us", "https://keeper.example.org")
    first, second = (said for _, said in server.asked)
    assert first == "client_id=us&scope=openid&audience=keeper"
    assert second.endswith("&resource=https%3A%2F%2Fkeeper.example.org")


@pytest.mark.parametrize(
    "changed",
    [
        {"device_code": None},
        {"device_code": "a b"},
        {"user_code": "\x1b[2J"},
        {"user_code": ["x"]},
        {"verification_uri": "http://id.example.org/"},
        {"verification_uri": "https://id.example.org/\x1b]0;x\x07"},
        {"verification_uri_complete": "javascript:alert(1)"},
        {"expires_in": "60"},
        {"expires_in": None},
        {"expires_in": 10**400},
        {"expires_in": float("nan")},
        {"interval": float("inf")},
        {"interval": -1},
        {"interval": True},
    ],
    ids=str,
)
def test_ask_code__whose_answer_cannot_be_used(server, provider, changed):
    server.answers["/device"] = [(200, GIVEN | changed)]
    with pytest.raises(BadInput, match=r"expected|can be used") as caught:
        ask_code(provider, "us", "keeper")
    assert "\x1b" not in str(caught.value)
    assert DEVICE not in str(caught.value)


class Clock:
    """Time that passes by waiting alone."""

    def __init__(self):
        self.now_s, self.waited, self.told = 0.0, [], []

    def wait(self, wait_s):
        self.waited.append(wait_s)
        self.now_s += wait_s

    def poll(self, provider, life_s=600):
        code = Code(DEVICE, "ABCD", "https://id.example.org", 5, life_s)
        return wait_for_tokens(
            provider,
            "us",
            code,
            tell=self.told.append,
            wait=self.wait,
            get_time=lambda: self.now_s,
        )


PENDING = (400, {"error": "authorization_pending"})
TOKENS = {"access_token": ACCESS, "token_type": "bearer", "refresh_token": REFRESH}


def test_wait__asks_as_often_as_it_may(server, provider):
    slow, away = (400, {"error": "slow_down"}), (503, b"<html>")
    server.answers["/token"] = [PENDING, slow, PENDING, slow, away, PENDING]
    server.answers["/token"].append((200, TOKENS))
    clock = Clock()
    assert clock.poll(provider) == Tokens(ACCESS, REFRESH)
    assert clock.waited == [5, 5, 10, 10, 15, 30, 30]
    assert clock.told == [
        "waiting until the code is entered",
        "the server is asked less often: every 10 s",
        "the server is asked less often: every 15 s",
        "the server does not answer; asked again in 30 s",
    ]
    form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
    form += f"&device_code={DEVICE}&client_id=us"
    assert server.asked == [("/token", form)] * 7


def test_wait__ends_with_the_code(server, provider):
    server.answers["/token"] = [PENDING]
    clock = Clock()
    with pytest.raises(BadInput, match="code has expired before it was entered"):
        clock.poll(provider, life_s=21)
    assert clock.now_s == 20


def test_wait__ends_where_nobody_answers():
    nobody = Provider("http://127.0.0.1:1", *["http://127.0.0.1:1/x"] * 4)
    clock = Clock()
    with pytest.raises(BadInput, match="code has expired"):
        clock.poll(nobody)
    assert clock.waited == [5, 10, 20, 40, 80, 160]


@pytest.mark.parametrize(
    ("status", "said", "line"),
    [
        (400, {"error": "access_denied"}, "refused where the code .*(access_denied)"),
        (400, {"error": "expired_token"}, "expired .* keys login (expired_token)"),
        (401, {"error": "invalid_client"}, "does not know this client"),
        (400, {"error": "new_error"}, "expected a token (new_error)"),
        (400, {"error": "\x1b[2J"}, "expected a token (status 400)"),
        (400, {"error": ["x"]}, "expected a token (status 400)"),
        (302, {}, "expected a token (status 302)"),
        (200, {}, "expected one of type Bearer"),
        (200, b"", "expected one of type Bearer"),
        (200, TOKENS | {"token_type": "DPoP"}, "expected one of type Bearer"),
        (200, TOKENS | {"access_token": f"{ACCESS}\r\nX: y"}, "no access_token"),
        (200, TOKENS | {"refresh_token": 5}, "no refresh_token that can be used"),
    ],
)
def test_wait__ends_with_an_error(server, provider, status, said, line):
    server.answers["/token"] = [(status, said)]
    line = line.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(BadInput, match=line) as caught:
        Clock().poll(provider)
    text = "".join(traceback.format_exception(caught.value))
    secrets = (ACCESS, REFRESH, DEVICE, "\x1b")
    assert not [secret for secret in secrets if secret in text]


def test_renew__keeps_a_refresh_token_that_stays(server, provider):
    server.answers["/token"] = [(200, {"access_token": "new", "token_type": "Bearer"})]
    assert renew(provider, "us", REFRESH) == Tokens("new", REFRESH)
    server.answers["/token"] = [(400, {"error": "invalid_grant"})]
    with pytest.raises(BadInput, match="the login has ended: hpc-connector keys login"):
        renew(provider, "us", REFRESH)
    server.answers["/token"] = [(502, b"")]
    with pytest.raises(Unreachable, match="status 502"):
        renew(provider, "us", REFRESH)


def test_revoke__says_if_the_server_does_not(server, provider):
    server.answers["/revoke"] = [(200, b""), (400, {"error": "unsupported_token_type"})]
    revoke(provider, "us", REFRESH)
    with pytest.raises(BadInput, match="unsupported_token_type"):
        revoke(provider, "us", REFRESH)


def test_whoami__needs_to_know_whose_token_it_is(capsys):
    for words in (["--token-command", "true"], ["--issuer", "https://id.example.org"]):
        assert main(["keys", "whoami", *words]) == 2
        assert "expected --issuer URL with --token-fd" in capsys.readouterr().err
    words = ["--issuer", "https://id.example.org", "--role", "nd-role"]
    assert main(["keys", "login", *words]) == 2
    assert "expected PATH=VALUE" in capsys.readouterr().err
