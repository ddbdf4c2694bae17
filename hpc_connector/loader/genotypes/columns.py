"""Columns that describe variants: arrays, cut out of bytes or made of lists.

A variant costs no Python object: where there are millions, these are what takes time.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.loader.genotypes import _column_kernels as kernels
from hpc_connector.loader.genotypes.sample_file import TEXT, Variants

MOST_BYTES = 16 << 20  # of texts as wide as the longest


def cut_texts(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[Any]:
    """Return stretches of UTF-8 as texts.

    Parameters
    ----------
    data
        uint8 (bytes,).
    starts, ends
        Of the stretches, int64 (stretches,).
    """
    width = max(1, int((ends - starts).max(initial=0)))
    if width * len(starts) > MOST_BYTES:  # one is very long
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.array([data[a:b].tobytes().decode() for a, b in bounds], TEXT)
    cells = np.empty((len(starts), width), np.uint8)
    kernels.copy_cells(data, starts, ends, cells)
    return cells.view(f"S{width}")[:, 0].astype(TEXT)


def fill_names(variants: Variants, lacks: NDArray[np.bool_]) -> None:
    """Name variants that have no id CHROM:POS:OTHER:COUNTED, in place."""
    if not lacks.any():
        return
    position = variants.position[lacks].astype(TEXT)
    name, joint = variants.chromosome[lacks], np.array(":", TEXT)
    for part in (position, variants.other[lacks], variants.counted[lacks]):
        name = name + joint + part
    variants.id[lacks] = name


def are_in(column: NDArray[Any], names: Collection[str]) -> NDArray[np.bool_]:
    """Return which texts are one of some names, bool (texts,)."""
    return np.array([text in names for text in column.tolist()], bool)


def make_variants(rows: Sequence[Sequence[Any]]) -> Variants:
    """Return the columns of rows of them, in the order of the columns.

    What follows the five in a row is left out.
    """
    name, chromosome, position, counted, other = zip(
        *(row[:5] for row in rows), strict=True
    )
    return Variants(
        np.array(name, TEXT),
        np.array(chromosome, TEXT),
        np.array(position, np.int64),
        np.array(counted, TEXT),
        np.array(other, TEXT),
    )


def merge_rows(
    variants: Variants,
    genotypes: NDArray[np.int8],
    places: NDArray[np.int64],
    rows: Sequence[tuple[int, Sequence[Any]]],
) -> tuple[Variants, NDArray[np.int8]]:
    """Join variants of columns and variants of rows in the order of their places.

    Parameters
    ----------
    variants, genotypes, places
        Columns, int8 (variants, individuals), and where in a file each is, int64
        (variants,).
    rows
        Places, and rows as for :func:`make_variants` with genotypes after them.
    """
    if not rows:
        return variants, genotypes
    others = make_variants([row for _, row in rows])
    of_all = np.concatenate([places, [place for place, _ in rows]])
    order = np.argsort(of_all, kind="stable")
    columns = (
        np.concatenate([column, vars(others)[name]])[order]
        for name, column in vars(variants).items()
    )
    joined = np.concatenate([genotypes, [row[5] for _, row in rows]])
    return Variants(*columns), joined[order]
