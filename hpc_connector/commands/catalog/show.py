"""``hpc-connector catalog show``: all of a data set."""

import argparse
import json
from collections.abc import Iterator

from hpc_connector import cli
from hpc_connector.catalogue.lookup import get, list_clashes, list_versions
from hpc_connector.catalogue.records import DataSet, StoredObject, to_json
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    as_reference,
    get_catalog,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    said = "of a data set; an earlier version of it"
    parser.add_argument("id", type=as_reference, metavar="ID[@VERSION]", help=said)
    add_json(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print a data set."""
    with get_catalog(args) as catalog:
        one = get(catalog, args.id)
        versions = list_versions(catalog, one.id)
        clashes = list_clashes(catalog, one.id)
    if args.json:
        more = {"fingerprint": one.fingerprint, "versions": versions}
        print(json.dumps(to_json(one) | more | {"clashes": clashes}))
        return cli.DONE
    print("\n".join(describe(one, versions)))
    for clash in clashes:
        print(f"clash: {clash}")
    return cli.DONE


def describe(one: DataSet, versions: list[int]) -> Iterator[str]:
    """Yield the lines of a data set."""
    policy, origin = one.policy, one.provenance
    lines = {
        "": one.title,
        "description": one.description,
        "publisher": one.publisher,
        "keywords": ", ".join(one.keywords),
        "versions": ", ".join(map(str, versions)),
        "modified": one.modified,
        "license": one.license,
        "access": one.access,
        "roles": ", ".join(policy.roles),
        "purposes": ", ".join(policy.purposes),
        "until": policy.until,
        "least level": policy.least_level if one.is_encrypted else "",
        "least cell": policy.least_cell,
        "top most": policy.top_most,
        "keeper": policy.keeper,
        "contact": policy.contact,
        "run": f"{origin.program} {origin.program_version}" if origin else "",
        "of": ", ".join(origin.parents) if origin else "",
        "fingerprint": one.fingerprint,
    }
    for name, value in lines.items():
        if value != "":
            yield f"{one.name}: {value}" if not name else f"{name}: {value}"
    for name, value in one.facts.items():
        yield f"{name}: {value}"
    for each in one.objects:
        yield describe_object(each)


def describe_object(each: StoredObject) -> str:
    """Return the line of an object."""
    said = [each.role, each.url, f"{each.bytes:,} bytes"]
    if each.encryption:
        signer = f"sealed by {each.seal_signer}" if each.seal_signer else "no seal"
        said += [each.encryption, signer]
    if each.index:
        said.append(f"index of {each.index.plugin}, {each.index.slices_most:,} slices")
    return "  ".join(said)
