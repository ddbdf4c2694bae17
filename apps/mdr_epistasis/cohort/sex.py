"""Sex of individuals, and the calls of males on the X chromosome, of which is one."""

from collections.abc import Sequence

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.mdr.bitplanes import Arrangement, mark_slots
from hpc_connector.loader.genotypes.companions import list_companions
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.id_columns import find_individuals
from hpc_connector.loader.individuals import Match
from hpc_connector.loader.labels import read_label_table
from hpc_connector.loader.rows import Table, simplify
from hpc_connector.storage.address import get_name
from mdr_epistasis.options import Options

NAMES = ("sex", "gender")
MALES = {"1", "m", "male", "xy"}
FEMALES = {"2", "f", "female", "xx"}
X = "X"  # but for its pseudo-autosomal regions, of which males have two copies
RECODED = "heterozygous calls of males on X were taken as missing"


def read_males(args: Options, file: SampleFile, match: Match) -> np.ndarray | None:
    """Return who of the cohort is a male, bool (individuals,); None if not asked.

    By the column sex of the labels, or else of the .fam, .psam or .sample file.

    Raises
    ------
    BadInput
        --x-chr-model is given, and nobody's sex is known.
    """
    if args.x_chr_model is None and args.hwe == 0:
        return None
    known = [word.casefold() for word in find_sexes(args, file) or ()]
    is_unknown = not {*known} & (MALES | FEMALES)
    if is_unknown and args.x_chr_model is None:
        return None
    if is_unknown:
        raise BadInput(
            "--x-chr-model: nobody's sex is known: expected it in a .fam, .psam or "
            ".sample file, or a column sex in the file of --labels"
        )
    here = [known[place] for place in match.columns[0].tolist()]
    n_unknown = sum(word not in MALES | FEMALES for word in here)
    match.counted["individuals of unknown sex are taken as females on X"] = n_unknown
    return np.array([word in MALES for word in here], bool)


def find_sexes(args: Options, file: SampleFile) -> list[str] | None:
    """Return the sex of each individual of a file, in the words of who says it."""
    if args.labels is not None:
        table = read_label_table(args.labels, args.id_column, args.label_column)
        column = find_sex(table)
        if column is not None and file.individuals is not None:
            found = find_individuals(table, file, args.id_column, column)
            sexes = [""] * file.n_individuals
            rows = zip(found.places.tolist(), table.get_column(column), strict=True)
            for place, word in rows:
                if place >= 0:
                    sexes[place] = word
            return sexes
    for path in list_companions(file.path, file.options):
        if get_name(path).endswith((".bim", ".bim.gz", ".pvar", ".pvar.zst")):
            continue
        table = read_label_table(path)
        column = find_sex(table)
        if column is not None and len(table.rows) == file.n_individuals:
            return table.get_column(column)
    return None


def find_sex(table: Table) -> int | None:
    """Return the column of the sex, None if there is none."""
    names = [simplify(name) for name in table.header]
    return next((names.index(name) for name in NAMES if name in names), None)


def make_words(arrangement: Arrangement, is_chosen: np.ndarray) -> np.ndarray:
    """Return a bit for each of some individuals, int32 (words,)."""
    words = mark_slots(arrangement.slot[is_chosen], arrangement.n_words)
    return words.view(np.int32)


def recode_males(
    codes: np.ndarray, rows: Sequence[int] | np.ndarray, male: np.ndarray, model: str
) -> int:
    """Recode the calls of males at some variants in place; return how many were none.

    Two copies are one under model "1"; one copy, which no male has, is missing.

    Parameters
    ----------
    codes
        From ``bitplanes.pack_genotypes``, int32 (variants, 2, words).
    male
        A bit for each male, int32 (words,).
    """
    low, high = codes[rows, 0], codes[rows, 1]
    heterozygous = high & ~low & male
    codes[rows, 1] = high & ~heterozygous
    if model == "1":
        codes[rows, 0] = low & ~(low & high & male)
    return int(np.bitwise_count(heterozygous.view(np.uint32)).sum())
