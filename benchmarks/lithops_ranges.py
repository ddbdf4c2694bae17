"""Ranges of an object read in functions of Lithops, on two versions of it.

    python benchmarks/lithops_ranges.py [CALLS]

Each version reads, by as many calls, 16,000,000 random bytes in SeaweedFS, where
Lithops keeps its own objects too; CALLS divides them. Once a call gets a slice of ours,
once what Lithops hands to functions, `obj`. A range is wrong if it has other bytes than
the object, empty if it has none, and failed if its call ended in an error. Each version
is in a folder of its own, in front of what else is installed.
"""

import contextlib
import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from hpc_connector.storage.ranges import fetch

VERSIONS = ("3.7.*", "3.8.*")
N_BYTES = 16_000_000
ROOT = Path(__file__).parents[1]


def digest(data):
    return len(data), hashlib.sha256(data).hexdigest()


def start_slices(fexec, uri, n):
    """Start calls that return first byte, size and checksum of a slice of ours."""
    from hpc_connector.slices import CloudObject
    from hpc_connector.slices.formats.text import Lines

    def read(part):
        (data,) = fetch(part.source, part.version, part.ranges)
        return part.ranges[0][0], *digest(data)

    co = CloudObject.from_path(Lines, uri)
    ends = itertools.pairwise(co.size * k // n for k in range(n + 1))
    fexec.map(read, [co.make_slice([pair]) for pair in ends])


def start_injected(fexec, uri, n):
    """Start calls that return the same of what Lithops gives them."""

    def read(obj):
        return obj.data_byte_range[0], *digest(obj.data_stream.read())

    uri = uri.replace("s3://", "minio://")
    fexec.map(read, uri, obj_chunk_number=n, obj_newline=None)


def run_calls(uri, n, data):
    """Print how many ranges are wrong or empty, in the Lithops that is imported."""
    import lithops

    from hpc_connector.slices import open_executor

    store = {"endpoint": os.environ["AWS_ENDPOINT_URL_S3"]}
    store |= {"access_key_id": os.environ["AWS_ACCESS_KEY_ID"]}
    store |= {"secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    store |= {"storage_bucket": "lithops-data"}
    config = {"lithops": {"backend": "localhost", "storage": "minio"}, "minio": store}
    for name, start in (("slices", start_slices), ("obj", start_injected)):
        with open_executor(config) as fexec:
            start(fexec, uri, n)
            fexec.wait(throw_except=False, show_progressbar=False)
            found = [f.result() for f in fexec.futures if not f.error]
        counts = {"ranges": n, "failed": n - len(found), "wrong": 0, "empty": 0}
        for first, size, checksum in found:
            right = digest(data[first : first + N_BYTES // n])
            if (size, checksum) != right:
                counts["wrong" if size else "empty"] += 1
        print(json.dumps({"lithops": lithops.__version__, "by": name} | counts))


def make_data():
    return random.Random(1).randbytes(N_BYTES)


def main(n=200):
    sys.path.insert(0, str(ROOT / "tests"))
    from s3 import ACCESS, BUCKET, make_client, serve_s3

    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name) / "s3").mkdir()
        with serve_s3(folder) as endpoint:
            make_client(endpoint).put_object(Bucket=BUCKET, Key="x", Body=make_data())
            for version in VERSIONS:
                place = Path(name) / version.strip(".*")
                install = [sys.executable, "-m", "pip", "install", "--quiet"]
                install += ["--no-deps", "--target", str(place)]
                subprocess.run([*install, f"lithops=={version}"], check=True)
                subprocess.run(
                    [sys.executable, __file__, "--here", f"s3://{BUCKET}/x", str(n)],
                    env=os.environ
                    | ACCESS
                    | {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": "us-east-1"}
                    | {"PYTHONPATH": str(place), "HOME": name, "TMPDIR": name},
                    check=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        run_calls(sys.argv[2], int(sys.argv[3]), make_data())
    else:
        with contextlib.suppress(KeyboardInterrupt):
            main(*map(int, sys.argv[1:]))
