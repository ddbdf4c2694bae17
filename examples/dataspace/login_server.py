"""A login for a tutorial: whoever asks is one user, with one role, and no password.

    python login_server.py USER ROLE [PORT]

It stands where an institution has Keycloak or the like. Its tokens are signed, and
checked, as those are; nobody proves who they are, which makes it of no other use. It
goes on in the background; `login.pid` has the number of its process.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

HOST, PORT = "127.0.0.1", 8445
AUDIENCE = "hpc-connector-keeper"
LIFE_S = 300  # of a token
KEY = generate_private_key(SECP256R1())


def describe(issuer):
    """Return what the server says of itself (OpenID Connect Discovery 1.0)."""
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/keys",
        "token_endpoint": f"{issuer}/token",
        "device_authorization_endpoint": f"{issuer}/device",
    }


def show_keys():
    """Return the public key, by which anybody can check tokens."""
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [public | {"kid": "1", "alg": "ES256", "use": "sig"}]}


def give_code(issuer):
    """Return a code that nobody has to enter (RFC 8628)."""
    return {
        "device_code": "device",
        "user_code": "NOBODY-ASKS",
        "verification_uri": issuer,
        "expires_in": 60,
        "interval": 1,
    }


def give_tokens(issuer, user, role):
    """Return a token that says who has the role."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": user,
        "preferred_username": user,
        "iat": now,
        "exp": now + LIFE_S,
        "realm_access": {"roles": [role]},
    }
    token = jwt.encode(claims, KEY, "ES256", headers={"kid": "1"})
    return {"access_token": token, "token_type": "Bearer", "refresh_token": "again"}


class Login(BaseHTTPRequestHandler):
    """Answers in JSON."""

    def do_GET(self):
        """Say who the server is, and its key."""
        is_key = self.path == "/keys"
        self.answer(show_keys() if is_key else describe(self.server.issuer))

    def do_POST(self):
        """Log somebody in: first a code, then tokens."""
        length = int(self.headers["Content-Length"])
        form = parse_qs(self.rfile.read(length).decode())
        if "grant_type" in form:
            self.answer(give_tokens(self.server.issuer, *self.server.user))
        else:
            self.answer(give_code(self.server.issuer))

    def answer(self, told):
        """Send an object."""
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing."""


def serve(user, role, port=PORT):
    """Answer in the background, from now on."""
    server = ThreadingHTTPServer((HOST, int(port)), Login)
    server.issuer, server.user = f"http://{HOST}:{server.server_port}", (user, role)
    if process := os.fork():
        Path("login.pid").write_text(f"{process}\n")
        print(f"{server.issuer} logs in everybody as {user}, with {role}")
        return
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    server.serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:])
