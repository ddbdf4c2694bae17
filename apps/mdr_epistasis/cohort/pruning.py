"""Variants in linkage disequilibrium with others, left out as PLINK does."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.genetics import prune_linked
from hpc_connector.learner.mdr.bitplanes import LANES, Arrangement
from hpc_connector.learner.mdr.models import get_levels
from hpc_connector.loader.genotypes.chromosomes import get_codes
from hpc_connector.notes import add_counts
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.shared_memory import get_node

Columns = dict[str, np.ndarray]
LINKED = "linked (--ld-prune)"
UNPLACED = "without a chromosome (--ld-prune)"


class Pruning(NamedTuple):
    """What --ld-prune says.

    Parameters
    ----------
    window
        Variants, or base pairs.
    step
        Variants by which the window moves on.
    r2
        Of two variants of a window, at most.
    """

    window: int
    is_bp: bool
    step: int
    r2: float


def read_pruning(words: Sequence[str] | None) -> Pruning | None:
    """Return what the words of --ld-prune say: variants or kb, variants, 0..1.

    Examples
    --------
    >>> read_pruning(["250kb", "1", "0.2"])
    Pruning(window=250000, is_bp=True, step=1, r2=0.2)
    """
    if words is None:
        return None
    try:
        window, step, r2 = words
        is_bp = window.casefold().endswith("kb")
        size = round(1000 * float(window[:-2])) if is_bp else int(window)
        found = Pruning(size, is_bp, int(step), float(r2))
    except (ValueError, OverflowError):
        found = Pruning(0, False, 0, 0.0)
    is_fit = found.step >= 1 and 0 < found.r2 <= 1 and found.window > found.is_bp
    if not is_fit or (found.window < max(found.step, 2) and not found.is_bp):
        raise BadInput(
            f"--ld-prune {' '.join(words)[:60]}: expected a window of two variants or "
            "more (or such as 250kb), a step of at most as many, and r2 above 0 to 1"
        )
    return found


def prune_planes(
    comm: Communicator,
    planes: np.ndarray,
    arrangement: Arrangement,
    columns: Columns,
    place: np.ndarray,
    pruning: Pruning,
) -> np.ndarray:
    """Leave out variants in place, on all ranks; return who is left, bool (variants,).

    Parameters
    ----------
    planes
        One copy a node, int32 (blocks, words, planes, 16); the variants that are left
        move together, in their order.
    columns, place
        Of the variants, and their places in the planes, int64 (variants,).
    """
    is_left = find_unlinked(comm, planes, arrangement, columns, place, pruning)
    comm.Barrier()  # all have read
    if get_node(comm)[0] == 0:
        move_together(planes, np.sort(place[is_left]))
    comm.Barrier()
    return is_left


def find_unlinked(
    comm: Communicator,
    planes: np.ndarray,
    arrangement: Arrangement,
    columns: Columns,
    place: np.ndarray,
    pruning: Pruning,
) -> np.ndarray:
    """Return which variants are left, bool (variants,): a rank does a chromosome."""
    code, position = get_codes(columns["chromosome"]), columns["position"]
    n_codes = int(code.max(initial=-1)) + 1
    mine: list[np.ndarray] = []
    with end_together(comm):
        for chromosome in range(comm.rank, n_codes, comm.size):
            here = np.flatnonzero(code == chromosome)
            here = here[np.argsort(position[here], kind="stable")]
            is_left = prune_linked(
                get_levels(planes, arrangement, place[here], level=False),
                columns["frequency"][here],
                position[here] if pruning.is_bp else None,
                window=pruning.window,
                step=pruning.step,
                r2=pruning.r2,
            )
            mine.append(here[is_left])
    left = np.zeros(len(code), bool)
    for found in comm.allgather(mine):
        for here in found:
            left[here] = True
    return left


def move_together(planes: np.ndarray, kept: np.ndarray) -> None:
    """Move some variants of planes to the front, in place; zeros follow them.

    Parameters
    ----------
    kept
        Their places, ascending, int64 (variants,).
    """
    for block, first in enumerate(range(0, len(kept), LANES)):
        at = kept[first : first + LANES]
        moved = planes[at // LANES, :, :, at % LANES]
        planes[block] = 0
        planes[block, :, :, : len(at)] = moved.transpose(1, 2, 0)


def count_linked(columns: Columns, is_left: np.ndarray, facts: dict[str, Any]) -> None:
    """Add to the facts of a cohort how many variants pruning has left out."""
    is_placed = get_codes(columns["chromosome"]) >= 0
    removed = {
        LINKED: int((is_placed & ~is_left).sum()),
        UNPLACED: int((~is_placed).sum()),
    }
    facts["removed"] = add_counts([facts["removed"], removed])
    facts["variants_kept"] = int(is_left.sum())
