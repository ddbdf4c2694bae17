"""A format of a third party, in a module of its own: lines, numbered in the index."""

import itertools

import numpy as np

from hpc_connector.slices import Format
from hpc_connector.slices.index import Index
from hpc_connector.storage.ranges import fetch


def make_index(source, version, map_chunks):
    (data,) = fetch(source, version, [(0, version.size)])
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    return Index({"n_lines": len(ends)}, {"ends": ends})


def partition_num_chunks(co, num_chunks):
    ends = np.append(0, co.index.arrays["ends"])
    n_lines = co.attributes["n_lines"]
    cuts = [int(ends[n_lines * k // num_chunks]) for k in range(num_chunks + 1)]
    return [co.make_slice([pair]) for pair in itertools.pairwise(cuts)]


def read(part, pieces):
    return pieces[0].splitlines(keepends=True)


def iter_body(contents):
    return map(b"".join, contents)


Lines = Format(f"{__name__}:Lines", 1, make_index, read, iter_body)
