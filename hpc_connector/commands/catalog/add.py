"""``hpc-connector catalog add``: files as a data set, or a new version of one."""

import argparse
import json
import logging
from typing import Any

from hpc_connector import cli
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.records import (
    ACCESS,
    LEAST_CELL,
    LEAST_LEVEL,
    MOST_LEVEL,
    TOP_MOST,
    to_json,
)
from hpc_connector.catalogue.repositories.isatab import read_isatab
from hpc_connector.catalogue.repositories.metaspace import read_metaspace
from hpc_connector.catalogue.repositories.mwtab import read_mwtab
from hpc_connector.catalogue.repositories.study import Study, list_members, prefer
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    add_signer,
    as_day,
    as_id,
    as_role,
    get_catalog,
)
from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.pipeline.access import begin_access

logger = logging.getLogger(__name__)
KEYS = ("key", "passphrase_fd")
STUDIES = {  # whose files tell what a data set is
    "isatab": (
        read_isatab,
        "DIR",
        "study of MetaboLights: folder with i_*.txt, s_*.txt, a_*.txt",
    ),
    "mwtab": (
        read_mwtab,
        "FILE",
        "study of Metabolomics Workbench: mwTab, text or JSON",
    ),
    "metaspace": (
        read_metaspace,
        "DIR",
        "dataset of METASPACE: folder with what its pages download",
    ),
}
MOST_TOLD = 5  # of files that are missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    said = "files, s3://bucket/key, http(s)://...; what belongs to them is found"
    add("files", nargs="*", metavar="FILE", help=said)
    said = "1 to 64 of a-z, 0-9, '.', '_' and '-'"
    add("--id", required=True, type=as_id, metavar="ID", help=said)
    said = "folder of a run whose results it is"
    add("--from-run", type=cli.local, metavar="DIR", help=said)
    for name, (_, metavar, said) in STUDIES.items():
        add(f"--from-{name}", type=cli.local, metavar=metavar, help=said)
    add("--no-checksum", action="store_true", help="record no SHA-256 of the objects")
    add_json(parser)
    cli.add_options(parser, KeyOptions, KEYS)
    add_about(parser.add_argument_group("what it is"))
    add_policy(parser.add_argument_group("who may use it"))
    add_signer(parser)
    add_place(parser)


def add_about(group: argparse._ArgumentGroup) -> None:
    """Add what is told of a data set; a new version has it from the one before."""
    add = group.add_argument
    add("--title", metavar="TEXT", help="in a few words; a new data set needs it")
    add("--description", metavar="TEXT", help="in some sentences; exports need it")
    said = "to be found by; for several, several times"
    add("--keyword", action="append", metavar="WORD", help=said)
    add("--publisher", metavar="NAME", help="who gives it")
    said = "of EU's data themes, a URL (default: health)"
    add("--theme", metavar="URL", help=said)
    add("--license", metavar="URL", help="under which it is given")


def add_policy(group: argparse._ArgumentGroup) -> None:
    """Add the policy of a data set."""
    add = group.add_argument
    said = "anybody, who the policy lets, or nobody but those (default: restricted)"
    add("--access", choices=ACCESS, help=said)
    said = "in a token, PATH=VALUE or a realm role's name; one of several is enough"
    add("--role", action="append", type=as_role, metavar="ROLE", help=said)
    said = "that a user must name; for one of several, several times"
    add("--purpose", action="append", metavar="WORD", help=said)
    said = "last day of its use, YYYY-MM-DD (default: no end)"
    add("--until", type=as_day, metavar="DATE", help=said)
    said = f"N of the evidence by which it is opened (default: {LEAST_LEVEL})"
    level = cli.at_least(0, MOST_LEVEL)
    add("--least-level", type=level, metavar="N", help=said)
    said = f"N of individuals in what is let out (default: {LEAST_CELL})"
    add("--least-cell", type=cli.at_least(1), metavar="N", help=said)
    said = "models of a federated search that are let out, at most (default: "
    most = cli.at_least(1, TOP_MOST)
    add("--top-most", type=most, metavar="N", help=f"{said}{TOP_MOST})")
    add("--keeper", metavar="URL", help="who holds the keys, https://HOST:PORT")
    add("--contact", metavar="WHO", help="whom to ask, an address of mail")


def run(args: argparse.Namespace) -> int:
    """Add a data set; say which version it is now."""
    begin_access(KeyOptions(**{name: getattr(args, name) for name in KEYS}))
    about = About(
        title=args.title,
        description=args.description,
        publisher=args.publisher,
        access=args.access,
        theme=args.theme,
        license=args.license,
        keywords=_take(args.keyword),
        roles=_take(args.role),
        purposes=_take(args.purpose),
        until=args.until,
        least_level=args.least_level,
        least_cell=args.least_cell,
        top_most=args.top_most,
        keeper=args.keeper,
        contact=args.contact,
    )
    more: dict[str, Any] = {"run": args.from_run, "checksum": not args.no_checksum}
    if study := read_study(args):
        about = prefer(about, study.about)
        more |= {"members": list_members(study), "facts": study.facts}
    with get_catalog(args, is_new=True) as catalog:
        found, is_written = add(catalog, args.id, args.files, about, **more)
    if args.json:
        print(json.dumps(to_json(found)))
        return cli.DONE
    n_bytes = sum(each.bytes for each in found.objects)
    was = "" if is_written else ", as it was"
    print(f"{found.name}: {len(found.objects)} objects, {n_bytes:,} bytes{was}")
    return cli.DONE


def read_study(args: argparse.Namespace) -> Study | None:
    """Return the study that is named, None for none; say which of its files lack."""
    named = {name: getattr(args, f"from_{name}") for name in STUDIES}
    named = {name: path for name, path in named.items() if path}
    if not named:
        return None
    if len(named) > 1:
        raise BadInput(f"expected one of {', '.join(f'--from-{one}' for one in named)}")
    ((name, path),) = named.items()
    study = STUDIES[name][0](path)
    if missing := study.missing:
        shown = ", ".join(missing[:MOST_TOLD])
        more = (
            f" and {len(missing) - MOST_TOLD} more" if len(missing) > MOST_TOLD else ""
        )
        logger.warning("%s: left out, for they are not there: %s%s", path, shown, more)
    return study


def _take(words: list[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(words)
