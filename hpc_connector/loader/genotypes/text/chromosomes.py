"""Chromosomes of .gen files of five columns: SNP id, rs id, position, two alleles.

No column is said to be the chromosome. It is what ``--chromosome`` says; or the first
column, where programs put it there (PLINK does); or what ids such as 1:123:A:G say; or
what the name of the file says, if no id of the first variants says otherwise.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.genotypes.chromosomes import (
    find_in_id,
    find_in_path,
    is_known,
    normalise,
)
from hpc_connector.loader.genotypes.sample_file import ReadOptions, convert_position
from hpc_connector.notes import Assumption
from hpc_connector.storage import address

N_LOOKED_AT = 100  # variants
MOST_BYTES = 16 << 20
UNKNOWN = "0"


class Rule(NamedTuple):
    """Where chromosomes are taken from.

    Parameters
    ----------
    given, of_path
        The chromosome of all variants, by the option and by the file's name.
    in_column
        The first column has them.
    """

    given: str = ""
    of_path: str = ""
    in_column: bool = False
    in_ids: bool = False

    def describe(self, path: str) -> tuple[Assumption, ...]:
        """Return the assumptions."""
        because = f"{path} has five columns and none is said to be it"
        if self.of_path:
            taken, because = self.of_path, f"the name of {path} says so"
        elif self.in_column or self.in_ids:
            taken = "of the first column" if self.in_column else "of the ids"
        else:  # asked for, or unknown: which is counted
            return ()
        return (Assumption("chromosome", taken, because, "--chromosome"),)


@lru_cache(maxsize=64)
def find_rule(path: str, _: tuple[int, int | str], options: ReadOptions) -> Rule:
    """Return the rule of one version of a file, by its first variants."""
    if options.chromosome:
        return Rule(given=options.chromosome)
    rows = read_leads(path)
    if is_chromosomes(rows):
        return Rule(in_column=True)
    found = [find_in_row(row) for row in rows]
    if rows and all(found):
        return Rule(in_ids=True)
    of_path = find_in_path(address.get_name(path))
    if {normalise(name) for name in found if name} <= {normalise(of_path)}:
        return Rule(of_path=of_path)
    return Rule()


def read_leads(path: str) -> list[list[str]]:
    """Return the five columns of the first variants."""
    rows, n_bytes = [], 0
    for line in islice(read_lines(path), N_LOOKED_AT):
        rows.append(line[:MOST_BYTES].decode("utf-8", "replace").split(None, 5)[:5])
        n_bytes += len(line)
        if n_bytes > MOST_BYTES:
            break
    return [row for row in rows if len(row) == 5]


def is_chromosomes(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first column of some rows has chromosomes.

    Names of chromosomes, or a number that several have; not the numbers of the rows.
    """
    names = [row[0] for row in rows]
    repeats = len(set(names)) < len(names)
    if not all(is_known(n) or (n.isdecimal() and int(n) and repeats) for n in names):
        return False
    numbers = [int(name) for name in names if name.isdecimal()]
    positions = [row[2] for row in rows]
    is_count = len(numbers) == len(rows) > 2 and all(
        b - a == 1 for a, b in pairwise(numbers)
    )
    return bool(rows) and not (is_count and is_rising(positions))


def is_rising(positions: Sequence[str]) -> bool:
    """Return whether each position is greater than the one before."""
    numbers = [int(word) if word.isdecimal() else 0 for word in positions]
    return all(a < b for a, b in pairwise(numbers))


def find_in_row(row: Sequence[str]) -> str:
    """Return the chromosome that the ids of a row name; empty if none."""
    try:
        position = convert_position(row[2])
    except BadInput:
        return ""
    return find_in_id(row[0], position) or find_in_id(row[1], position)


def get_chromosome(rule: Rule, row: Sequence[str]) -> str:
    """Return the chromosome of the variant of a row, if it is not the first column.

    Raises
    ------
    BadInput
        Its ids name another than the name of the file does.
    """
    if rule.given:
        return rule.given
    found = find_in_row(row)
    if rule.of_path and found and normalise(found) != normalise(rule.of_path):
        raise BadInput(
            f"its id says chromosome {found} and the name of the file {rule.of_path}: "
            "expected --chromosome"
        )
    return rule.of_path or found or UNKNOWN
