"""``hpc-connector catalog who``: who may use a data set, and who was refused."""

import argparse
import json

from hpc_connector import cli
from hpc_connector.catalogue.lookup import get, list_events
from hpc_connector.catalogue.policy import asks_who
from hpc_connector.catalogue.records import DataSet, get_today
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    as_id,
    get_catalog,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("id", type=as_id, metavar="ID", help="of a data set")
    add_json(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print roles, grants and refusals."""
    with get_catalog(args) as catalog:
        one = get(catalog, args.id)
        events = [event for event, _, _ in list_events(catalog, one.id)]
    denied = [event for event in events if event.what["do"] == "deny"]
    today = get_today()
    told = {
        "access": one.access,
        "roles": list(one.policy.roles),
        "grants": [vars(g) | {"holds": g.is_live(today)} for g in one.policy.grants],
        "denied": [
            {"time": event.time, "actor": event.actor}
            | {name: event.what.get(name, "") for name in ("subject", "reason")}
            for event in denied
        ],
    }
    if args.json:
        print(json.dumps(told))
        return cli.DONE
    print(f"{one.name}: {one.access}{say_open(one)}")
    for role in one.policy.roles:
        print(f"role {role}")
    for grant in one.policy.grants:
        holds = f"until {grant.until}" if grant.is_live(today) else "no more"
        print(f"grant to {grant.to}, {holds}")
    for event in denied:
        who = event.what.get("subject") or event.actor
        print(f"denied at {event.time}: {who}: {event.what['reason']}")
    return cli.DONE


def say_open(one: DataSet) -> str:
    """Return that nobody is asked for a login, where it is so."""
    return "" if asks_who(one) else "; no role or grant is asked for, nor a login"
