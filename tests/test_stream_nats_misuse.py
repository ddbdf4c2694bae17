"""Addresses and positions of streams of NATS that can be none."""

import gc

import pytest

from hpc_connector.errors import BadInput, Later
from hpc_connector.streams.jetstream import connection
from hpc_connector.streams.jetstream.messages import read_position
from hpc_connector.streams.open import open_stream
from nats_servers import BINARIES, serve_nats


@pytest.mark.parametrize("scheme", ["nats", "pravega"])
@pytest.mark.parametrize("rest", ["s3cret@host/A", "host/A?token=s3cret"])
def test_open_stream__shows_no_secret_of_a_url(scheme, rest):
    with pytest.raises(BadInput, match="no credentials in a URL") as raised:
        open_stream(f"{scheme}://{rest}")
    assert "s3cret" not in str(raised.value)


def test_read_position__refuses_what_no_server_counts_to():
    assert read_position("9" * 18, "here") == int("9" * 18)
    with pytest.raises(BadInput, match=r"^here: position '9+': expected a number"):
        read_position("9" * 20, "here")


@pytest.mark.parametrize("name", sorted(BINARIES)[:1])
def test_close__leaves_no_task_where_a_server_is_gone(
    name, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(connection, "PATIENCE_S", 0.5)
    with (
        serve_nats(BINARIES[name], tmp_path) as server,
        open_stream(server.make_url("GONE")) as stream,
    ):
        stream.create()
        stream.append(0, b"", b"one")
        server.kill()
        with pytest.raises(Later, match="has not answered"):
            stream.append(0, b"", b"two")
    gc.collect()
    assert "destroyed" not in caplog.text
