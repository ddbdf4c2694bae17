"""Planes of a permutation: individuals in other places, or genotypes shuffled."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._simd import load, spread, store

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
def get_plane(planes: NDArray[np.int32], block: int, lane: int, slot: int) -> int:
    """Return the plane that holds a bit, the number of planes where none does."""
    for plane in range(planes.shape[2]):
        word = np.uint32(planes[block, slot >> 5, plane, lane])
        if (word >> np.uint32(slot & 31)) & np.uint32(1):
            return plane
    return planes.shape[2]


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
    the null of the explicit test of interaction (Greene et al. 2010).

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
    found = np.empty(n, np.int64)
    for v in range(variants.shape[0]):
        block, lane = v // 16, v % 16
        state, _ = draw(seed ^ (np.uint64(variants[v] + 1) * STEP), 1)
        for i in range(n):
            found[i] = get_plane(planes, block, lane, slots[i])
        for i in range(n - 1, -1, -1):
            state, other = draw(state, i + 1)
            found[i], found[other] = found[other], found[i]
            if found[i] < planes.shape[2]:
                bit = np.uint32(1) << np.uint32(slots[i] & 31)
                word = np.uint32(target[block, slots[i] >> 5, found[i], lane])
                target[block, slots[i] >> 5, found[i], lane] = np.int32(word | bit)
