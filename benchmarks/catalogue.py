"""How long a catalogue takes to search in many data sets, to add, verify and export.

    python benchmarks/catalogue.py [--data-sets 100000] [--objects 10000]

Times are medians of five, CPU seconds but for stores: of this process and of grep.
Objects are in SeaweedFS on loopback; ``--objects 0`` leaves them out.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.database import writing
from hpc_connector.catalogue.events import Event, apply, insert_event, pack_event
from hpc_connector.catalogue.exchange import save_events, take_events, take_records
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.graph.check import find_violations
from hpc_connector.catalogue.graph.dcat import export_dcat
from hpc_connector.catalogue.records import DataSet, Policy, StoredObject, to_json
from hpc_connector.catalogue.search import search
from hpc_connector.catalogue.verify import verify
from hpc_connector.confidential.chain import FIRST, get_time, hash_line

COHORT = Path(__file__).parents[1] / "tests/data/bitepi_plink_100snps_2000/bfile.bed"
TIMES, AT_ONCE = 5, 16
TIME = "2026-11-30T12:00:00.000Z"
WORDS = [f"{a}{b}" for a in ("liv", "bra", "kid", "hea") for b in ("er", "in", "ney")]


def make_data_set(n, rng):
    """Return a data set of three objects, with a word of its own in the title."""
    kinds = {"bed": "genotypes", "bim": "variants", "fam": "individuals"}
    objects = tuple(
        StoredObject(role, f"s3://bucket/cohort-{n}.{end}", 9, "t", "ab" * 32, end)
        for end, role in kinds.items()
    )
    return DataSet(
        f"cohort-{n}",
        f"Cohort number {n} of {rng.choice(WORDS)}",
        objects,
        description=f"Cases and controls from {rng.choice(WORDS)}, site {n % 100}",
        publisher="Lab",
        created=TIME,
        modified=TIME,
        keywords=(rng.choice(WORDS), rng.choice(WORDS)),
        facts={"individuals": str(rng.randrange(100, 9999)), "variants": "1000"},
        policy=Policy(("realm_access.roles=nd-role",), ("research",), "2030-01-01"),
    )


def fill(catalog, n):
    """Add many data sets in one transaction."""
    rng, prev = random.Random(1), FIRST
    with writing(catalog.connection):
        for k in range(n):
            one = make_data_set(k, rng)
            what = {"do": "add", "id": one.id, "base": "", "dataset": to_json(one)}
            event = Event(k + 1, get_time(), "me", what, prev)
            prev = hash_line(pack_event(event))
            insert_event(catalog.connection, event)
            apply(catalog.connection, event)


def time_it(act, clock=time.process_time):
    """Return the median of the seconds that something takes."""
    found = []
    for _ in range(TIMES):
        begin_s = clock()
        act()
        found.append(clock() - begin_s)
    return statistics.median(found)


def get_children_s():
    """Return the CPU seconds of processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def measure_search(place, journal, words):
    """Print how long a search takes, and grep over the text of the journal."""

    def find():
        with open_catalog(place) as catalog:
            return search(catalog, words)

    def grep():
        first = subprocess.Popen(
            ["grep", "-iF", words[0], journal], stdout=subprocess.PIPE
        )
        last = first
        for word in words[1:]:
            command = ["grep", "-iF", word]
            last = subprocess.Popen(command, stdin=last.stdout, stdout=subprocess.PIPE)
        last.stdout.read()
        for each in {first, last}:
            each.wait()

    n, own_s = len(find()), time_it(find)
    peer_s = time_it(grep, get_children_s)
    print(
        f"search {words}: {n:,} found, {own_s * 1e3:.1f} ms, grep {peer_s * 1e3:.0f} ms"
    )
    print(f"  ratio {peer_s / own_s:.0f}")


def measure_add(folder):
    """Print how long it takes to add three files, with and without their SHA-256."""
    with open_catalog(folder / "add.sqlite", is_new=True) as catalog:
        names = iter(range(10**6))
        for checksum in (False, True):

            def act(checksum=checksum):
                about = About(title="T")
                name = f"c-{next(names)}"
                add(catalog, name, [str(COHORT)], about, checksum=checksum)

            act()
            said = "with" if checksum else "without"
            wall_s = time_it(act, time.perf_counter)
            print(f"add {said} checksums: {time_it(act):.4f} s of CPU, {wall_s:.4f} s")


def measure_import(folder, n=10_000):
    """Print how long it takes to import a journal, and data sets of a graph."""
    rng, journal = random.Random(1), folder / "events.jsonl"
    with open_catalog(folder / "from.sqlite", is_new=True) as catalog:
        fill(catalog, n)
        save_events(catalog, journal)
    sets = [make_data_set(k, rng) for k in range(n)]
    for place in ("file.sqlite", "journals/"):
        for name, take, what in (
            ("events", take_events, journal),
            ("data sets", take_records, sets),
        ):
            where = f"{folder}/{name[:4]}-{place}"
            with open_catalog(where, is_new=True) as catalog:
                cpu_s, wall_s = time.process_time(), time.perf_counter()
                take(catalog, what)
                catalog.refresh()
                cpu_s = time.process_time() - cpu_s
                wall_s = time.perf_counter() - wall_s
            said = f"import of {n:,} {name} to {place}"
            print(f"{said}: {cpu_s:.1f} s of CPU, {wall_s:.1f} s")


def measure_export(n=1000):
    """Print how long it takes to export data sets, checked, and rdflib alone."""
    rng = random.Random(1)
    sets = [make_data_set(k, rng) for k in range(n)]

    def act():
        graph = export_dcat(sets)
        assert not find_violations(graph)
        graph.serialize(format="turtle")

    graph = export_dcat(sets)
    alone_s, own_s = (
        time_it(one) for one in (lambda: graph.serialize(format="turtle"), act)
    )
    print(f"export of {n:,}: {own_s:.1f} s, rdflib alone {alone_s:.1f} s")
    print(f"  ratio {own_s / alone_s:.2f}")


def measure_verify(folder, n):
    """Print how long it takes to look at objects in S3, and to read files again."""
    from s3 import ACCESS, BUCKET, make_client, serve_s3

    os.environ |= ACCESS
    (folder / "s3").mkdir()
    with serve_s3(folder / "s3") as address:
        os.environ["AWS_ENDPOINT_URL_S3"] = address
        client = make_client(address)
        for k in range(n):
            client.put_object(Bucket=BUCKET, Key=f"o/{k}", Body=b"x" * 100)
        with open_catalog(folder / "v.sqlite", is_new=True) as catalog:
            names = [f"s3://{BUCKET}/o/{k}" for k in range(n)]
            for k in range(0, n, 100):
                about = About(title="T")
                add(catalog, f"d-{k}", names[k : k + 100], about, checksum=False)
            begin_s = time.perf_counter()
            assert verify(catalog).faults == []
            print(f"verify {n:,} objects in S3: {time.perf_counter() - begin_s:.1f} s")


def measure_full(folder, n_bytes=256 << 20):
    """Print how fast files are read again, and sha256sum of them."""
    paths = [folder / f"large-{k}" for k in range(4)]
    for path in paths:
        path.write_bytes(os.urandom(n_bytes >> 2))
    with open_catalog(folder / "f.sqlite", is_new=True) as catalog:
        add(catalog, "large", [str(path) for path in paths], About(title="T"))
        own_s = time_it(lambda: verify(catalog, full=True))
    command = ["sha256sum", *map(str, paths)]

    def peer():
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    peer_s = time_it(peer, get_children_s)
    print(f"verify --full: {n_bytes / own_s / 1e6:.0f} MB/s of CPU")
    print(f"  {peer_s / own_s:.2f} of sha256sum")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place, journal = folder / "many.sqlite", folder / "many.jsonl"
        with open_catalog(place, is_new=True) as catalog:
            fill(catalog, args.data_sets)
            save_events(catalog, journal)
        print(f"{args.data_sets:,} data sets, journal {journal.stat().st_size:,} bytes")
        for words in (["77777"], ["liver", "4242"], ["liver", "brain", "kidney"]):
            measure_search(place, journal, words)
        measure_add(folder)
        measure_import(folder)
        measure_export()
        measure_full(folder)
        if args.objects:
            measure_verify(folder, args.objects)


if __name__ == "__main__":
    main()
