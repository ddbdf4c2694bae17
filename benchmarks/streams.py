"""Streams: appends and replay of files, beside a plain read and other streams.

    python benchmarks/streams.py [FOLDER] [--streams URL ...] [--profile FILE]

Records of 4 KiB and of 71 bytes, in FOLDER (a temporary one), in turns: the medians of
three, of one process; appends by the clock, replay by its CPU seconds. With
``--streams``, new names of streams of running servers are appended to as well
(``nats://127.0.0.1:4222/BENCHMARK``). Tables are Markdown.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

from hpc_connector.streams.follow import MOST_RECORDS
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.records import START
from hpc_connector.streams.verify import verify_stream

KEY = b"key12"
SIZES = {"4 KiB": (4096 - 26 - len(KEY), 40_000), "71 B": (40, 300_000)}
N_SYNCED, N_SERVED = 300, 4_000
TURNS = 3


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--streams", nargs="*", default=[], metavar="URL")
    parser.add_argument("--profile", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        compare_appends(Path(place), args.streams, args.profile)
        compare_replays(Path(place))


def compare_appends(place, urls, profile):
    """Append records one by one, and many at once."""
    names = (f"{place}/a{k}" for k in itertools.count())
    value = os.urandom(SIZES["4 KiB"][0])
    n = SIZES["4 KiB"][1]
    rows = {
        "file, one by one, no sync": lambda: append(f"file://{next(names)}", value, n),
        "file, one by one, 1s": lambda: append(
            f"file://{next(names)}", value, n, sync="1s"
        ),
        "file, append_many": lambda: append(
            f"file://{next(names)}", value, n, many=True
        ),
        "file, fdatasync each": lambda: append(
            f"file://{next(names)}", value, N_SYNCED, sync="each"
        ),
        "write() alone": lambda: write_plain(next(names), value, n),
    }
    counts = itertools.count()
    for url in urls:
        for many in (False, True):
            rows[f"{url}, {'append_many' if many else 'one by one'}"] = (
                lambda url=url, many=many: append(
                    f"{url}_{os.getpid()}_{next(counts)}",
                    value,
                    N_SERVED,
                    many=many,
                    profile=profile,
                )
            )
    found = take_turns(rows)
    print("| 4 KiB records appended | records/s | MiB/s |\n| --- | ---: | ---: |")
    for name, rate in found.items():
        print(f"| {name} | {rate:,.0f} | {rate * 4096 / 2**20:,.1f} |")


def append(url, value, n, *, many=False, sync="none", profile=None):
    """Return the records a second of appends to a new stream."""
    with open_stream(url, sync=sync, profile=profile) as stream:
        stream.create()
        start_s = time.perf_counter()
        if many:
            stream.append_many(0, itertools.repeat((KEY, value), n))
        else:
            for _ in range(n):
                stream.append(0, KEY, value)
        return n / (time.perf_counter() - start_s)


def write_plain(path, value, n):
    """Return the writes a second of one call of the system each."""
    data = value + bytes(4096 - len(value))
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        start_s = time.perf_counter()
        for _ in range(n):
            os.write(file, data)
        return n / (time.perf_counter() - start_s)
    finally:
        os.close(file)


def compare_replays(place):
    """Read streams again, beside a plain read of their files."""
    print("\n| replay | MiB/s | of a plain read | records/s |")
    print("| --- | ---: | ---: | ---: |")
    for size, (value_bytes, n) in SIZES.items():
        folder = place / size.replace(" ", "")
        append(f"file://{folder}", os.urandom(value_bytes), n, many=True)
        n_bytes = sum(path.stat().st_size for path in folder.glob("*.seg"))
        rows = {
            "plain read": lambda folder=folder: read_plain(folder),
            "plain read, kept": lambda folder=folder: read_kept(folder),
            "records, checked": lambda folder=folder: replay(folder),
            "verify": lambda folder=folder: verify(folder),
        }
        found = take_turns(rows)
        for name, seconds in found.items():
            share = found["plain read"] / seconds
            print(
                f"| {size}: {name} | {n_bytes / 2**20 / seconds:,.0f} | {share:.3f} "
                f"| {n / seconds:,.0f} |"
            )


def read_plain(folder):
    """Return the seconds of a read of all files, into memory that is used again."""
    start_s, buffer = time.process_time(), bytearray(1 << 20)
    for path in sorted(folder.glob("*.seg")):
        with open(path, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass
    return time.process_time() - start_s


def read_kept(folder):
    """Return the seconds of a read of all files, each into new memory."""
    start_s = time.process_time()
    for path in sorted(folder.glob("*.seg")):
        path.read_bytes()
    return time.process_time() - start_s


def replay(folder):
    """Return the seconds in which a stream gives all its records."""
    start_s, position = time.process_time(), START
    stream = open_stream(f"file://{folder}")
    while records := stream.read(0, position, most_records=MOST_RECORDS):
        position = records[-1].position
    return time.process_time() - start_s


def verify(folder):
    """Return the seconds in which a stream is verified."""
    start_s = time.process_time()
    verify_stream(open_stream(f"file://{folder}"))
    return time.process_time() - start_s


def take_turns(rows):
    """Return the medians of what functions return, called in turns, by name."""
    found = {name: [] for name in rows}
    for _ in range(TURNS):
        for name, measure in rows.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


if __name__ == "__main__":
    main()
