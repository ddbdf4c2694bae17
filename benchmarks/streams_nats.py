"""Streams of NATS: beside its client by hand, and streams of files.

    python benchmarks/streams_nats.py [NATS-SERVER ...]

Records of 4 KiB from one process, to a server on this machine that stores them on its
disk (by default those of Debian and of PyPI), in turns: the medians of five. CPU is the
seconds of 10,000 records, of this process and of the server. A table of Markdown.

``publish_async`` is the client by hand, with the ID, sequence and key of each record,
and nothing to keep a second writer out; ``publish`` is as many calls at once, of which
each waits for its answer. ``ratio`` is to the ``publish_async`` of the same turn.
"""

import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nats

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hpc_connector.streams.open import open_stream
from nats_servers import BINARIES, name_streams, serve_nats

N, TURNS, AT_ONCE = 10_000, 5, 1000
KEY, VALUE = b"key12", os.urandom(4096 - 26 - 5)
names = name_streams()


def main() -> None:
    """Measure, and print the table."""
    print("| server | what | records/s | ratio | CPU here | CPU of server |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for binary in sys.argv[1:] or BINARIES.values():
        with (
            tempfile.TemporaryDirectory() as place,
            serve_nats(binary, Path(place, "server")) as server,
        ):
            compare(server, Path(place))


def compare(server, place):
    """Take turns on one server."""
    files = (f"file://{place}/{k}" for k in itertools.count())
    rows = {
        "publish_async by hand": lambda: publish(server, publish_async),
        "publish by hand": lambda: publish(server, publish_at_once),
        "append_many": lambda: append(server.make_url(next(names)), many=True),
        "append, one by one": lambda: append(server.make_url(next(names)), n=N // 10),
        "read": lambda: read(server.make_url(next(names))),
        "file: append, one by one": lambda: append(next(files)),
        "file: append_many": lambda: append(next(files), many=True),
    }
    found = {name: [] for name in rows}
    for _ in range(TURNS):
        for name, measure in rows.items():
            cpu_s = get_cpu(server)
            rate, here_s = measure()
            found[name].append((rate, here_s, get_cpu(server) - cpu_s))
    first = [rate for rate, *_ in next(iter(found.values()))]
    for name, turns in found.items():
        rate, here_s, there_s = map(statistics.median, zip(*turns, strict=True))
        ratios = (one[0] / by for one, by in zip(turns, first, strict=True))
        ratio = statistics.median(ratios)
        print(
            f"| {server.version} | {name} | {rate:,.0f} | {ratio:.2f} | {here_s:.2f} "
            f"| {there_s:.2f} |"
        )


def get_cpu(server):
    """Return the CPU seconds of a server."""
    text = Path(f"/proc/{server.process.pid}/stat").read_text()
    words = text.rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measure(work, n):
    """Return the records a second of some work, and its CPU seconds for N of them."""
    start_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    took_s = time.perf_counter() - start_s
    return n / took_s, (time.process_time() - cpu_s) * N / n


def append(url, *, many=False, n=N):
    """Append to a new stream."""
    with open_stream(url, sync="none") as stream:
        stream.create()
        stream.append(0, KEY, VALUE)
        if many:
            return measure(
                lambda: stream.append_many(0, itertools.repeat((KEY, VALUE), n)), n
            )
        return measure(lambda: [stream.append(0, KEY, VALUE) for _ in range(n)], n)


def read(url):
    """Read a stream from its start."""

    def read_all():
        position = "start"
        while records := stream.read(0, position, most_records=4096):
            position = records[-1].position

    with open_stream(url) as stream:
        stream.create()
        stream.append_many(0, itertools.repeat((KEY, VALUE), N))
        return measure(read_all, N)


def publish(server, send):
    """Publish to a new stream by the client itself."""

    async def connect():
        name = next(names)
        async with await nats.connect(f"nats://127.0.0.1:{server.port}") as client:
            js = client.jetstream()
            await js.add_stream(name=name, subjects=[f"{name}.0"])
            start_s, cpu_s = time.perf_counter(), time.process_time()
            await send(js, f"{name}.0")
            took_s = time.perf_counter() - start_s
            return N / took_s, time.process_time() - cpu_s

    return asyncio.run(connect())


def make_headers(k):
    """Return the headers of a record."""
    return {"Nats-Msg-Id": f"0-{k}", "Seq": str(k), "Key": "a2V5MTI="}


async def publish_async(js, subject):
    """Publish as the client does it best."""
    futures = [
        await js.publish_async(subject, VALUE, headers=make_headers(k))
        for k in range(N)
    ]
    await asyncio.gather(*futures)


async def publish_at_once(js, subject):
    """Publish with many calls at once."""
    for start in range(0, N, AT_ONCE):
        calls = (
            js.publish(subject, VALUE, headers=make_headers(k), timeout=60)
            for k in range(start, start + AT_ONCE)
        )
        await asyncio.gather(*calls)


if __name__ == "__main__":
    main()
