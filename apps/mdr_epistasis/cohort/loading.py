"""The cohort of a run: files in, one packed copy of the genotypes a node out."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.mdr.bitplanes import (
    LANES,
    Arrangement,
    get_planes_shape,
    get_source,
    make_arrangement,
    pack_genotypes,
    place_codes,
)
from hpc_connector.loader.genotypes.companions import list_companions
from hpc_connector.loader.genotypes.sample_file import (
    TEXT,
    ReadOptions,
    SampleFile,
)
from hpc_connector.loader.genotypes.samples import (
    forget_files,
    inspect_sample,
    read_sample,
)
from hpc_connector.loader.individuals import Match, match_individuals
from hpc_connector.loader.labels import Labels, convert_labels, note_coding
from hpc_connector.notes import add_counts
from hpc_connector.partitioner import make_distribution
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.shared_memory import get_node, share_array
from hpc_connector.pipeline.ranks import return_memory
from mdr_epistasis.cohort.choice import count_choice
from mdr_epistasis.cohort.filters import (
    EXCLUDED,
    REMOVED,
    SLICED,
    Filters,
    Packed,
    find_reasons,
    make_packer,
)
from mdr_epistasis.cohort.identity import (
    NO_CHROMOSOME,
    REPEATED,
    SHARED_ID,
    count_shared_ids,
    count_unplaced,
    find_repeats,
)
from mdr_epistasis.cohort.pruning import Pruning, count_linked, prune_planes

TRIM_BYTES = 16 << 20
PIECE_BYTES = 4 << 20  # of a file read by one rank at a time
COLUMNS: dict[str, Any] = {
    "id": TEXT,
    "chromosome": TEXT,
    "position": np.int64,
    "counted": TEXT,
    "other": TEXT,
    "frequency": np.float64,
    "missing": np.float64,
}


@dataclass
class Share:
    """The variants that one rank has read and kept, packed."""

    codes: list[np.ndarray] = field(default_factory=list)
    columns: dict[str, list[np.ndarray]] = field(
        default_factory=lambda: {name: [np.empty(0, d)] for name, d in COLUMNS.items()}
    )
    n_read: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    chromosomes: set[str] = field(default_factory=set)
    excluded: set[str] = field(default_factory=set)
    counted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Cohort:
    """Packed genotypes, and who and what they are.

    Parameters
    ----------
    planes
        int32 (blocks, words, 2 or 3, 16), one copy a node.
    place
        Of each variant in the planes, int64 (variants,).
    variants
        Columns of the kept variants, in order, with frequency of the counted allele
        and fraction missing.
    facts
        Numbers for the manifest.
    is_male
        Of each individual, bool (individuals,); None where sex is not asked.
    """

    planes: np.ndarray
    place: np.ndarray
    arrangement: Arrangement
    is_case: np.ndarray
    individuals: tuple[str, ...]
    variants: dict[str, np.ndarray]
    facts: dict[str, Any]
    is_male: np.ndarray | None = None

    @property
    def n_variants(self) -> int:
        """Return the number of variants."""
        return len(self.place)


def read_header(
    paths: Sequence[str],
    options: Sequence[ReadOptions],
    find: Callable[[SampleFile], Labels] | None = None,
    where: str | None = None,
) -> tuple[list[SampleFile], Match]:
    """Open the genotype files and match their individuals with the labels.

    Parameters
    ----------
    options
        Of each file.
    find
        Returns the labels of the individuals of the first file; its own if None.
    where
        Name of the labels in messages.
    """
    files = inspect_files(paths, options)
    labels = (find or get_own_labels)(files[0])
    return files, match_individuals(files, labels, where or files[0].path)


def inspect_files(
    paths: Sequence[str], options: Sequence[ReadOptions]
) -> list[SampleFile]:
    """Open the genotype files as far as their headers."""
    return [inspect_sample(*each) for each in zip(paths, options, strict=True)]


def get_own_labels(file: SampleFile, coding: str | None = None) -> Labels:
    """Return the labels that a genotype file carries itself."""
    if file.phenotypes is None:
        raise BadInput(f"{file.path} carries no labels: expected --labels FILE")
    where = [*list_companions(file.path, file.options), file.path][0]
    coding = coding or file.coding
    is_case = convert_labels(file.phenotypes, where, coding)
    assumed = tuple(note_coding(file.phenotypes, where, coding))
    return Labels(file.individuals, is_case, (), assumed)


def make_pieces(files: Sequence[SampleFile], size: int) -> list[tuple[int, int, int]]:
    """Cut the files into pieces to read: file, part, number of parts.

    At least `size` pieces a file, that every rank has its share.
    """
    pieces = []
    for f, file in enumerate(files):
        n_parts = max(size if size > 1 else 1, -(-file.n_bytes // PIECE_BYTES))
        pieces += [(f, part, n_parts) for part in range(n_parts)]
    return pieces


def share_pieces(
    comm: Communicator, files: Sequence[SampleFile]
) -> list[tuple[int, int, int]]:
    """Return the pieces that this rank reads."""
    pieces = make_pieces(files, comm.size)
    cost = np.array([files[f].n_bytes / n_parts for f, _, n_parts in pieces])
    ends = make_distribution(cost, comm.size)
    return pieces[ends[comm.rank] : ends[comm.rank + 1]]


def read_share(
    files: Sequence[SampleFile],
    pieces: Sequence[tuple[int, int, int]],
    sources: Sequence[np.ndarray],
    filters: Filters,
    arrangement: Arrangement,
) -> Share:
    """Read some pieces straight into packed codes of the variants that are kept."""
    share = Share()
    packer = make_packer(filters, arrangement)
    for f, part, n_parts in pieces:
        for block in read_sample(files[f], part, n_parts):
            codes, counts = pack_genotypes(block.genotypes, sources[f])
            packed = packer.pack(block.variants, codes, counts, share.counted)
            keep_variants(share, packed, filters)
            share.counted.update(block.counted)
    return share


def keep_variants(share: Share, packed: Packed, filters: Filters) -> None:
    """Add the variants of a block that pass the filters."""
    variants, codes, counts = packed.variants, packed.codes, packed.counts
    n = counts.sum(axis=1)
    missing = counts[:, 3] / n
    frequency = packed.get_frequencies(filters.x_model)
    reason = find_reasons(packed, frequency, filters)
    steps = np.floor((share.n_read + np.arange(len(n) + 1)) * filters.share)
    reason[np.diff(steps) == 0] = SLICED
    kept = np.flatnonzero(reason == 0)
    share.n_read += len(n)
    n_of = np.bincount(reason, minlength=len(REMOVED)).tolist()
    share.removed.update({REMOVED[k]: n for k, n in enumerate(n_of) if k and n})
    share.chromosomes.update(set(packed.names.tolist()) - {0})
    excluded = np.flatnonzero(reason == EXCLUDED).tolist()
    share.excluded.update(str(variants.id[k]) for k in excluded)
    share.codes.append(codes[kept])
    columns = vars(variants) | {"frequency": frequency, "missing": missing}
    for name, dtype in COLUMNS.items():
        share.columns[name].append(np.asarray(columns[name], dtype)[kept])


@contextlib.contextmanager
def load_cohort(
    comm: Communicator,
    files: Sequence[SampleFile],
    match: Match,
    fold: np.ndarray,
    filters: Filters,
    first_list: frozenset[str] | None = None,
    pruning: Pruning | None = None,
    *,
    in_order: bool = False,
) -> Iterator[Cohort]:
    """Read the genotypes on all ranks into one packed copy a node.

    Parameters
    ----------
    first_list
        Names variants that are put before the others.
    pruning
        Which are left out of those that are linked.
    in_order
        The planes hold the variants in their order, whoever lacks a genotype.
    """
    arrangement = make_arrangement(match.is_case, fold)
    sources = [get_source(arrangement, column) for column in match.columns]
    mine = share_pieces(comm, files)
    with end_together(comm):
        share = read_share(files, mine, sources, filters, arrangement)
        forget_files(files)

    columns, facts = gather_columns(comm, share)
    with end_together(comm):
        count_choice(filters.choice, columns["id"], facts)
    columns = drop_repeats(comm, share, columns, facts)
    n_variants = len(columns["id"])
    with end_together(comm):
        check_any(n_variants, facts)
    is_first = find_listed(columns, first_list)
    number = order_variants(~is_first)
    if first_list is not None:
        columns = sort_columns(columns, number)
    has_missing = (columns["missing"] > 0) & (not in_order)
    place = order_variants(~np.sort(is_first)[::-1], has_missing)
    return_memory()
    shape = get_planes_shape(
        n_variants, arrangement.n_words, missing=bool(columns["missing"].any())
    )
    with share_array(comm, shape, np.int32) as planes:
        planes[-1] = 0  # its last lanes may be of no variant
        comm.Barrier()
        place_shares(comm, share, place[number], planes)
        comm.Barrier()
        if pruning is not None:
            known = (columns, place)
            is_left = prune_planes(comm, planes, arrangement, *known, pruning)
            count_linked(columns, is_left, facts)
            columns = {name: column[is_left] for name, column in columns.items()}
            n_variants = len(columns["id"])
            with end_together(comm):
                check_any(n_variants, facts)
            place = np.argsort(np.argsort(place[is_left]))
        yield Cohort(
            planes[: -(-n_variants // LANES)],
            place,
            arrangement,
            match.is_case,
            match.individuals,
            columns,
            facts,
            filters.is_male,
        )
        comm.Barrier()


def make_cohort(
    genotypes: np.ndarray, is_case: np.ndarray, fold: np.ndarray, names: Sequence[str]
) -> Cohort:
    """Return the cohort of an array: all of its variants, which have no place.

    Parameters
    ----------
    genotypes
        0, 1, 2 or -1 for missing, int8 (variants, individuals).
    names
        Of the variants.
    """
    arrangement = make_arrangement(is_case, fold)
    columns = np.arange(len(is_case))
    codes, counts = pack_genotypes(genotypes, get_source(arrangement, columns))
    n, is_missing = len(genotypes), bool(counts[:, 3].any())
    shape = get_planes_shape(n, arrangement.n_words, missing=is_missing)
    planes = np.zeros(shape, np.int32)
    place = order_variants(counts[:, 3] > 0)
    place_codes(codes, place, planes)
    called = counts[:, :3].sum(axis=1)
    with np.errstate(invalid="ignore"):
        frequency = (counts[:, 1] + 2 * counts[:, 2]) / (2 * called)
    known = {"id": list(names), "frequency": frequency}
    known["missing"] = counts[:, 3] / counts.sum(axis=1)
    empty = {"chromosome": "", "position": 0, "counted": "", "other": ""}
    variants = {
        name: np.array(known[name], dtype)
        if name in known
        else np.full(n, empty[name], dtype)
        for name, dtype in COLUMNS.items()
    }
    facts = {"variants_read": n, "variants_kept": n, "removed": {}}
    individuals = tuple(map(str, columns))
    return Cohort(planes, place, arrangement, is_case, individuals, variants, facts)


def check_any(n_variants: int, facts: dict[str, Any]) -> None:
    """Refuse a cohort of which no variant is left."""
    if n_variants:
        return
    removed = ", ".join(f"{n} {r}" for r, n in facts["removed"].items()) or "none"
    counted = "".join(f"; {name}: {n}" for name, n in facts["counted"].items())
    raise BadInput(
        f"no variant is left of {facts['variants_read']} read (removed: {removed})"
        f"{counted}"
    )


def gather_columns(
    comm: Communicator, share: Share
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the columns of the variants of all ranks, in the order of the files."""
    columns = {}
    for name in COLUMNS:  # one by one, for all are as large as the packed genotypes
        columns[name] = join(comm.allgather(join(share.columns.pop(name))))
        return_memory()
    of_share = (share.n_read, share.removed, share.counted)
    shares = comm.allgather((*of_share, share.chromosomes, share.excluded))
    n_read, removed, counted, chromosomes, excluded = zip(*shares, strict=True)
    facts = {
        "variants_read": sum(n_read),
        "variants_kept": len(columns["id"]),
        "removed": add_counts(removed),
        "counted": add_counts(counted),
        "chromosomes": set().union(*chromosomes),
        "excluded": set().union(*excluded),
    }
    return columns, facts


def join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return arrays one after another; of one no copy."""
    filled = [part for part in parts if len(part)]
    return filled[0] if len(filled) == 1 else np.concatenate(parts)


def drop_repeats(
    comm: Communicator,
    share: Share,
    columns: dict[str, np.ndarray],
    facts: dict[str, Any],
) -> dict[str, np.ndarray]:
    """Leave out the variants that repeat an earlier one; return the columns of others.

    What was found of them is added to the facts.
    """
    is_repeat = find_repeats(columns)
    n_repeats = int(is_repeat.sum())
    if n_repeats:
        counts = comm.allgather(sum(len(codes) for codes in share.codes))
        at = sum(counts[: comm.rank])
        for block, codes in enumerate(share.codes):
            share.codes[block] = codes[~is_repeat[at : at + len(codes)]]
            at += len(codes)
        columns = {name: column[~is_repeat] for name, column in columns.items()}
        facts["removed"] = add_counts([facts["removed"], {"repeated": n_repeats}])
        facts["variants_kept"] -= n_repeats
    counted = {
        REPEATED: n_repeats,
        SHARED_ID: count_shared_ids(columns["id"]),
        NO_CHROMOSOME: count_unplaced(columns),
    }
    facts["counted"] = add_counts([facts["counted"], counted])
    return columns


def find_listed(
    columns: dict[str, np.ndarray], first_list: frozenset[str] | None
) -> np.ndarray:
    """Return which variants the first list names, bool; all where there is none."""
    if first_list is None:
        return np.ones(len(columns["id"]), bool)
    return np.array([name in first_list for name in columns["id"]], bool)


def order_variants(*is_later: np.ndarray) -> np.ndarray:
    """Return the place of each variant, int64: later ones after those that are not.

    Parameters
    ----------
    is_later
        Bool (variants,), the first decides before the second.

    Examples
    --------
    >>> order_variants(np.array([False, True, False, True])).tolist()
    [0, 2, 1, 3]
    """
    place = np.empty(len(is_later[0]), np.int64)
    place[np.lexsort(is_later[::-1])] = np.arange(len(place))
    return place


def sort_columns(
    columns: dict[str, np.ndarray], place: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the columns in the order of the places of the variants."""
    by_place = np.argsort(place)
    return {name: column[by_place] for name, column in columns.items()}


def place_shares(
    comm: Communicator, share: Share, place: np.ndarray, planes: np.ndarray
) -> None:
    """Put the packed variants of all ranks into the planes of every node."""
    node_rank, _, nodes = get_node(comm)
    counts = comm.allgather(sum(len(codes) for codes in share.codes))
    first = np.concatenate([[0], np.cumsum(counts)])
    n_freed_bytes = 0
    for rank in range(comm.size):
        if nodes == 1 and rank != comm.rank:
            continue
        n_blocks = len(share.codes)
        at = first[rank]
        if nodes > 1:
            n_blocks = comm.bcast(n_blocks, root=rank)
        for block in range(n_blocks):
            codes: Any = share.codes[block] if rank == comm.rank else None
            if nodes > 1:
                codes = comm.bcast(codes, root=rank)
            if nodes == 1 or node_rank == 0:
                place_codes(codes, place[at : at + len(codes)], planes)
            at += len(codes)
            if rank == comm.rank:
                share.codes[block] = np.zeros(0)  # frees it; a slice would keep it
                n_freed_bytes += codes.nbytes
            if n_freed_bytes > TRIM_BYTES:
                n_freed_bytes = 0
                return_memory()
