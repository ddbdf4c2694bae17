"""Which variants are chosen by what they are called and where they lie, as by PLINK."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.loader.genotypes.chromosomes import get_plink_name
from hpc_connector.notes import add_counts
from hpc_connector.text import split_blanks, split_lines
from mdr_epistasis.cohort.lists import Assumptions, read_lists
from mdr_epistasis.options import Options

RANGES = {"range": 1, "bed1": 1, "bed0": 0}  # words before files: the first base pair
LAST_NUMBERS = {"X": "23", "Y": "24", "XY": "25", "MT": "26"}  # of the human genome
MOST_NUMBER = 1000  # of a chromosome
SPAN = re.compile(r"(?:chr)?(\d+)-(?:chr)?(\w+)", re.I)
MOST_NAMES = 30  # of chromosomes in a message
FARTHEST = np.iinfo(np.int64).max


class Listed(NamedTuple):
    """Variants of a list: ids, or places by chromosome.

    Parameters
    ----------
    ranges
        First and last base pair of stretches apart, ascending, int64 (stretches, 2).
    """

    ids: frozenset[str] = frozenset()
    ranges: dict[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Choice:
    """What --chr, --from-bp, --to-bp, --extract and --exclude choose.

    Parameters
    ----------
    chromosomes
        As :func:`get_plink_name` calls them; None for all.
    """

    chromosomes: frozenset[str] | None = None
    first_bp: int = -FARTHEST
    last_bp: int = FARTHEST
    extract: Listed | None = None
    exclude: Listed | None = None


def read_choice(args: Options) -> tuple[Choice, Assumptions]:
    """Return the choice of a run, and what was assumed of its files."""
    chromosomes = None if args.chr is None else read_chromosomes(args.chr)
    first, last = args.from_bp, args.to_bp
    if (first is not None or last is not None) and len(chromosomes or ()) != 1:
        option = "--to-bp" if first is None else "--from-bp"
        raise BadInput(f"{option}: expected --chr with one chromosome")
    if first is not None and last is not None and last < first:
        raise BadInput(f"--to-bp {last} is before --from-bp {first}: expected after it")
    extract, of_extract = read_listed(args.extract, "--extract")
    exclude, of_exclude = read_listed(args.exclude, "--exclude")
    start = -FARTHEST if first is None else first
    end = FARTHEST if last is None else last
    choice = Choice(chromosomes, start, end, extract, exclude)
    return choice, (*of_extract, *of_exclude)


def read_chromosomes(text: str) -> frozenset[str]:
    """Return the chromosomes that a text names, as 1-4,22,X.

    Examples
    --------
    >>> sorted(read_chromosomes("1-3, chr5 X"))
    ['1', '2', '3', '5', 'X']
    """
    found: set[str] = set()
    for word in text.replace(",", " ").split():
        span = SPAN.fullmatch(word)
        last = LAST_NUMBERS.get(span[2].upper(), span[2]) if span else ""
        if span is None or not last.isdecimal():
            found.add(get_plink_name(word))
            continue
        if not int(span[1]) <= int(last) <= MOST_NUMBER:
            raise BadInput(f"--chr {word[:40]}: expected a range such as 1-4")
        numbers = range(int(span[1]), int(last) + 1)
        found.update(get_plink_name(str(number)) for number in numbers)
    if not found:
        raise BadInput("--chr names no chromosome: expected such as 1-4,22,X")
    return frozenset(found)


def list_files(words: Sequence[str] | None) -> list[str]:
    """Return the files among the words of --extract or --exclude."""
    words = list(words or ())
    return words[1:] if words and words[0] in RANGES else words


def read_listed(
    words: Sequence[str] | None, option: str
) -> tuple[Listed | None, Assumptions]:
    """Return what the words of an option list: of ids, or of ranges."""
    if words is None:
        return None, ()
    files = list_files(words)
    if not files:
        raise BadInput(f"{option} {words[0]}: expected a file after it")
    if words[0] not in RANGES:
        ids, assumed = read_lists(files)
        return Listed(ids or frozenset()), assumed
    rows: dict[str, list[tuple[int, int]]] = {}
    of_files: list[Assumptions] = []
    for path in files:
        text, assumed = read_noted_text(path)
        of_files.append(assumed)
        for number, line in enumerate(split_lines(text), 1):
            fields = split_blanks(line)
            if not fields or fields[0].startswith("#"):
                continue
            name, first, last = read_range(fields, f"{path}: line {number}")
            first += 1 - RANGES[words[0]]
            rows.setdefault(name, []).append((first, last))
    if not rows:
        raise BadInput(f"{files[0]} is empty: expected a chromosome and a range a line")
    ranges = {name: join_ranges(of_name) for name, of_name in rows.items()}
    return Listed(ranges=ranges), tuple(one for each in of_files for one in each)


def read_range(fields: Sequence[str], where: str) -> tuple[str, int, int]:
    """Return the chromosome, first and last base pair of a line."""
    try:
        first, last = (int(field) for field in fields[1:3])
    except ValueError:
        raise BadInput(
            f"{where}: expected a chromosome, and its first and last base pair"
        ) from None
    if last < first:
        raise BadInput(f"{where}: {last} is before {first}: expected after it")
    first, last = (min(max(end, 0), FARTHEST - 1) for end in (first, last))
    return get_plink_name(fields[0]), first, last


def join_ranges(ranges: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return ranges as stretches apart, ascending, int64 (stretches, 2).

    Examples
    --------
    >>> join_ranges([(7, 9), (1, 3), (2, 5)]).tolist()
    [[1, 5], [7, 9]]
    """
    joined: list[list[int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return np.array(joined, np.int64)


def is_listed(
    listed: Listed, ids: Iterable[str], names: np.ndarray, position: np.ndarray
) -> np.ndarray:
    """Return which variants are of a list, bool (variants,).

    Parameters
    ----------
    names
        Of their chromosomes, as :func:`get_plink_name` calls them.
    """
    if listed.ranges is None:
        return np.array([name in listed.ids for name in ids], bool)
    found = np.zeros(len(position), bool)
    for name, stretches in listed.ranges.items():
        here = np.flatnonzero(names == name)
        at = position[here]
        k = np.searchsorted(stretches[:, 0], at, side="right") - 1
        found[here] = (k >= 0) & (at <= stretches[k, 1])
    return found


def name_chromosomes(chromosomes: Iterable[str]) -> np.ndarray:
    """Return chromosomes as :func:`get_plink_name` calls them, object (variants,)."""
    names = list(map(str, chromosomes))
    name_of = {name: get_plink_name(name) for name in dict.fromkeys(names)}
    return np.array([name_of[name] for name in names], object)


def count_choice(choice: Choice, kept: np.ndarray, facts: dict[str, Any]) -> None:
    """Count what is named and is of no variant; add it to the facts of a cohort.

    Raises
    ------
    BadInput
        No variant lies on a chromosome that is chosen.
    """
    there, excluded = facts.pop("chromosomes"), facts.pop("excluded")
    counted = {}
    if choice.chromosomes is not None:
        if not choice.chromosomes & there:
            raise BadInput(
                f"--chr: no variant is on {show_names(choice.chromosomes)}; expected "
                f"some of {show_names(there)}"
            )
        n_unknown = len(choice.chromosomes - there)
        counted["chromosomes of --chr are of no variant"] = n_unknown
    if choice.extract is not None and choice.extract.ranges is None:
        unknown = choice.extract.ids.difference(kept.tolist())
        counted["ids of --extract are of no variant that was kept"] = len(unknown)
    if choice.exclude is not None and choice.exclude.ranges is None:
        unknown = choice.exclude.ids - excluded
        counted["ids of --exclude left out no variant"] = len(unknown)
    facts["counted"] = add_counts([facts["counted"], counted])


def show_names(names: Iterable[str]) -> str:
    """Return the names of chromosomes for a message, numbers first."""
    known = sorted(names, key=lambda name: (not name.isdecimal(), name.zfill(9)))
    shown = [name[:20] or "none" for name in known[:MOST_NAMES]]
    return ", ".join(shown) + ", ..." * (len(known) > MOST_NAMES)
