"""Text of zstd, whole and cut; and BGEN 1.1 from a plain writer."""

import struct
import zlib

import numpy as np
import pytest
import zstandard

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.genotypes.bgen import bgen
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from test_loader_bgen import string

LINES = [f"line {k} {k * k}".encode() for k in range(9000)]
TEXT = b"".join(line + b"\n" for line in LINES)
SKIPPED = struct.pack("<II", 0x184D2A50, 5) + b"12345"
FRAMES = {
    "one": zstandard.compress(TEXT),
    "several": zstandard.compress(TEXT[:50_000]) + zstandard.compress(TEXT[50_000:]),
    "one that is skipped": SKIPPED + zstandard.compress(TEXT) + SKIPPED,
    "without its size": zstandard.ZstdCompressor(
        write_content_size=False, write_checksum=True
    ).compress(TEXT),
}


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("n_parts", [1, 3])
def test_read_lines__of_zstd(tmp_path, frames, n_parts):
    path = tmp_path / "a.zst"
    path.write_bytes(FRAMES[frames])
    parts = [list(read_lines(str(path), part, n_parts)) for part in range(n_parts)]
    assert [line for part in parts for line in part] == LINES
    assert parts[0] == LINES  # it cannot be entered in the middle


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1])
def test_read_lines__of_zstd_that_is_cut(tmp_path, share):
    path = tmp_path / "a.zst"
    data = FRAMES["one"]
    path.write_bytes(data[: min(int(len(data) * share), len(data) - 1)])
    with pytest.raises(BadInput, match="is cut: the zstd data at byte 0 have no end"):
        list(read_lines(str(path)))


def test_read_lines__of_zstd_that_is_corrupt(tmp_path):
    path = tmp_path / "a.zst"
    data = bytearray(FRAMES["without its size"])
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(BadInput, match="corrupt"):
        list(read_lines(str(path)))


TRIPLES = np.array(  # of an individual; the last is missing
    [[32768, 0, 0], [0, 32768, 0], [0, 0, 32768], [20000, 12768, 0], [0, 0, 0]]
)
CALLED = [0, 1, 2, -1, -1]


def make_variant(triples, number, is_packed, alleles=("A", "C")):
    texts = [f"v{number}", f"rs{number}", "7"]
    head = struct.pack("<I", len(triples)) + b"".join(map(string, texts))
    head += struct.pack("<I", number + 1)
    head += b"".join(string(allele, "<I") for allele in alleles)
    body = triples.astype("<u2").tobytes()
    if not is_packed:
        return head + body
    packed = zlib.compress(body)
    return head + struct.pack("<I", len(packed)) + packed


def make_file(variants, n, is_packed):
    head = struct.pack("<III4sI", 20, len(variants), n, b"bgen", is_packed | 1 << 2)
    return b"".join([struct.pack("<I", 20), head, *variants])


def write_file(path, triples=TRIPLES, is_packed=True, n_variants=3):
    variants = [make_variant(triples, v, is_packed) for v in range(n_variants)]
    path.write_bytes(make_file(variants, len(triples), is_packed))
    return str(path)


def read_bgen(path, n_parts=1, threshold=0.9):
    options = ReadOptions(imputation_threshold=threshold)
    file = bgen.inspect(path, options)
    return [
        block for part in range(n_parts) for block in bgen.read(file, part, n_parts)
    ]


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_read__bgen_of_layout_1(tmp_path, is_packed, n_parts):
    blocks = read_bgen(write_file(tmp_path / "a.bgen", is_packed=is_packed), n_parts)
    genotypes = np.concatenate([block.genotypes for block in blocks])
    assert genotypes.tolist() == [CALLED] * 3
    names = [name for block in blocks for name in block.variants.id]
    assert names == ["rs0", "rs1", "rs2"]
    assert blocks[0].variants.position[0] == 1
    assert (blocks[0].variants.counted[0], blocks[0].variants.other[0]) == ("C", "A")


def test_read__bgen_of_layout_1_by_its_threshold(tmp_path):
    path = write_file(tmp_path / "a.bgen")
    (block,) = read_bgen(path, threshold=0.6)
    assert block.genotypes[0].tolist() == [0, 1, 2, 0, -1]


def test_read__bgen_of_layout_1_whose_triples_are_none(tmp_path):
    path = write_file(tmp_path / "a.bgen", np.array([[32768, 32768, 0]]))
    with pytest.raises(BadInput, match="variant 1, individual 1: expected probab"):
        read_bgen(path)


@pytest.mark.parametrize("is_packed", [False, True])
def test_read__bgen_of_layout_1_that_is_cut(tmp_path, is_packed):
    path = tmp_path / "a.bgen"
    write_file(path, is_packed=is_packed)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(BadInput):
            read_bgen(str(path))


def test_read__bgen_of_layout_1_of_other_individuals(tmp_path):
    path = tmp_path / "a.bgen"
    path.write_bytes(make_file([make_variant(TRIPLES, 0, True)], 4, True))
    with pytest.raises(BadInput, match="variant 1 is corrupt"):
        read_bgen(str(path))
