"""A site: its genotypes in the order of the study, and what it may be asked."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.federation.blocks import Local, Packed
from hpc_connector.federation.folds import deal_folds, hash_folds
from hpc_connector.federation.study import Study
from hpc_connector.federation.variants import (
    Reference,
    check_frequencies,
    describe_cases,
    harmonise,
)
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    pack_genotypes,
)
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.genotypes.samples import forget_files, read_sample
from hpc_connector.loader.individuals import Match


class Sizes(NamedTuple):
    """Cases and controls of a site."""

    cases: int
    controls: int


class Read(NamedTuple):
    """What a site has read.

    Parameters
    ----------
    cases
        How its variants were harmonised: how many are of each case.
    apart
        Greatest difference of a frequency from the list; None if that has none.
    """

    local: Local
    cases: Counter[str]
    apart: float | None


def count_classes(match: Match) -> Sizes:
    """Return the cases and controls of a site."""
    n_cases = int((np.asarray(match.is_case) == 1).sum())
    return Sizes(n_cases, len(match.is_case) - n_cases)


def check_site(study: Study, site: str, sizes: Sizes) -> None:
    """Refuse a site of which too few would be counted.

    Raises
    ------
    BadInput
        It has fewer individuals, or of a class, than the study lets a site have.
    """
    least, n = study.release, sum(sizes)
    if n < least.least_site:
        raise BadInput(
            f"site {site} has {n} individuals; the study expects {least.least_site} "
            "or more of a site (release.least_site)"
        )
    for count, said in zip(sizes, ("cases", "controls"), strict=True):
        if count < least.least_class:
            raise BadInput(
                f"site {site} has {count} {said}; the study expects "
                f"{least.least_class} or more of a class (release.least_class)"
            )


def check_total(study: Study, total: Sequence[int]) -> None:
    """Refuse a study of too few individuals, or that some fold would have none of."""
    n = sum(total)
    if n < study.release.least_total:
        raise BadInput(
            f"the sites have {n} individuals in all; the study expects "
            f"{study.release.least_total} or more (release.least_total)"
        )
    for count, said in zip(total, ("cases", "controls"), strict=True):
        if count < study.folds:
            raise BadInput(
                f"{count} {said} for {study.folds} folds: expected one a fold or more"
            )


def choose_folds(
    study: Study, site: str, match: Match, sizes: dict[str, Sizes]
) -> NDArray[np.int64]:
    """Return the fold of each individual of a site, int64 (individuals,).

    Parameters
    ----------
    sizes
        Of all sites; not looked at where folds are by hash.
    """
    ids = list(match.individuals)
    if study.fold_mode == "hash":
        return hash_folds(study.salt, ids, study.folds)
    return deal_folds(study.salt, ids, match.is_case, study.folds, site, sizes)


def read_site(
    files: Sequence[SampleFile],
    match: Match,
    fold: NDArray[np.int64],
    n_folds: int,
    reference: Reference,
) -> Read:
    """Read the genotypes of a site, each variant where the list has it.

    Raises
    ------
    BadInput
        It has no variant of the list, or frequencies that cannot be of the same.
    """
    in_folds = make_arrangement(match.is_case, fold, n_folds)
    whole = make_arrangement(match.is_case, np.zeros_like(fold), 1)
    codes = [
        np.zeros((len(reference), 2, a.n_words), np.int32) for a in (in_folds, whole)
    ]
    seen: set[int] = set()
    cases: Counter[str] = Counter()
    here = np.full(len(reference), np.nan)
    for file, column in zip(files, match.columns, strict=True):
        sources = [get_source(a, column) for a in (in_folds, whole)]
        for block in read_sample(file):
            packed, counts = pack_genotypes(block.genotypes, sources[1])
            frequency = get_frequency(counts)
            found = harmonise(reference, block.variants, frequency, seen, cases)
            kept = np.flatnonzero(found.row >= 0)
            row, is_exchanged = found.row[kept], found.is_exchanged[kept]
            again = pack_genotypes(block.genotypes[kept], sources[0])[0]
            for into, some in zip(codes, (again, packed[kept]), strict=True):
                into[row] = exchange(some, is_exchanged)
            here[row] = np.where(is_exchanged, 1 - frequency[kept], frequency[kept])
    forget_files(files)
    if not seen:
        said = ", ".join(describe_cases(cases)) or "none"
        raise BadInput(
            f"{files[0].path} has no variant of the study's list ({said}): expected "
            "the same build, chromosomes and alleles"
        )
    apart = check_frequencies(reference.frequency, here)
    is_present = np.zeros(len(reference), bool)
    is_present[list(seen)] = True
    local = Local(Packed(codes[0], in_folds), Packed(codes[1], whole), is_present)
    return Read(local, cases, apart)


def get_frequency(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the frequency of the counted allele, of carriers (variants, 4)."""
    called = 2 * counts[:, :3].sum(axis=1)
    copies = counts[:, 1] + 2 * counts[:, 2]
    frequency: NDArray[np.float64] = np.divide(
        copies, called, out=np.full(len(counts), np.nan), where=called > 0
    )
    return frequency


def exchange(
    codes: NDArray[np.int32], is_exchanged: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return packed codes with 0 and 2 exchanged in some variants.

    0, 1 and 2 are low, high and both bits: where the low one is set the high changes.
    """
    changed = codes.copy()
    changed[is_exchanged, 1] ^= codes[is_exchanged, 0]
    return changed


def hash_people(match: Match) -> str:
    """Return the SHA-256 of who is in a cohort, as what; it stays at the site."""
    people = sorted(
        hashlib.sha256(f"{name}\0{label}".encode()).digest()
        for name, label in zip(match.individuals, match.is_case.tolist(), strict=True)
    )
    return hashlib.sha256(b"".join(people)).hexdigest()


def get_fingerprint(match: Match, local: Local) -> str:
    """Return the fingerprint of a cohort: who is in it, as what, and their genotypes.

    It stays at the site. Individuals count by hashes of their ids, and genotypes by
    the carriers of each class, so that settings of a search do not change it.
    """
    digest = hashlib.sha256(hash_people(match).encode())
    for counted in local.count_variants(in_folds=False):
        digest.update(counted.astype("<i8").tobytes())
    return digest.hexdigest()
