"""A keeper for tests: its munged, its issuer of tokens, its certificate, its job."""

import base64
import contextlib
import datetime
import http.client
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from conftest import give_up, require
from hpc_connector.confidential.files import encrypt_file
from hpc_connector.confidential.keeper import munge
from hpc_connector.confidential.keeper.database import Grant, bind_grant, save_grant
from hpc_connector.confidential.keeper.registry import add_file
from hpc_connector.confidential.keeper.server import serve
from hpc_connector.confidential.keeper.settings import read_settings
from hpc_connector.confidential.keeper.state import open_keeper
from hpc_connector.confidential.keys import load_key, load_recipients
from programs import PATIENCE_S

GOLDEN = Path(__file__).parent / "data/confidential"
COHORT = ("cohort.bed.c4gh", "cohort.bim.c4gh", "cohort.fam.c4gh")
CLUSTER, JOB, NODE = "virtual", "17", "node1"
AUDIENCE, SUBJECT = "keeper", "5f1c-alice"
# What the controller of Slurm 22.05 says of a job, shortened
RECORD = (
    "JobId={job} JobName={name} UserId=alice({uid}) GroupId=alice(1001) MCS_label=N/A "
    "Priority=1 JobState={state} Reason=None Dependency=(null) Requeue=1 "
    "Restarts={restarts} BatchFlag=1 Partition=gpp ReqNodeList=(null) "
    "ExcNodeList=(null) NodeList={nodes} BatchHost=node1 NumNodes=1 Comment={comment}"
)
SCONTROL = """\
#!/bin/bash
if [ "$2" = hostnames ]; then printf 'node1\\nnode2\\n'; exit; fi
cat "{folder}/job-${{@: -1}}" 2>/dev/null && exit
echo "slurm_load_jobs error: Invalid job id specified" >&2
exit 1
"""


class Running(NamedTuple):
    """A keeper that serves, and what tests need of it."""

    keeper: object
    url: str
    folder: Path
    make_token: object


@contextlib.contextmanager
def run_munged():
    """Give the socket of a munged of its own, with a key of its own."""
    munged, _ = require("munged"), require("munge")
    if os.geteuid() != 0:
        give_up("a munged of its own needs root")
    folder = Path(tempfile.mkdtemp(prefix="munged-"))
    key, socket = folder / "key", folder / "socket"
    key.write_bytes(os.urandom(128))
    for path, mode in ((key, 0o600), (folder, 0o755)):
        shutil.chown(path, "munge", "munge")
        path.chmod(mode)
    files = [f"--{name}-file={folder}/{name}" for name in ("key", "pid", "log", "seed")]
    who = ["setpriv", "--reuid=munge", "--regid=munge", "--init-groups"]
    daemon = subprocess.Popen(
        [*who, munged, "--foreground", f"--socket={socket}", *files],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end_s = time.monotonic() + PATIENCE_S
        while subprocess.run(
            ["munge", f"--socket={socket}", "--no-input", "--output=/dev/null"],
            capture_output=True,
        ).returncode:
            assert daemon.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.02)
        yield str(socket)
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(folder)


def make_certificate(folder, host):
    """Write a certificate of an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keeper of a test")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    (folder / "keeper.pem").write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "keeper.key").write_bytes(private)


class Quiet(SimpleHTTPRequestHandler):
    """Serves the files of a folder, and says nothing."""

    def log_message(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def run_issuer(folder, life_s=300):
    """Give the address of who signs tokens, and a function that makes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    issuer = f"http://127.0.0.1:{server.server_port}"
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    public |= {"kid": "one", "alg": "ES256", "use": "sig"}
    (folder / ".well-known").mkdir()
    about = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
    (folder / ".well-known/openid-configuration").write_text(json.dumps(about))
    (folder / "keys").write_text(json.dumps({"keys": [public]}))

    def make_token(*roles, subject=SUBJECT):
        now = int(time.time())
        claims = {"iss": issuer, "aud": AUDIENCE, "sub": subject}
        claims |= {"iat": now, "exp": now + life_s, "realm_access": {"roles": roles}}
        return jwt.encode(claims, key, "ES256", headers={"kid": "one"})

    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer, make_token
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_settings(folder, issuer, socket, uid, measurements, listen="127.0.0.1:0"):
    """Write keeper.toml; return its path."""
    make_certificate(folder, listen.rpartition(":")[0])
    key = folder / "keeper.sec"
    shutil.copy(GOLDEN / "keys/reader.sec", key)
    key.chmod(0o600)
    (folder / "secret").write_text("a value\n")
    (folder / "secret").chmod(0o600)
    path = folder / "keeper.toml"
    path.write_text(
        f"""
[keeper]
listen = "{listen}"
certificate = "keeper.pem"
certificate_key = "keeper.key"
key = "keeper.sec"
log = "keeper.log"
checkpoints = "checkpoints"
[oidc]
issuer = "{issuer}"
audience = "{AUDIENCE}"
role = "realm_access.roles=nd-role"
[munge]
socket = "{socket}"
clusters = ["{CLUSTER}"]
[subjects]
"{SUBJECT}" = {uid}
[data."cohort-1"]
owner = "the hospital"
purpose = "DUO:0000006"
roles = ["realm_access.roles=cohort-1"]
programs = ["mdr-epistasis"]
measurements = {json.dumps(measurements)}
most_hours = 48
[data.open]
owner = "the hospital"
least_level = 0
[values."a/session"]
password = "secret"
"""
    )
    return path


def write_job(folder, job=JOB, **told):
    """Have ``scontrol`` say something of a job."""
    uid = os.geteuid()
    about = {"job": job, "uid": uid, "state": "RUNNING", "restarts": 0, "nodes": NODE}
    about |= {"name": "a job", "comment": "(null)"}
    (folder / f"job-{job}").write_text(RECORD.format(**about | told) + "\n")


def put_scontrol(folder):
    """Write a ``scontrol`` that knows the jobs of :func:`write_job`."""
    path = folder / "scontrol"
    path.write_text(SCONTROL.format(folder=folder))
    path.chmod(0o755)


@contextlib.contextmanager
def run_keeper(folder, socket, measurements):
    """Give a keeper that serves on this machine, and has no objects yet."""
    with run_issuer(folder / "issuer") as (issuer, make_token):
        path = write_settings(folder, issuer, socket, os.geteuid(), measurements)
        settings = read_settings(path)
        keeper = open_keeper(settings, load_key(settings.keeper.key))
        with serve(keeper) as (_, port):
            yield Running(keeper, f"https://127.0.0.1:{port}", folder, make_token)


def encrypt_cohort(prefix):
    """Encrypt the files of a cohort for the keeper, with seals; return their paths."""
    recipients = load_recipients([GOLDEN / "keys/reader.pub"])
    signer = Ed25519PrivateKey.generate()
    paths = [Path(f"{prefix}.{ending}") for ending in ("bed", "bim", "fam")]
    targets = [path.with_name(f"{path.name}.c4gh") for path in paths]
    for path, target in zip(paths, targets, strict=True):
        encrypt_file(path, target, recipients, signer)
    return targets


def list_forms(secret):
    """Yield how a secret may stand in a file: raw, hex, base64 at any offset."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        packed = base64.b64encode(bytes(shift) + secret)
        yield packed[4:-4]  # what stands before and behind it may be anything
        yield packed[4:-4].replace(b"+", b"-").replace(b"/", b"_")


def assert_hidden(secrets, data, where):
    """Fail if a secret stands in some bytes, in one of its forms."""
    for name, secret in secrets.items():
        for form in list_forms(secret):
            assert form not in data, f"{name} in {where}"


@contextlib.contextmanager
def run_with_cohort(folder, measurements):
    """Give a keeper that has the golden cohort, with a munged and a ``scontrol``."""
    put_scontrol(folder)
    write_job(folder)
    with pytest.MonkeyPatch.context() as patch, run_munged() as socket:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.setattr(munge, "SOCKET", socket)
        with run_keeper(folder, socket, measurements) as running:
            for name in COHORT:
                add_file(running.keeper, "cohort-1", GOLDEN / name)
            yield running


def make_grant(keeper, job=JOB, **told):
    """Make a grant of the cohort, bound to a job if there is one; return its name."""
    name, now = os.urandom(8).hex(), time.time()
    values = {"subject": SUBJECT, "uid": os.geteuid(), "data": ("cohort-1",)}
    values |= {"program": "mdr-epistasis", "made": now, "ends": now + 3600, "uses": 3}
    database = keeper.keeper.database
    save_grant(database, Grant(name, **values | told))
    if job:
        assert bind_grant(database, name, CLUSTER, job)
    return name


def ask(keeper, method, path, data=b"", headers=None):
    """Return the status of an answer of a keeper, and what it says."""
    context = ssl.create_default_context(cafile=keeper.folder / "keeper.pem")
    port = int(keeper.url.rpartition(":")[2])
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=PATIENCE_S, context=context
    )
    with contextlib.closing(connection):
        connection.request(method, path, data or None, headers or {})
        answer = connection.getresponse()
        told = answer.read()
        is_json = answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(told) if is_json else told


def read_last(keeper):
    """Return the last event of the log of a keeper."""
    return json.loads((keeper.folder / "keeper.log").read_text().splitlines()[-1])
