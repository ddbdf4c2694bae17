"""Slices of objects: requests, bytes and time, beside boto3 and download-then-split.

    python benchmarks/slices.py

On SeaweedFS on this machine, and for latency behind hadro, which waits 30 ms for each
answer. Ranges are read by our data path and by threads of boto3, 8 at once; the same
ranges, in turns, best of three. Then one slice of eight of a VCF of 20,000 variants and
1,000 individuals, bgzip, beside fetching it whole, and cutting it after that.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hpc_connector import storage
from hpc_connector.slices import CloudObject
from hpc_connector.slices.blocks import inflate
from hpc_connector.slices.vcf_gzip import VCFGZip, partition_num_chunks
from s3 import ACCESS, BUCKET, find_port, make_client, serve_s3, wait_until_ready

SIZES = {"64 KiB": (1 << 16, 1000), "1 MiB": (1 << 20, 200), "8 MiB": (8 << 20, 24)}
AT_ONCE = 8
OBJECT_BYTES = 256 << 20


@contextlib.contextmanager
def serve_slowly(folder, latency_ms=30):
    """Give the address of hadro on a folder of buckets."""
    port = find_port()
    command = ["hadro", "--backend", "local", "--host", "127.0.0.1", "--port", port]
    command += ["--latency-ms", latency_ms, "--access-key", ACCESS["AWS_ACCESS_KEY_ID"]]
    command += ["--secret-key", ACCESS["AWS_SECRET_ACCESS_KEY"], folder]
    program = Path(sys.executable).parent / command[0]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, *map(str, command[1:])], **quiet)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        wait_until_ready(endpoint, process)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


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
    source = storage.make_source(f"s3://{BUCKET}/{key}", {"endpoint_url": endpoint})
    version, client = storage.get_version(source), make_client(endpoint)
    rng = np.random.default_rng(1)
    storage.AT_ONCE = AT_ONCE
    for name, (n_bytes, n) in SIZES.items():
        step = version.size // n
        at = (np.arange(n) * step).tolist()
        rng.shuffle(at)
        ranges = [(a, a + min(n_bytes, step)) for a in at]
        ways = {
            "ours": lambda r=ranges: storage.fetch_all(
                [(source, version, one) for one in r]
            ),
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
        rates = {way: n / wall_s for way, (wall_s, _) in best.items()}
        print(
            f"  {name}: {rates['ours']:,.0f} requests/s, boto3 {rates['boto3']:,.0f}: "
            f"{rates['ours'] / rates['boto3']:.1f} times, CPU "
            f"{best['boto3'][1] / best['ours'][1]:.1f} times less",
            flush=True,
        )


def compare_slice(endpoint, key):
    """Print what one slice of eight takes, and fetching the object to cut it."""
    uri = f"s3://{BUCKET}/{key}"
    before = storage.traffic.n_bytes
    co = CloudObject.from_path(
        VCFGZip, uri, {"endpoint_url": endpoint}, metadata=tempfile.mkdtemp()
    ).preprocess()
    indexed = storage.traffic.n_bytes - before
    part = co.partition(partition_num_chunks, num_chunks=8)[3]
    before = storage.traffic.requests, storage.traffic.n_bytes
    start_s = time.perf_counter()
    part.get()
    slice_s = time.perf_counter() - start_s
    requests, n_bytes = (
        storage.traffic.requests - before[0],
        storage.traffic.n_bytes - before[1],
    )
    client = make_client(endpoint)
    start_s = time.perf_counter()
    data = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    text = inflate(data, uri, 0)
    lines = text.splitlines(keepends=True)
    lines[3 * len(lines) // 8 : 4 * len(lines) // 8]
    whole_s = time.perf_counter() - start_s
    print(
        f"  a slice of 8 of {co.size:,} bytes: {n_bytes:,} bytes, {requests} requests,"
        f" {slice_s:.2f} s; whole and cut: {len(data):,} bytes, {whole_s:.2f} s: "
        f"{whole_s / slice_s:.1f} times; the index read {indexed:,} bytes",
        flush=True,
    )


def make_vcf(folder):
    """Write a bgzip VCF with its .tbi; return its path."""
    prefix = f"{folder}/cohort"
    options = "--variants 20000 --individuals 1000 --heritability 0.1 --maf 0.3"
    options += " --format vcf.gz"
    command = ["mdr-epistasis", "simulate", "--out", prefix, *options.split()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (path,) = Path(folder).glob("*.vcf.gz")
    import pysam

    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def main():
    os.environ |= ACCESS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bucket = folder / "slow" / BUCKET
        bucket.mkdir(parents=True)
        vcf = make_vcf(folder)
        data = np.random.default_rng(1).bytes(OBJECT_BYTES)
        for path in (vcf, Path(f"{vcf}.tbi")):
            (bucket / path.name).write_bytes(path.read_bytes())
        (bucket / "large").write_bytes(data)
        (folder / "s3").mkdir()
        with serve_s3(folder / "s3") as endpoint:
            client = make_client(endpoint)
            for path in bucket.iterdir():
                client.upload_file(str(path), BUCKET, path.name)
            print("SeaweedFS")
            compare_ranges(endpoint, "large")
            compare_slice(endpoint, vcf.name)
        with serve_slowly(folder / "slow") as endpoint:
            print("hadro, 30 ms")
            compare_slice(endpoint, vcf.name)


if __name__ == "__main__":
    main()
