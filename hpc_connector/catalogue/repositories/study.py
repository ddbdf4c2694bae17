"""A study as the files of a repository tell it, and how it becomes a data set."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hpc_connector.catalogue.gather import About
from hpc_connector.catalogue.headers import Member, list_group
from hpc_connector.errors import BadInput

MOST_VALUES = 20  # of a fact
NOTHING = {"", "-", "--", "na", "n/a", "none", "null", "not applicable", "unspecified"}
TAG = re.compile(r"</?(?:[abiup]|br|em|strong|span|su[bp]|[ou]l|li|div|h\d)\b[^<>]*>")


class Study(NamedTuple):
    """A study.

    Parameters
    ----------
    about
        Title, description, publisher, keywords and whom to ask, as far as they are
        told.
    facts
        Of the data set: identifier, organism, polarity, ...
    files
        Paths of its files that are there, absolute. The first is of what tells the
        study, so that data which are downloaded later make a new version of it.
    missing
        Names of files that its files name and that are not there.
    """

    about: About
    facts: dict[str, str]
    files: list[str]
    missing: list[str]


def list_members(study: Study) -> list[Member]:
    """Return the objects of a study: its files, and what belongs to them."""
    found: dict[str, str] = {}
    for name in study.files:
        for role, one in list_group(name):
            found.setdefault(one, role)
    return [(role, name) for name, role in found.items()]


def prefer(told: About, study: About) -> About:
    """Return what is told of a data set: by who adds it, else by the study."""
    own = {name: value for name, value in vars(told).items() if value is not None}
    return replace(study, **own)


def clean(text: str) -> str:
    """Return text on one line, without marks of HTML; empty for "none" and the like.

    Examples
    --------
    >>> clean("<p>Mice, p < 0.05&nbsp;</p>"), clean("N/A")
    ('Mice, p < 0.05', '')
    """
    plain = " ".join(html.unescape(TAG.sub(" ", text)).split())
    return "" if plain.lower() in NOTHING else plain


def join(values: Iterable[str]) -> str:
    """Return the values of a fact, each once, in order; of very many the first."""
    found = list(dict.fromkeys(one for one in map(clean, values) if one))
    rest = len(found) - MOST_VALUES
    return "; ".join(found[:MOST_VALUES]) + (f"; {rest} more" if rest > 0 else "")


def keep(facts: dict[str, str]) -> dict[str, str]:
    """Return the facts that are known."""
    return {name: value for name, value in facts.items() if value}


def find_files(
    folder: Path, names: Iterable[tuple[str, str]]
) -> tuple[list[str], list[str]]:
    """Return paths of files that are there, and names of those that are not.

    A folder that is named, as some instruments write their data, is all files in it.

    Parameters
    ----------
    names
        Of files, each with the place that names it, for messages. They lie in the
        folder, or below its FILES.

    Raises
    ------
    BadInput
        A name that leads out of the folder, or is none.
    """
    there: dict[str, None] = {}
    missing: dict[str, None] = {}
    for name, where in names:
        if found := _find(folder, name, where):
            there.update(dict.fromkeys(map(str, found)))
        else:
            missing[name] = None
    return list(there), list(missing)


def _find(folder: Path, name: str, where: str) -> Sequence[Path]:
    try:
        for place in (folder / name, folder / "FILES" / name):
            _check_within(place, folder, f"{where}: {name}")
            inside = sorted(place.rglob("*")) if place.is_dir() else [place]
            if found := [path.absolute() for path in inside if path.is_file()]:
                for path in found:
                    _check_within(path, folder, f"{where}: {name}")
                return found
    except BadInput:
        raise
    except (OSError, ValueError):  # too long, or with a zero byte
        raise BadInput(f"{where}: {name[:80]!r}: expected the name of a file") from None
    return []


def _check_within(path: Path, folder: Path, where: str) -> None:
    """Refuse what lies elsewhere, also by a link."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{where}: expected a file within {folder}")
