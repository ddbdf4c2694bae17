"""A burst: a search of 2,000 variants on one rank, and with functions of Lithops.

    python benchmarks/burst.py [--permutations 2000]

Functions run on this machine (Lithops' localhost, a process each), what they need lies
in SeaweedFS: what is shown is what a burst costs, not what a cloud is worth. A row each
for the rank alone, half of the tasks in functions, the same with every third function
killed, and all of them in functions; the bytes of models.tsv are compared.
"""

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from s3 import ACCESS, BUCKET, serve_s3
from test_burst import MORTAL

HALF = ["--burst-share", "0.5"]
WAYS = {
    "a rank alone": (None, []),
    "half in functions": ("sound", HALF),
    "half, a third of them killed": ("mortal", HALF),
    "all in functions": ("sound", ["--engine", "lithops"]),
}


def write_configs(folder, endpoint):
    """Write the configurations of Lithops: sound functions, and mortal ones."""
    mortal = folder / "mortal"
    mortal.write_text(MORTAL.format(folder=folder, python=sys.executable))
    mortal.chmod(mortal.stat().st_mode | stat.S_IXUSR)
    keys = {k.removeprefix("AWS_").lower(): v for k, v in ACCESS.items()}
    for name, python in {"sound": sys.executable, "mortal": mortal}.items():
        config = {
            "lithops": {"backend": "localhost", "storage": "minio"},
            "minio": {"endpoint": endpoint, "storage_bucket": BUCKET} | keys,
            "localhost": {"runtime": str(python), "worker_processes": 2},
            "burst": {"workers": 2, "patience_s": 20},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


def measure(folder, way, permutations):
    """Run a search; return its seconds and the facts of its burst."""
    config, options = WAYS[way]
    out = folder / way.replace(" ", "_")
    command = ["mdr-epistasis", "run", folder / "cohort.bed", "--out", out, "--quiet"]
    command += ["--permutations", permutations, *options]
    if config:
        command += ["--burst", folder / f"{config}.yaml"]
    start_s = time.monotonic()
    subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.DEVNULL, cwd=folder
    )
    took_s = time.monotonic() - start_s
    record = json.loads((out / "manifest.json").read_text())
    return took_s, record, (out / "models.tsv").read_bytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--permutations", type=int, default=2000)
    permutations = parser.parse_args().permutations
    os.environ |= ACCESS
    with tempfile.TemporaryDirectory() as name, serve_s3(name) as endpoint:
        folder = Path(name)
        os.environ |= {"AWS_ENDPOINT_URL_S3": endpoint, "TMPDIR": name}
        write_configs(folder, endpoint)
        simulate = ["mdr-epistasis", "simulate", "--out", folder / "cohort"]
        simulate += ["--variants", 2000, "--individuals", 2000, "--seed", 1]
        simulate += ["--heritability", 0.1, "--maf", 0.3]
        subprocess.run(list(map(str, simulate)), check=True, capture_output=True)
        print("| | s | tasks here, away, back | calls, late | MB there, back | same |")
        print("| --- | --- | --- | --- | --- | --- |")
        expected = None
        for way in WAYS:
            took_s, record, models = measure(folder, way, permutations)
            expected = expected or models
            facts = record.get("burst")
            row = [way, f"{took_s:.1f}"]
            row += (
                describe(facts) if facts else [str(record["search"]["tasks"]), "", ""]
            )
            print(f"| {' | '.join([*row, str(models == expected)])} |", flush=True)


def describe(facts):
    """Return the cells of a burst."""
    tasks = (facts[f"tasks_{name}"] for name in ("here", "done", "given_back"))
    sizes = (facts["sent_bytes"] + facts["fetched_bytes"], facts["answer_bytes"])
    return [
        ", ".join(map(str, tasks)),
        f"{facts['calls']}, {facts['late_calls']}",
        ", ".join(f"{n / 1e6:.1f}" for n in sizes),
    ]


if __name__ == "__main__":
    main()
