"""Slices of objects: requests, bytes and time, beside Dataplug and download-then-split.

    python benchmarks/slices.py [--dataplug]

On SeaweedFS on this machine, and for latency behind hadro, which waits 30 ms for each
answer. One slice of eight is read: by our slices, by today's Dataplug (with
``--dataplug``, which installs it in an environment of its own), and by fetching the
whole with boto3 and cutting it here. Ranges are read by our data path and by threads of
boto3, 8 at once; the same ranges, in turns. All times are the best of three, of one
process. Tables are Markdown; the first one says what must be reached.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from isal import igzip

from hpc_connector.storage import ranges as ranges_module
from hpc_connector.storage.objects import get_version
from hpc_connector.storage.ranges import fetch_all, plan_requests
from hpc_connector.storage.stores import make_source
from hpc_connector.storage.traffic import get_traffic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import slices_dataplug
from slices_objects import SIDE, write_objects

from hpc_connector.loader.bgzf import MAX_BLOCK_BYTES
from hpc_connector.loader.spectra.imzml import parse_imzml
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats import fastq_gzip, imzml, text, vcf_gzip
from hpc_connector.slices.formats.blocks import inflate
from s3 import ACCESS, BUCKET, make_client, serve_hadro, serve_s3

SIZES = {"64 KiB": (1 << 16, 1000), "1 MiB": (1 << 20, 200), "8 MiB": (8 << 20, 24)}
WANTED = {"64 KiB": 2.0, "1 MiB": 1.0, "8 MiB": 0.95}  # parity, but for noise
AT_ONCE = 8
N, CHOSEN = 8, 3
LATENCY_MS = 30
BOX = ((40, 65), (40, 65))  # pixels of an image of 100 x 100
FORMATS = {
    "cohort.vcf.gz": (vcf_gzip.VCFGZip, vcf_gzip.partition_num_chunks, "num_chunks"),
    "cohort.vcf": (text.VCF, text.partition_num_chunks, "num_chunks"),
    "reads.fastq.gz": (
        fastq_gzip.FASTQGZip,
        fastq_gzip.partition_reads_batches,
        "num_batches",
    ),
    "processed.imzML": (imzml.ImzML, imzml.partition_chunks_strategy, "num_chunks"),
}
checks = []  # what must be reached: name, wanted, found, whether it is


def check(name, wanted, found, is_reached):
    """Keep a row of the first table."""
    checks.append((name, wanted, found, is_reached))


def take(work):
    """Return what work gives, and its requests, bytes and seconds."""
    before, start_s = get_traffic(), time.perf_counter()
    given = work()
    took_s = time.perf_counter() - start_s
    requests, n_bytes = get_traffic()
    return given, requests - before[0], n_bytes - before[1], took_s


def take_best(work):
    """Return the quickest of three, as ``take``; what it gives is let go of first."""
    return min((take(work)[1:] for _ in range(3)), key=lambda found: found[2])


def read_with_boto3(client, key, ranges):
    """Read ranges by threads."""

    def read(wanted):
        first, last = wanted
        answer = client.get_object(
            Bucket=BUCKET, Key=key, Range=f"bytes={first}-{last - 1}"
        )
        return answer["Body"].read()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, ranges))


def compare_ranges(endpoint, key):
    """Print the rates of both ways to read the same ranges."""
    source = make_source(f"s3://{BUCKET}/{key}", {"endpoint_url": endpoint})
    version, client = get_version(source), make_client(endpoint)
    rng = np.random.default_rng(1)
    ranges_module.AT_ONCE = AT_ONCE
    print("| ranges | ours, requests/s | boto3, threads | times | times less CPU |")
    print("| --- | --- | --- | --- | --- |")
    for name, (n_bytes, n) in SIZES.items():
        step = version.size // n
        at = (np.arange(n) * step).tolist()
        rng.shuffle(at)
        ranges = [(a, a + min(n_bytes, step)) for a in at]
        requests = [(source, version, wanted) for wanted in ranges]
        ways = {
            "ours": lambda r=requests: fetch_all(r),
            "boto3": lambda r=ranges: read_with_boto3(client, key, r),
        }
        best = {way: [float("inf")] * 2 for way in ways}
        for _ in range(3):
            for way, work in ways.items():
                start_s, cpu_s = time.perf_counter(), time.process_time()
                found = work()
                took = time.perf_counter() - start_s, time.process_time() - cpu_s
                best[way] = [min(*pair) for pair in zip(best[way], took, strict=True)]
                assert sum(map(len, found)) == sum(b - a for a, b in ranges)
        ours, theirs = (n / best[way][0] for way in ways)
        cpu = best["boto3"][1] / best["ours"][1]
        times = f"{ours / theirs:.1f} | {cpu:.1f}"
        print(f"| {name} | {ours:,.0f} | {theirs:,.0f} | {times} |", flush=True)
        if WANTED[name] != 1:
            at_least = f"{WANTED[name]:g} times boto3's rate"
            rate = ours / theirs
            check(f"{name} ranges", at_least, f"{rate:.1f}", rate >= WANTED[name])


def measure_slices(endpoint, key, metadata):
    """Return the object, what its index took, one slice of eight, and the largest."""
    format, strategy, option = FORMATS[key]
    config = {"endpoint_url": endpoint}
    co = CloudObject.from_path(format, f"s3://{BUCKET}/{key}", config, metadata)
    index = take(lambda: co.preprocess(force=True))[1:]
    parts, *cutting = take(lambda: co.partition(strategy, **{option: N}))
    assert cutting[:2] == [0, 0]
    return co, index, take_best(parts[CHOSEN].get), max(map(count_bytes, parts))


def count_bytes(part):
    """Return the bytes that a slice asks for, its part of the index among them."""
    planned = plan_requests(part.ranges)
    planned += plan_requests(part.index_ranges)
    return sum(last - first for first, last in planned)


def measure_whole(endpoint, key):
    """Return requests, bytes and seconds of fetching an object to cut it here."""
    client, names = make_client(endpoint), [key]
    if key.endswith(".imzML"):
        names.append(key.replace(".imzML", ".ibd"))
    best_s, n_bytes = float("inf"), 0
    for _ in range(3):
        start_s = time.perf_counter()
        found = [client.get_object(Bucket=BUCKET, Key=n)["Body"].read() for n in names]
        cut_here(key, *found)
        best_s = min(best_s, time.perf_counter() - start_s)
        n_bytes = sum(map(len, found))
    return len(names), n_bytes, best_s


def cut_here(key, data, ibd=b""):
    """Return one slice of eight of the bytes of an object."""
    if ibd:
        found = parse_imzml(key, key, data)
        spectra = range(CHOSEN * len(found.x) // N, (CHOSEN + 1) * len(found.x) // N)
        return [
            (ibd[a : a + n], ibd[b : b + m])
            for a, n, b, m in (
                (
                    found.mz_offset[k],
                    found.mz_bytes[k],
                    found.intensity_offset[k],
                    found.intensity_bytes[k],
                )
                for k in spectra
            )
        ]
    if key.endswith(".vcf.gz"):
        data = inflate(data, key, 0)  # three times as fast as gzip
    elif key.endswith(".gz"):
        data = igzip.decompress(data)
    lines = data.splitlines(keepends=True)
    per_record = 4 if "fastq" in key else 1
    n = len(lines) // per_record
    first, last = CHOSEN * n // N, (CHOSEN + 1) * n // N
    return lines[first * per_record : last * per_record]


def compare_slices(endpoint, dataplug, metadata):
    """Print what one slice of eight takes by each way, for each format."""
    print("| object | way | index reads | index | slice | requests | s | times |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for key in FORMATS:
        co, index, part, most = measure_slices(endpoint, key, metadata)
        whole = measure_whole(endpoint, key)
        size = whole[1]
        name = f"{key}, {size / 1e6:,.1f} MB"
        rows = [("slices", index, len(co.index_bytes), part)]
        theirs = key.replace(".imzML", ".ibd")
        if dataplug and theirs in slices_dataplug.FORMATS:
            found = slices_dataplug.measure(*dataplug, endpoint, BUCKET, theirs)
            took = found["index"], found["index_bytes"], found["slice"]
            rows.append((f"Dataplug {slices_dataplug.VERSION}", *took))
        rows.append(("download, then split", (0, 0, 0.0), 0, whole))
        for way, (_, n_read, index_s), n_index, (requests, n_bytes, took_s) in rows:
            print(
                f"| {name} | {way} | {n_read / 1e6:,.2f} MB, {index_s:.2f} s | "
                f"{n_index / 1e6:,.3f} MB | {n_bytes / 1e6:,.2f} MB | {requests} | "
                f"{took_s:.3f} | {whole[2] / took_s:.1f} |",
                flush=True,
            )
        check_format(key, co, index, part[0], most)


def check_format(key, co, index, requests, largest):
    """Keep what must be reached of a format."""
    if key.endswith(".vcf.gz"):
        tabix = get_version(co.source.beside(".tbi")).size
        data = index[1] - tabix
        check("VCF.gz: data read by preprocess", "0 bytes", f"{data:,}", data == 0)
        check("VCF.gz: a slice of 8", "2 requests", f"{requests}", requests <= 2)
        most = co.size // N + 2 * MAX_BLOCK_BYTES
        places = co.index.arrays["starts"] >> np.uint64(16)
        gap = int(np.diff(places).max())
        name = (
            f"VCF.gz: largest of 8 (.tbi: a place in {gap:,} bytes), size/8 + 2 blocks"
        )
        check_bytes(name, most, largest)
    elif key.endswith(".vcf"):
        check("VCF: a slice of 8", "3 requests", f"{requests}", requests <= 3)
    elif "fastq" in key:
        share = 100 * len(co.index_bytes) / co.size
        check("FASTQ.gz: index", "0.4 %", f"{share:.2f} %", share <= 0.4)
        most = int(1.05 * co.size / N) + 100_000
        check_bytes("FASTQ.gz: largest of 8, 1.05 x size/8 + 100 KB", most, largest)


def check_bytes(name, most, found):
    """Keep what must be reached in bytes."""
    check(name, f"{most:,} bytes", f"{found:,}", found <= most)


def compare_boxes(endpoint, metadata):
    """Keep what a box of pixels of both kinds of imzML takes, beside what it needs."""
    for mode in ("continuous", "processed"):
        uri = f"s3://{BUCKET}/{mode}.imzML"
        config = {"endpoint_url": endpoint}
        co = CloudObject.from_path(imzml.ImzML, uri, config, metadata).preprocess()
        (part,) = co.partition(imzml.partition_boxes, boxes=[BOX])
        spectra, requests, n_bytes, _ = take(part.get)
        index = plan_requests(part.index_ranges)
        rows = sum(last - first for first, last in index)
        own = {id(array): array.nbytes for s in spectra for array in s[2:]}
        needed = sum(own.values())
        axes = len({id(s[2]) for s in spectra})
        said = f"{needed:,} bytes of peaks, rows of the index apart"
        name = (
            f"imzML {mode}: {len(spectra)} of {SIDE * SIDE} pixels, {requests} requests"
        )
        check(name, said, f"{n_bytes - rows:,}", n_bytes - rows == needed)
        if mode == "continuous":
            check("imzML continuous: the m/z axis", "once", f"{axes}", axes == 1)


def compare_latency(endpoint, metadata):
    """Print what one slice of eight and the whole take where each answer waits."""
    print("| object | slice, s | download, then split, s | times |")
    print("| --- | --- | --- | --- |")
    for key in ("cohort.vcf.gz", "cohort.vcf", "processed.imzML"):
        _, _, (_, _, slice_s), _ = measure_slices(endpoint, key, metadata)
        whole_s = measure_whole(endpoint, key)[2]
        times = whole_s / slice_s
        print(f"| {key} | {slice_s:.3f} | {whole_s:.3f} | {times:.1f} |", flush=True)
        if key == "cohort.vcf.gz":
            name = f"VCF.gz at {LATENCY_MS} ms: a slice of 8"
            wanted = "3 times download, then split"
            check(name, wanted, f"{times:.1f}", times >= 3)


def print_checks():
    """Print the table of what must be reached."""
    print("| must reach | at least, or at most | found | |\n| --- | --- | --- | --- |")
    for name, wanted, found, is_reached in checks:
        print(f"| {name} | {wanted} | {found} | {'yes' if is_reached else 'NO'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataplug", action="store_true", help="install it, beside it")
    parser.add_argument("--variants", type=int, default=40_000)
    parser.add_argument("--fastq-mb", type=int, default=420)
    args = parser.parse_args()
    os.environ |= ACCESS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bucket, metadata = folder / "slow" / BUCKET, str(folder / "metadata")
        bucket.mkdir(parents=True)
        size = args.fastq_mb * 10**6
        write_objects(bucket, variants=args.variants, fastq_bytes=size)
        dataplug = slices_dataplug.install(folder / "venv") if args.dataplug else None
        (folder / "s3").mkdir()
        with serve_s3(folder / "s3") as endpoint:
            client = make_client(endpoint)
            for path in bucket.iterdir():
                client.upload_file(str(path), BUCKET, path.name)
            print("\nOne slice of eight, SeaweedFS\n")
            compare_slices(endpoint, dataplug, metadata)
            compare_boxes(endpoint, metadata)
            print("\nRanges, 8 at once, SeaweedFS\n")
            compare_ranges(endpoint, "large")
        with serve_hadro(folder / "slow", LATENCY_MS) as endpoint:
            print(f"\nOne slice of eight, hadro, {LATENCY_MS} ms\n")
            compare_latency(endpoint, metadata)
    print("\nAll of the above\n")
    print_checks()


if __name__ == "__main__":
    main()
