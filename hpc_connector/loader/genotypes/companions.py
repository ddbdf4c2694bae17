"""Files that belong to genotypes: who their individuals are, and which variants.

They have the stem of the genotype file, or are named by ``ReadOptions``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import exists, find_beside
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import get_format
from hpc_connector.loader.labels import (
    NO_ID,
    choose_case,
    find_case,
    find_ids,
    get_coding,
    read_label_table,
)
from hpc_connector.loader.rows import Table
from hpc_connector.notes import Assumption
from hpc_connector.storage.address import beside, get_name

JOINTS = "_: -"  # between FID and IID in one id
TAKERS = {
    "sample_file": "BGEN, .gen, BSC's text or a table (VCF names who is in it)",
    "fam": "a .bed file",
    "bim": "a .bed file",
    "psam": "a .pgen file",
    "pvar": "a .pgen file",
}
TAKING = {"fam": {"plink"}, "bim": {"plink"}, "psam": {"pgen"}, "pvar": {"pgen"}}
NAMED = ("plink", "pgen", "vcf", "zarr")  # who is in them is said beside, or within
PVAR_ENDINGS = (".pvar", ".pvar.zst", ".pvar.gz")
SAMPLE_ENDINGS = (".sample", ".samples")  # the second is of bcftools


@dataclass(frozen=True)
class People:
    """The individuals of genotypes as a companion names them, in order.

    Fields are as those of ``SampleFile``.
    """

    path: str
    n: int
    individuals: tuple[str, ...] | None
    families: tuple[tuple[str, str], ...] | None
    phenotypes: tuple[str, ...] | None
    coding: str
    assumed: tuple[Assumption, ...]


NOBODY = People("", 0, None, None, None, "any", ())


def name_people(path: str, ids: tuple[str, ...], people: People) -> People:
    """Return individuals as a genotype file names them itself.

    FID, IID and labels of a companion are theirs if it names the same individuals.
    """
    if people.individuals is not None:
        if all(map(is_spelling, ids, people.individuals, people.families or ids)):
            return replace(people, individuals=ids)
        because = f"{people.path} names others"
        note = Assumption(f"who is in {path}", "as it says", because, "--sample-file")
        return replace(NOBODY, individuals=ids, assumed=(note,))
    return replace(NOBODY, individuals=ids)


def is_spelling(text: str, individual: str, pair: tuple[str, str] | str) -> bool:
    """Return whether an id is another, or FID and IID together."""
    if isinstance(pair, str):
        return text == individual
    family, person = pair
    joined = {f"{family}{joint}{person}" for joint in JOINTS}
    return text in {individual, person, family, *joined}


def choose_companions(
    paths: Sequence[str], options: ReadOptions, named: dict[str, Sequence[str]]
) -> list[ReadOptions]:
    """Return the options of each genotype file, with the companions that are named.

    Parameters
    ----------
    named
        Files by ``sample_file``, ``fam``, ``bim``, ``psam`` and ``pvar``: one for all
        that have such a companion, or one each.
    """
    chosen = [options] * len(paths)
    for role, files in named.items():
        if not files:
            continue
        of = [k for k, path in enumerate(paths) if takes(path, role)]
        check_number(role, len(files), len(of))
        for place, k in enumerate(of):
            file = files[place if len(files) > 1 else 0]
            change: dict[str, Any] = {role: file}
            chosen[k] = replace(chosen[k], **change)
    return chosen


def check_number(role: str, n_files: int, n_genotypes: int) -> None:
    """Refuse companions that are neither one for all nor one each, or of no file."""
    option, kinds = f"--{role.replace('_', '-')}", TAKERS[role]
    if n_genotypes == 0:
        raise BadInput(f"{option} goes with {kinds}: expected such a genotype file")
    if n_files not in (1, n_genotypes):
        raise BadInput(
            f"{option} names {n_files} files: expected one, or one for each of "
            f"{n_genotypes} files that are {kinds}"
        )


def takes(path: str, role: str) -> bool:
    """Return whether a genotype file has a companion of a role."""
    kind = get_format(path)
    return kind in TAKING[role] if role in TAKING else kind not in NAMED


def list_companions(path: str, options: ReadOptions) -> list[str]:
    """Return the companions of a genotype file that there are."""
    if get_format(path) == "pgen":
        return [get_psam(path, options), find_pvar(path, options)]
    if get_name(path).endswith(".bed") or not exists(path):
        found = [get_fam(path, options), get_bim(path, options)]
        return [name for name in found if exists(name)]
    sample = find_sample(path, options)
    return [sample] if sample else []


def get_bed(path: str) -> str:
    """Return the .bed file of its own name, or of a PLINK prefix."""
    return path if get_name(path).endswith(".bed") else beside(path, ".bed")


def get_fam(path: str, options: ReadOptions) -> str:
    """Return the .fam file of a .bed file or of a prefix."""
    return options.fam or find_beside(path, ".fam", without=".bed")


def get_bim(path: str, options: ReadOptions) -> str:
    """Return the .bim file of a .bed file or of a prefix."""
    return options.bim or find_beside(path, ".bim", without=".bed")


def get_pgen(path: str) -> str:
    """Return the .pgen file of its own name, or of a PLINK 2 prefix."""
    return path if get_name(path).endswith(".pgen") else beside(path, ".pgen")


def get_psam(path: str, options: ReadOptions) -> str:
    """Return the .psam file of a .pgen file or of a prefix."""
    return options.psam or find_beside(path, ".psam", without=".pgen")


def find_pvar(path: str, options: ReadOptions) -> str:
    """Return the .pvar file of a .pgen file or of a prefix, compressed or not.

    Raises
    ------
    BadInput
        There is none, or there are several.
    """
    if options.pvar is not None:
        return options.pvar
    names = [find_beside(path, ending, without=".pgen") for ending in PVAR_ENDINGS]
    found = [name for name in names if exists(name)]
    if len(found) == 1:
        return found[0]
    what = f"{' and '.join(found)} beside it" if found else f"no {names[0]}"
    raise BadInput(f"{path} has {what}: expected --pvar to name one")


def find_sample(path: str, options: ReadOptions) -> str | None:
    """Return the file that names the individuals of genotypes, None without one."""
    if options.sample_file is not None:
        return options.sample_file
    name = get_name(path)
    for ending in (".bgen", ".gen", ".gen.gz", ".gen.bgz"):
        if name.endswith(ending):
            return choose_sample(path, ending)
    return None


def choose_sample(path: str, ending: str) -> str | None:
    """Return the file beside that names individuals, None if there is none.

    A .psam file of the same stem may belong to a .pgen file: it comes last.
    """
    names = [find_beside(path, other, without=ending) for other in SAMPLE_ENDINGS]
    found = [name for name in names if exists(name)]
    if len(found) > 1:
        raise BadInput(
            f"{path} has {' and '.join(found)} beside it: expected --sample-file to "
            "name one"
        )
    psam = find_beside(path, ".psam", without=ending)
    return found[0] if found else psam if exists(psam) else None


def read_people(path: str, n_individuals: int | None = None, of: str = "") -> People:
    """Read who the individuals of genotypes are.

    A .fam or .psam file, an Oxford .sample file, one of bcftools, or a list of ids.

    Parameters
    ----------
    n_individuals, of
        Number of the genotype file, and its name in a message.

    Raises
    ------
    BadInput
        A file that cannot be read, of another number of individuals, or whose column
        of ids is not clear.
    """
    table = read_label_table(path)
    n = len(table.rows)
    if n_individuals not in (None, n):
        raise BadInput(
            f"{path} names {n} individuals and {of} holds {n_individuals}: expected as "
            "many"
        )
    individuals, families = _name(table)
    try:
        case = find_case(table)
        case = choose_case(table, set(_get_id_columns(table))) if case is None else case
        phenotypes: tuple[str, ...] | None = tuple(table.get_column(case))
        coding = get_coding(table, case)
    except BadInput:
        phenotypes, coding = None, "any"  # no column of labels, or several
    return People(path, n, individuals, families, phenotypes, coding, table.assumed)


def _get_id_columns(table: Table) -> tuple[int, ...]:
    """Return the columns of ids: FID and IID, or one."""
    if (family := table.find_family()) is not None:
        return family
    column = 0 if len(table.header) == 1 else find_ids(table, None, None)
    if column is None:
        raise BadInput(
            f"{table.path}: which column names the individuals? expected a .sample, "
            ".psam or .fam file, or a list of ids"
        )
    return (column,)


def _name(
    table: Table,
) -> tuple[tuple[str, ...] | None, tuple[tuple[str, str], ...] | None]:
    """Return the ids of individuals, and their FID and IID where both are named."""
    columns = _get_id_columns(table)
    if len(columns) == 1:
        return tuple(table.get_column(columns[0])), None
    families, persons = (table.get_column(k) for k in columns)
    if set(persons) == {NO_ID}:
        return None, None
    if len(set(persons)) == 1 < len(set(families)) == len(families):
        return tuple(families), None  # the second id is a constant
    pairs = tuple(zip(families, persons, strict=True))
    if len(set(persons)) == len(persons):
        return tuple(persons), pairs
    return tuple(f"{family}:{person}" for family, person in pairs), pairs
