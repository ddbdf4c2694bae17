"""A keeper over TLS, with a real munged: what it releases, and what it refuses."""

import hashlib
import json
import os
import socket
import ssl
import subprocess
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from conftest import require
from hpc_connector.confidential.files import encrypt_file, read_start
from hpc_connector.confidential.keeper import munge, server
from hpc_connector.confidential.keeper.database import (
    list_grants,
    revoke,
    use_grant,
)
from hpc_connector.confidential.keeper.jobs import parse_job
from hpc_connector.confidential.keeper.log import name_public, verify_log
from hpc_connector.confidential.keeper.messages import (
    MOST_BYTES,
    decode,
    encode,
    name_object,
)
from hpc_connector.confidential.keeper.nonces import LIFE_S, Nonces
from hpc_connector.confidential.keeper.registry import add_file
from hpc_connector.confidential.keeper.state import get_run_key
from hpc_connector.confidential.keys import (
    load_key,
    load_recipients,
    load_signer,
    load_trusted,
)
from hpc_connector.confidential.refused import Refused
from hpc_connector.crypt4gh.body import open_segments
from hpc_connector.crypt4gh.header import make_header, read_header
from hpc_connector.crypt4gh.seal import make_seal, read_seal
from hpc_connector.errors import BadInput
from hpc_connector.text import pack_json
from keepers import (
    CLUSTER,
    GOLDEN,
    JOB,
    NODE,
    RECORD,
    SUBJECT,
    ask,
    make_grant,
    read_last,
    run_with_cohort,
    write_job,
)
from programs import PATIENCE_S

MEASURED = hashlib.sha256(b"the code").hexdigest()
BED = name_object(
    (GOLDEN / "cohort.bed.c4gh.seal").read_bytes()[
        : read_seal((GOLDEN / "cohort.bed.c4gh.seal").read_bytes(), "seal").size
    ]
)


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    """Return a keeper that serves, holds the cohort, and knows one job of ours."""
    with run_with_cohort(tmp_path_factory.mktemp("keeper"), [MEASURED]) as running:
        yield running


@pytest.fixture
def grant(keeper):
    """Return the name of a new grant of the cohort, bound to the job."""
    return make_grant(keeper)


def get_nonce(keeper):
    return ask(keeper, "GET", "/v1/nonces")[1]["nonce"]


def make_body(keeper, grant, key, /, **told):
    """Return a request that is granted, but for what is told."""
    public = encode(key.public_key().public_bytes_raw())
    body = {"format_version": 1, "grant": grant, "cluster": CLUSTER, "job_id": JOB}
    body |= {"restart": 0, "node": NODE, "job_public": public, "evidence": {}}
    body |= {"program": "mdr-epistasis", "version": "0", "measurement": MEASURED}
    nonce = told["nonce"] if "nonce" in told else get_nonce(keeper)
    return body | {"nonce": nonce, "objects": [BED]} | told


def sign(data, uid=None):
    digest = hashlib.sha256(data).digest()
    return munge.make_credential(digest, os.geteuid() if uid is None else uid)


def send(keeper, body, credential=None):
    data = pack_json(body)
    headers = {"X-Munge": sign(data) if credential is None else credential}
    return ask(keeper, "POST", "/v1/release", data, headers)


def test_release__opens_the_body_as_the_owner_sees_it(keeper, grant):
    key = X25519PrivateKey.generate()
    status, told = send(keeper, make_body(keeper, grant, key))
    assert (status, told["level"]) == (200, 1)
    header = read_header(decode(told["headers"][BED]), key, "released")
    with open(GOLDEN / "cohort.bed.c4gh", "rb") as stream:
        read_start(stream, "cohort")
        plain = open_segments(stream.read(), header.session_keys, 0, "cohort")
    assert bytes(plain) == (GOLDEN / "cohort.bed").read_bytes()
    last = read_last(keeper)
    assert (last["event"], last["actor"], last["level"]) == ("release", SUBJECT, 1)
    assert (last["grant"], last["objects"]) == (grant, [BED])
    assert last["job"] == f"{CLUSTER}/{JOB}/0"


def test_release__gives_the_runs_of_a_grant_one_key_and_others_another(keeper, grant):
    def ask_key(name):
        key = X25519PrivateKey.generate()
        told = send(keeper, make_body(keeper, name, key, objects=[]))[1]
        return read_header(decode(told["run_key"]), key, "key").session_keys[0]

    other = make_grant(keeper)
    first = ask_key(grant)
    assert (
        first == ask_key(grant) == get_run_key(keeper.keeper, grant).private_bytes_raw()
    )
    assert first != ask_key(other)


REFUSED = {
    "grant of no such name": ("grant", {"grant": "0" * 16}),
    "another cluster": ("job", {"cluster": "other"}),
    "job that Slurm does not know": ("job", {"job_id": "18"}),
    "job that is no number": ("job", {"job_id": "17 --all"}),
    "another job of the user": ("job", {"job_id": "19"}),
    "job that waits": ("job", {"job_id": "20"}),
    "job of another user": ("job", {"job_id": "21"}),
    "job whose name says who it is of": ("job", {"job_id": "22"}),
    "restart that was not": ("job", {"restart": 1}),
    "another node": ("node", {"node": "node2"}),
    "another program": ("program", {"program": "metabolite-annotation"}),
    "other code": ("measurement", {"measurement": "0" * 64}),
    "evidence that does not hold": ("evidence", {"evidence": {"tpm": {}, "x": 1}}),
    "another object": ("object", {"objects": ["0" * 32]}),
    "an object too many": ("object", {"objects": [BED, "f" * 32]}),
    "no nonce of the keeper": ("nonce", {"nonce": encode(bytes(32))}),
    "nonce that is too short": ("body", {"nonce": encode(bytes(31))}),
    "key that all know": ("body", {"job_public": encode(bytes(32))}),
    "start of no job": ("body", {"restart": 1 << 63}),
    "measurement that is none": ("body", {"measurement": "z" * 64}),
    "another format": ("body", {"format_version": 2}),
    "more than it may say": ("body", {"header": ""}),
}


@pytest.fixture(scope="module")
def jobs(keeper):
    """Have Slurm know other jobs, which are wrong in one way each."""
    write_job(keeper.folder, "19")
    write_job(keeper.folder, "20", state="PENDING", nodes="(null)")
    write_job(keeper.folder, "21", uid=12345)
    spoof = f"x UserId=alice({os.geteuid()})"
    write_job(keeper.folder, "22", name=spoof, uid=12345)


@pytest.mark.parametrize("case", REFUSED)
def test_release__refuses_by_its_word(case, keeper, grant, jobs):
    word, told = REFUSED[case]
    if told.get("job_id") in ("20", "21", "22"):
        grant = make_grant(keeper, told["job_id"])
    key = X25519PrivateKey.generate()
    status, said = send(keeper, make_body(keeper, grant, key, **told))
    assert (status, said["refused"]) == (400 if word == "body" else 403, word)
    assert "headers" not in said
    last = read_last(keeper)
    assert last["event"] == "refuse"
    assert last["reason"].startswith(f"{word}: ")


def test_release__refuses_what_is_no_text(keeper, grant):
    """JSON can escape half a character, which no database and no log can hold."""
    body = make_body(keeper, grant, X25519PrivateKey.generate(), job_id="\ud800")
    data = json.dumps(body).encode()
    headers = {"X-Munge": sign(data)}
    status, said = ask(keeper, "POST", "/v1/release", data, headers)
    assert (status, said["refused"]) == (400, "body")
    assert read_last(keeper)["reason"].startswith("body: ")


def test_database__with_a_full_disk_goes_on_when_it_can(keeper):
    database, others = keeper.keeper.database, []
    (pages,) = database.rows.execute("pragma page_count").fetchone()
    database.rows.execute(f"pragma max_page_count = {pages}")
    token = keeper.make_token("nd-role")
    headers = {"Authorization": f"Bearer {token}"}
    wanted = pack_json({"data": ["open"], "program": "mdr-epistasis"})
    try:
        with pytest.raises(OSError, match="full"):
            others += [make_grant(keeper, program="p" * 1000) for _ in range(1000)]
        while (answer := ask(keeper, "POST", "/v1/grants", wanted, headers))[0] == 200:
            others.append(answer[1]["grant"])
        assert answer == (503, {"reason": "not now"})
    finally:
        database.rows.execute(f"pragma max_page_count = {1 << 30}")
    assert {grant.name for grant in list_grants(database)} >= set(others)
    assert ask(keeper, "POST", "/v1/grants", wanted, headers)[0] == 200


def test_server__ends_a_connection_that_lasts(keeper, monkeypatch):
    """A client that says a byte now and then holds no thread for ever."""
    context = ssl.create_default_context(cafile=keeper.folder / "keeper.pem")
    port = int(keeper.url.rpartition(":")[2])
    end_s = time.monotonic() + PATIENCE_S

    def drip():
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            while time.monotonic() < end_s:
                secured.sendall(b"G")
                time.sleep(0.1)

    with monkeypatch.context() as patch:
        patch.setattr(server.KeeperServer, "most_s", 1.0)
        with pytest.raises(OSError, match=r"(?i)pipe|reset|eof|closed|abort"):
            drip()
    assert ask(keeper, "GET", "/v1/nonces")[0] == 200


def test_release__refuses_what_is_too_long(keeper):
    for length in (str(MOST_BYTES + 1), "9" * 5000):  # nothing of it is read
        headers = {"Content-Length": length}
        status, said = ask(keeper, "POST", "/v1/release", b"", headers)
        assert (status, said["refused"]) == (403, "size")
    assert read_last(keeper)["reason"].startswith("size: ")


def test_release__refuses_a_second_use_of_a_credential(keeper, grant):
    body = make_body(keeper, grant, X25519PrivateKey.generate())
    credential = sign(pack_json(body))
    assert send(keeper, body, credential)[0] == 200
    status, said = send(keeper, body, credential)
    assert (status, said["refused"]) == (403, "munge")
    assert "replayed" in said["reason"]


def test_release__refuses_a_second_use_of_a_nonce(keeper, grant):
    body = make_body(keeper, grant, X25519PrivateKey.generate())
    assert send(keeper, body)[0] == 200
    assert send(keeper, body)[1]["refused"] == "nonce"


def test_release__refuses_a_credential_of_something_else(keeper, grant):
    body = make_body(keeper, grant, X25519PrivateKey.generate())
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    changed = body | {"job_public": encode(other)}  # by who sees it on its way
    assert send(keeper, changed, sign(pack_json(body)))[1]["refused"] == "digest"


def flip(credential):
    middle = len(credential) // 2
    other = "AB"[credential[middle] == "A"]
    return credential[:middle] + other + credential[middle + 1 :]


@pytest.mark.parametrize("made", ["", "MUNGE:x:", "changed", "for another user"])
def test_release__refuses_a_credential_that_is_none(made, keeper, grant):
    body = make_body(keeper, grant, X25519PrivateKey.generate())
    if made == "changed":
        made = flip(sign(pack_json(body)))
    elif made == "for another user":
        made = sign(pack_json(body), 12345)
    assert send(keeper, body, made)[1]["refused"] == "munge"


def test_release__refuses_another_user(keeper, grant):
    body = make_body(keeper, grant, X25519PrivateKey.generate())
    command = ["setpriv", "--reuid=65534", "--clear-groups", require("munge")]
    done = subprocess.run(
        [*command, f"--socket={munge.SOCKET}", f"--restrict-uid={os.geteuid()}"],
        input=hashlib.sha256(pack_json(body)).digest(),
        capture_output=True,
        check=True,
    )
    assert send(keeper, body, done.stdout.decode().strip())[1]["refused"] == "uid"
    assert read_last(keeper)["uid"] == 65534


@pytest.mark.parametrize("way", ["revoked", "over", "used"])
def test_release__refuses_a_grant_that_holds_no_more(way, keeper):
    ends = time.time() + (-1 if way == "over" else 3600)
    database, name = keeper.keeper.database, make_grant(keeper, ends=ends)
    key = X25519PrivateKey.generate()
    if way == "revoked":
        assert send(keeper, make_body(keeper, name, key))[0] == 200
        assert revoke(database, name) == "grant"
    if way == "used":
        for restart in (7, 8, 9):
            assert use_grant(database, list_grants(database, name)[0], JOB, restart)
    status, said = send(keeper, make_body(keeper, name, key))
    assert (status, said["refused"]) == (403, "grant")


def test_release__counts_the_starts_of_a_job(keeper):
    """Not its requests: each start asks for several files, and may ask again."""
    name, key = make_grant(keeper, "30", uses=2), X25519PrivateKey.generate()
    found = []
    for restart in (0, 0, 1, 1, 2):
        write_job(keeper.folder, "30", restarts=restart)
        body = make_body(keeper, name, key, job_id="30", restart=restart)
        found.append(send(keeper, body)[1].get("refused"))
    assert found == [None, None, None, None, "grant"]


def test_release__says_that_a_grant_waits_for_its_job(keeper):
    name = make_grant(keeper, "")
    said = send(keeper, make_body(keeper, name, X25519PrivateKey.generate()))[1]
    assert (said["refused"], said["again"]) == ("job", True)


def test_release__to_an_element_of_an_array_on_several_nodes(keeper):
    name = make_grant(keeper, "40")
    record = RECORD.format(
        job="41 ArrayJobId=40 ArrayTaskId=3",
        uid=os.geteuid(),
        state="RUNNING",
        restarts=0,
        nodes="node[1-2]",
        name="a job",
        comment="(null)",
    )
    (keeper.folder / "job-41").write_text(f"{record}\n")
    key = X25519PrivateKey.generate()
    body = make_body(keeper, name, key, job_id="41", node="node2")
    assert send(keeper, body)[0] == 200
    body = make_body(keeper, name, key, job_id="41", node="node3")
    assert send(keeper, body)[1]["refused"] == "node"


def test_release__of_the_newest_version_alone(keeper, grant, tmp_path):
    """An older one, and what was revoked, is refused from then on."""
    signer = load_signer(copy_key("signer.pem", tmp_path))
    stored = (GOLDEN / "plain_1.c4gh").read_bytes()
    (tmp_path / "plain_1.c4gh").write_bytes(stored)
    marks = stored[-29:-17] + stored[-16:]
    names = []
    for version in (1, 2):
        seal = make_seal(
            marks, 1, signer, name="plain_1.c4gh", created="now", version=version
        )
        (tmp_path / "plain_1.c4gh.seal").write_bytes(seal)
        one = add_file(keeper.keeper, "cohort-1", tmp_path / "plain_1.c4gh")
        names.append(one.id)
        body = make_body(keeper, grant, X25519PrivateKey.generate(), objects=[one.id])
        assert send(keeper, body)[0] == 200
    seal = make_seal(marks, 1, signer, name="plain_1.c4gh", created="later")
    (tmp_path / "plain_1.c4gh.seal").write_bytes(seal)
    with pytest.raises(BadInput, match="is there in version 2"):
        add_file(keeper.keeper, "cohort-1", tmp_path / "plain_1.c4gh")
    body = make_body(keeper, grant, X25519PrivateKey.generate(), objects=names[:1])
    assert send(keeper, body)[1]["refused"] == "object"
    assert revoke(keeper.keeper.database, names[1]) == "object"
    body = make_body(keeper, grant, X25519PrivateKey.generate(), objects=names[1:])
    assert send(keeper, body)[1]["refused"] == "object"


def test_add_file__takes_no_header_that_anybody_has_changed(keeper, tmp_path):
    """Who trusts a signer keeps no edit list, and no session key but those sealed."""
    plain, signer = tmp_path / "x", load_signer(copy_key("signer.pem", tmp_path))
    plain.write_bytes(b"data")
    recipients = load_recipients([GOLDEN / "keys/reader.pub"])
    path = tmp_path / "x.c4gh"
    encrypt_file(plain, path, recipients, signer)
    data, trusted = path.read_bytes(), [signer.public_key().public_bytes_raw()]
    header = read_header(data, keeper.keeper.key, "x")
    edited = make_header(header.session_keys, recipients, (0, 1))
    path.write_bytes(edited + data[header.size :])
    with pytest.raises(BadInput, match="has an edit list"):
        add_file(keeper.keeper, "open", path, trusted)
    path.write_bytes(make_header([bytes(32)], recipients) + data[header.size :])
    with pytest.raises(BadInput, match="has no session key that was sealed"):
        add_file(keeper.keeper, "open", path)
    path.write_bytes(data)
    assert add_file(keeper.keeper, "open", path, trusted).name == "x.c4gh"


def copy_key(name, folder):
    path = folder / name
    path.write_bytes((GOLDEN / "keys" / name).read_bytes())
    path.chmod(0o600)
    return path


def test_add_file__refuses_what_it_could_not_release(keeper, tmp_path):
    for name in ("cohort.bed.c4gh", "for_stranger.c4gh", "for_stranger.c4gh.seal"):
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    with pytest.raises(BadInput, match="has no seal"):
        add_file(keeper.keeper, "cohort-1", tmp_path / "cohort.bed.c4gh")
    with pytest.raises(BadInput, match="no packet for this key"):
        add_file(keeper.keeper, "cohort-1", tmp_path / "for_stranger.c4gh")
    with pytest.raises(BadInput, match="expected one of cohort-1, open"):
        add_file(keeper.keeper, "cohort-2", GOLDEN / "cohort.bed.c4gh")
    with pytest.raises(BadInput, match="is in cohort-1: expected one data set"):
        add_file(keeper.keeper, "open", GOLDEN / "cohort.bed.c4gh")
    other = load_trusted([GOLDEN / "keys/other_signer.pub.pem"])
    with pytest.raises(BadInput, match="expected one of --trust"):
        add_file(keeper.keeper, "cohort-1", GOLDEN / "cohort.bed.c4gh", other)


def test_release__is_to_be_asked_again_without_munge(keeper, monkeypatch):
    body = make_body(keeper, "0" * 16, X25519PrivateKey.generate())
    credential = sign(pack_json(body))

    def read(*_):
        raise OSError("munge: socket communication error")

    monkeypatch.setattr(munge, "read_credential", read)
    status, said = send(keeper, body, credential)
    assert status == 503
    assert "refused" not in said
    assert read_last(keeper)["reason"].startswith("not now: munge")


def test_nonces__are_taken_once_and_in_time():
    now = [1000.0]
    nonces = Nonces(lambda: now[0])
    first, second = nonces.make(), nonces.make()
    assert len(first) == 32
    nonces.take(first)
    with pytest.raises(Refused, match="sent before"):
        nonces.take(first)
    now[0] += LIFE_S + 1
    with pytest.raises(Refused, match="older than"):
        nonces.take(second)
    with pytest.raises(Refused, match="not of this keeper"):
        nonces.take(Nonces().make())


def test_nonces__forget_those_that_are_too_old():
    now = [1000.0]
    nonces = Nonces(lambda: now[0])
    for _ in range(3000):
        nonces.take(nonces.make())
        now[0] += 0.1
    assert len(nonces.taken) < 2500


@pytest.mark.parametrize("field", ["UserId=a(0)", "NodeList=x", "JobState=RUNNING"])
def test_parse_job__believes_no_comment(field):
    record = RECORD.format(
        job="1",
        uid=7,
        state="RUNNING",
        restarts=0,
        nodes="n",
        name="a",
        comment=f"x {field}",
    )
    with pytest.raises(Refused, match="a second"):
        parse_job(record)


def test_log__holds_and_has_no_secret(keeper):
    log = keeper.folder / "keeper.log"
    (public,) = load_trusted([name_public(log)])
    assert verify_log(log, public) > 20
    key = load_key(keeper.folder / "keeper.sec").private_bytes_raw()
    files = [log, *keeper.folder.glob("keeper.db*")]
    for path in files:
        data = path.read_bytes()
        for secret in (key, key.hex().encode(), encode(key).encode(), b"MUNGE:"):
            assert secret not in data
