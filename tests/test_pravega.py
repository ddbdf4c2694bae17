"""Streams in Pravega: silent servers, streams of others, processes that hang or die."""

import os
import signal
import socket
import subprocess
import sys
from multiprocessing import Pipe

import pytest

from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.streams import pravega_client
from hpc_connector.streams.bytestream import calls
from hpc_connector.streams.open import open_stream
from pravega_server import get_pravega, has_client

needs_client = pytest.mark.skipif(not has_client(), reason="no wheels for this Python")


@pytest.fixture(scope="module")
def address():
    """Return host and port of a real server."""
    return get_pravega()


@pytest.fixture
def url(address, request):
    """Return the URL of a stream that is not there."""
    return f"pravega://{address}/pravega/{request.node.name.replace('_', '-')}"


def read_values(stream):
    """Return the values of the first records of a stream."""
    return [record.value for record in stream.read(0, most_records=100)]


@pytest.mark.parametrize(
    "url",
    [
        "pravega://127.0.0.1:9090/scope",
        "pravega://127.0.0.1:9090/scope/stream/more",
        "pravega://127.0.0.1:9090/scope/a_b",
        "pravega://127.0.0.1:port/scope/stream",
        "pravega:///scope/stream",
        "pravega://[::1/scope/stream",
        "pravega://127.0.0.1:9090/scope/stream?tls=1",
    ],
)
def test_open__of_what_is_no_stream_of_pravega(url):
    with pytest.raises(BadInput, match="expected pravega://HOST:9090/SCOPE/STREAM"):
        open_stream(url)


@pytest.mark.parametrize("uri", ["tcp://127.0.0.1:port", "tcp://", "tls://[::1"])
def test_stream_manager__of_what_is_no_controller(uri):
    with pytest.raises(BadInput, match="expected tcp://host:9090"):
        pravega_client.StreamManager(uri)


def test_calls__that_are_interrupted_leave_no_answer_to_the_next():
    own, other = Pipe()
    call = calls.Calls("127.0.0.1", 9090, "here")
    call.asked = own
    with pytest.raises(KeyboardInterrupt):
        call("size", Interrupts())
    assert call.asked is None
    other.close()


class Interrupts:
    """What interrupts whoever pickles it, as a signal may at any moment."""

    def __reduce__(self):
        """Interrupt."""
        raise KeyboardInterrupt


@needs_client
def test_command__where_nobody_listens(capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        code = main(["streams", "read", f"pravega://127.0.0.1:{port}/scope/stream"])
    assert code == 2
    said = capsys.readouterr().err
    assert "127.0.0.1" in said
    assert f"port {port}" in said
    assert said.count("\n") == 1


@needs_client
def test_command__where_a_server_is_silent(capsys, monkeypatch):
    assert calls.PROBE_S < calls.FIRST_S < 4.5
    monkeypatch.setattr(calls, "FIRST_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        code = main(["streams", "read", f"pravega://127.0.0.1:{port}/scope/stream"])
    assert code == 2
    said = capsys.readouterr().err
    assert "no answer within 0.5 s" in said
    assert f"port {port}" in said


@needs_client
def test_stream_manager__of_pravega_where_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(BadInput, match="nobody answers"):
            pravega_client.StreamManager(endpoint)


@pytest.mark.parametrize(
    ("version", "said"),
    [((3, 11), "pip install 'hpc_connector"), ((3, 13), "no wheels for CPython 3.13")],
)
def test_open__without_the_client(monkeypatch, version, said):
    monkeypatch.setattr(calls, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(BadInput, match=said):
        open_stream("pravega://127.0.0.1:9090/scope/stream")


@pytest.mark.parametrize("segments", [1, 2])
def test_open__of_events_of_another_program(address, segments):
    name = f"events{segments}"
    client = calls.Calls(*split(address), "here")
    client("create_scope", "pravega")
    try:
        make = "manager.create_stream('pravega', sys.argv[2], int(sys.argv[3]))"
        write = "manager.create_writer('pravega', sys.argv[2]).write_event('event')"
        run_client(f"{make}; {write}", address, name, segments)
    finally:
        client.kill()
    with open_stream(f"pravega://{address}/pravega/{name}") as stream:
        for use in (lambda: stream.n_segments, lambda: stream.create(segments)):
            with pytest.raises(BadInput, match="a stream of another program"):
                use()


def split(address):
    """Return host and port."""
    host, port = address.split(":")
    return host, int(port)


def run_client(code, address, *words):
    """Run lines of Python with Pravega's own client."""
    start = "import sys, pravega_client\n"
    start += "manager = pravega_client.StreamManager('tcp://' + sys.argv[1])\n"
    command = [sys.executable, "-c", start + code, address, *map(str, words)]
    subprocess.run(command, check=True)


def test_append__goes_on_after_its_process_was_killed(url):
    with open_stream(url) as stream:
        stream.create()
        for k in range(3):
            stream.append(0, b"", b"%d" % k, k)
        os.kill(stream.calls.process.pid, signal.SIGKILL)
        with pytest.raises(BadInput, match="broke down"):
            stream.append(0, b"", b"3", 3)
        for k in (2, 3, 4):
            stream.append(0, b"", b"%d" % k, k)
        assert read_values(stream) == [b"0", b"1", b"2", b"3", b"4"]


def test_append__goes_on_after_its_process_hung(url, monkeypatch):
    with open_stream(url) as stream:
        stream.create()
        stream.append(0, b"", b"0", 0)
        os.kill(stream.calls.process.pid, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(calls, "LATER_S", 0.3)
            with pytest.raises(BadInput, match=r"no answer within 0\.3 s"):
                stream.append(0, b"", b"1", 1)
        stream.append(0, b"", b"1", 1)
        assert read_values(stream) == [b"0", b"1"]


def test_append__that_was_under_way_is_whole_or_refused(url):
    with open_stream(url) as one, open_stream(url) as two:
        one.create()
        one.append(0, b"", b"one")
        two.append(0, b"", b"two")
        for _ in range(2):
            with pytest.raises(BadInput, match="another writer has taken it over"):
                one.append(0, b"", b"late")
        assert read_values(one) == [b"one", b"two"]
        two.seal()
        one.close()
        with pytest.raises(BadInput, match="is sealed"):
            one.append(0, b"", b"late")


def test_parts__have_the_bytes_of_files(url, tmp_path):
    with open_stream(url) as stream:
        stream.create()
        stream.append_many(0, [(b"k%d" % k, b"value %d" % k) for k in range(50)])
        stream.seal()
        for name in stream.parts.list_names(0):
            data = stream.calls("read", *stream_of(stream, name), 0, 1 << 20)
            (tmp_path / name).write_bytes(data)
        base = stream.calls("read", stream.scope, stream.name, 0, 1 << 20)
        (tmp_path / "stream.json").write_bytes(base)
        expected = stream.read(0, most_records=100)
    with open_stream(f"file://{tmp_path}") as files:
        assert files.is_sealed(0)
        assert files.read(0, most_records=100) == expected


def stream_of(stream, name):
    """Return scope and name of a part."""
    return stream.scope, f"{stream.name}-{name}"
