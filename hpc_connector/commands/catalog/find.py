"""``hpc-connector catalog find``: the data set of a public repository's identifier."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.catalogue.catalog import find_place
from hpc_connector.catalogue.lookup import list_with
from hpc_connector.catalogue.records import DataSet
from hpc_connector.catalogue.repositories.identifiers import (
    REPOSITORIES,
    Identifier,
    read_identifier,
)
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    get_catalog,
    show_table,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    said = "such as metabolights:MTBLS313, metaspace:2021-03-04_05h06m07s, "
    said += "workbench:ST000123"
    kind = cli.as_type(read_identifier)
    parser.add_argument("identifier", type=kind, metavar="REPOSITORY:ID", help=said)
    add_json(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print the data sets that have an identifier, else what there is to download."""
    asked: Identifier = args.identifier
    found: list[DataSet] = []
    if Path(find_place(args.catalog, args.site)).exists():
        with get_catalog(args) as catalog:
            found = list_with(catalog, asked.fact, asked.value)
    if args.json:
        print(json.dumps(tell(asked, found)))
    elif found:
        print(show_table([(one.name, one.access, one.title) for one in found]))
    else:
        print("\n".join(advise(asked)))
    return cli.DONE


def tell(asked: Identifier, found: list[DataSet]) -> dict[str, Any]:
    """Return what is known of an identifier, for programs."""
    return {
        "identifier": str(asked),
        "page": asked.page,
        "files": REPOSITORIES[asked.repository].files,
        "datasets": [one.name for one in found],
    }


def advise(asked: Identifier) -> Iterator[str]:
    """Yield what to download, from where, and how to add it."""
    repository = REPOSITORIES[asked.repository]
    yield f"{asked} is not in the catalogue. Nothing was fetched: this works offline."
    yield f"page: {asked.page}"
    yield f"download: {repository.files}"
    name = asked.text.lower()
    yield f"then: hpc-connector catalog add --id {name} {repository.option}"
