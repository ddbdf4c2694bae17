"""Streams in JetStream: what only a server of NATS can do, or do wrong."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading

import nats
import nkeys
import pytest

from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.streams.jetstream import connection, retention
from hpc_connector.streams.jetstream.messages import measure_headers
from hpc_connector.streams.nats import split_url
from hpc_connector.streams.open import open_stream
from keepers import make_certificate
from nats_servers import BINARIES, name_streams, serve_nats
from programs import PATIENCE_S
from test_stream_contract import get_values, read_all


@pytest.fixture(scope="module", params=BINARIES)
def server(request, tmp_path_factory):
    """Serve NATS."""
    folder = tmp_path_factory.mktemp(request.param)
    with serve_nats(BINARIES[request.param], folder) as served:
        yield served


names = name_streams()


@pytest.fixture
def url(server):
    """Return the URL of a stream that is not there."""
    return server.make_url(next(names))


@pytest.fixture
def stream(url):
    """Return a new stream of one segment."""
    with open_stream(url) as opened:
        opened.create()
        yield opened


def use_server(server, work):
    """Do something with the client of NATS itself."""

    async def connect():
        async with await nats.connect(f"nats://127.0.0.1:{server.port}") as client:
            return await work(client.jetstream())

    return asyncio.run(connect())


@contextlib.contextmanager
def in_thread(work):
    """Do something while the block does something else; its error is raised."""
    errors = []

    def run():
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def wait_until(stream, n_records):
    """Wait until another has appended so many records."""
    position, n = "start", 0
    while n < n_records:
        records = stream.read(0, position, most_records=1000, wait_s=PATIENCE_S)
        n += len(records)
        position = records[-1].position


def save_profile(folder, text, mode=0o600):
    """Write a profile."""
    path = folder / "profile.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "url",
    [
        "nats://",
        "nats://host",
        "nats://host/small",
        "nats://host/A.B",
        "nats://host/A/B",
        "nats://host:99999/A",
        "nats://host/A?x=1",
        "nats:///A",
    ],
)
def test_open_stream__of_no_url_of_nats(url):
    with pytest.raises(BadInput, match="expected nats://host:4222/NAME"):
        open_stream(url)


def test_split_url__of_an_ipv6_address():
    assert split_url("nats://[::1]:4333/A_1") == ("::1", 4333, "A_1")


def test_open_stream__says_which_package_is_missing(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("hpc_connector.streams.jetstream"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(BadInput, match=r"hpc_connector\[streams\]"):
        open_stream("nats://127.0.0.1/A")


@pytest.mark.parametrize("answers", [False, True])
def test_stream__of_a_silent_server(answers, monkeypatch):
    assert connection.OPENS_S < 5
    monkeypatch.setattr(connection, "OPENS_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if answers:
            silent.listen()
        port = silent.getsockname()[1]
        with (
            open_stream(f"nats://127.0.0.1:{port}/A") as stream,
            pytest.raises(BadInput, match=f"127.0.0.1:{port} does not answer"),
        ):
            stream.tail(0)


def test_stream__of_a_server_without_jetstream(server, tmp_path):
    with (
        serve_nats(server.binary, tmp_path / "plain", has_store=False) as plain,
        open_stream(plain.make_url("A")) as stream,
        pytest.raises(BadInput, match="no JetStream"),
    ):
        stream.create()


def test_stream__with_other_subjects(server, url):
    name = url.rpartition("/")[2]
    use_server(server, lambda js: js.add_stream(name=name, subjects=[f"{name}.x"]))
    with open_stream(url) as stream, pytest.raises(BadInput, match="subjects"):
        stream.create()


def test_read__of_a_message_that_is_no_record(server, url, stream):
    subject = f"{stream._name}.0"
    use_server(server, lambda js: js.publish(subject, b"hello"))
    with pytest.raises(BadInput, match="message 1 is no record"):
        stream.read(0, most_records=1)


def test_read__waits_while_the_server_is_killed(server, url, stream):
    found = []
    stream.append_many(0, [(b"", b"%d" % k) for k in range(100)])
    place = stream.read(0, most_records=60)[-1].position

    def read():
        nonlocal place
        with open_stream(url) as reader:
            while len(found) < 45:
                records = reader.read(0, place, most_records=10, wait_s=PATIENCE_S)
                found.extend(records)
                place = records[-1].position
                began.set()

    began = threading.Event()
    with in_thread(read):
        began.wait(PATIENCE_S)
        server.restart()
        for k in range(100, 105):
            stream.append(0, b"", b"%d" % k)
    assert get_values(found) == [b"%d" % k for k in range(60, 105)]


def test_append_many__while_the_server_is_killed(server, url, stream):
    records = [(b"key", b"%d" % k * 500) for k in range(6000)]
    with open_stream(url) as watcher:
        with in_thread(lambda: stream.append_many(0, records)):
            for n in (500, 2500):
                wait_until(watcher, n)
                server.restart()
        found = read_all(watcher)
    assert [(r.key, r.value) for r in found] == records
    assert [r.sequence for r in found] == list(range(len(records)))


def test_append_many__by_two_writers_at_once(url, stream):
    """Each has a beginning of its records there, and one of them all."""
    refused = []

    def append(name):
        with open_stream(url) as writer:
            for start in range(0, 3000, 500):
                records = [(name, b"%d" % k) for k in range(start, start + 500)]
                try:
                    writer.append_many(0, records)
                except BadInput as error:
                    refused.append((name, str(error)))
                    return

    with in_thread(lambda: append(b"a")), in_thread(lambda: append(b"b")):
        pass
    found = read_all(stream)
    assert [r.sequence for r in found] == list(range(len(found)))
    for name in (b"a", b"b"):
        own = get_values(r for r in found if r.key == name)
        assert own == [b"%d" % k for k in range(len(own))]
        assert len(own) == 3000 or name in dict(refused)
    assert all("is written by" in said for _, said in refused)
    keys = [record.key for record in found]
    assert keys in (sorted(keys), sorted(keys, reverse=True))


def test_append_many__beside_writers_of_other_segments(url):
    with open_stream(url) as stream:
        stream.create(3)

        def append(segment):
            with open_stream(url) as writer:
                for start in (0, 200):
                    records = [(b"", b"%d" % k) for k in range(start, start + 200)]
                    writer.append_many(segment, records, start)

        with contextlib.ExitStack() as all_at_once:
            for segment in range(3):
                all_at_once.enter_context(in_thread(lambda k=segment: append(k)))
        for segment in range(3):
            records = read_all(stream, segment)
            assert get_values(records) == [b"%d" % k for k in range(400)]
            for record in records[::57]:  # found among those of other segments
                place = stream.append(segment, b"", b"", record.sequence)
                assert place == record.position


def test_append__again_beyond_the_duplicate_window(server, url):
    with open_stream(url) as writer:
        writer.create(2)
        places = [writer.append(0, b"", b"%d" % k, k) for k in range(5)]

    async def forget(js):
        config = (await js.stream_info(writer._name)).config
        await js.update_stream(config.evolve(duplicate_window=0.1))
        again = {"headers": {"Nats-Msg-Id": "again"}}
        await js.publish(f"{writer._name}.1", **again)
        while (await js.publish(f"{writer._name}.1", **again)).duplicate:
            pass

    use_server(server, forget)
    with open_stream(url) as later:
        assert [later.append(0, b"", b"", k) for k in (3, 4)] == places[3:]
        later.append(0, b"", b"5", 5)
        assert get_values(read_all(later)) == [b"%d" % k for k in range(6)]


def test_append__of_more_than_the_server_takes(server, tmp_path):
    with (
        serve_nats(server.binary, tmp_path / "usual", more="") as usual,
        open_stream(usual.make_url("A")) as stream,
    ):
        stream.create()
        with pytest.raises(BadInput, match="max_payload"):
            stream.append(0, b"k", b"v" * ((1 << 20) - 65))
        stream.append(0, b"k", b"v" * ((1 << 20) - 500))
        assert [len(r.value) for r in read_all(stream)] == [(1 << 20) - 500]


def test_stream__that_was_deleted(server, url, stream):
    stream.append(0, b"", b"v")
    use_server(server, lambda js: js.delete_stream(stream._name))
    with pytest.raises(BadInput, match="not there any more"):
        stream.append(0, b"", b"v")
    with pytest.raises(BadInput, match=r"refused by the server: .*not found"):
        stream.read(0, most_records=1)


def test_append__where_the_store_is_full(server, url, stream):
    async def limit(js):
        config = (await js.stream_info(stream._name)).config
        await js.update_stream(config.evolve(max_bytes=3000, discard="new"))

    use_server(server, limit)
    with pytest.raises(OSError, match="maximum bytes"):
        stream.append_many(0, [(b"", b"%0100d" % k) for k in range(100)])
    n = len(read_all(stream))
    with pytest.raises(OSError, match="maximum bytes"):
        stream.append(0, b"", b"x" * 100)
    assert 0 < n == len(read_all(stream)) < 30


def test_seal__has_the_server_refuse_all(server, url):
    with open_stream(url) as stream:
        stream.create(2)
        stream.append(0, b"", b"kept")
        stream.seal(0)
        stream.append(1, b"", b"1")
        stream.seal(1)
        name = stream._name

        async def publish(js):
            with pytest.raises(nats.js.errors.BadRequestError, match="sealed"):
                await js.publish(f"{name}.1", b"")
            return (await js.stream_info(name)).config.sealed

        assert use_server(server, publish)
        server.restart()
        assert get_values(read_all(stream)) == [b"kept"]
        assert stream.is_sealed(1)
        with pytest.raises(BadInput, match="is sealed"):
            stream.retain(keep_bytes=0)


def test_retain__keeps_as_many_bytes_as_are_asked(server, url, stream):
    stream.append_many(0, [(b"k%d" % k, b"v" * k) for k in range(200)])
    records = read_all(stream)

    async def measure(js):
        return (await js.stream_info(stream._name)).state.bytes

    n_bytes = use_server(server, measure)
    assert stream.retain(keep_bytes=n_bytes) == 0
    deleted = stream.retain(keep_bytes=n_bytes - 1)
    headers = {"Nats-Msg-Id": "0-0-12345678", "Seq": "0", "Key": "azA="}
    headers |= {"Nats-Expected-Last-Subject-Sequence": "0", "Behind": "0"}
    headers |= {"Writer": f"{socket.gethostname()}, process {os.getpid()}"}
    one = f"{stream._name}.0"
    assert deleted == retention.STORED_BYTES + len(one) + measure_headers(headers)
    assert use_server(server, measure) == n_bytes - deleted
    assert stream.retain(before=records[150].time_ns) > 0
    assert read_all(stream, position=records[149].position) == records[150:]
    assert len(read_all(stream, position=stream.describe().segments[0].first)) < 60


def test_retain__of_nothing_that_is_old(stream):
    stream.append_many(0, [(b"", b"%d" % k) for k in range(5)])
    records = read_all(stream)
    for before in (0, records[0].time_ns - 10**9, records[0].time_ns):
        assert stream.retain(before=before) == 0
    assert stream.retain(keep_bytes=1 << 30) == 0
    assert read_all(stream) == records
    assert stream.retain(before=records[-1].time_ns + 10**9) > 0
    assert stream.retain(before=records[-1].time_ns + 10**9) == 0
    assert read_all(stream, position=records[3].position) == records[4:]


def test_process__that_closes_nothing_says_nothing(url, stream):
    stream.append(0, b"", b"v")
    code = (
        "from hpc_connector.streams.open import open_stream\n"
        f"stream = open_stream({url!r})\n"
        "print(stream.read(0, most_records=1)[0].value)\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.stdout, done.stderr) == ("b'v'\n", "")


@pytest.fixture
def guarded(server, tmp_path):
    """Serve with TLS and a token; its certificate is in the folder."""
    make_certificate(tmp_path, "127.0.0.1")
    files = f'cert_file: "{tmp_path}/keeper.pem", key_file: "{tmp_path}/keeper.key"'
    more = f'tls {{ {files} }}\nauthorization {{ token: "tok-en" }}'
    with serve_nats(server.binary, tmp_path / "server", more=more) as served:
        yield served


def test_profile__with_a_certificate_and_a_token(guarded, tmp_path, capfd):
    url = guarded.make_url("A")
    path = save_profile(tmp_path, 'ca = "keeper.pem"\ntoken = "tok-en"\n')
    words = ["--profile", str(path)]
    assert main(["streams", "create", url, *words]) == 0
    with open_stream(url, profile=path) as stream:
        stream.append(0, b"k", b"over TLS")
        guarded.restart()
        stream.append(0, b"k", b"and again")
    assert main(["streams", "read", url, *words]) == 0
    assert capfd.readouterr().out.splitlines()[-2:] == ["over TLS", "and again"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ca = "keeper.pem"\ntoken = "wrong-one"\n', "refuses us"),
        ('ca = "keeper.pem"\n', "refuses us"),
        ('token = "tok-en"\n', "certificate"),
        ('ca = "server/conf"\ntoken = "tok-en"\n', "expected certificates, PEM"),
        ('ca = "keeper.pem"\ncertificate = "none.pem"\n', "none.pem"),
    ],
)
def test_profile__that_the_server_or_we_refuse(guarded, tmp_path, capfd, text, said):
    url = guarded.make_url("A")
    path = save_profile(tmp_path, text)
    assert main(["streams", "create", url, "--profile", str(path)]) == 2
    out, error = capfd.readouterr()
    assert said in error
    assert error.count("\n") == 1
    assert "tok-en" not in out + error
    assert "wrong-one" not in out + error


def test_profile__for_tls_tells_nothing_to_a_server_without(server, tmp_path):
    make_certificate(tmp_path, "127.0.0.1")
    path = save_profile(tmp_path, 'ca = "keeper.pem"\ntoken = "tok-en"\n')
    said = b""

    def listen():
        nonlocal said
        talks, _ = plain.accept()
        with talks:
            talks.sendall(b'INFO {"version":"2.15.1","headers":true}\r\n')
            while more := talks.recv(4096):
                said += more

    with socket.create_server(("127.0.0.1", 0)) as plain:
        url = f"nats://127.0.0.1:{plain.getsockname()[1]}/A"
        with (
            in_thread(listen),
            open_stream(url, profile=path) as stream,
            pytest.raises(BadInput, match="speaks no TLS"),
        ):
            stream.create()
    assert said == b""


def test_profile__with_a_token_is_sent_in_clear_to_this_machine_alone(server, tmp_path):
    path = save_profile(tmp_path, 'token = "tok-en"\n')
    more = 'authorization { token: "tok-en" }'
    host = socket.gethostbyname(socket.gethostname())
    with serve_nats(server.binary, tmp_path / "server", more=more) as served:
        with open_stream(served.make_url("A"), profile=path) as stream:
            stream.create()
        assert not connection.is_loopback("node7")
        assert not connection.is_loopback("10.0.0.1")
        assert connection.is_loopback("127.0.0.1")
        assert host


def test_profile__with_an_nkey(server, tmp_path):
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    public = nkeys.from_seed(bytearray(seed)).public_key.decode()
    more = f"authorization {{ users: [ {{ nkey: {public} }} ] }}"
    other = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    with serve_nats(server.binary, tmp_path / "server", more=more) as served:
        url = served.make_url("A")
        path = save_profile(tmp_path, f'nkey = "{seed.decode()}"\n')
        with open_stream(url, profile=path) as stream:
            stream.create()
            stream.append(0, b"", b"v")
        path = save_profile(tmp_path, f'nkey = "{other.decode()}"\n')
        with (
            open_stream(url, profile=path) as stream,
            pytest.raises(BadInput, match="refuses us"),
        ):
            stream.create()


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ('token = "tok-en"\n', 0o640, "open to others"),
        ('token = "tok-en\n', 0o600, "TOML"),
        ("token = 5\n", 0o600, "a secret of the profile: expected text"),
        ('tokens = "tok-en"\n', 0o600, "unknown key tokens"),
        ('nkey = "SUtok-en"\n', 0o600, "the seed of an NKey"),
        ('tls = "yes"\n', 0o600, "true or false"),
        ('certificate_key = "k"\n', 0o600, "certificate_key without certificate"),
    ],
)
def test_profile__that_cannot_be(tmp_path, text, mode, said):
    path = save_profile(tmp_path, text, mode)
    with pytest.raises(BadInput, match=said) as told:
        open_stream("nats://127.0.0.1/A", profile=path)
    assert "tok-en" not in str(told.value)
