"""Planes of a permutation: individuals in other places, or genotypes shuffled."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._simd import (
    load,
    load_bytes,
    spread,
    store,
    store_bytes,
)
from hpc_connector.learner.mdr.bitplanes import LANES

STEP = np.uint64(0x9E3779B97F4A7C15)


@bare
def rearrange_planes(
    planes: NDArray[np.int32], source: NDArray[np.int64], target: NDArray[np.int32]
) -> None:
    """Move the bits of the individuals to other places.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16).
    source
        Bit in `planes` that each bit of the result comes from, -1 for padding.
    target
        The result, int32 (blocks, words of the result, planes, 16).
    """
    n_planes, one = planes.shape[2], spread(np.int32(1))
    for block in range(planes.shape[0]):
        old, new = planes[block].reshape(-1), target[block].reshape(-1)
        for w in range(target.shape[1]):
            for plane in range(n_planes):
                word = spread(np.int32(0))
                for bit in range(32):
                    at = source[w * 32 + bit]
                    if at >= 0:
                        carriers = load(old, ((at >> 5) * n_planes + plane) * 16)
                        carrier = (carriers >> spread(at & 31)) & one
                        word = word | (carrier << spread(bit))
                store(new, (w * n_planes + plane) * 16, word)


@inlined
def draw(state: np.uint64, below: int) -> tuple[np.uint64, np.int64]:
    """Return the next state and a number in 0 .. below - 1 (splitmix64).

    Source: Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014.
    """
    state += STEP
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, np.int64(((z >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32))


@kernel
def shuffle_genotypes(
    planes: NDArray[np.int32],
    slots: NDArray[np.int64],
    variants: NDArray[np.int64],
    seed: np.uint64,
    target: NDArray[np.int32],
) -> None:
    """Write planes whose genotypes are shuffled among the individuals of one class.

    Each variant by itself: what it does alone stays, what variants do together goes,
    the null of the explicit test of interaction (Greene et al. 2010). The sixteen of a
    block are shuffled side by side.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16).
    slots
        Bits of the individuals of the class, int64.
    variants
        Index of each variant among all, int64 (blocks * 16,): the shuffle depends on
        it and on the seed alone.
    seed
        uint64.
    target
        The result, of the shape of `planes`; bits of other individuals stay.
    """
    n = slots.shape[0]
    found = np.empty(n * LANES, np.int8)
    state, other = np.empty(LANES, np.uint64), np.empty(LANES, np.int64)
    for block in range(planes.shape[0]):
        for lane in range(LANES):
            number = np.uint64(variants[block * LANES + lane] + 1)
            state[lane], _ = draw(seed ^ (number * STEP), 1)
        old, new = planes[block].reshape(-1), target[block].reshape(-1)
        _read_carriers(old, planes.shape[2], slots, found)
        _shuffle_lanes(state, other, found)
        _write_carriers(found, planes.shape[2], slots, new)


@bare
def _shuffle_lanes(
    state: NDArray[np.uint64], other: NDArray[np.int64], found: NDArray[np.int8]
) -> None:
    """Shuffle each lane of found[individual][lane]: none waits for another's draw."""
    for i in range(found.shape[0] // LANES - 1, -1, -1):
        for lane in range(LANES):
            state[lane], other[lane] = draw(state[lane], i + 1)
        for lane in range(LANES):
            a, b = i * LANES + lane, other[lane] * LANES + lane
            found[a], found[b] = found[b], found[a]


@bare
def _read_carriers(
    planes: NDArray[np.int32],
    n_planes: int,
    slots: NDArray[np.int64],
    found: NDArray[np.int8],
) -> None:
    """Write found[individual][lane], of which bit p says that plane p holds it."""
    one = spread(np.int32(1))
    for i in range(slots.shape[0]):
        carriers, bit = spread(np.int32(0)), spread(slots[i] & 31)
        for plane in range(n_planes):
            word = load(planes, ((slots[i] >> 5) * n_planes + plane) * 16)
            carriers = carriers | (((word >> bit) & one) << spread(plane))
        store_bytes(found, i * 16, carriers)


@bare
def _write_carriers(
    found: NDArray[np.int8],
    n_planes: int,
    slots: NDArray[np.int64],
    planes: NDArray[np.int32],
) -> None:
    """Set the bits of the individuals in the planes that hold them."""
    one = spread(np.int32(1))
    for i in range(slots.shape[0]):
        carriers, bit = load_bytes(found, i * 16), spread(slots[i] & 31)
        for plane in range(n_planes):
            at = ((slots[i] >> 5) * n_planes + plane) * 16
            carrier = ((carriers >> spread(plane)) & one) << bit
            store(planes, at, load(planes, at) | carrier)
