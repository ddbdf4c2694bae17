"""Results of an acquisition beside those of a run on its file.

    python benchmarks/follow.py [section.imzML] [--database lipids.tsv] [--turns 3]

Without a file, of 4,800 simulated spectra. In turn: a run on the file; and an
acquisition of the same spectra that is followed, of which a tenth come at first. Prints
how long after these the first result was there, and what was left at the seal, beside
the run: seconds of the clock and of CPU, memory.
"""

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from annotation_size import LIPIDS, simulate

from hpc_connector.loader.spectra.acquired.head import KEY, Head, write_head
from hpc_connector.loader.spectra.acquired.points import pack_point
from hpc_connector.loader.spectra.acquired.replay import make_head, read_points
from hpc_connector.loader.spectra.imzml import Imzml, read_imzml
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.stream import Stream

SAME = ("annotations.tsv", "results.h5")
BATCH, POLL_S, IDLE_S = 64, 0.02, 1.0


class Used(NamedTuple):
    """Seconds of the clock and of CPU, and most memory."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def start(*words: object) -> subprocess.Popen[bytes]:
    """Start the program."""
    command = ["metabolite-annotation", *map(str, words), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes], start_s: float) -> Used:
    """Return what a process has used, when it has ended."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    cpu_s = used.ru_utime + used.ru_stime
    return Used(time.monotonic() - start_s, cpu_s, used.ru_maxrss / 1000)


def get_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not is_so():
        time.sleep(POLL_S)


def wait_idle(pid: int) -> None:
    """Wait until a process has taken all that there is."""
    used_s = -1.0
    while (now_s := get_cpu_s(pid)) > used_s + 0.05:
        used_s = now_s
        time.sleep(IDLE_S)


def pack(imzml: Imzml, head: Head) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of an acquisition."""
    yield KEY, write_head(head)
    for point in read_points(imzml):
        yield pack_point(head, point)


def send(stream: Stream, records: Iterator[tuple[bytes, bytes]], n: int | None) -> None:
    """Append the next records: `n`, or all that are left."""
    left = itertools.islice(records, n)
    while batch := list(itertools.islice(left, BATCH)):
        stream.append_many(0, batch)


def follow(dataset: Path, database: Path, place: Path) -> tuple[float, Used]:
    """Return when the first result was there, and what was used from the seal on."""
    imzml, out = read_imzml(str(dataset)), place / "follow"
    head = make_head(imzml, dataset.stem)
    records, url = pack(imzml, head), (place / "stream").as_uri()
    with open_stream(url) as stream:
        stream.create(1)
        send(stream, records, 1)
        options = ("--database", database, "--out", out, "--every", "1h")
        process = start("follow", url, *options)
        wait_idle(process.pid)
        send(stream, records, -(-len(imzml.x) // 10))
        start_s = time.monotonic()
        wait((out / "report.html").exists)
        first_s = time.monotonic() - start_s
        send(stream, records, None)
        wait_idle(process.pid)
        before_s = get_cpu_s(process.pid)
        stream.seal()
        used = end(process, time.monotonic())
    return first_s, used._replace(cpu_s=used.cpu_s - before_s)


def measure(dataset: Path, database: Path) -> tuple[float, Used, Used]:
    """Return the time to the first result, and what a run and following have used."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        place, start_s = Path(name), time.monotonic()
        options = ("--database", database, "--out", place / "run")
        run = end(start("run", dataset, *options), start_s)
        first_s, followed = follow(dataset, database, place)
        for file in SAME:
            found = (place / "follow" / file).read_bytes()
            assert found == (place / "run" / file).read_bytes()
        shutil.rmtree(place / "stream")
    return first_s, run, followed


def main() -> None:
    """Measure, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", nargs="?", type=Path)
    parser.add_argument("--database", type=Path, default=LIPIDS)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if (dataset := args.dataset) is None:
            dataset = Path(place) / "section.imzML"
            simulate(dataset, 80, 60, 1000)
        turns = [measure(dataset, args.database) for _ in range(args.turns)]
    first = statistics.median(turn[0] for turn in turns)
    print(f"first result {first:.1f} s after a tenth of the spectra")
    for name in Used._fields:
        ran = statistics.median(getattr(turn[1], name) for turn in turns)
        left = statistics.median(getattr(turn[2], name) for turn in turns)
        print(f"{name}: run {ran:.1f}, from the seal {left:.1f}, {left / ran:.2f}")


if __name__ == "__main__":
    main()
