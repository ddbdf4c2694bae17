"""``hpc-connector scone``: policies of SCONE, checked, written, given to its CAS."""

import argparse
import json
import sys
from pathlib import Path
from typing import TextIO

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_passphrase
from hpc_connector.confidential.files import open_input
from hpc_connector.confidential.keys import read_passphrase
from hpc_connector.confidential.scone import cas as server
from hpc_connector.confidential.scone.launchers import LAUNCHERS
from hpc_connector.confidential.scone.lint import lint
from hpc_connector.confidential.scone.render import render
from hpc_connector.confidential.scone.schema import make_schema
from hpc_connector.confidential.scone.source import MOST_BYTES
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish

PROGRAMS = ("mdr-epistasis", "metabolite-annotation")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    checked = cli.add_command(commands, "lint", "find the faults of policies")
    said = "policies, YAML"
    checked.add_argument(
        "policies", type=cli.local, nargs="+", metavar="POLICY", help=said
    )
    _add_render(cli.add_command(commands, "render", "write the policy of a program"))
    cli.add_command(commands, "schema", "print the JSON Schema of policies")
    given = cli.add_command(commands, "upload", "give a policy to CAS")
    given.add_argument(
        "policy", type=cli.local, metavar="POLICY", help="a policy, YAML"
    )
    _add_cas(given)
    show = cli.add_command(commands, "show", "print what CAS has, or says of itself")
    said = "its name (default: version and evidence of CAS itself)"
    show.add_argument("policy", nargs="?", metavar="POLICY", help=said)
    said = "value of a secret that you may have, instead of the policy; 'all' for all"
    show.add_argument("--secret", metavar="NAME", help=said)
    _add_cas(show)


def _add_render(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    said = "of the machine, with lines SCONE_NAME=VALUE"
    add("--site", type=cli.local, required=True, metavar="FILE", help=said)
    add("--program", choices=PROGRAMS, required=True, help="which is run")
    said = "which starts its ranks"
    add("--launcher", choices=tuple(LAUNCHERS), required=True, help=said)
    said = "of the policy; then what starts it is printed (default: all is printed)"
    add("--out", type=Path, metavar="FILE", help=said)


def _add_cas(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cas", required=True, metavar="HOST[:PORT]", help="the server")
    said = "certificates of the authority that vouches for it, PEM"
    add("--ca", type=cli.local, required=True, metavar="FILE", help=said)
    said = "of yours, by which it knows you, PEM"
    add("--cert", type=cli.local, required=True, metavar="FILE", help=said)
    said = "of your certificate, for you alone, PEM"
    add("--key", type=cli.local, required=True, metavar="FILE", help=said)
    said = "in the certificate of the server (default: HOST)"
    add("--cas-name", default="", metavar="NAME", help=said)
    add_passphrase(parser)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    if args.what == "lint":
        codes = [code for path in args.policies for code in print_faults(path)]
        return cli.BAD_INPUT if any(code[0] == "E" for code in codes) else cli.DONE
    if args.what == "render":
        return write_policy(args)
    if args.what == "schema":
        print(json.dumps(make_schema(), indent=2))
        return cli.DONE
    return upload(args) if args.what == "upload" else show(args)


def read_policy(path: Path) -> bytes:
    """Return a policy, or as much of it as shows that it is too large."""
    with open_input(path) as stream:
        return stream.read(MOST_BYTES + 1)


def print_faults(path: Path, stream: TextIO | None = None) -> list[str]:
    """Print what is wrong with a policy; return the codes."""
    found = lint(read_policy(path), PROGRAMS)
    for line, code, message in found:
        print(f"{path}:{line}: {code} {message}", file=stream)
    return [one.code for one in found]


def write_policy(args: argparse.Namespace) -> int:
    """Write a policy."""
    policy, command = render(args.site, args.program, args.launcher)
    if args.out is None:
        sys.stdout.write(policy)
        return cli.DONE
    with publish(args.out) as stream:
        stream.write(policy.encode())
    print(command)
    return cli.DONE


def get_cas(args: argparse.Namespace) -> server.Cas:
    """Return the server, and who asks it."""
    passphrase = read_passphrase(args.passphrase_fd)
    return server.make_cas(
        args.cas,
        args.ca,
        args.cert,
        args.key,
        name=args.cas_name,
        passphrase=passphrase,
    )


def upload(args: argparse.Namespace) -> int:
    """Give a policy to CAS; print the hash that it has there."""
    cas = get_cas(args)
    codes = print_faults(args.policy, sys.stderr)
    if any(code[0] == "E" for code in codes):
        raise BadInput(f"{args.policy} has faults: it was not given to CAS")
    print(server.upload(cas, read_policy(args.policy)))
    return cli.DONE


def show(args: argparse.Namespace) -> int:
    """Print what CAS has of a policy, or says of itself."""
    cas = get_cas(args)
    if args.policy is None:
        said = {
            "version": server.get_version(cas),
            "unverified": server.get_attestation(cas),
        }
        print(json.dumps(said, indent=2))
    elif args.secret:
        secret = "" if args.secret == "all" else args.secret
        print(json.dumps(server.get_values(cas, args.policy, secret), indent=2))
    else:
        found = server.find_session(cas, args.policy)
        if found is None:
            raise BadInput(f"CAS has no policy {args.policy}")
        print(f"# hash: {found.get('hash')}")
        print(str(found.get("session", "")).rstrip("\n"))
    return cli.DONE
