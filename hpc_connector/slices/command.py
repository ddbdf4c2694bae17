"""``hpc-connector slices``: index an object, list its slices, read one, verify all."""

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from isal.igzip import decompress

from hpc_connector import cli, storage
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import GZIP_MAGIC
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, find_format

logger = logging.getLogger(__name__)

PACKAGE = "hpc_connector.slices"

# By the ending of a name: a format, and the strategy that cuts it by number
FASTQ_ENDINGS = (".fastq.gz", ".fq.gz")
FASTA_ENDINGS = (".fasta", ".fa", ".fna", ".fasta.gz", ".fa.gz", ".fna.gz")
FORMATS = {
    (".vcf.gz", ".vcf.bgz"): ("vcf_gzip:VCFGZip", "vcf_gzip:partition_num_chunks"),
    (".bcf",): ("bcf:BCF", "vcf_gzip:partition_num_chunks"),
    (".vcf",): ("text:VCF", "text:partition_num_chunks"),
    (".fastq.gz", ".fq.gz"): (
        "fastq_gzip:FASTQGZip",
        "fastq_gzip:partition_num_chunks",
    ),
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
        add = commands.add_parser(name, help=said).add_argument
        add("url", metavar="URL", help="s3://bucket/key, http(s)://..., or a file")
        add("--format", metavar="NAME", help="such as CSV, or MODULE:NAME of yours")
        add("--endpoint-url", metavar="URL", help="of S3; credentials as for boto3")
        add("--metadata", metavar="URL", help="where the index is; beside the object")
        if name == "index":
            add("--force", action="store_true", help="make it anew")
            add("--cores", action="store_true", help="use all cores of this machine")
        else:
            add("--slices", type=cli.at_least(1), default=8, metavar="N", help="(8)")
            add("--json", action="store_true", help="print JSON")
        if name == "get":
            add("--number", type=cli.at_least(0), default=0, metavar="K", help="from 0")
            add("--out", type=Path, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    name, strategy = choose_format(args)
    config = {"endpoint_url": args.endpoint_url} if args.endpoint_url else {}
    co = CloudObject.from_path(find_format(name), args.url, config, args.metadata)
    if args.what == "index":
        return make_index(co, args)
    cut: Any = find_format(strategy)
    slices = cut(co.preprocess(), args.slices)
    return {"list": list_slices, "get": get_slice, "verify": verify}[args.what](
        co, slices, args
    )


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
        if is_named or (not args.format and args.url.lower().endswith(endings)):
            return tuple(f"{PACKAGE}.{name}" for name in names)  # type: ignore
    known = ", ".join(ending for endings in FORMATS for ending in endings)
    raise BadInput(f"{args.url}: expected --format, or a name that ends with {known}")


def make_index(co: CloudObject, args: argparse.Namespace) -> int:
    """Index an object, and say what that took."""
    start_s = time.monotonic()
    known = co.is_preprocessed() and not args.force
    co.preprocess("local" if args.cores else None, force=args.force)
    n_bytes = len(co.index_bytes)
    took_s = time.monotonic() - start_s
    print(
        f"{co.source.uri}: {co.size:,} bytes, index {n_bytes:,} bytes "
        f"({100 * n_bytes / max(co.size, 1):.2f} %), "
        + ("was there" if known else f"made in {took_s:.1f} s")
        + f"; read {storage.traffic.n_bytes:,} bytes in {storage.traffic.requests} "
        f"requests\n{co.index_source.uri}"
    )
    return cli.DONE


def list_slices(co: CloudObject, slices: list[DataSlice], args: Any) -> int:
    """Show the slices of an object, with a bar as long as their bytes."""
    if args.json:
        print("[" + ",\n".join(part.to_json() for part in slices) + "]")
        return cli.DONE
    most = max(part.n_bytes for part in slices) or 1
    for number, part in enumerate(slices):
        first, last = part.ranges[-1] if part.ranges else (0, 0)
        bar = "#" * round(40 * part.n_bytes / most)
        print(f"{number:>6} {first:>15,} {last:>15,} {part.n_bytes:>13,} {bar}")
    return cli.DONE


def get_slice(co: CloudObject, slices: list[DataSlice], args: Any) -> int:
    """Write one slice."""
    if args.number >= len(slices):
        raise BadInput(f"--number {args.number}: expected 0 to {len(slices) - 1}")
    if args.out:
        slices[args.number].to_file(args.out)
        return cli.DONE
    content = slices[args.number].get()
    data = content.encode() if isinstance(content, str) else content
    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as stream:
        stream.write(data if isinstance(data, bytes) else repr(data).encode())
    return cli.DONE


def verify(co: CloudObject, slices: list[DataSlice], args: Any) -> int:
    """Compare all slices, joined, with the object, decompressed if it is gzip."""
    if co.format.join is None:
        raise BadInput(f"{co.format.name} cannot be joined")
    contents = []
    for number, part in enumerate(slices, 1):
        contents.append(part.get())
        logger.info("slice %d of %d", number, len(slices))
    (data,) = storage.fetch(co.source, co.version, [(0, co.size)])
    body = decompress(data) if data.startswith(GZIP_MAGIC) else data
    same = co.format.join(contents) == body
    if args.json:
        print(json.dumps({"url": co.source.uri, "slices": len(slices), "same": same}))
    else:
        print(f"{len(slices)} slices are {'' if same else 'NOT '}the object")
    return cli.DONE if same else cli.FAILED
