"""Columns of results.h5 packed in pieces, and a disk that fails while it is written."""

import errno
import itertools
import os
import subprocess
import sys
import zlib

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.storer import save_output
from hpc_connector.storer.chunks import (
    CHUNK_ROWS,
    PackedColumn,
    get_borders,
    pack_chunks,
)

LENGTHS = (0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, 3 * CHUNK_ROWS + 7)


def make_columns(n):
    """Return what images are made of: indices, noise, and errors."""
    rng = np.random.default_rng(n)
    return {
        "a/pixel": np.arange(n, dtype=np.uint32) % 9000,
        "a/intensity": rng.lognormal(3, 1, n).astype(np.float32),
        "a/error": rng.integers(-1000, 1000, n).astype(np.int16),
    }


def save(path, columns):
    """Write columns whose chunks come in turn."""
    packed = {name: PackedColumn(len(c), c.dtype.type) for name, c in columns.items()}
    chunks = [
        (name, chunk)
        for name, column in columns.items()
        for chunk in pack_chunks(column, ascending=name == "a/pixel")
    ]
    save_output(path, {"rest": np.arange(5000.0)}, packed=packed, chunks=chunks)


@pytest.mark.parametrize("n", LENGTHS)
def test_save_output__gives_back_packed_columns(n, tmp_path):
    columns = make_columns(n)
    save(tmp_path / "a.h5", columns)
    with h5py.File(tmp_path / "a.h5") as file:
        for name, column in columns.items():
            found = file[name]
            npt.assert_array_equal(found[:], column, strict=True)
            assert (found.compression, found.shuffle) == ("gzip", True)


def test_pack_chunks__are_those_of_hdf5(tmp_path):
    column = make_columns(CHUNK_ROWS + 5)["a/pixel"]
    chunks = {"chunks": (CHUNK_ROWS,), "maxshape": (None,)}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "a", data=column, compression=1, shuffle=True, **chunks
        )
        for k, chunk in enumerate(pack_chunks(column, ascending=True)):
            mask, known = made.id.read_direct_chunk((k * CHUNK_ROWS,))
            assert mask == 0
            made.id.write_direct_chunk((k * CHUNK_ROWS,), chunk)
            assert abs(len(chunk) - len(known)) < 0.1 * len(known)
        file.flush()
        npt.assert_array_equal(made[:], column)


@pytest.mark.parametrize("kind", ["noise", "runs", "values", "nothing"])
def test_pack_chunks__has_the_bytes_of_zlib(kind):
    rng, n = np.random.default_rng(1), 3 * CHUNK_ROWS
    columns = {
        "noise": rng.integers(0, 1 << 32, n, dtype=np.uint32),
        "runs": np.repeat(rng.integers(0, 9, n // 8), rng.integers(1, 700, n // 8))[:n],
        "values": rng.lognormal(3, 2, n).astype(np.float32),
        "nothing": np.zeros(n),
    }
    column = columns[kind]
    for chunk, piece in zip(pack_chunks(column), np.split(column, 3), strict=True):
        deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
        planes = piece.view(np.uint8).reshape(len(piece), -1).T.tobytes()
        assert chunk == deflate.compress(planes) + deflate.flush()


@pytest.mark.parametrize("cuts", [[], [1], [CHUNK_ROWS], [5, 6, 40_000, 40_001]])
def test_get_borders__cut_a_column_at_whole_chunks(cuts):
    column = np.arange(3 * CHUNK_ROWS + 7)
    borders = get_borders(np.array([0, *cuts, len(column)]))
    pieces = [pack_chunks(column[a:b]) for a, b in itertools.pairwise(borders)]
    assert list(itertools.chain(*pieces)) == pack_chunks(column)


@pytest.mark.parametrize("change", [-1, 1])
def test_save_output__refuses_chunks_that_are_not_all(change, tmp_path):
    chunk = ("a", pack_chunks(np.zeros(1))[0])
    packed = {"a": PackedColumn(2 * CHUNK_ROWS, np.float64)}
    with pytest.raises(ValueError, match=f"a: {2 + change} chunks for 32768 rows"):
        save_output(tmp_path / "a.h5", {}, packed=packed, chunks=[chunk] * (2 + change))
    assert not list(tmp_path.iterdir())


# Every size that a file may have before the disk is full, in a process that would
# be gone with a segmentation fault
FILLED = """
import resource, sys
from pathlib import Path
from test_packed_columns import make_columns, save

folder, columns = Path(sys.argv[1]), make_columns(20_000)
save(folder / "whole.h5", columns)
size = (folder / "whole.h5").stat().st_size
for limit in sorted({*range(0, 4096, 512), *range(0, size, size // 40), size - 1}):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save(folder / "cut.h5", columns)
    except OSError as error:
        print(error.errno, error.filename == str(folder / "cut.h5"))
print([path.name for path in folder.iterdir()])
"""


def test_save_output__on_a_disk_that_is_full(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FILLED, tmp_path],
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *errors, left = done.stdout.splitlines()
    assert len(errors) > 40
    assert set(errors) == {f"{errno.EFBIG} True"}
    assert left == "['whole.h5']"
