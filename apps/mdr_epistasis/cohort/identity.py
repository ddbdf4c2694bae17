"""Which variants of a cohort are the same one, and where variants are."""

from collections.abc import Iterator

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.chromosomes import get_codes

REPEATED = "variants repeat another of the same place and alleles, and were left out"
SHARED_ID = "ids name several variants, of other places or alleles"
NO_CHROMOSOME = "variants have a position and no chromosome (--chromosome)"
NO_ID = ("", ".")
MIRRORED = 1e-3  # frequencies of both alleles sum to 1, but for what was imputed anew

Columns = dict[str, np.ndarray]


def find_repeats(columns: Columns) -> np.ndarray:
    """Return which variants repeat an earlier one, bool (variants,).

    The same are those of one place and two alleles, whichever of them is counted; where
    there is no chromosome, those of one id as well. C to CA and CA to C, an insertion
    and a deletion, are two: one only if the frequencies say so.
    """
    code, position = get_codes(columns["chromosome"]), columns["position"]
    is_repeat = np.zeros(len(code), bool)
    seen: dict[
        tuple[object, ...], float
    ] = {}  # frequency of the allele that is counted
    for k in _list_suspects(code, position):
        where = int(code[k]) if code[k] >= 0 else str(columns["id"][k])
        alleles = [str(columns[name][k]).upper() for name in ("counted", "other")]
        key, mirror = ((where, int(position[k]), *a) for a in (alleles, alleles[::-1]))
        frequency = float(columns["frequency"][k])
        is_same = key in seen
        if mirror in seen:
            is_letter = len(alleles[0]) == len(alleles[1])
            is_same |= is_letter or abs(seen[mirror] + frequency - 1) < MIRRORED
        is_repeat[k] = is_same and where not in NO_ID
        seen.setdefault(key, frequency)
    return is_repeat


def _list_suspects(code: np.ndarray, position: np.ndarray) -> Iterator[int]:
    """Yield the variants that share their place with another, in their order there."""
    order = np.lexsort((position, code))
    is_same = (np.diff(code[order]) == 0) & (np.diff(position[order]) == 0)
    is_suspect = np.zeros(len(order), bool)
    is_suspect[:-1] = is_same
    is_suspect[1:] |= is_same
    yield from order[is_suspect].tolist()


def count_shared_ids(ids: np.ndarray) -> int:
    """Return how many ids are of more than one variant; texts (variants,)."""
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    value, n = np.unique(hashes, return_counts=True)
    shared = value[n > 1]
    if len(shared) == 0:
        return 0
    return len(set(ids[np.isin(hashes, shared)].tolist()) - {*NO_ID})


def count_unplaced(columns: Columns) -> int:
    """Return how many variants have a position, but no chromosome."""
    code = get_codes(columns["chromosome"])
    return int(((code < 0) & (columns["position"] > 0)).sum())


def get_places(columns: Columns) -> Columns:
    """Return chromosomes, as numbers, and positions, for distances.

    Raises
    ------
    BadInput
        Variants have none.
    """
    code, position = get_codes(columns["chromosome"]), columns["position"]
    lost = np.flatnonzero((code < 0) | (position <= 0))
    if len(lost):
        k = lost[0]
        what = "chromosome" if code[k] < 0 else "position"
        option = " (or --chromosome)" if code[k] < 0 and position[k] > 0 else ""
        raise BadInput(
            f"--min-distance-bp: {len(lost)} of {len(code)} variants have no place, as "
            f"{str(columns['id'][k])[:40]!r}: expected a {what} of each{option}"
        )
    return {"chromosome": code, "position": position}
