"""``hpc-connector federate``: prepare a search over sites, and prove its logs."""

import argparse
import json
import logging
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from hpc_connector import cli, options
from hpc_connector.confidential.asking import read_address
from hpc_connector.confidential.keeper.log import LogPlace
from hpc_connector.confidential.keeper.settings import address
from hpc_connector.errors import BadInput, Later
from hpc_connector.federation.hub.attempts import has_result, remove_files
from hpc_connector.federation.hub.certificates import get_certificates
from hpc_connector.federation.hub.client import LIFE_S
from hpc_connector.federation.hub.exchange import Anew
from hpc_connector.federation.hub.scorers import load_scorer
from hpc_connector.federation.hub.server import open_hub
from hpc_connector.federation.hub.tls import MOST_DAYS
from hpc_connector.federation.invitation import TLS_KEY, invite, make_identity
from hpc_connector.federation.records import open_log, tell, verify_all
from hpc_connector.federation.site import read_site
from hpc_connector.federation.study import HUB, Study, read_study
from hpc_connector.federation.study import name as read_name
from hpc_connector.federation.variants import (
    check_build,
    describe_cases,
    read_list,
)
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import inspect_sample
from hpc_connector.loader.individuals import Match
from hpc_connector.options import KeyOptions
from hpc_connector.pipeline.access import begin_access

logger = logging.getLogger(__name__)

KEYS = ("key", "passphrase_fd")
STUDY = "STUDY.toml: sites, variants, settings, and what may be let out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_invite(commands)
    _add_check(commands)
    _add_identity(commands)
    _add_hub(commands)
    said = "print the logs of parties, and prove that no line was changed"
    log = cli.add_command(commands, "log", said)
    log.set_defaults(act=run_log)
    said = "of budgets and logs, as --records of the search"
    log.add_argument("records", type=cli.local, metavar="DIR", help=said)


def _add_invite(commands: Any) -> None:
    parser = cli.add_command(commands, "invite", "write a folder for each site")
    parser.set_defaults(act=run_invite)
    add = parser.add_argument
    add("study", type=cli.local, metavar="STUDY", help=STUDY)
    said = "where each site gets a folder: the study, its list, its keys; so a hub"
    add("--out", type=cli.local, required=True, metavar="DIR", help=said)
    _add_days(parser)


def _add_days(parser: cli.OneLineParser) -> None:
    said = f"days that new certificates last (default: {MOST_DAYS}, the most)"
    read = cli.at_least(1, MOST_DAYS)
    parser.add_argument("--days", type=read, default=MOST_DAYS, metavar="N", help=said)


def _add_identity(commands: Any) -> None:
    said = "make the keys of one party, and print what the study says of it"
    parser = cli.add_command(commands, "identity", said)
    parser.set_defaults(act=run_identity)
    add = parser.add_argument
    add("name", metavar="NAME", help="of the site, as the study names it; or hub")
    said = "of the private keys, which stay there"
    add("--out", type=cli.local, required=True, metavar="DIR", help=said)
    said = "https://HOST:PORT where sites reach it, of hub"
    add("--url", default="", metavar="URL", help=said)
    _add_days(parser)


def _add_hub(commands: Any) -> None:
    said = "add up what sites send, and score it"
    parser = cli.add_command(commands, "hub", said)
    parser.set_defaults(act=run_hub)
    add = parser.add_argument
    add("study", type=cli.local, metavar="STUDY", help=STUDY)
    said = "(default: the port of the study's url, on all addresses)"
    add("--listen", metavar="HOST:PORT", help=f"where to listen {said}")
    said = "private key of the hub's certificate (default: tls.key beside the study)"
    add("--tls-key", type=cli.local, metavar="FILE", help=said)
    said = "of sums, with which a hub that was stopped goes on (default: state beside "
    add("--state", type=cli.local, metavar="DIR", help=f"{said}the study)")
    said = "of budgets and logs (default: records beside the study)"
    add("--records", type=cli.local, metavar="DIR", help=said)
    said = "that a site may be silent: seconds, or 30m, 2h (default: 600)"
    patience = cli.as_type(read_patience)
    add("--patience", type=patience, default=600.0, metavar="TIME", help=said)
    said = "that scores, where several are installed"
    add("--program", metavar="NAME", help=said)


def _add_check(commands: Any) -> None:
    said = "find the variants of a site in the list of the study: nothing leaves"
    parser = cli.add_command(commands, "check", said)
    parser.set_defaults(act=run_check)
    add = parser.add_argument
    add("study", type=cli.local, metavar="STUDY", help=STUDY)
    add("--site", required=True, metavar="NAME", help="as the study names it")
    said = "of the site, in files of any format"
    add("--genotypes", nargs="+", required=True, metavar="GENOTYPES", help=said)
    said = "of them (default: by the contigs of a VCF, else the study's)"
    add("--build", choices=("GRCh37", "GRCh38"), help=said)
    cli.add_options(parser, KeyOptions, KEYS)
    said = "reference sequence of that build, by which indels are aligned to the left"
    add("--fasta", metavar="FASTA", help=said)


def read_patience(text: str) -> float:
    """Return how long a site may be silent: two of its signs of life or more."""
    found = options.seconds(text)
    if found < 2 * LIFE_S:
        raise BadInput(
            f"{text}: expected {2 * LIFE_S:g} s or more: a site that counts shows life "
            f"every {LIFE_S:g} s"
        )
    return found


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    code: int = args.act(args)
    return code


def run_invite(args: argparse.Namespace) -> int:
    """Write the folders of the sites."""
    made = invite(args.study, args.out, args.days)
    for path in made:
        print(path)
    if made:
        logger.info(
            "%d private keys were made here: give each to its party alone, and keep "
            "none; a party that makes its own (hpc-connector federate identity) gives "
            "lines for the study",
            len(made),
        )
    return cli.DONE


def run_identity(args: argparse.Namespace) -> int:
    """Make the keys of a party."""
    if args.url:
        read_address(args.url)
    lines = make_identity(args.out, read_name(args.name), args.url, args.days)
    print("\n".join(lines))
    return cli.DONE


def run_hub(args: argparse.Namespace) -> int:
    """Serve as the hub of a search, until all sites have the result."""
    study = read_study(args.study)
    url = get_certificates(study).url
    score = load_scorer(args.program)
    beside = args.study.parent
    records = args.records or beside / "records"
    log = partial(note, open_log(records, study, HUB), study)
    listen = read_listen(args.listen) if args.listen else ("", read_address(url)[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    key, state = args.tls_key or beside / TLS_KEY, args.state or beside / "state"
    while not has_result(state, study):
        try:
            with open_hub(study, listen, key, state, args.patience, log) as transport:
                listen = transport.address
                logger.info("hub of study %s on %s:%d", study.name, *listen)
                score(transport, study, records)
        except Anew as error:
            logger.info("%s", error)
    remove_files(state)  # if it was killed before it could
    logger.info("all sites have the result; to search again takes another --state")
    return cli.DONE


def note(place: LogPlace, study: Study, event: str, party: str, **what: Any) -> None:
    """Log an event of a hub, for people too."""
    tell(place, study, party, event, **what)
    logger.info("%s: %s%s", event, party, f": {what['reason']}" if what else "")


def read_listen(text: str) -> tuple[str, int]:
    """Return a host and a port."""
    try:
        return address(text)
    except ValueError as error:
        raise BadInput(f"--listen {text}: expected {error}") from None


def stop(*_: Any) -> None:
    """Stop, at SIGTERM or Ctrl-C: what is on the disk is gone on with."""
    raise Later("stopped: started again with the same --state the hub goes on")


def open_samples(
    paths: Sequence[str], told: str | None, build: str
) -> list[SampleFile]:
    """Open the files of a site, which have the same individuals.

    Raises
    ------
    BadInput
        They have not, or are of another build.
    """
    files = [inspect_sample(path, ReadOptions()) for path in paths]
    for file in files:
        check_build(file.path, told, build)
    if len({file.n_individuals for file in files}) > 1:
        raise BadInput("expected files of the same individuals")
    return files


def run_check(args: argparse.Namespace) -> int:
    """Find the variants of a site in the list."""
    study = read_study(args.study)
    if args.site not in study.names:
        raise BadInput(
            f"{args.site}: no site of {args.study}: expected one of "
            f"{', '.join(study.names)}"
        )
    begin_access(KeyOptions(**{name: getattr(args, name) for name in KEYS}))
    files = open_samples(args.genotypes, args.build, study.build)
    n = files[0].n_individuals
    reference = read_list(study, args.fasta)
    everybody, nobody = np.arange(n), np.zeros(n, np.int64)
    match = Match((), nobody.astype(np.int8), [everybody] * len(files), [])
    read = read_site(files, match, nobody, 1, reference)
    print(f"{n:,} individuals; {len(reference):,} variants in the list")
    for line in describe_cases(reference.told):
        print(f"of the list: {line}")
    for line in describe_cases(read.cases):
        print(line)
    print(f"{int((~read.local.is_present).sum()):,} of the list are not here")
    if read.apart is None:
        print("frequencies: the list has none to compare with")
    else:
        print(f"frequencies differ from the list by {read.apart:.3f} at most")
    return cli.DONE


def run_log(args: argparse.Namespace) -> int:
    """Print the logs of a folder."""
    for path, n, lines in verify_all(args.records):
        print(f"{path}: {n:,} lines hold, by their chain and signatures")
        for line in lines:
            told = json.loads(line)
            known = {k: v for k, v in told.items() if v is not None}
            for name in ("prev", "sig", "seq"):
                known.pop(name, None)
            print("  " + "  ".join(f"{key} {value}" for key, value in known.items()))
    return cli.DONE
