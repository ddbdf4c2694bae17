"""A program as its ``app.toml`` tells it, and its command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FILE = "app.toml"
KINDS: dict[str, type | tuple[type, ...]] = {  # of values, and what TOML has for them
    "integer": int,
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "file": str,
    "folder": str,
}
MANY = ("words", "repeat", "commas")


@dataclass(frozen=True)
class Format:
    """A format of an input.

    Parameters
    ----------
    ends
        Endings of its names, with their dots.
    companions, indexes
        Endings of what stands beside a file: instead of its own ending, and after it.
    folder
        Whether it is one, and no file.
    """

    name: str
    ends: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    folder: bool = False


@dataclass(frozen=True)
class Input:
    """A file that is read, by the name of the option that names it.

    Parameters
    ----------
    roles
        Of objects in a catalogue, that may stand for it.
    """

    formats: tuple[Format, ...]
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class AppOption:
    """An option, as a command line takes it; without a flag an argument.

    Parameters
    ----------
    type
        One of :data:`KINDS`, of each value.
    many
        Several values are words after one flag, or repeat it, or have commas.
    count
        Of the words, if it takes so many and no others; else 0.
    least, most, above
        Bounds of a number.
    pattern
        Of a text: a regular expression of ECMA 262.
    site
        Whether it says where and how a run is done, and not what comes out.
    """

    type: str
    help: str
    flag: str = ""
    group: str = ""
    many: str = ""
    count: int = 0
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    pattern: str = ""
    site: bool = False


@dataclass(frozen=True)
class Output:
    """A file or folder of the results.

    Parameters
    ----------
    path
        Below the folder of the results; ``*`` stands for what differs.
    when
        What it is written for; always if empty.
    same
        The same run leaves the same bytes.
    folder
        Whether it is one, and no file.
    """

    path: str
    help: str
    when: str = ""
    same: bool = False
    folder: bool = False


@dataclass(frozen=True)
class Resources:
    """How a run is sized, by names of options.

    Parameters
    ----------
    plan
        Switch with which the program prints what a run takes, as JSON; none if empty.
    threads
        How many cores it uses; one if empty.
    mem_mib
        Least memory, MiB.
    mpi
        Whether it runs on the ranks that ``mpirun`` starts.
    """

    plan: str = ""
    threads: str = ""
    mem_mib: int = 1024
    mpi: bool = False


@dataclass(frozen=True)
class Example:
    """A small run that shows whether the app works.

    Parameters
    ----------
    options
        Of the run, by name; files are those beside ``app.toml`` in ``example/``, or
        made by `prepare`.
    prepare
        Commands that make them, each as words.
    outputs
        Names of what it leaves; all that are always written if it is empty.
    """

    options: Mapping[str, Any]
    prepare: tuple[tuple[str, ...], ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class App:
    """A program, as its ``app.toml`` tells it.

    Parameters
    ----------
    command
        Words of a run, before its options.
    out
        The option that names the folder of the results.
    image
        Of a container that has the program; none if empty.
    code
        ``MODULE:CLASS`` of the dataclass that the options are of; none if empty.
    """

    name: str
    version: str
    summary: str
    licence: str
    command: tuple[str, ...]
    out: str
    image: str = ""
    code: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    options: Mapping[str, AppOption] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    example: Example | None = None

    def list_needed(self) -> list[str]:
        """Return the names of the options that must be given, but for `out`."""
        return [n for n, o in self.options.items() if o.required and n != self.out]

    def list_inputs(self) -> list[str]:
        """Return the names of the options that name files to read, which data are."""
        return [
            name
            for name, told in self.options.items()
            if told.type in ("file", "folder") and not told.site and name != self.out
        ]


def list_words(app: App, values: Mapping[str, Any]) -> list[str]:
    """Return the words of a run, its command first; arguments stand before options."""
    names = sorted(values, key=lambda name: bool(app.options[name].flag))
    written = [_write(app.options[name], values[name]) for name in names]
    return [*app.command, *(word for words in written for word in words)]


def _write(told: AppOption, value: Any) -> list[str]:
    """Return the words of an option."""
    flag = [told.flag] if told.flag else []
    if told.type == "boolean":
        return flag if value is not bool(told.default) else []
    values = list(map(str, value if isinstance(value, list | tuple) else [value]))
    if told.many == "repeat":
        return [word for each in values for word in (*flag, each)]
    if told.many == "commas":
        values = [",".join(values)]
    return [*flag, *values]
