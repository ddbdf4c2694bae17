"""``hpc-connector slices``: index an object, list its slices, read one, verify all."""

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.pipeline.access import begin_access
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.publish import publish
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, find_format
from hpc_connector.slices.formats.plain import PlainRecords
from hpc_connector.slices.verify import verify_slices
from hpc_connector.storage import address
from hpc_connector.storage.traffic import traffic

PACKAGE = "hpc_connector.slices.formats"
MEGABYTE = 10**6
WATCH_S = 0.2
KEYS = ("key", "passphrase_fd")  # an index has no seal
MOST_VERIFY_BYTES = 64 << 20  # of a slice, which is held in memory

# By the ending of a name: a format, and the strategy that cuts it by number
FASTQ_ENDINGS = (".fastq.gz", ".fq.gz")
FASTA_ENDINGS = (".fasta", ".fa", ".fna", ".fasta.gz", ".fa.gz", ".fna.gz")
FORMATS = {
    (".vcf.gz", ".vcf.bgz"): ("vcf_gzip:VCFGZip", "vcf_gzip:partition_num_chunks"),
    (".bcf",): ("bcf:BCF", "vcf_gzip:partition_num_chunks"),
    (".vcf",): ("text:VCF", "text:partition_num_chunks"),
    FASTQ_ENDINGS: ("fastq_gzip:FASTQGZip", "fastq_gzip:partition_num_chunks"),
    FASTA_ENDINGS: ("fasta:FASTA", "fasta:partition_chunks_strategy"),
    (".imzml",): ("imzml:ImzML", "imzml:partition_chunks_strategy"),
    (".copc.laz",): ("copc:COPC", "las:square_split_strategy"),
    (".las", ".laz"): ("las:LAS", "las:partition_num_points"),
    (".tif", ".tiff"): ("cog:COG", "cog:grid_partition_strategy"),
    (".csv", ".tsv"): ("text:CSV", "text:partition_num_chunks"),
    (".txt",): ("text:Lines", "text:partition_num_chunks"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, said in {
        "index": "make the index of an object, once",
        "list": "show how an object would be cut",
        "get": "write one slice to standard output, or to a file",
        "verify": "prove that the slices together are the object",
    }.items():
        command = cli.add_command(commands, name, said)
        add_object(command)
        add_action(command, name)


def add_object(parser: argparse.ArgumentParser) -> None:
    """Add which object it is, and how its store is reached."""
    add = parser.add_argument_group("object").add_argument
    said = "s3://bucket/key, http(s)://..., or a file"
    add("url", metavar="URL", type=cli.source, help=said)
    said = "such as CSV, or MODULE:NAME of yours (default: by the name of the object)"
    add("--format", metavar="NAME", help=said)
    said = "where the index is (default: beside the object)"
    add("--metadata", metavar="URL", type=cli.source, help=said)
    said = "of S3; credentials as for boto3 (default: AWS's, or AWS_ENDPOINT_URL_S3)"
    add("--endpoint-url", metavar="URL", help=said)
    add("--anonymous", action="store_true", help="S3: requests are not signed")
    add("--requester-pays", action="store_true", help="S3: you pay for the bytes")
    cli.add_options(parser, KeyOptions, KEYS)


def add_action(parser: argparse.ArgumentParser, name: str) -> None:
    """Add what one of the commands does."""
    add = parser.add_argument_group(name).add_argument
    if name == "index":
        add("--force", action="store_true", help="make it anew")
        add("--cores", action="store_true", help="use all cores of this machine")
    else:
        said = "slices in all; of an image, N x N windows (default: 8)"
        add("--slices", type=cli.at_least(1), metavar="N", help=said)
    if name == "list":
        said = "write a picture of the cuts"
        add("--svg", type=cli.local, metavar="FILE", help=said)
    if name == "get":
        said = "number of the slice, from 0 (default: %(default)s)"
        add("--number", type=cli.at_least(0), default=0, metavar="N", help=said)
        said = "where it is written (default: standard output)"
        add("--out", type=cli.local, metavar="FILE", help=said)
    else:
        add("--json", action="store_true", help="print one JSON object")
    add("--quiet", action="store_true", help="show no progress")


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    begin_access(KeyOptions(**{name: getattr(args, name) for name in KEYS}))
    name, strategy = choose_format(args)
    names = ("endpoint_url", "anonymous", "requester_pays")
    config = {name: value for name in names if (value := getattr(args, name))}
    format, cut = load(name, Format), load(strategy, FunctionType)
    co = CloudObject.from_path(format, args.url, config, args.metadata)
    if args.what == "index":
        return make_index(co, args)
    with show_bytes(0 if co.is_preprocessed() else co.size, args):
        co.preprocess()
    act = {"list": list_slices, "get": get_slice, "verify": verify}[args.what]
    return act(co, cut(co, args.slices or get_number(co, args.what)), args)


def get_number(co: CloudObject, what: str) -> int:
    """Return how many slices there are if nobody says."""
    is_long = what == "verify" and not isinstance(co.format.plain, PlainRecords)
    return max(8, -(-co.size // MOST_VERIFY_BYTES)) if is_long else 8


def choose_format(args: argparse.Namespace) -> tuple[str, str]:
    """Return the names of a format, and of the strategy that cuts it by number.

    Raises
    ------
    BadInput
        A name whose ending says nothing.
    """
    if args.format and ":" in args.format:
        return args.format, f"{args.format.partition(':')[0]}:partition_num_chunks"
    for endings, names in FORMATS.items():
        is_named = args.format == names[0].partition(":")[2]
        name = address.get_name(args.url).lower()
        if is_named or (not args.format and name.endswith(endings)):
            return tuple(f"{PACKAGE}.{name}" for name in names)  # type: ignore
    if args.format:
        known = ", ".join(sorted(n.partition(":")[2] for n, _ in FORMATS.values()))
        raise BadInput(f"--format {args.format}: expected MODULE:NAME, or {known}")
    known = ", ".join(ending for endings in FORMATS for ending in endings)
    raise BadInput(f"{args.url}: expected --format, or a name that ends with {known}")


def load(name: str, kind: type) -> Any:
    """Return the object of a name in a module.

    Raises
    ------
    BadInput
        There is no such module, or nothing of that name and kind in it.
    """
    try:
        found = find_format(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"--format: {name}: {error}") from None
    if not isinstance(found, kind):
        raise BadInput(f"--format: {name}: expected a {kind.__name__.lower()}")
    return found


@contextlib.contextmanager
def show_bytes(total: int, args: argparse.Namespace) -> Iterator[None]:
    """Show how much of some bytes this process has fetched, while a block runs."""
    show = make_progress(quiet=args.quiet or total < MEGABYTE, unit="MB")
    if show is None:
        yield
        return
    ended, before = threading.Event(), traffic.n_bytes

    def watch() -> None:
        while not ended.wait(WATCH_S):
            seen = min(traffic.n_bytes - before, total - MEGABYTE // 2)
            show(seen // MEGABYTE, -(-total // MEGABYTE))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def make_index(co: CloudObject, args: argparse.Namespace) -> int:
    """Index an object, and say what that took."""
    start_s = time.monotonic()
    known = not args.force and co.is_preprocessed()
    with show_bytes(0 if known or args.cores else co.size, args):
        co.preprocess("local" if args.cores else None, force=args.force)
    n_bytes = len(co.index_bytes)
    said = {
        "url": co.source.uri,
        "format": co.format.name,
        "bytes": co.size,
        "index_url": co.index_source.uri,
        "index_bytes": n_bytes,
        "made": not known,
        "wall_s": round(time.monotonic() - start_s, 3),
        "fetch_requests": traffic.requests,
        "fetched_bytes": traffic.n_bytes,
        "notes": co.attributes.get("notes", []),
    }
    if args.json:
        print(json.dumps(said))
        return cli.DONE
    print(
        f"{co.source.uri}: {co.size:,} bytes, index {n_bytes:,} bytes "
        f"({100 * n_bytes / max(co.size, 1):.2f} %), "
        + ("was there" if known else f"made in {said['wall_s']:.1f} s")
        + f"; read {traffic.n_bytes:,} bytes in {traffic.requests} "
        f"requests\n{co.index_source.uri}"
    )
    return cli.DONE


def list_slices(co: CloudObject, slices: list[DataSlice], args: Any) -> int:
    """Show the slices of an object, with a bar as long as their bytes."""
    if args.svg:
        from hpc_connector.report.slices import draw_slices

        with publish(args.svg) as stream:
            stream.write(draw_slices(co, slices).encode())
    if args.json:
        print(json.dumps(describe_slices(co, slices)))
        return cli.DONE
    most = max(part.n_bytes for part in slices) or 1
    print(f"{'slice':>6} {'first byte':>15} {'end':>15} {'bytes':>13}")
    for number, part in enumerate(slices):
        first, last = part.span
        bar = "#" * round(40 * part.n_bytes / most)
        print(f"{number:>6} {first:>15,} {last:>15,} {part.n_bytes:>13,} {bar}")
    return cli.DONE


def describe_slices(co: CloudObject, slices: Sequence[DataSlice]) -> dict[str, Any]:
    """Return an object and its slices, each as it travels too, of JSON's types."""
    return {
        "url": co.source.uri,
        "format": co.format.name,
        "bytes": co.size,
        "index_url": co.index_source.uri,
        "index_bytes": len(co.index_bytes),
        "slices": [
            {"number": n, "span": part.span, "bytes": part.n_bytes}
            | {"slice": json.loads(part.to_json())}
            for n, part in enumerate(slices)
        ],
    }


def get_slice(co: CloudObject, slices: list[DataSlice], args: Any) -> int:
    """Write one slice."""
    if args.number >= len(slices):
        raise BadInput(f"--number {args.number}: expected 0 to {len(slices) - 1}")
    part = slices[args.number]
    with show_bytes(part.n_bytes, args):
        data = part.read_bytes()
    if args.out:
        with publish(args.out) as stream:
            stream.write(data)
        return cli.DONE
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # of head, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return cli.DONE


def verify(co: CloudObject, slices: list[DataSlice], args: Any) -> int:
    """Compare all slices with the object, and say what that proves."""
    total = sum(part.n_bytes for part in slices)
    with show_bytes(total + co.size, args):
        same, said = verify_slices(co, slices)
    if args.json:
        found = {"url": co.source.uri, "slices": len(slices), "same": same}
        print(json.dumps(found | {"said": said}))
    else:
        print(f"{len(slices)} slices {said}")
    return cli.DONE if same else cli.FAILED
