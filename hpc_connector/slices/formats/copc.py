"""COPC: a point cloud in LAZ whose chunks are the nodes of an octree.

COPC 1.0, https://copc.io. Its blocks are the nodes; pages of the hierarchy say where
they are, and their keys where their points lie.
"""

import struct
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.data_slice import Format, MapChunks
from hpc_connector.slices.formats.las import (
    POINTS,
    encode,
    fetch_head,
    make_block_index,
    make_blocks,
    partition_num_points,
    read,
    read_header,
    square_split_strategy,
)
from hpc_connector.slices.index import Index
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Range, Version

__all__ = ["COPC", "partition_num_points", "square_split_strategy"]

INFO = 429  # byte of the first record's content: it is that of COPC
SIGNATURE = slice(377, 381)
ENTRY = np.dtype(
    [(name, "<i4") for name in ("level", "x", "y", "z")]
    + [("first_byte", "<u8"), ("n_bytes", "<i4"), ("n_points", "<i4")]
)
IS_PAGE = -1  # in place of a number of points


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return where the nodes are, from header and hierarchy."""
    head = fetch_head(source, version)
    if head[SIGNATURE] != b"copc" or len(head) < INFO + 160:
        raise BadInput(f"{source.uri}: expected COPC: LAS or LAZ is cut by slices.las")
    *center, halfsize, _, root, n_bytes = struct.unpack_from("<5d2Q", head, INFO)
    nodes = fetch_nodes(source, version, (root, root + n_bytes))
    nodes = nodes[np.argsort(nodes["first_byte"], kind="stable")]
    header = read_header(source, head)
    blocks = make_node_blocks(nodes, center, halfsize, header.scales)
    return make_block_index(source, version, header, len(head), blocks)


def fetch_nodes(source: Source, version: Version, root: Range) -> np.ndarray:
    """Return the entries of nodes that have points, from all pages.

    Raises
    ------
    BadInput
        A page outside the object, of another size, or that was read already.
    """
    wanted, seen, found = [root], set(), [np.zeros(0, ENTRY)]
    while wanted:
        for first, last in wanted:
            is_whole = last - first > 0 and (last - first) % ENTRY.itemsize == 0
            if (first, last) in seen or last > version.size or not is_whole:
                raise BadInput(
                    f"{source.uri}, byte {first}: expected a page of the hierarchy"
                )
            seen.add((first, last))
        data = b"".join(fetch(source, version, wanted))
        entries = np.frombuffer(data, ENTRY)
        found.append(entries[entries["n_points"] > 0])
        pages = entries[entries["n_points"] == IS_PAGE]
        places = pages[["first_byte", "n_bytes"]].tolist()
        wanted = [(at, at + size) for at, size in places]
    return np.concatenate(found)


def make_node_blocks(
    nodes: np.ndarray, center: list[float], halfsize: float, scales: Any
) -> np.ndarray:
    """Return the rows of blocks that are nodes of an octree.

    Their bounds are wider by one step of the coordinates, which are rounded.

    Parameters
    ----------
    nodes
        Entries of the hierarchy: level, x, y, first_byte, n_bytes and n_points.
    center, halfsize
        Of the octree.
    scales
        Steps of the coordinates.
    """
    sizes = np.stack([nodes["n_points"], nodes["n_bytes"]], axis=1).astype(np.int64)
    blocks = make_blocks(sizes)
    blocks["first_byte"] = nodes["first_byte"]
    width = 2 * halfsize / 2.0 ** nodes["level"]
    for k, axis in enumerate("xy"):
        low = center[k] - halfsize + nodes[axis] * width
        blocks[f"{axis}_low"] = low - scales[k]
        blocks[f"{axis}_high"] = low + width + scales[k]
    return blocks


COPC = Format(f"{__name__}:COPC", 1, make_index, read, plain=POINTS, encode=encode)
