"""What near-data actions move between nodes, and how fast they are.

    python benchmarks/actions.py

Counts the bytes that cross between two virtual nodes of MPICH when ranks merge lists of
the 1,000 best models: by the ``reduce`` of mpi4py, whose ranks send what they have
pickled along a binomial tree, and by an action on each node. The same is simulated for
nodes of 112 ranks, placed node by node (block) or in turn (cyclic). Then Glider's word
count, and what a rank can write to its node in a second beside a pipe.
"""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from hpc_connector.actions import near_data
from hpc_connector.actions.counts import add_up
from hpc_connector.actions.reduced import Reduce, pack
from hpc_connector.learner.mdr.search import STATISTICS, Question, make_best
from hpc_connector.partitioner import get_mpicomm
from mdr_epistasis.tasks import merge

TOP, RANKS_A_NODE = 1000, 112
SIZES = [2, 4, 8]  # ranks a node, of two
NODES = [2, 8, 128]
JOIN = partial(merge, top=TOP)


def make_findings(rank):
    """Return what a rank has found, as a search of pairs in ten folds has."""
    random = np.random.default_rng(rank)
    best = make_best(Question(top=TOP), folds=10)
    best.key[:TOP] = np.sort(random.random((TOP, len(STATISTICS))), axis=0)[::-1]
    best.model[:TOP] = np.sort(random.integers(0, 10**5, (TOP, 2)), axis=1)
    best.size[0] = TOP
    return best._asdict() | {"maximum": np.zeros(0)}


def count_plain(comm, node):
    """Return the bytes that cross between nodes in ``comm.reduce``, and what it finds.

    The last that a rank pickles is what it sends, to the rank without its lowest bit.
    """
    from mpi4py import MPI

    sent = [0]

    def dumps(value, *protocol):
        data = pickle.dumps(value, *protocol)
        sent.append(len(data))
        return data

    MPI.pickle.__init__(dumps, pickle.loads)
    found = comm.reduce(make_findings(comm.rank), lambda a, b: JOIN([a, b]))
    MPI.pickle.__init__()
    told = comm.allgather((node, sent[-1]))
    crossed = [n for r, (own, n) in enumerate(told) if own != told[r & (r - 1)][0]]
    return sum(crossed), found


def count_action(comm):
    """Return the bytes that cross between nodes by an action, and what it finds."""
    with near_data(comm) as area:
        best = area.create("best", partial(Reduce, pickle.loads, JOIN))
        best.write([pickle.dumps(make_findings(comm.rank))])
        found = area.reduce(best.name)
    return area.rows and add_up(area.rows), found


def merge_on_ranks():
    """Print what both ways move, in a run of MPI."""
    comm = get_mpicomm()
    with near_data(comm) as area:
        node = area._nodes.number
    plain_bytes, plain = count_plain(comm, node)
    moved, found = count_action(comm)
    if comm.rank == 0:
        same = all(np.array_equal(plain[name], found[name]) for name in plain)
        print(json.dumps([plain_bytes, moved["moved_bytes"], same]))


def count_crossing(nodes, width, cyclic):
    """Return how many messages of a binomial tree go from one node to another."""
    rank = np.arange(nodes * width)
    node = rank % nodes if cyclic else rank // width
    return int((node != node[rank & (rank - 1)]).sum())


def compare_merges():
    """Print the bytes of merges, counted on virtual nodes and simulated."""
    found = JOIN([make_findings(0)])
    list_bytes, packed_bytes = len(pickle.dumps(found)), len(pack(found))
    print(f"a list of {TOP:,} models: {list_bytes:,} bytes, {packed_bytes:,} packed")
    two = os.environ | {"MPIR_CVAR_NUM_CLIQUES": "2"}
    for width in SIZES:
        command = ["mpirun", "-n", str(2 * width), sys.executable, __file__, "merge"]
        done = subprocess.run(command, env=two, check=True, capture_output=True)
        plain, moved, same = json.loads(done.stdout)
        print(
            f"counted, 2 nodes of {width} ranks, cyclic: reduce {plain:,}, action "
            f"{moved:,} bytes, 1/{plain / moved:.1f}, same result: {same}"
        )
    for nodes in NODES:
        for cyclic in (True, False):
            n = count_crossing(nodes, RANKS_A_NODE, cyclic)
            before_bytes, moved_bytes = n * list_bytes, (nodes - 1) * packed_bytes
            print(
                f"simulated, {nodes} nodes of {RANKS_A_NODE} ranks, "
                f"{'cyclic' if cyclic else 'block'}: reduce {n:,} lists "
                f"({before_bytes:,} bytes), action {nodes - 1:,} ({moved_bytes:,}), "
                f"1/{before_bytes / moved_bytes:.1f}"
            )


def compare_words(folder):
    """Print what a word count moves on two nodes, by the size of the text."""
    random = np.random.default_rng(1)
    words = " ".join(f"w{n}" for n in random.zipf(1.3, 1_000_000) % 5_000)
    text = words.replace(" w7 ", "\n") + "\n"
    for copies in (1, 4):
        count_text(Path(folder, str(copies)), text, copies)


def count_text(folder, text, copies):
    """Print what a word count moves, and whether it is right."""
    folder.mkdir()
    for k in range(4):
        (folder / f"{k}.txt").write_text(copies * text)
    asked = '[[action]]\nname = "words"\ndo = "count-words"\ninterleaving = true\n'
    Path(folder, "spec.toml").write_text(f'inputs = ["*.txt"]\n{asked}')
    command = ["mpirun", "-n", "4", "hpc-connector", "actions", "run"]
    command += [f"{folder}/spec.toml", "--out", f"{folder}/out"]
    two = os.environ | {"MPIR_CVAR_NUM_CLIQUES": "2"}
    done = subprocess.run(command, env=two, check=True, capture_output=True, text=True)
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.txt"))
    said = done.stdout.splitlines()[0]
    print(f"word count of {n_bytes / 1e6:.0f} MB, 2 nodes: {said}")
    text = b" ".join(path.read_bytes() for path in Path(folder).glob("*.txt"))
    lines = Path(folder, "out/words.txt").read_bytes().splitlines()[1:]
    found = {word: int(n) for word, n in (line.split(b"\t") for line in lines)}
    print(f"  as a plain loop: {found == Counter(text.split())}")


class Drop:
    """An action that takes records and keeps nothing."""

    def on_write(self, records):
        """Take records."""
        for _ in records:
            pass


def compare_writes():
    """Print what one process writes in a second to an action, and to a pipe."""
    for n_bytes, n in ((100, 20_000), (1 << 16, 5_000), (1 << 22, 100)):
        record = bytes(n_bytes)
        with near_data(get_mpicomm(serial=True)) as area:
            drop = area.create("drop", Drop)
            start_s = time.perf_counter()
            drop.write(record for _ in range(n))
            own_s = time.perf_counter() - start_s
        first, second = multiprocessing.Pipe()
        child = multiprocessing.Process(target=drain, args=(second, n))
        child.start()
        start_s = time.perf_counter()
        for _ in range(n):
            first.send_bytes(record)
            first.recv_bytes()
        pipe_s = time.perf_counter() - start_s
        child.join()
        print(
            f"records of {n_bytes:,} bytes: action {n / own_s:,.0f}/s "
            f"({n * n_bytes / own_s / 1e6:,.0f} MB/s), multiprocessing.Pipe with "
            f"answers {n / pipe_s:,.0f}/s ({n * n_bytes / pipe_s / 1e6:,.0f} MB/s)"
        )


def drain(pipe, n):
    """Take messages and answer each."""
    for _ in range(n):
        pipe.recv_bytes()
        pipe.send_bytes(b".")


def main():
    if sys.argv[1:] == ["merge"]:
        merge_on_ranks()
        return
    compare_merges()
    with tempfile.TemporaryDirectory() as folder:
        compare_words(folder)
    compare_writes()


if __name__ == "__main__":
    main()
