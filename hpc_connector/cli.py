"""What the command lines of all programs share: options, exit codes, the log."""

import argparse
import atexit
import contextlib
import errno
import gc
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from hpc_connector import errors, options
from hpc_connector.errors import BadInput, Later
from hpc_connector.options import (
    BurstOptions,
    Option,
    Options,
    RunOptions,
    fill,
    list_options,
    list_words,
    read_values,
)
from hpc_connector.text import read_toml

Kind = TypeVar("Kind")
STARTED_S = time.monotonic()  # of a command
DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, errors.BAD_INPUT, errors.STOPPED
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but tabs and line ends
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


class PrintVersion(argparse.Action):
    """Print the version of the suite, which is only looked up if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print one line and exit."""
        from importlib.metadata import version

        print(parser.prog, version("hpc_connector"))
        parser.exit()


class OneLineParser(argparse.ArgumentParser):
    """A parser that says what is wrong without printing the usage first.

    Parameters
    ----------
    kind, added
        Of the parser of a run: the dataclass of its options, and these by name.
    """

    kind: type[RunOptions] = RunOptions
    added: Mapping[str, argparse.Action] = MappingProxyType({})

    def error(self, message: str) -> Any:
        """Print one line and exit with code 2."""
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser(name: str, description: str) -> OneLineParser:
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


def add_command(commands: Any, name: str, said: str) -> OneLineParser:
    """Return the parser of a command, which is told in one line in both helps."""
    described = f"{said[:1].upper()}{said[1:]}."
    added: OneLineParser = commands.add_parser(name, help=said, description=described)
    return added


def add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, str]) -> None:
    """Add commands that each have a module; their own arguments are read later.

    Parameters
    ----------
    commands
        What each does, by its name.
    """
    add = parser.add_argument
    said = "; ".join(f"{name}: {said}" for name, said in commands.items())
    add("what", choices=commands, metavar="WHAT", help=said)
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="WHAT -h says")


def make_command(folder: str, name: str, said: str) -> OneLineParser:
    """Return the parser of one of :func:`add_commands`, of ``hpc-connector FOLDER``."""
    title = f"{said[:1].upper()}{said[1:]}."
    return make_parser(f"hpc-connector {folder} {name}", title)


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


def add_options(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    kind: type,
    names: Collection[str] = (),
) -> dict[str, argparse.Action]:
    """Add the options of a dataclass to a parser, in their groups; return them by name.

    Parameters
    ----------
    names
        Of those to add to `parser` itself, which may be a group; all if it is empty.
    """
    chosen = {n: o for n, o in list_options(kind).items() if not names or n in names}
    titles = dict.fromkeys(one.group for one in chosen.values())
    groups = {t: parser if names else parser.add_argument_group(t) for t in titles}
    return {n: add_option(groups[one.group], n, one) for n, one in chosen.items()}


def add_option(
    group: argparse.ArgumentParser | argparse._ArgumentGroup, name: str, told: Option
) -> argparse.Action:
    """Add an option to a parser, or a group of one."""
    more: dict[str, Any] = {"help": told.help}
    if told.flag:
        more["dest"] = name
        more["required"] = told.default is MISSING
    if told.is_switch:
        more["action"] = "store_false" if told.default else "store_true"
        return group.add_argument(told.flag, **more)
    more["type"] = as_type(told.read)
    more["choices"] = told.choices or None
    more["metavar"] = told.metavar
    if told.default is not MISSING:
        more["default"] = told.default
    if told.many == "words":
        n_words = len(told.metavar) if isinstance(told.metavar, tuple) else "+"
        more["nargs"] = n_words
    if told.many == "repeat":
        more["action"] = "append"
    flags = [told.flag or name, *([told.alias] if told.alias else [])]
    return group.add_argument(*flags, **more)


def add_burst(parser: argparse.ArgumentParser) -> None:
    """Add the options of a ``run`` that has tasks done in functions of a cloud."""
    add_options(parser, BurstOptions)


def add_question(parser: Any) -> None:
    """Add what is wanted of a run, and by what it is sized."""
    add = parser.add_argument
    said = "when it is to end: 2h, 30m, 45s from now, or ISO 8601 (default: none)"
    add("--deadline", type=deadline, default=0.0, metavar="TIME", help=said)
    add_options(parser, BurstOptions, ("policy", "history"))


def as_type(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader of values whose errors argparse shows as they are."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except BadInput as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    convert.__name__ = read.__name__  # for what is said of other errors
    return convert


def at_least(least: int, most: float = math.inf) -> Callable[[str], Any]:
    """Return an argparse type: a whole number of `least` to `most`."""
    return as_type(options.at_least(least, most))


fraction = as_type(options.fraction)
local = as_type(options.local)
seconds = as_type(options.seconds)
source = as_type(options.source)


def deadline(text: str) -> float:
    """Return the seconds to a deadline: 2h, or a time of ISO 8601, local or zoned."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return float(seconds(text))
    if (left_s := when.timestamp() - time.time()) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is past: expected a time to come")
    return left_s


def print_plan(name: str, get_cost: Callable[[], Any]) -> int:
    """Print what a run takes as one JSON object; return the exit code."""
    set_up_log(name)
    try:
        print(json.dumps(asdict(get_cost())))
    except Exception as error:
        return explain(name, error)
    return DONE


def add_run_options(run: OneLineParser, kind: type[RunOptions]) -> None:
    """Make a parser that of a run, whose options are those of a dataclass."""
    run.kind, run.added = kind, add_options(run, kind)


def parse(
    parser: argparse.ArgumentParser, run: OneLineParser, argv: list[str]
) -> argparse.Namespace:
    """Parse a command line; a TOML file gives the defaults of `run`'s options."""
    path = find_config(argv)
    defaults = take_defaults(run, path) if path else {}
    args = parser.parse_args(argv)
    args.words = list_words(run.kind, vars(args), defaults)
    return args


def find_config(argv: Sequence[str]) -> Path | None:
    """Return the TOML file that a command line names."""
    for word, after in pairwise([*argv, ""]):
        if word == "--config" and after:
            return Path(after)
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
    return None


def take_defaults(run: OneLineParser, path: Path) -> dict[str, Any]:
    """Take the defaults of a parser from a TOML file, and return them."""
    found = read_values(run.kind, read_toml(path), str(path))
    run.set_defaults(**found)
    for action in (run.added[name] for name in found):
        action.required = False
        if not action.option_strings:
            action.nargs = "*"
    return found


def get_options(kind: type[Options], args: argparse.Namespace) -> Options:
    """Return the options of a run that a command line gave, which began with it."""
    values = {name: getattr(args, name) for name in list_options(kind)}
    return fill(kind, values, words=tuple(args.words), started_s=STARTED_S)


def take_options(kind: type[Kind], args: argparse.Namespace) -> Kind:
    """Return the options of a dataclass among those of a command that is no run."""
    given = {name: getattr(args, name) for name in list_options(kind)}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in given.items()})


def find_out(arguments: list[str]) -> Path | None:
    """Return the folder of results that a program's arguments name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--config", type=Path)
    known, _ = parser.parse_known_args(arguments)
    if known.out is None and known.config is not None:
        out = read_toml(known.config).get("out")
        return None if out is None else Path(str(out))
    return cast("Path | None", known.out)


def use_one_blas_thread() -> None:
    """Have libraries of linear algebra start no threads: there are ranks, --threads."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextlib.contextmanager
def hide_module(name: str) -> Iterator[None]:
    """Have a module not found by what is imported here, unless it is there already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # so that an import fails
    try:
        yield
    finally:
        del sys.modules[name]


def import_numba() -> None:
    """Import numba without SciPy, cffi, YAML and extensions: no kernel needs them.

    They are a good part of its start. These modules look for them; all can be imported
    after that, also by numba, which reads YAML of a file of its own in this folder.
    """
    hidden = ["scipy", "cffi"]
    if not os.path.exists(".numba_config.yaml"):
        hidden.append("yaml")
    with contextlib.ExitStack() as stack:
        for name in hidden:
            stack.enter_context(hide_module(name))
        import numba.core.entrypoints
    numba.core.entrypoints._already_initialized = True


def hold_collection() -> None:
    """Collect no garbage until :func:`begin_collection`, nor at the end of the process.

    What a program imports is half a million objects that live as long as it does: to
    look through them again and again is a third of its start, and at its end no use.
    """
    atexit.register(gc.freeze)
    gc.disable()


def begin_collection() -> None:
    """Collect garbage from now on, but for what there is; if it was held."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def escape(text: str) -> str:
    r"""Return text for a terminal, which obeys control characters.

    What others name, such as files, or why a site of a search has left, may have some.

    Examples
    --------
    >>> escape("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class LogFormatter(logging.Formatter):
    """Formats messages for a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message of a record."""
        return escape(super().formatMessage(record))


def set_up_log(name: str, *, rank: int = 0) -> None:
    """Log to stderr: rank 0 from INFO, the others from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(f"{name}: %(message)s"))
    level = logging.INFO if rank == 0 else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])
    # nor which credentials it has, nor why it has none: that is said by an error
    logging.getLogger("botocore").setLevel(logging.ERROR)


def is_hidden(error: OSError) -> bool:
    """Return whether what is not permitted is to read a file, or to look for it."""
    if error.errno != errno.EACCES or not isinstance(error.filename, str):
        return False
    if os.path.exists(error.filename):
        return not os.access(error.filename, os.R_OK)
    return not os.access(os.path.dirname(error.filename) or ".", os.X_OK)


def explain(name: str, error: BaseException, *, is_run: bool = False) -> int:
    """Print what an exception means to a user, and return the exit code.

    Parameters
    ----------
    is_run
        Whether ``--resume`` goes on with what was done.
    """
    from hpc_connector.partitioner.ending import print_traceback

    kept = "; finished tasks are kept, --resume goes on" if is_run else ""
    if isinstance(error, BadInput):
        message, code = str(error), BAD_INPUT
    elif isinstance(error, Later):
        message, code = str(error), STOPPED
    elif isinstance(error, MemoryError):
        reason = f" ({error})" if str(error) else ""
        message, code = f"out of memory{reason}{kept}", FAILED
    elif isinstance(error, OSError) and error.errno in FULL:
        then = "then --resume" if is_run else "then repeat the command"
        message = f"disk full: {error.filename or 'output'}; free some, {then}"
        code = FAILED
    elif isinstance(error, OSError) and error.errno in UNWRITABLE:
        what = "read" if is_hidden(error) else "write"
        message, code = f"cannot {what} {error.filename}: {error.strerror}", BAD_INPUT
    elif isinstance(error, OSError):
        message, code = f"{error}{kept}", FAILED
    else:
        print_traceback()
        return FAILED
    print(f"{name}: {escape(' '.join(message.split()))}", file=sys.stderr)
    return code
