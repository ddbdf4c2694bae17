"""What the command lines of all programs share: options, exit codes, the log."""

import argparse
import errno
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.storage import address
from hpc_connector.text import read_toml

IMPORTED_S = time.monotonic()
DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 75
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser whose errors are one line and end with exit code 2."""
    parser = OneLineParser(prog=name, description=description)
    parser.add_argument(
        "--version",
        action=PrintVersion,
        nargs=0,
        dest=argparse.SUPPRESS,  # it is no parameter of a run
        help="print the version, and end",
    )
    return parser


def add_command(commands: Any, name: str, said: str) -> argparse.ArgumentParser:
    """Return the parser of a command, which is told in one line in both helps."""
    return commands.add_parser(
        name, help=said, description=f"{said[:1].upper()}{said[1:]}."
    )


class PrintVersion(argparse.Action):
    """Print the version of the suite, which is only looked up if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print one line and exit."""
        from importlib.metadata import version

        print(parser.prog, version("hpc_connector"))
        parser.exit()


class OneLineParser(argparse.ArgumentParser):
    """A parser that says what is wrong without printing the usage first."""

    def error(self, message: str) -> Any:
        """Print one line and exit with code 2."""
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def join_dashed(argv: list[str], options: Collection[str]) -> list[str]:
    """Return a command line for argparse, which takes no value that begins with a dash.

    Examples
    --------
    >>> join_dashed(["--sbatch", "--hold", "run"], ["--sbatch"])
    ['--sbatch=--hold', 'run']
    """
    words, joined = iter(argv), []
    for word in words:
        value = next(words, None) if word in options else None
        joined.append(word if value is None else f"{word}={value}")
    return joined


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that the ``run`` of every program has."""
    add = parser.add_argument_group("the run").add_argument
    add("--out", required=True, metavar="DIR", type=local, help="folder of the results")
    said = "TOML file of these options; those given here win"
    add("--config", metavar="FILE", type=Path, help=said)
    said = "threads of each rank (default: %(default)s)"
    add("--threads", type=at_least(1), default=1, metavar="N", help=said)
    said = "of all chance: the same seed, the same results (default: %(default)s)"
    add("--seed", type=at_least(0), default=42, metavar="N", help=said)
    add("--resume", action="store_true", help="go on with a run that was stopped")
    said = "try this share of the work, above 0 to 1 (default: all)"
    add("--slice", type=part, metavar="FRACTION", help=said)
    add("--quiet", action="store_true", help="show no progress")
    said = "watch the ranks of each node: a row a second in DIR/telemetry"
    add("--telemetry", action="store_true", help=said)
    said = "print what the run takes (CPU seconds, bytes) as JSON, and end"
    add("--plan", action="store_true", help=said)
    add("--json", action="store_true", help="print the summary as one JSON object")


def add_burst(parser: argparse.ArgumentParser) -> None:
    """Add the options of a ``run`` that has tasks done in functions of a cloud."""
    group = parser.add_argument_group("functions of a cloud (Lithops)")
    add = group.add_argument
    said = "Lithops' configuration, YAML; without it all is done here"
    add("--burst", type=Path, metavar="FILE", help=said)
    said = "functions at a time (default: what the file says, else by the deadline)"
    add("--burst-workers", type=at_least(1), metavar="N", help=said)
    said = "of the tasks that functions take, 0..1 (default: those that are late)"
    add("--burst-share", type=fraction, metavar="FRACTION", help=said)
    said = "that functions may cost (default: no limit)"
    add("--budget", type=amount, metavar="EUR", help=said)
    said = "such as 2h, 30m, 45s: functions take what would be late (default: none)"
    add("--deadline", type=seconds, metavar="TIME", help=said)
    said = "who runs tasks: ranks (and --burst), or functions alone (default: mpi)"
    add("--engine", choices=("mpi", "lithops"), default="mpi", help=said)
    add_evidence(group)


def add_evidence(parser: Any) -> None:
    """Add by what a run, or its functions, are sized."""
    add = parser.add_argument
    add("--policy", type=Path, metavar="FILE", help="TOML: caps, margin, growth")
    said = "recorded runs, or folders of them (default: those beside --out)"
    add("--history", type=Path, action="append", metavar="DIR", help=said)


def add_question(parser: Any) -> None:
    """Add what is wanted of a run, and by what it is sized."""
    add = parser.add_argument
    said = "when it is to end: 2h, 30m, 45s from now, or ISO 8601 (default: none)"
    add("--deadline", type=deadline, default=0.0, metavar="TIME", help=said)
    add_evidence(parser)


def deadline(text: str) -> float:
    """Return the seconds to a deadline: 2h, or a time of ISO 8601, local or zoned."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return seconds(text)
    if (left_s := when.timestamp() - time.time()) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is past: expected a time to come")
    return left_s


def amount(text: str) -> float:
    """Return an argparse value of 0 or more."""
    if not 0 <= (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected 0 or more")
    return number


def seconds(text: str) -> float:
    """Return an argparse value of time: 90, 45s, 30m, 2h, 1d."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    found = amount(number) * units[unit]
    if found == 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a time to come")
    return found


def print_plan(name: str, get_cost: Callable[[], Any]) -> int:
    """Print what a run takes as one JSON object; return the exit code."""
    set_up_log(name)
    try:
        print(json.dumps(asdict(get_cost())))
    except Exception as error:
        return explain(name, error)
    return DONE


def local(text: str) -> Path:
    """Return an argparse value: where results are written, on this machine."""
    if address.is_url(text):
        raise argparse.ArgumentTypeError(
            f"{address.show(text)}: expected a folder or file of this machine: results "
            "are not written to a store"
        )
    return Path(text)


def source(text: str) -> str:
    """Return an argparse value: a file, or an object in a store, as it may be shown."""
    try:
        return address.take(text)
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def at_least(least: int, most: float = math.inf) -> Any:
    """Return an argparse type: a whole number of `least` to `most`."""

    def convert(text: str) -> int:
        if (number := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{text}: expected {least} or more")
        if number > most:
            raise argparse.ArgumentTypeError(f"{text}: expected {most} or less")
        return number

    convert.__name__ = "whole number"
    return convert


def fraction(text: str) -> float:
    """Return an argparse value between 0 and 1."""
    if not 0 <= (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 0..1")
    return number


def part(text: str) -> float:
    """Return an argparse value above 0, and at most 1."""
    if not (number := fraction(text)):
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0")
    return number


def parse(parser: argparse.ArgumentParser, run: Any, argv: list[str]) -> Any:
    """Parse a command line; a TOML file gives the defaults of `run`'s options."""
    if "--config" in argv and argv.index("--config") + 1 < len(argv):
        set_defaults(run, Path(argv[argv.index("--config") + 1]))
    args = parser.parse_args(argv)
    args.words = list_words(run, args)
    return args


def list_words(run: argparse.ArgumentParser, args: argparse.Namespace) -> list[str]:
    """Return the options that are no defaults, as one would write them.

    They are as parsed: of a name that signs a URL, only what may be shown.
    """
    words: list[str] = []
    for action in sorted(run._actions, key=lambda action: bool(action.option_strings)):
        value = getattr(args, action.dest, None)
        if value is None or value == action.default:
            continue
        option = action.option_strings[-1:]
        values = [str(v) for v in value] if isinstance(value, list | tuple) else [value]
        if action.nargs == 0:
            words += option
        elif isinstance(action, argparse._AppendAction):
            words += [word for v in values for word in (*option, v)]
        elif option and action.nargs is None:
            words += [*option, ",".join(map(str, values))]
        else:
            words += [*option, *map(str, values)]
    return words


def set_defaults(run: argparse.ArgumentParser, path: Path) -> None:
    """Take the defaults of a parser from a TOML file; flags still win."""
    options = read_toml(path)
    actions = {a.dest: a for a in run._actions if a.dest not in ("help", "config")}
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in actions:
            known = ", ".join(sorted(k.replace("_", "-") for k in actions))
            raise BadInput(f"{path}: unknown option {key!r}; expected one of {known}")
        action = actions[name]
        is_again = isinstance(action, argparse._AppendAction)
        if isinstance(value, list) and action.option_strings and action.nargs is None:
            value = value if is_again else ",".join(map(str, value))
        is_flag = isinstance(action, argparse._StoreTrueAction)
        values = value if isinstance(value, list) else [value]
        if not is_flag:
            values = [_convert(run, action, str(v), path) for v in values]
        is_list = is_again or isinstance(value, list)
        action.default = values if is_list else values[0]
        action.required = False
        if not action.option_strings:
            action.nargs = "*"


def _convert(
    run: argparse.ArgumentParser, action: argparse.Action, text: str, path: Path
) -> Any:
    """Return the value of an option from a file.

    Raises
    ------
    BadInput
        One that cannot be.
    """
    try:
        value = run._get_value(action, text)
        run._check_value(action, value)  # against the choices of the option
    except argparse.ArgumentError as error:
        raise BadInput(f"{path}: {error}") from None
    return value


def save_start_time() -> None:
    """Keep libraries from what no program needs: a third of the start of numba."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # there are ranks and --threads
    if "scipy" not in sys.modules:
        sys.modules["scipy"] = None  # type: ignore[assignment] # numba would load it


def get_age_s() -> float:
    """Return the seconds since the program started, to the millisecond."""
    return round(time.monotonic() - IMPORTED_S, 3)


def set_up_log(name: str, *, rank: int = 0) -> None:
    """Log to stderr: rank 0 from INFO, the others from WARNING."""
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format=f"{name}: %(message)s",
        stream=sys.stderr,
    )
    # nor which credentials it has, nor why it has none: that is said by an error
    logging.getLogger("botocore").setLevel(logging.ERROR)


def is_hidden(error: OSError) -> bool:
    """Return whether what is not permitted is to read a file, or to look for it."""
    if error.errno != errno.EACCES or not isinstance(error.filename, str):
        return False
    if os.path.exists(error.filename):
        return not os.access(error.filename, os.R_OK)
    return not os.access(os.path.dirname(error.filename) or ".", os.X_OK)


def explain(name: str, error: BaseException) -> int:
    """Print what an exception means to a user, and return the exit code."""
    from hpc_connector.partitioner.ending import print_traceback

    if isinstance(error, BadInput):
        message, code = str(error), BAD_INPUT
    elif isinstance(error, MemoryError):
        reason = f" ({error})" if str(error) else ""
        message = f"out of memory{reason}; finished tasks are kept, --resume goes on"
        code = FAILED
    elif isinstance(error, OSError) and error.errno in FULL:
        message = f"disk full: {error.filename or 'output'}; free some, then --resume"
        code = FAILED
    elif isinstance(error, OSError) and error.errno in UNWRITABLE:
        what = "read" if is_hidden(error) else "write"
        message, code = f"cannot {what} {error.filename}: {error.strerror}", BAD_INPUT
    elif isinstance(error, OSError):
        message, code = f"{error}; finished tasks are kept, --resume goes on", FAILED
    else:
        print_traceback()
        return FAILED
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return code
