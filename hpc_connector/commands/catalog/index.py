"""``hpc-connector catalog index``: index the objects of a data set."""

import argparse
import json
import math
from types import FunctionType
from typing import Any

from hpc_connector import cli
from hpc_connector.catalogue.indexing import add_index
from hpc_connector.catalogue.lookup import get
from hpc_connector.catalogue.records import SliceIndex, StoredObject
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    add_signer,
    as_id,
    get_catalog,
)
from hpc_connector.commands.slices import FORMATS, KEYS, choose_format, load
from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.pipeline.access import begin_access
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import Format
from hpc_connector.storage import address

GRID = "grid_partition_strategy"  # which cuts to n x n
CUT_ROLES = ("genotypes", "metadata", "result", "other")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("id", type=as_id, metavar="ID", help="of a data set")
    said = "where the indexes are written (default: beside the objects)"
    add("--metadata", metavar="URL", type=cli.source, help=said)
    add_json(parser)
    cli.add_options(parser, KeyOptions, KEYS)
    add_signer(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Index all objects of formats that can be cut."""
    begin_access(KeyOptions(**{name: getattr(args, name) for name in KEYS}))
    with get_catalog(args) as catalog:
        one = get(catalog, args.id)
        chosen = [n for n, each in enumerate(one.objects) if can_cut(each)]
        if not chosen:
            raise BadInput(
                f"{one.name}: none of its {len(one.objects)} objects is of a format "
                "that is cut: expected one as hpc-connector slices index takes"
            )
        found = {}
        for n in chosen:
            co, cut = make_cut(one.objects[n].url, args.metadata)
            found[one.objects[n].url] = add_index(catalog, one, n, co, cut)
    show(found, args)
    return cli.DONE


def can_cut(each: StoredObject) -> bool:
    """Return whether an object is of a format that is cut near the data."""
    name = address.get_name(each.url).lower()
    is_known = any(name.endswith(endings) for endings in FORMATS)
    return is_known and each.role in CUT_ROLES


def make_cut(url: str, metadata: str | None) -> tuple[CloudObject, Any]:
    """Return an object to be cut, and what cuts it to a number of slices."""
    name, strategy = choose_format(argparse.Namespace(url=url, format=None))
    co = CloudObject.from_path(load(name, Format), url, None, metadata)
    cut = load(strategy, FunctionType)
    if strategy.endswith(GRID):
        return co, lambda co, n: cut(co, math.isqrt(n))
    return co, cut


def show(found: dict[str, SliceIndex], args: argparse.Namespace) -> None:
    """Print what was indexed."""
    if args.json:
        print(json.dumps({url: vars(index) for url, index in found.items()}))
        return
    for url, index in found.items():
        said = f"{index.plugin}, {index.bytes:,} bytes, {index.slices_most:,} slices"
        print(f"{url}: {said}")
