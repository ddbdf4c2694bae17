"""Today's Dataplug, in an environment of its own, on the objects of slices.py.

Its slices are timed by this file, which the Python of that environment runs; it imports
nothing of ours. Dataplug 1.0.2 runs on Python 3.10 and 3.11 alone, and reads FASTQ by
gztool, a program of Debian's, which is unpacked beside it.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time

VERSION = "1.0.2"
FORMATS = {  # object: module, format, strategy, its options
    "cohort.vcf": ("genomics.vcf", "VCF", "partition_num_chunks", {"num_chunks": 8}),
    "reads.fastq.gz": (
        "genomics.fastq",
        "FASTQGZip",
        "partition_reads_batches",
        {"num_batches": 8},
    ),
    "processed.ibd": (
        "metabolomics.imzml",
        "ImzML",
        "partition_chunks_strategy",
        {"chunk_size": 15_300_000},
    ),
}
traffic = [0, 0]  # requests, bytes


def install(folder):
    """Return the environment of a process that has Dataplug, and its Python."""
    python = next(filter(None, map(find_python, ("3.11", "3.10"))), None)
    if python is None:
        raise SystemExit("--dataplug: expected Python 3.10 or 3.11")
    subprocess.run([python, "-m", "venv", folder], check=True)
    packages = [f"cloud-dataplug[fastq,imzml]=={VERSION}", "pyimzml"]
    command = [folder / "bin/python", "-m", "pip", "install", "--quiet", *packages]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    if not shutil.which("gztool"):
        download = ["apt-get", "download", "-qq", "gztool"]
        subprocess.run(download, check=True, cwd=folder, stderr=subprocess.DEVNULL)
        (package,) = folder.glob("gztool*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    path = f"{folder}/usr/bin:{folder}/bin:{os.environ['PATH']}"
    return folder / "bin/python", os.environ | {"PATH": path}


def find_python(version):
    """Return a Python of a version that runs; this one, if it is."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "-c", ""], capture_output=True)
    return found if works and works.returncode == 0 else None


def measure(python, environment, endpoint, bucket, key):
    """Return what indexing an object and reading one slice of eight takes."""
    command = [python, __file__, endpoint, bucket, key]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"--dataplug: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def count_http():
    """Count requests, and bytes of answers as they are read."""
    begin, read = http.client.HTTPConnection.putrequest, http.client.HTTPResponse.read

    def begin_and_count(self, *args, **options):
        traffic[0] += 1
        return begin(self, *args, **options)

    def read_and_count(self, *args):
        data = read(self, *args)
        traffic[1] += len(data)
        return data

    http.client.HTTPConnection.putrequest = begin_and_count
    http.client.HTTPResponse.read = read_and_count


def take(work):
    """Return what work gives, and its requests, bytes and seconds."""
    before, start_s = list(traffic), time.perf_counter()
    given = work()
    took_s = time.perf_counter() - start_s
    return given, [traffic[0] - before[0], traffic[1] - before[1], took_s]


def main(endpoint, bucket, key):
    """Print what Dataplug takes, as JSON."""
    import importlib

    from dataplug import CloudObject

    module, name, strategy, options = FORMATS[key]
    formats = importlib.import_module(f"dataplug.formats.{module}")
    credentials = {
        "AccessKeyId": os.environ["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    config = {"endpoint_url": endpoint, "credentials": credentials}
    config["region_name"] = "us-east-1"
    count_http()
    uri = f"s3://{bucket}/{key}"
    co = CloudObject.from_s3(getattr(formats, name), uri, s3_config=config)
    _, index = take(lambda: co.preprocess(force=True))
    parts = co.partition(getattr(formats, strategy), **options)
    best = [None, None, float("inf")]
    for _ in range(3):
        given, took = take(parts[3].get)
        best = min(best, took, key=lambda found: found[2])
    stored = co.storage.list_objects_v2(Bucket=co.meta_path.bucket, Prefix=key)
    n_stored = sum(found["Size"] for found in stored["Contents"])
    result = {"index": index, "index_bytes": n_stored, "slice": best}
    print(json.dumps(result | {"slices": len(parts), "given": len(given)}))


if __name__ == "__main__" and len(sys.argv) > 1:
    main(*sys.argv[1:])
