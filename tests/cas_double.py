"""A double of SCONE's CAS: its five calls over mutual TLS, and no enclave."""

import contextlib
import hashlib
import http.server
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import unquote

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


def save_certificate(folder, name, issuer=None, passphrase=None):
    """Write NAME.pem and NAME.key, for 127.0.0.1 and cas; return both, as objects."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority, signer = issuer or (None, key)
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("cas")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())
    )
    kept = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    packed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept)
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(packed)
    (folder / f"{name}.key").chmod(0o600)
    return made, key


class Double(http.server.BaseHTTPRequestHandler):
    """Keeps policies for as long as the test lasts.

    The hash of a policy is one of its bytes here; in CAS nobody outside can compute it.
    """

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        path = unquote(self.path)
        kept = self.server.sessions
        name = path.removeprefix("/v1/sessions/")
        if path in self.server.canned:
            self.answer(*self.server.canned[path])
        elif path == "/v1/version":
            self.answer(200, {"version": "double"})
        elif path == "/v1/attest":
            self.answer(200, {"quote": "none, this is a double"})
        elif path == "/v1/values/session=lab/run-1":
            self.answer(200, {"values": {"ca": {"value": "public"}}})
        elif path == "/v1/values/session=lab/run-1,secret=ca":
            self.answer(200, {"value": "public"})
        elif name in kept:
            self.answer(200, {"session": kept[name][1], "hash": kept[name][0]})
        else:
            self.answer(404, {"msg": ["there is none", "of that name"]})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        policy, kept = yaml.safe_load(text), self.server.sessions
        before = kept.get(policy["name"], (None,))[0]
        if self.path != "/v1/sessions" or policy.get("predecessor") != before:
            self.answer(409, {"msg": ["predecessor is", str(before)]})
            return
        digest = hashlib.sha256(text.encode()).hexdigest()
        kept[policy["name"]] = digest, text
        self.answer(201, {"hash": digest})


@contextlib.contextmanager
def serve(folder):
    """Start a double whose authority is FOLDER/authority.pem; give its server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None  # of who does not trust it
    server.sessions, server.canned = {}, {}
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
