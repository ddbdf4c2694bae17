"""An array of jobs: a program that is run once for each dataset of a list."""

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc_connector import slurm
from hpc_connector.cli import find_out
from hpc_connector.errors import BadInput
from hpc_connector.text import decode_text, split_lines

Arguments = tuple[str, ...]
PACKED = (".gz", ".bgz", ".bz2", ".xz", ".zst", ".zip")
SHOWN = 5  # of many elements, in a line
MOST = 1001  # elements of an array, where Slurm does not say it
MOST_BYTES = 4 << 20  # of a script, where it does not either
BODY_BYTES = 64 << 10  # of a script, beside the arguments


@dataclass(frozen=True)
class Element:
    """A run of an array.

    Parameters
    ----------
    index
        Among the datasets of the list, from 0.
    where
        The list and the line in it, for messages.
    """

    index: int
    where: str
    dataset: str
    arguments: Arguments
    out: Path


def list_elements(words: Arguments, path: Path) -> list[Element]:
    """Return the runs of a list of datasets.

    Parameters
    ----------
    words
        The arguments of the program, in which {} stands for a dataset, and {name} for
        its bare name.

    Raises
    ------
    BadInput
        A list without datasets, or whose runs would be the same or share a folder.
    """
    datasets = read_datasets(path)
    if not datasets:
        raise BadInput(f"{path}: expected datasets, one a line")
    if not any("{" in fill(word, "{") for word in leave_out(words)):
        raise BadInput(
            f"--array {path}: expected {{}} among the arguments of the program, beside "
            "--out: each dataset takes its place"
        )
    elements = []
    for index, (line, dataset) in enumerate(datasets):
        arguments = tuple(fill(word, dataset) for word in words)
        out = find_out(list(arguments))
        if out is None:
            raise BadInput(f"--array {path}: expected --out among the arguments")
        where = f"{path}, line {line}"
        elements.append(Element(index, where, dataset, arguments, out))
    check_folders(elements)
    return elements


def read_datasets(path: Path) -> list[tuple[int, str]]:
    """Return the datasets of a list and their lines; blank ones and # are left out.

    Raises
    ------
    BadInput
        A list that cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    lines = enumerate(split_lines(decode_text(data, str(path))[0]), start=1)
    found = ((number, line.strip()) for number, line in lines)
    return [(number, line) for number, line in found if line and line[0] != "#"]


def leave_out(words: Arguments) -> list[str]:
    """Return the arguments of a program without the folder of its results."""
    pairs = zip(("", *words), words, strict=False)
    return [w for last, w in pairs if last != "--out" and not w.startswith("--out=")]


def check_folders(elements: Iterable[Element]) -> None:
    """Refuse runs that would share a folder.

    Raises
    ------
    BadInput
        The first two, by their lines.
    """
    seen: dict[str, Element] = {}
    for element in elements:
        other = seen.setdefault(os.path.abspath(element.out), element)
        if other is not element:
            raise BadInput(
                f"{element.where}: {element.dataset} would write to {element.out}, as "
                f"{other.dataset} of {other.where}: expected each dataset once, and a "
                "folder of its own for each, as --out results/{name}"
            )


def fill(word: str, dataset: str) -> str:
    """Return an argument in which a dataset stands for {}, its bare name for {name}."""
    values = {"{}": dataset, "{name}": get_name(dataset)}
    return re.sub(r"\{(name)?\}", lambda found: values[found[0]], word)


def get_name(dataset: str) -> str:
    """Return the bare name of a dataset: no folder, and no ending.

    Examples
    --------
    >>> get_name("data/cohort_0.4H.vcf.gz"), get_name("a.tar.gz"), get_name(".a.bed")
    ('cohort_0.4H', 'a', '.a')
    """
    name = Path(dataset).name
    stem, ending = os.path.splitext(name)
    return os.path.splitext(stem)[0] if ending.lower() in PACKED else stem


def format_indices(indices: Sequence[int], most_at_once: int = 0) -> str:
    """Return the indices of an array as sbatch takes them, empty for a single job.

    Examples
    --------
    >>> format_indices([0, 1, 2, 5, 7, 8], 4)
    '0-2,5,7-8%4'
    """
    if not indices:
        return ""
    rows = itertools.groupby(enumerate(indices), lambda pair: pair[1] - pair[0])
    ends = [[index for _, index in row] for _, row in rows]
    ranges = [f"{e[0]}-{e[-1]}" if len(e) > 1 else f"{e[0]}" for e in ends]
    return ",".join(ranges) + (f"%{most_at_once}" if most_at_once else "")


def format_arguments(
    arguments: Sequence[Arguments], indices: Sequence[int]
) -> list[str]:
    """Return the lines of shell that set the arguments of a job, or of each element."""
    lines = [f"set -- {shlex.join(words)}" for words in arguments]
    if not indices:
        return lines
    cases = [f"{k}) {line} ;;" for k, line in zip(indices, lines, strict=True)]
    return ['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]


def find_most(elements: Sequence[Element]) -> int:
    """Return how many elements an array may have, by what Slurm takes.

    That is by MaxArraySize, by MaxJobCount, and by the bytes of a script.
    """
    config = slurm.ask_config()
    counts = re.findall(r"^Max(?:ArraySize|JobCount) += (\d+)", config, re.M)
    script = re.search(r"max_script_size=(\d+)", config)
    n_bytes = int(script[1]) if script else MOST_BYTES
    lines = format_arguments([e.arguments for e in elements], range(len(elements)))
    longest = max(len(line.encode()) + 1 for line in lines)
    most = min(map(int, counts), default=MOST)
    return max(1, min(most, (n_bytes - BODY_BYTES) // longest))


def cut_list(elements: Iterable[Element], most: int) -> list[list[Element]]:
    """Return elements as arrays of at most so many, in which each has its place.

    That is the same whatever is left out: if 500 are the most, element 2,503 has index
    3 among 2,500 to 2,999.
    """
    arrays: dict[int, list[Element]] = {}
    for element in sorted(elements, key=lambda element: element.index):
        arrays.setdefault(element.index // most, []).append(element)
    return list(arrays.values())


def list_parents(elements: Iterable[Element]) -> list[Path]:
    """Return the folders in which elements have those of their results."""
    return sorted({element.out.parent for element in elements})


def say_some(names: Sequence[str], between: str = ", ") -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return between.join(names[:SHOWN]) + more
