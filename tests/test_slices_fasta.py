"""FASTA by slices: all of the text, and a header wherever a sequence goes on."""

import gzip
import io
import tempfile
from pathlib import Path

import numpy.testing as npt
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.slices.formats import packed_text as slices_text
from hpc_connector.slices.formats.fasta import (
    FASTA,
    partition_chunks_strategy,
    partition_sequences_per_chunk,
)
from slice_checks import KINDS, check_partition, measure_most_bytes, open_indexed, pack

DATA = Path(__file__).parent / "data" / "slices" / "fasta"
FILES = {"ce.fa": 7, "test.fa.gz": 211}
NUMBERS = (1, 2, 3, 7, 8, 64)


def read_text(name: str) -> bytes:
    data = (DATA / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def get_headers(co) -> list[tuple[int, int]]:
    arrays = co.index.arrays
    return list(zip(arrays["starts"], arrays["lengths"], strict=True))


def find_headers(text: bytes) -> list[tuple[int, int]]:
    """Return where headers begin and how long they are, line by line."""
    found, at = [], 0
    for line in io.BytesIO(text).readlines():
        if line.startswith(b">"):
            found.append((at, len(line)))
        at += len(line)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_partition__real_sequences(tmp_path, name, kind):
    text = read_text(name)
    co = open_indexed(FASTA, pack(tmp_path / name, kind, text))
    assert co.attributes["n_sequences"] == FILES[name]
    headers = get_headers(co)
    assert headers == find_headers(text)
    check_partition(co, partition_chunks_strategy, "num_chunks", NUMBERS, text)
    numbers = (5, 100, FILES[name], FILES[name] + 1)
    check_partition(co, partition_sequences_per_chunk, "seq_per_chunk", numbers, text)


def test_partition__header_of_a_split_sequence(tmp_path):
    text = b">one first\nACGTACGTAC\n>two\nAC\n"
    co = open_indexed(FASTA, pack(tmp_path / "a.fa", "plain", text))
    parts = co.partition(partition_chunks_strategy, num_chunks=2)
    assert [part.get() for part in parts] == [
        b">one first\nACGT",
        b">one first offset=4\nACGTAC\n>two\nAC\n",
    ]
    parts = co.partition(partition_sequences_per_chunk, seq_per_chunk=1)
    assert [part.get() for part in parts] == [text[:22], text[22:]]


def test_partition__more_slices_than_bytes(tmp_path):
    text = b";note\n>a\n>b\nAC\n\n>c"
    co = open_indexed(FASTA, pack(tmp_path / "a.fa", "plain", text))
    check_partition(co, partition_chunks_strategy, "num_chunks", (18, 19, 200), text)


@pytest.mark.parametrize("kind", KINDS)
def test_partition__bytes_of_a_slice(tmp_path, kind):
    co = open_indexed(FASTA, pack(tmp_path / "ce.fa", kind, read_text("ce.fa")))
    parts = co.partition(partition_chunks_strategy, num_chunks=8)
    of_header = 100_000 if "points" in co.index.arrays else 0  # far from what it heads
    assert measure_most_bytes(parts) <= 1.05 * co.size / 8 + 100_000 + of_header


@pytest.mark.parametrize("kind", ["plain", "bgzip"])
@pytest.mark.parametrize("chunk_bytes", [997, 65_536, 100_000])
def test_make_index__any_chunks(tmp_path, monkeypatch, kind, chunk_bytes):
    path = pack(tmp_path / "a.fa", kind, read_text("test.fa.gz"))
    whole = open_indexed(FASTA, path).index
    monkeypatch.setattr(slices_text, "CHUNK_BYTES", chunk_bytes)
    co = open_indexed(FASTA, path).preprocess(force=True)
    assert co.index.facts == whole.facts
    for name, array in whole.arrays.items():
        npt.assert_array_equal(co.index.arrays[name], array)


def test_make_index__on_all_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(slices_text, "CHUNK_BYTES", 300_000)
    text = read_text("ce.fa")
    co = open_indexed(FASTA, pack(tmp_path / "a.fa", "plain", text), "local")
    assert co.attributes["n_sequences"] == FILES["ce.fa"]


word = st.text("ACGTacgtN->; \r", max_size=7)
line = st.one_of(word.map(lambda w: f">{w}"), word, word.map(lambda w: f";{w}"))


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(line, max_size=12),
    kind=st.sampled_from(KINDS),
    end=st.sampled_from(["\n", "\r\n"]),
    is_open=st.booleans(),
    chunk_bytes=st.integers(1, 20),
)
@example(["AC>GT"], "plain", "\n", True, 3)
@example(["", "", ">"], "members", "\r\n", True, 1)
def test_partition__made_sequences(lines, kind, end, is_open, chunk_bytes):
    made = "".join(f"{line}{end}" for line in [">a b", *lines])
    text = made.removesuffix(end if is_open else "").encode()
    assume(b"\r>" not in text)  # refused
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices_text, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(slices_text, "get_step", lambda _: 7)
        co = open_indexed(FASTA, pack(Path(folder) / "a.fa", kind, text))
        headers = get_headers(co)
        assert headers == find_headers(text)
        numbers = (1, 2, 3, 7, len(text) + 1)
        check_partition(co, partition_chunks_strategy, "num_chunks", numbers, text)
        check_partition(
            co, partition_sequences_per_chunk, "seq_per_chunk", (1, 2), text
        )


def test_make_index__nothing(tmp_path):
    co = open_indexed(FASTA, pack(tmp_path / "a.fa", "plain", b""))
    check_partition(co, partition_chunks_strategy, "num_chunks", (1, 3), b"")
    check_partition(co, partition_sequences_per_chunk, "seq_per_chunk", (1,), b"")


@pytest.mark.parametrize("kind", KINDS)
def test_make_index__no_header(tmp_path, kind):
    path = pack(tmp_path / "a.fa", kind, b"ACGT\nAC>GT\n")
    with pytest.raises(BadInput, match="no line begins with '>'"):
        open_indexed(FASTA, path)


@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
def test_make_index__cut(tmp_path, kind):
    path = pack(tmp_path / "a.fa", kind, read_text("ce.fa"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadInput, match=r"a\.fa.*cut"):
        open_indexed(FASTA, path)


def test_partition__bad_options(tmp_path):
    co = open_indexed(FASTA, pack(tmp_path / "a.fa", "plain", b">a\nAC\n"))
    with pytest.raises(BadInput, match="expected 1 or more"):
        co.partition(partition_chunks_strategy, num_chunks=0)
    with pytest.raises(BadInput, match="expected 1 or more"):
        co.partition(partition_sequences_per_chunk, seq_per_chunk=0)
