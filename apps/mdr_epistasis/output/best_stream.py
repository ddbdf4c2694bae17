"""The best models of a search as they are found, in a stream: a segment a rank.

A record with the key ``best`` has what a rank has found so far, as its ledger has it;
the last of segment 0, with the key ``models.tsv``, has the checksum of that file. The
results are in files all the same, whatever happens to the stream.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np

from hpc_connector.errors import UNUSABLE
from hpc_connector.learner.mdr import search as learner
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.storage.checksums import get_checksum
from hpc_connector.streams.beside import prepare_stream
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.records import START
from hpc_connector.streams.stream import Stream
from mdr_epistasis.options import Options
from mdr_epistasis.output.summary import SHOWN
from mdr_epistasis.tasks import get_best

logger = logging.getLogger(__name__)

TABLE = "models.tsv"
EVERY_S = 1.0  # a record at most
MOST_RECORDS = 1000  # that are read at a time


class BestStream:
    """What a rank tells of the best models, its threads one after the other.

    Once something cannot be told, the rest of the run is not either.
    """

    def __init__(self, stream: Stream, rank: int) -> None:
        self.stream, self.rank = stream, rank
        self.ids: np.ndarray = np.zeros(0)
        self.statistics: list[str] = []
        self._found: list[learner.Best] = []  # by other attempts
        self._threads: dict[int, tuple[int, learner.Best]] = {}
        self._due_s, self._is_broken = 0.0, False
        self._lock = threading.Lock()

    def begin(self, ids: np.ndarray, question: learner.Question) -> None:
        """Take up the ids of all variants, and by what models are ranked."""
        others = [name for name in learner.STATISTICS if name != question.rank_by]
        self.ids, self.statistics = ids, [question.rank_by, *others]

    def add(self, earlier: Sequence[Arrays]) -> None:
        """Take up what other attempts have found."""
        self._found += map(shorten, earlier)

    def tell(self, thread: int, n_tasks: int, found: Arrays) -> None:
        """Append the best models so far, when a thread has saved what it found.

        Parameters
        ----------
        n_tasks
            That the thread has finished.
        """
        with self._lock:
            self._threads[thread] = n_tasks, shorten(found)
            if self._is_broken or time.monotonic() < self._due_s:
                return
            self._due_s = time.monotonic() + EVERY_S
            try:
                self.stream.append(self.rank, b"best", self.format())
            except UNUSABLE as error:
                self._is_broken = True
                warn(error)

    def format(self) -> bytes:
        """Return the record of what this rank has found, and earlier attempts."""
        here = [best for _, best in self._threads.values()]
        best = learner.merge_best([*self._found, *here], SHOWN)
        rows = zip(best.model[:-1], best.key[:-1].tolist(), strict=True)
        models = [
            {"variants": [str(self.ids[variant]) for variant in model]}
            | {
                name: value if value >= 0 else None  # without folds there is no test
                for name, value in zip(self.statistics, key, strict=True)
            }
            for model, key in rows
        ]
        n_tasks = sum(n for n, _ in self._threads.values())
        return json.dumps({"tasks": n_tasks, "best": models}).encode()

    def close(self) -> None:
        """Let the segment of this rank go."""
        with contextlib.suppress(*UNUSABLE):
            self.stream.close()


def shorten(found: Arrays) -> learner.Best:
    """Return the few models of a list that are told."""
    return learner.merge_best([get_best(found)], SHOWN)


def warn(error: Exception) -> None:
    """Say that records are missing: results do not depend on them."""
    logger.warning("--results-stream: the run goes on without it: %s", error)


@contextlib.contextmanager
def open_best(comm: Communicator, args: Options) -> Iterator[BestStream]:
    """Make the stream of a run, or check it; give what tells the models of this rank.

    Raises
    ------
    BadInput
        At the beginning: it cannot be made or reached, or has no room for all ranks.
    """
    url, profile = str(args.results_stream), args.stream_profile
    with end_together(comm):
        if comm.rank == 0:
            prepare_stream(url, comm.size, "rank", profile)
    best = BestStream(open_stream(url, profile=profile), comm.rank)
    try:
        yield best
    finally:
        best.close()


def end_stream(args: Options) -> None:
    """Tell the checksum of the table of a complete run, and seal its stream."""
    url, profile = str(args.results_stream), args.stream_profile
    record = {"file": TABLE, "sha256": get_checksum(str(args.out / TABLE))}
    try:
        with open_stream(url, profile=profile) as stream:
            if not has_last(stream):
                stream.append(0, TABLE.encode(), json.dumps(record).encode())
            stream.seal()
    except UNUSABLE as error:
        warn(error)


def has_last(stream: Stream) -> bool:
    """Return whether the last record is there, of an attempt that was killed then."""
    if stream.is_sealed(0):
        return True
    key, position = b"", START
    while records := stream.read(0, position, most_records=MOST_RECORDS):
        key, position = records[-1].key, records[-1].position
    return key == TABLE.encode()
