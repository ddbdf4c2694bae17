"""The options of a run: told once, for its command line, its file and its callers.

A program's options are a frozen dataclass, whose fields carry in their metadata what a
command line says of them. A command line, a TOML file and a mapping of Python become
that dataclass by the same readers of values.
"""

import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar

from hpc_connector.errors import BadInput
from hpc_connector.storage import address
from hpc_connector.text import read_toml

KEY = "option"  # of the metadata of a field
STREAMS = "streams: file:///DIR, nats://HOST:PORT/NAME"  # a group

# Values of options, from text; what cannot be raises ValueError, and BadInput if it
# says why

Read = TypeVar("Read", bound=Callable[[str], Any])
ABOVE_0 = r"(?:[1-9][0-9]{0,8}(?:\.[0-9]{1,9})?|0\.[0-9]{0,8}[1-9])"  # decimal, of text
NO_URL = r"(?![A-Za-z][A-Za-z0-9+.-]*:/)"
# By the reader, what its values are, and nothing that it does not take: `type` integer,
# number, string or file; `least`, `most`, `above`; `pattern` of a text; `choices`, and
# `many` of several with commas
TAKES: dict[Callable[[str], Any], Mapping[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "file"},
}


def takes(type: str, **more: Any) -> Callable[[Read], Read]:
    """Say of a reader what its values are, for forms and other programs; `TAKES`."""

    def mark(read: Read) -> Read:
        TAKES[read] = {"type": type, **more}
        return read

    return mark


@takes("number", least=0)
def amount(text: str) -> float:
    """Return a number of 0 or more."""
    if not 0 <= (number := float(text)) < math.inf:
        raise BadInput(f"{text}: expected 0 or more")
    return number


@takes("number", above=0)
def positive(text: str) -> float:
    """Return a number above 0."""
    if not 0 < (number := float(text)) < math.inf:
        raise BadInput(f"{text}: expected a number above 0")
    return number


@takes("number", least=0, most=1)
def fraction(text: str) -> float:
    """Return a number between 0 and 1."""
    if not 0 <= (number := float(text)) <= 1:
        raise BadInput(f"{text}: expected 0..1")
    return number


@takes("number", above=0, most=1)
def part(text: str) -> float:
    """Return a number above 0, and at most 1."""
    if not (number := fraction(text)):
        raise BadInput(f"{text}: expected more than 0")
    return number


def at_least(least: int, most: float = math.inf) -> Callable[[str], int]:
    """Return a reader of whole numbers of `least` to `most`."""
    bounds = {"least": least} | ({} if most == math.inf else {"most": most})

    @takes("integer", **bounds)
    def convert(text: str) -> int:
        if (number := int(text)) < least:
            raise BadInput(f"{text}: expected {least} or more")
        if number > most:
            raise BadInput(f"{text}: expected {most} or less")
        return number

    convert.__name__ = "whole number"
    return convert


@takes("string", pattern=f"^{ABOVE_0}[smhd]?$")
def seconds(text: str) -> float:
    """Return the seconds of a time.

    Examples
    --------
    >>> [seconds(text) for text in ("90", "45s", "30m", "2h", "1d")]
    [90.0, 45.0, 1800.0, 7200.0, 86400.0]
    """
    text = text.strip()
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    found = amount(number) * units[unit]
    if found == 0:
        raise BadInput(f"{text}: expected a time to come")
    return found


@takes("file", pattern=f"^{NO_URL}")
def local(text: str) -> Path:
    """Return where results are written, which is on this machine."""
    if address.is_url(text):
        raise BadInput(
            f"{address.show(text)}: expected a folder or file of this machine: results "
            "are not written to a store"
        )
    return Path(text)


WAS = "was"  # size, SHA-256 and tag of an object, as a catalogue has them
CATALOG = "catalog:"  # before the id of a data set, where files are named


def is_of_catalog(name: str) -> bool:
    """Return whether a name is that of a data set of a catalogue, and of no file."""
    return name.startswith(CATALOG)


@takes("file", pattern=f"^(?:(?:s3|https?)://|{NO_URL})")
def source(text: str) -> str:
    """Return a file, or an object in a store, as it may be shown."""
    return address.take(text)


# Options


@dataclass(frozen=True)
class Option:
    """What is told of an option.

    Parameters
    ----------
    help, group, metavar
        Of ``--help``.
    read
        Returns the value of a text; what cannot be raises ValueError.
    choices
        The values there are; any if it is empty.
    flag
        On the command line; empty for an argument that has none.
    many
        Several values are words after one flag, or a flag each. There are as many
        words as `metavar` names, if it names several.
    default
        ``dataclasses.MISSING`` for what must be given; of a switch True or False.
    alias
        Another flag of the same option; empty where there is none.
    """

    help: str
    group: str
    read: Callable[[str], Any]
    metavar: str | tuple[str, ...] | None
    choices: tuple[Any, ...]
    flag: str
    many: Literal["", "words", "repeat"]
    default: Any
    alias: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return isinstance(self.default, bool)


def option(
    default: Any,
    help: str,
    *,
    group: str,
    read: Callable[[str], Any] = str,
    metavar: str | tuple[str, ...] | None = None,
    choices: tuple[Any, ...] = (),
    flag: str | None = None,
    many: Literal["", "words", "repeat"] = "",
    alias: str = "",
) -> Any:
    """Return a field of a dataclass of options; see :class:`Option`.

    Parameters
    ----------
    flag
        ``--name`` of the field if None.
    """
    words = (metavar, choices, flag or "", many)
    told = Option(help, group, read, *words, default, alias)
    metadata = {KEY: told, "flag": flag}
    return field(default=default, metadata=metadata)


def list_options(kind: type) -> dict[str, Option]:
    """Return the options of a dataclass by name, its own before those it inherits."""
    known = {each.name: each for each in dataclasses.fields(kind)}
    names = [name for one in kind.__mro__ for name in inspect.get_annotations(one)]
    return {
        name: _name_flag(known[name])
        for name in dict.fromkeys(names)
        if name in known and KEY in known[name].metadata
    }


def _name_flag(each: dataclasses.Field[Any]) -> Option:
    """Return the option of a field, with its flag."""
    told: Option = each.metadata[KEY]
    if each.metadata["flag"] is not None:
        return told
    return dataclasses.replace(told, flag=f"--{each.name.replace('_', '-')}")


_burst = partial(option, group="functions of a cloud (Lithops)")
_key = partial(option, group="encrypted inputs (Crypt4GH)")
_catalog = partial(option, group="data sets of a catalogue (catalog:ID)")
_readers = partial(option, group="encrypted results (Crypt4GH)")
_run = partial(option, group="the run")
_stream = partial(option, group=STREAMS)


@dataclass(frozen=True, kw_only=True)
class BurstOptions:
    """Which tasks of a run functions of a cloud do, and how those are sized."""

    burst: Path | None = _burst(
        None,
        "Lithops' configuration, YAML; without it all is done here",
        read=Path,
        metavar="FILE",
    )
    burst_workers: int | None = _burst(
        None,
        "functions at a time (default: what the file says, else by the deadline)",
        read=at_least(1),
        metavar="N",
    )
    burst_share: float | None = _burst(
        None,
        "of the tasks that functions take, 0..1 (default: those that are late)",
        read=fraction,
        metavar="FRACTION",
    )
    budget: float | None = _burst(
        None,
        "that functions may cost (default: no limit)",
        read=amount,
        metavar="EUR",
    )
    deadline: float | None = _burst(
        None,
        "such as 2h, 30m, 45s: functions take what would be late (default: none)",
        read=seconds,
        metavar="TIME",
    )
    engine: str = _burst(
        "mpi",
        "who runs tasks: ranks (and --burst), or functions alone (default: mpi)",
        choices=("mpi", "lithops"),
    )
    policy: Path | None = _burst(
        None, "TOML: caps, margin, growth", read=Path, metavar="FILE"
    )
    history: tuple[Path, ...] | None = _burst(
        None,
        "recorded runs, or folders of them (default: those beside --out)",
        read=Path,
        many="repeat",
        metavar="DIR",
    )


@dataclass(frozen=True, kw_only=True)
class KeyOptions:
    """What opens encrypted inputs, and who must have sealed them."""

    key: str | None = _key(
        None,
        "private key of a reader: its file, fd:N for an open one, or keeper:URL of "
        "who holds it",
        metavar="KEY",
    )
    passphrase_fd: int | None = _key(
        None,
        "open file with its passphrase on the first line (default: asked for)",
        read=at_least(0),
        metavar="N",
    )
    grant: str | None = _key(
        None,
        "name of a grant, by which a keeper opens them for a job",
        metavar="NAME",
    )
    trust: tuple[Path, ...] | None = _key(
        None,
        "public key of who must have sealed them; several times for one of several",
        read=local,
        many="repeat",
        metavar="SIGNER.pub.pem",
    )


@dataclass(frozen=True, kw_only=True)
class ReaderOptions(KeyOptions):
    """Who can read what is written: nobody else, if somebody is named."""

    encrypt_to: tuple[Path, ...] | None = _readers(
        None,
        "public key of who can read results, NAME.c4gh then; several times for several",
        read=local,
        many="repeat",
        metavar="READER.pub",
    )


@dataclass(frozen=True, kw_only=True)
class CatalogOptions:
    """Where data sets are found that a catalogue names, and for what they are used."""

    catalog: str | None = _catalog(
        None,
        "file or folder of journals (default: the site's CONNECTOR_CATALOG, else "
        "~/.local/share/hpc_connector/catalog.sqlite)",
        metavar="FILE",
    )
    purpose: str | None = _catalog(
        None,
        "of the use, a word of its policy; hpc-connector catalog show says which",
        metavar="WORD",
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions(ReaderOptions, CatalogOptions, BurstOptions):
    """The options that a run of every program has.

    Parameters
    ----------
    words, command
        The options that are no defaults, as one would write them, and the command they
        are of; for the manifest.
    datasets
        By the names of inputs, the data sets of a catalogue that they are of
        (``run_record.FromCatalogue``), and what those objects were (:data:`WAS`).
    started_s
        When the run was asked for, by the monotonic clock.
    """

    out: Path = _run(MISSING, "folder of the results", read=local, metavar="DIR")
    config: Path | None = _run(
        None,
        "TOML file of these options; those given here win",
        read=Path,
        metavar="FILE",
    )
    threads: int = _run(
        1,
        "threads of each rank (default: %(default)s)",
        read=at_least(1),
        metavar="N",
    )
    seed: int = _run(
        42,
        "of all chance: the same seed, the same results (default: %(default)s)",
        read=at_least(0),
        metavar="N",
    )
    resume: bool = _run(False, "go on with a run that was stopped")
    slice: float | None = _run(
        None,
        "try this share of the work, above 0 to 1 (default: all)",
        read=part,
        metavar="FRACTION",
    )
    quiet: bool = _run(False, "show no progress")
    telemetry: bool = _run(
        False, "watch the ranks of each node: a row a second in DIR/telemetry"
    )
    telemetry_stream: str | None = _stream(
        None,
        "as --telemetry, and append the rows to this stream, a segment a node",
        metavar="URL",
    )
    stream_profile: Path | None = _stream(
        None, "credentials and certificates for NATS", read=Path, metavar="FILE"
    )
    plan: bool = _run(
        False, "print what the run takes (CPU seconds, bytes) as JSON, and end"
    )
    json: bool = _run(False, "print the summary as one JSON object")
    words: tuple[str, ...] = ()
    command: str = "run"
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic, compare=False)

    def get_age_s(self) -> float:
        """Return the seconds since the run was asked for, to the millisecond."""
        return round(time.monotonic() - self.started_s, 3)


# From a mapping

Options = TypeVar("Options", bound=RunOptions)


def make_options(
    kind: type[Options], given: Mapping[str, Any], where: str = ""
) -> Options:
    """Return options from what a mapping gives; ``config`` names a file of others.

    Parameters
    ----------
    where
        The name of the mapping, for messages.

    Raises
    ------
    BadInput
        An option that there is not, that cannot be, or that is missing.
    """
    found = read_values(kind, given, where)
    if config := found.get("config"):
        found = read_values(kind, read_toml(config), str(config)) | found
    told = list_options(kind)
    needed = [name for name, one in told.items() if one.default is MISSING]
    lacking = [name for name in needed if name not in found]
    if lacking:
        raise BadInput(f"{where}{': ' * bool(where)}expected {' and '.join(lacking)}")
    return fill(kind, found)


def fill(kind: type[Options], values: Mapping[str, Any], **more: Any) -> Options:
    """Return options of values that have been read.

    Parameters
    ----------
    more
        Fields that are no options. Without ``words``, those are listed here.
    """
    chosen: Any = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    more = {"words": tuple(list_words(kind, chosen))} | more
    return kind(**chosen, **more)


def read_values(
    kind: type, given: Mapping[str, Any], where: str = ""
) -> dict[str, Any]:
    """Return the values of the options that a mapping gives; a dash may be a _.

    Raises
    ------
    BadInput
        An option that there is not, or that cannot be.
    """
    told = list_options(kind)
    before = f"{where}: " if where else ""
    aliases = {one.alias[2:]: name for name, one in told.items() if one.alias}
    found = {}
    for key, value in given.items():
        name = aliases.get(key, key.replace("-", "_"))
        if name not in told or (name == "config" and where):
            known = sorted(n.replace("_", "-") for n in told if n != "config")
            raise BadInput(
                f"{before}unknown option {key!r}; expected one of {', '.join(known)}"
            )
        if value is None:
            continue
        try:
            found[name] = read_value(told[name], value)
        except BadInput as error:
            word = f"argument {told[name].flag or name}" if where else name
            raise BadInput(f"{before}{word}: {error}") from None
    return found


def read_value(told: Option, value: Any) -> Any:
    """Return the value of an option from text, a number, or several of them.

    Raises
    ------
    BadInput
        It cannot be.
    """
    if told.is_switch:
        if not isinstance(value, bool):
            raise BadInput(f"{value!r}: expected true or false")
        return value
    if isinstance(value, list | tuple):
        if told.many and not value:
            raise BadInput("expected one or more")
        if told.many:
            return [_read_one(told, each) for each in value]
        value = ",".join(map(str, value))
    found = _read_one(told, value)
    return [found] if told.many else found


def _read_one(told: Option, value: Any) -> Any:
    """Return the value of a text or number, which is one of the choices."""
    is_plain = isinstance(value, str | int | float | PathLike) or _is_scalar(value)
    if isinstance(value, bool) or not is_plain:
        raise BadInput(f"{str(value)[:40]}: expected text or a number")
    is_whole = isinstance(value, float) and value.is_integer()  # 5.0 of JSON is 5
    try:
        found = told.read(str(int(value) if is_whole else value))
    except BadInput:
        raise
    except ValueError:
        kind = told.read.__name__
        raise BadInput(f"invalid {kind} value: {str(value)[:40]!r}") from None
    if told.choices and found not in told.choices:
        choices = ", ".join(map(repr, told.choices))
        raise BadInput(f"invalid choice: {found!r} (choose from {choices})")
    return found


def _is_scalar(value: Any) -> bool:
    """Return whether a value is a number of NumPy's."""
    return getattr(value, "shape", None) == () and value.dtype.kind in "iufU"


def list_words(
    kind: type, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the options that are no defaults, as one would write them.

    They are as parsed: of a name that signs a URL, only what may be shown.

    Parameters
    ----------
    defaults
        Of some options, instead of their own.
    """
    told, defaults = list_options(kind), defaults or {}
    words: list[str] = []
    for name in sorted(told, key=lambda name: bool(told[name].flag)):
        value = values.get(name)
        if value is not None and value != defaults.get(name, told[name].default):
            words += _write(told[name], value)
    return words


def _write(told: Option, value: Any) -> list[str]:
    """Return the words of an option on a command line."""
    flag = [told.flag] if told.flag else []
    if told.is_switch:
        return flag
    values = list(map(str, value if isinstance(value, list | tuple) else [value]))
    if told.many == "repeat":
        return [word for each in values for word in (*flag, each)]
    if flag and not told.many:
        values = [",".join(values)]
    return [*flag, *values]
