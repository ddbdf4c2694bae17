"""Parts of the hub alone: what is told as bytes, blocks on a disk, certificates."""

import contextlib
import stat
import struct
import tomllib
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from federation_hubs import NAMES, make_parties
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.federation.hub.asking import Answer
from hpc_connector.federation.hub.block_file import BlockFile
from hpc_connector.federation.hub.client import SiteTransport
from hpc_connector.federation.hub.codec import decode, encode
from hpc_connector.federation.hub.wire import (
    BITS,
    Header,
    make_header,
    pack_header,
    read_header,
)
from hpc_connector.federation.study import read_study

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.binary()
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = TEXT.filter(lambda key: not key.startswith("$"))
KINDS = ["?", "i1", "<u2", ">u2", "<i8", "<f4", "<f8", ">f8"]
ARRAYS = st.sampled_from(KINDS).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0))
)
VALUES = st.recursive(
    PLAIN | TEXT | ARRAYS,
    lambda one: st.lists(one) | st.dictionaries(KEYS, one),
    max_leaves=12,
)


def assert_same(found, value):
    """Assert that two values are the same, bit for bit, and of the same types."""
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype.newbyteorder("<")
        assert found.shape == value.shape
        assert found.tobytes() == value.astype(found.dtype).tobytes()
    elif isinstance(value, dict):
        assert list(found) == list(value)
        for key in value:
            assert_same(found[key], value[key])
    elif isinstance(value, list):
        for one, other in zip(found, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, float):
        assert struct.pack("d", found) == struct.pack("d", value) or value != value
    else:
        assert type(found) is type(value)
        assert found == value


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_decode__gives_what_was_encoded(value):
    data = encode(value)
    assert_same(decode(data), value)
    assert encode(decode(data)) == data


def test_decode__gives_arrays_of_text():
    for told in (["a", "é\0b"], []):
        found = decode(encode(np.array(told, np.dtypes.StringDType())))
        assert found.dtype == np.dtypes.StringDType()
        assert found.tolist() == told


@pytest.mark.parametrize(
    "value",
    [
        *((1, 2), {1}, {1: 2}, {"$array": 1}, np.int64(1), object),
        *(np.array([None]), np.array(["a"]), np.array([1.0], np.longdouble)),
        np.array([["a"]], np.dtypes.StringDType()),
    ],
)
def test_encode__refuses_what_is_not_told(value):
    with pytest.raises(TypeError):
        encode([value])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"1\nmore",
        b'{"$array":["<u2",[3]]}\n12345',
        b'{"$array":["<u2",[-1]]}\n12',
        b'{"$array":["<u8",[1099511627776,1099511627776]]}\n12',
        b'{"$array":["O",[1]]}\n12345678',
        b'{"$array":[{"a":1},[1]]}\n1',
        b'{"$array":"<u2"}\n12',
        b'{"$array":["<f16",[0]]}\n',
        b'{"$array":[",",[0]]}\n',  # which NumPy would parse as code
        b'{"$array":["<i8",[0,1000000000000000000000000000000]]}\n',
        b'{"$strings":["a",["b"]]}\n',
        b'{"$strings":["a",1]}\n',
        b'{"$strings":7}\n',
        b'{"$strings":"ab"}\n',
        b'{"$bytes":"?"}\n',
        b"[" * 100_000,
    ],
)
def test_decode__refuses_what_nobody_told(data):
    with pytest.raises(BadInput, match="what was told cannot be read"):
        decode(data)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 60), VALUES)
def test_decode__refuses_damage_in_one_line(noise, at, value):
    data = encode(value)
    for broken in (noise, data[:at] + noise + data[at:]):
        with contextlib.suppress(BadInput):
            decode(broken)


def test_pack_header__as_the_protocol_says():
    numbers = np.array([1, 2, 65535], np.uint16)
    header = make_header(2, 1 << 40, numbers)
    crc = zlib.crc32(numbers.astype("<u2").tobytes())
    assert pack_header(header) == b"".join(
        (
            b"hpcmdr01\x02\x10\0\0",
            (1 << 40).to_bytes(8, "little"),
            (3).to_bytes(4, "little"),
            crc.to_bytes(4, "little"),
            bytes(4),
        )
    )


WORDS = st.integers(0, (1 << 32) - 1)


@given(
    st.builds(
        Header,
        stage=st.integers(0, 255),
        bits=st.sampled_from(BITS),
        block=st.integers(0, (1 << 64) - 1),
        size=WORDS,
        crc=WORDS,
    )
)
def test_read_header__gives_what_was_packed(header):
    assert read_header(pack_header(header)) == header


BLOCKS = st.lists(
    st.tuples(
        st.integers(0, 255),
        st.integers(0, 99),
        arrays.arrays(st.sampled_from(["<u1", "<u2", "<u4"]), st.integers(0, 50)),
    ),
    unique_by=lambda one: one[:2],
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(BLOCKS, st.integers(0, 400), st.binary(max_size=70))
def test_block_file__has_whole_blocks_after_a_crash(tmp_path_factory, blocks, cut, end):
    path = tmp_path_factory.mktemp("blocks") / "sums"
    ends = [0]
    with contextlib.closing(BlockFile(path, 2)) as file:
        for n, (stage, block, numbers) in enumerate(blocks):
            file.put((stage, block), numbers, (n, 7))
            ends.append(path.stat().st_size)
    data = path.read_bytes()
    cut = min(cut, len(data))
    path.write_bytes(data[:cut] + end)
    with contextlib.closing(BlockFile(path, 2)) as file:
        n_whole = sum(at <= cut for at in ends[1:])
        assert len(file.kept) >= n_whole
        for n, (stage, block, numbers) in enumerate(blocks[:n_whole]):
            found = file.get((stage, block))
            assert found.dtype == numbers.dtype
            np.testing.assert_array_equal(found, numbers)
            assert file.kept[stage, block].crcs == (n, 7)
        file.put((255, 1 << 40), np.arange(3, dtype=np.uint16), (1, 2))
    with contextlib.closing(BlockFile(path, 2)) as file:
        assert file.get((255, 1 << 40)).tolist() == [0, 1, 2]


def test_block_file__finds_what_a_disk_has_changed(tmp_path):
    path = tmp_path / "sums"
    with contextlib.closing(BlockFile(path)) as file:
        file.put((1, 2), np.arange(9, dtype=np.uint16))
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(BadInput, match="stage 1, block 2: the numbers are damaged"):
            file.get((1, 2))


@pytest.mark.parametrize("at", range(44))
def test_block_file__gives_no_sum_of_another_block(tmp_path, at):
    path = tmp_path / "sums"
    with contextlib.closing(BlockFile(path, 2)) as file:
        file.put((1, 2), np.arange(9, dtype=np.uint16), (7, 8))
    data = bytearray(path.read_bytes())
    data[at] ^= 1  # of what stands before numbers
    path.write_bytes(data)
    with contextlib.closing(BlockFile(path, 2)) as file:
        assert not file.kept


def test_invite__gives_each_party_its_keys_alone(tmp_path):
    study = make_parties(tmp_path)
    folder = tmp_path / "parties"
    texts = {path.read_bytes() for path in folder.glob("*/STUDY.toml")}
    assert len(texts) == 1
    for name in (*NAMES, "hub"):
        key = folder / name / "tls.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" in key.read_bytes()
        assert (folder / name / "mask.sec").exists() == (name != "hub")
    assert "PRIVATE KEY" not in texts.pop().decode()
    assert len({site.certificate for site in study.sites}) == 3


def test_identity__is_what_a_study_says_of_a_party(tmp_path, capsys):
    (tmp_path / "list.bim").write_text("1 rs1 0 5 A G\n1 rs2 0 9 C T\n")
    text = '[study]\nname = "x"\nsalt = "y"\n[variants]\nreference = "list.bim"\n'
    for name in NAMES:
        assert main(["federate", "identity", name, "--out", str(tmp_path / name)]) == 0
        text += capsys.readouterr().out
    command = ["federate", "identity", "hub", "--out", str(tmp_path / "hub")]
    assert main([*command, "--url", "https://hub.example.org:8444", "--days", "9"]) == 0
    text += capsys.readouterr().out
    path = tmp_path / "STUDY.toml"
    path.write_text(text)
    study = read_study(path)
    assert study.hub.url == "https://hub.example.org:8444"
    command = ["federate", "invite", str(path), "--out", str(tmp_path / "all")]
    assert main(command) == 0
    assert capsys.readouterr().out == ""  # nothing lacks
    again = read_study(tmp_path / "all" / "hub" / "STUDY.toml")
    assert again.sites == study.sites
    assert not list((tmp_path / "all").glob("*/*.key"))
    assert tomllib.loads(text)["hub"]["certificate"] == study.hub.certificate


def refuse(capsys, *command):
    assert main(["federate", *map(str, command)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_identity__refuses_to_write_over_keys(tmp_path, capsys):
    (tmp_path / "tls.key").write_text("old")
    said = refuse(capsys, "identity", "north", "--out", tmp_path)
    assert "tls.key is there: expected a folder without keys" in said
    assert [path.name for path in tmp_path.iterdir()] == ["tls.key"]
    said = refuse(capsys, "identity", "n/s", "--out", tmp_path / "new")
    assert "expected letters, digits" in said
    said = refuse(capsys, "identity", "hub", "--out", tmp_path, "--url", "http://h")
    assert "expected https://HOST:PORT" in said


def test_identity__has_an_address_of_the_hub_alone(tmp_path, capsys):
    new = tmp_path / "new"
    said = refuse(capsys, "identity", "hub", "--out", new)
    assert "hub: expected --url https://HOST:PORT" in said
    said = refuse(capsys, "identity", "north", "--out", new, "--url", "https://h:1")
    assert "north: expected no --url, which is of a hub" in said
    assert not new.exists()


def test_hub__says_what_it_lacks(tmp_path, capsys):
    study = make_parties(tmp_path)
    whole = tmp_path / "parties" / "hub" / "STUDY.toml"
    said = refuse(capsys, "hub", tmp_path / "STUDY.toml")
    assert "expected the certificate of [hub]" in said
    text = whole.read_text()
    for table, lacks in (
        (text[text.index("[hub]") : text.index("[[site]]")], "expected [hub]"),
        (text[text.index("mask_public") :].splitlines()[0], "no mask_public"),
        (text[text.rindex("certificate") :], "expected the certificate of site west"),
    ):
        path = tmp_path / "parties" / "hub" / "less.toml"
        less = text.replace(table, "")
        if lacks == "expected [hub]":
            less = "\n".join(read_tables(study))
        path.write_text(less)
        assert lacks in refuse(capsys, "hub", path), lacks
    said = refuse(capsys, "hub", whole, "--tls-key", tmp_path / "none.key")
    assert "none.key" in said
    said = refuse(capsys, "hub", whole, "--listen", "nowhere")
    assert "--listen nowhere: expected HOST:PORT" in said
    said = refuse(capsys, "hub", whole, "--listen", "203.0.113.1:1")
    assert "expected to listen" in said
    said = refuse(capsys, "hub", whole, "--program", "none")
    assert (
        "--program: expected one that scores federated searches: mdr-epistasis" in said
    )


def read_tables(study):
    """Return a study without a hub."""
    yield '[study]\nname = "x"\nsalt = "y"\n[variants]\nreference = "list.bim"'
    for name in study.names:
        yield f'[[site]]\nname = "{name}"'


@pytest.mark.parametrize("size", [31, 32, 233, 231])
def test_read_sum__refuses_what_is_cut(size):
    numbers = np.arange(100, dtype=np.uint16)
    data = pack_header(make_header(1, 7, numbers)) + numbers.tobytes() + b"x"
    way = SimpleNamespace(url="https://hub")
    site = SiteTransport(None, "north", way, None)
    assert site.read_sum(Answer(200, data[:232])).tolist() == numbers.tolist()
    with pytest.raises(BadInput, match=r"expected a header|the header says 200"):
        site.read_sum(Answer(200, data[:size]))
