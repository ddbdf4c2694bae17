"""``hpc-connector streams from-imzml``: replay a dataset as an instrument would."""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hpc_connector import cli
from hpc_connector.commands.streams.address import add_stream, open_asked
from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.acquired.head import KEY, Head, write_head
from hpc_connector.loader.spectra.acquired.points import Point, pack_point
from hpc_connector.loader.spectra.acquired.replay import make_head, read_points
from hpc_connector.loader.spectra.ibd import check_ibd
from hpc_connector.loader.spectra.imzml import Imzml, read_imzml
from hpc_connector.options import positive
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.storage import address
from hpc_connector.streams.records import MOST_BYTES, START
from hpc_connector.streams.stream import Stream

SEGMENT = 0  # of all records: their order holds
MOST_RECORDS = 64  # at once
MOST_WAIT_S = 0.5


def add_arguments(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    said = "the .ibd file stands beside it; a file or an object"
    add("dataset", type=cli.source, metavar="DATASET.imzML", help=said)
    add_stream(parser)
    said = "spectra a second (default: as fast as it goes)"
    add("--rate", type=cli.as_type(positive), metavar="N", help=said)
    said = "position z of the section, if there are several (default: the only one)"
    add("--section", type=float, metavar="Z", help=said)
    add("--quiet", action="store_true", help="show no progress")


def run(args: argparse.Namespace, _: str) -> int:
    """Append what is not there yet of a dataset to a stream, which is made; seal it.

    Raises
    ------
    BadInput
        A dataset that cannot be read, or a stream of another.
    """
    imzml = read_imzml(args.dataset, section=args.section)
    check_ibd(imzml)
    head = make_head(imzml, Path(address.get_name(args.dataset)).stem)
    check_sizes(imzml)
    with open_asked(args) as stream:
        stream.create(1)
        n_there = count_there(stream, write_head(head))
        if n_there == 0:
            stream.append(SEGMENT, KEY, write_head(head), 0)
        show = make_progress(quiet=args.quiet, unit="spectra")
        replay(stream, head, imzml, max(n_there - 1, 0), args.rate, show)
        stream.seal()
    print(f"{args.url}: {len(imzml.x)} spectra, sealed")
    return cli.DONE


def check_sizes(imzml: Imzml) -> None:
    """Refuse spectra that no record has room for, before any is appended.

    Raises
    ------
    BadInput
        The first such spectrum.
    """
    size = imzml.mz_dtype.itemsize + imzml.intensity_dtype.itemsize
    most = (MOST_BYTES - 64) // size
    too_many = (imzml.n_peaks > most).nonzero()[0]
    if len(too_many):
        n = int(imzml.n_peaks[too_many[0]])
        raise BadInput(
            f"{imzml.path}: spectrum {too_many[0]} has {n} peaks: expected at most "
            f"{most}, for which a record has room"
        )


def count_there(stream: Stream, head: bytes) -> int:
    """Return how many records an earlier replay has appended.

    Raises
    ------
    BadInput
        They are of another dataset.
    """
    n, position = 0, START
    while records := stream.read(SEGMENT, position, most_records=MOST_RECORDS):
        if n == 0 and (records[0].key, records[0].value) != (KEY, head):
            raise BadInput(
                f"{stream.url} holds other records: expected a new stream, or one of "
                "this dataset to go on with"
            )
        n, position = records[-1].sequence + 1, records[-1].position
    return n


def replay(
    stream: Stream,
    head: Head,
    imzml: Imzml,
    first: int,
    rate: float | None,
    show: Callable[[int, int], None] | None,
) -> None:
    """Append the spectra of a dataset from a number on, some a second.

    Each has the sequence of its number, after the head: what is there is not repeated.
    """
    n = len(imzml.x)
    points = read_points(imzml, first)
    for batch in cut(points, rate):
        records = map(partial(pack_point, head), batch)
        stream.append_many(SEGMENT, records, 1 + batch[0].number)
        if show:
            show(batch[-1].number + 1, n)


def cut(points: Iterator[Point], rate: float | None) -> Iterator[list[Point]]:
    """Yield spectra as they are due."""
    start_s, n_sent = time.monotonic(), 0
    while True:
        n_due = MOST_RECORDS
        if rate:
            n_due = int(rate * (time.monotonic() - start_s)) - n_sent
            if n_due < 1:
                until_s = start_s + (n_sent + 1) / rate
                time.sleep(max(0.0, min(until_s - time.monotonic(), MOST_WAIT_S)))
                continue
        batch = list(itertools.islice(points, min(n_due, MOST_RECORDS)))
        if not batch:
            return
        n_sent += len(batch)
        yield batch
