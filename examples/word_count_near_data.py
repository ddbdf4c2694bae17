"""Count the words of text files by an action on each node, after Glider's example.

mpirun -n 8 python word_count_near_data.py a.txt b.txt
"""

import pickle
import sys
from collections import Counter
from pathlib import Path

from hpc_connector import cli
from hpc_connector.actions import near_data
from hpc_connector.actions.counts import add_up
from hpc_connector.partitioner import get_mpicomm
from hpc_connector.partitioner.ending import abort_on_error

PIECE_BYTES = 1 << 20


class CountWords:
    """An action: it counts the words that the ranks of its node read."""

    def on_create(self, context):
        """Begin with nothing."""
        self.counts = Counter()

    def on_write(self, records):
        """Count the words of records, which end with a line."""
        for record in records:
            self.counts.update(bytes(record).lower().split())

    def on_read(self):
        """Yield the counts."""
        yield pickle.dumps(self.counts)

    @staticmethod
    def merge(results):
        """Return the counts of all nodes."""
        return sum(map(pickle.loads, results), Counter())


def read_share(paths, rank, size):
    """Yield those pieces of files that are this rank's, each of whole lines."""
    number = 0
    for path in paths:
        with open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES) + file.readline():
                if number % size == rank:
                    yield piece
                number += 1


def main():
    """Print the ten words that are there most often, and what moved between nodes."""
    comm = get_mpicomm()
    with abort_on_error(comm, lambda error: cli.explain(Path(__file__).name, error)):
        with near_data(comm) as area:
            words = area.create("words", CountWords, interleaving=True)
            words.write(read_share(sys.argv[1:], comm.rank, comm.size))
            counts = area.reduce("words")
        if comm.rank == 0:
            for word, count in counts.most_common(10):
                print(f"{count:>7} {word.decode(errors='replace')}")
            total = add_up(area.rows)
            moved, would = total["moved_bytes"], total["would_move_bytes"]
            print(f"{moved:,} bytes moved between nodes, where {would:,} would have")


if __name__ == "__main__":
    main()
