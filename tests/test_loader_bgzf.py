"""Text in bgzip, gzip and both, as tools that append and upload write it."""

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import EMPTY_BLOCK, has_end, read_lines
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample
from hpc_connector.slices.formats.blocks import deflate
from mdr_epistasis.program import main

LINES = [b"line %d %s" % (k, b"x" * (k * 37 % 400)) for k in range(600)]
TEXT = b"\n".join(LINES) + b"\n"
CUT = len(TEXT) // 3
ONE, TWO, THREE = TEXT[:CUT], TEXT[CUT : 2 * CUT], TEXT[2 * CUT :]


def pack(data, step=3000):
    """Return bgzip of small blocks, without the one at the end."""
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(deflate(piece).removesuffix(EMPTY_BLOCK) for piece in pieces)


PACKED = {
    "bgzip": pack(TEXT) + EMPTY_BLOCK,
    "bgzip without end": pack(TEXT),
    "bgzip, an end within": pack(ONE) + EMPTY_BLOCK + pack(TWO + THREE) + EMPTY_BLOCK,
    "bgzip then gzip": pack(ONE + TWO) + gzip.compress(THREE),
    "bgzip, end, gzip": pack(ONE) + EMPTY_BLOCK + gzip.compress(TWO + THREE),
    "gzip then bgzip": gzip.compress(ONE) + pack(TWO + THREE) + EMPTY_BLOCK,
    "bgzip, gzip, bgzip": pack(ONE) + gzip.compress(TWO) + pack(THREE) + EMPTY_BLOCK,
    "members": gzip.compress(ONE) + gzip.compress(TWO) + gzip.compress(THREE),
    "bgzip and zeros": pack(TEXT) + EMPTY_BLOCK + bytes(300),
    "gzip and zeros": gzip.compress(TEXT) + bytes(300),
    "zeros between": gzip.compress(ONE) + bytes(99) + gzip.compress(TWO + THREE),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("n_parts", [1, 2, 3, 7, 50])
def test_read_lines__each_once_in_any_parts(name, n_parts, tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(PACKED[name])
    parts = [list(read_lines(str(path), k, n_parts)) for k in range(n_parts)]
    assert [line for part in parts for line in part] == LINES
    has_no_end = ("bgzip without end", "bgzip then gzip", "bgzip, end, gzip")
    assert has_end(str(path)) == (name not in has_no_end)


def noise(n):
    """Return lines that do not shrink, longer than a window of the search."""
    return b"".join(zlib.compress(b"%d" % k).hex().encode() + b"\n" for k in range(n))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=5), st.integers(1, 9))
def test_read_lines__of_any_mixture(tmp_path_factory, kinds, n_parts):
    path = tmp_path_factory.getbasetemp() / "mixture.gz"
    text = noise(3000)
    step = -(-len(text) // len(kinds))
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    packed = (
        pack(piece, 20_000) if is_bgzip else gzip.compress(piece, 1)
        for is_bgzip, piece in zip(kinds, pieces, strict=True)
    )
    path.write_bytes(b"".join(packed))
    parts = [list(read_lines(str(path), k, n_parts)) for k in range(n_parts)]
    assert [line for part in parts for line in part] == text.splitlines()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (PACKED["bgzip"][:-40], "a.gz is cut: its bgzip block at byte"),
        (PACKED["bgzip without end"][:-9], "a.gz is cut: its bgzip block at byte"),
        (PACKED["bgzip"][:-20], "a.gz is cut"),
        (PACKED["bgzip then gzip"][:-9], "a.gz is cut: the gzip data at byte"),
        (PACKED["bgzip"] + b"\x1f\x8b\x08", "a.gz is cut"),
        (
            PACKED["bgzip"] + b"no gzip, but a long text",
            "a.gz is corrupt: .* expected gzip data",
        ),
        (PACKED["gzip then bgzip"] + b"no gzip, but a long text", "a.gz is corrupt"),
    ],
)
def test_read_lines__what_is_cut_is_bad(data, said, tmp_path):
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(BadInput, match=said):
        list(read_lines(str(tmp_path / "a.gz")))


@pytest.fixture(scope="module")
def vcf(tmp_path_factory):
    """Return the text of a VCF."""
    folder = tmp_path_factory.mktemp("vcf")
    options = "--variants 90 --individuals 60 --heritability 0.3 --maf 0.4 --seed 1"
    words = ["simulate", "--out", str(folder / "a"), "--format", "vcf.gz"]
    assert main([*words, *options.split()]) == 0
    return gzip.decompress((folder / "a.vcf.gz").read_bytes())


@pytest.mark.parametrize("n_parts", [1, 3])
@pytest.mark.parametrize("kind", ["without end", "then gzip", "zeros"])
def test_read_sample__of_bgzip_that_ends_otherwise(vcf, tmp_path, kind, n_parts):
    at = len(vcf) // 2
    data = {
        "without end": pack(vcf),
        "then gzip": pack(vcf[:at]) + gzip.compress(vcf[at:]),
        "zeros": pack(vcf) + EMPTY_BLOCK + bytes(300),
    }[kind]
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(data)
    sample_file = inspect_sample(str(path), ReadOptions())
    blocks = [
        b for part in range(n_parts) for b in read_sample(sample_file, part, n_parts)
    ]
    assert sum(len(block.genotypes) for block in blocks) == 90
    said = " ".join(map(str, sample_file.assumed))
    assert ("lacks the empty block" in said) == (kind != "zeros")
