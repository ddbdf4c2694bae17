"""Kernels of isotope patterns: isotopologues, envelope, centroids.

The envelope is a sum of Gaussians on a grid whose step follows the width of the peaks,
and the grid decides the centroids. Empty space is jumped over. A Gaussian is filled
with two multiplications a point, each from the point four before it, for on a grid the
ratio of its values changes by a constant factor.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel

FWHM_OF_SIGMA = 2.3548200450309493
N_POINTS = 25  # of the grid, within the full width at half maximum
STEP = FWHM_OF_SIGMA / N_POINTS  # in standard deviations
N_SIDE = 7  # points of a centroid on either side of its top
LEAST = 1e-4  # of the most probable isotopologue, and of the highest centroid
BEND_1 = math.exp(-0.5 * STEP**2)  # what curvature does over one, two, ... points
BEND_2, BEND_3, BEND_4 = BEND_1**4, BEND_1**9, BEND_1**16
MOST_OF_ELEMENT = 1 << 12
POINTS = 16  # of the grid for which there is room, for each isotopologue
FINENESS = 16  # of TAIL, for a standard deviation
TAIL = np.exp(-0.5 * (np.arange(13 * FINENESS) / FINENESS) ** 2)  # a Gaussian
MARGIN = 1.0 + 1e-6  # of bounds, for rounding: a Gaussian's is below 1e-11
FTICR, ORBITRAP, TOF = range(3)

# First list of an element, start of a list, masses (Da) and relative probabilities.
Lists = tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]
]
# Of each peak: where its stretch of the grid begins, its width, and how many points it
# has; the first peaks of clusters, and the end; whether a stretch is drawn.
Grid = tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.bool_],
]


@kernel
def list_isotopologues(
    n: int, mass: NDArray[np.float64], abundance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mass and relative probability of n atoms of one element, LEAST or more.

    From the most probable composition, atom by atom exchanged: a multinomial has no
    second summit, so all that are probable enough hang together. Nothing is returned
    where there are too many.
    """
    n_isotopes = len(mass)
    found = np.zeros((MOST_OF_ELEMENT, n_isotopes), np.int64)
    probability = np.zeros(MOST_OF_ELEMENT)
    fill_mode(n, abundance, found[0])
    probability[0] = 1.0
    n_found, at = 1, 0
    while at < n_found:
        here = found[at]
        for a in range(n_isotopes):
            for b in range(n_isotopes):
                more = (here[b] + 1) * abundance[a]
                p = probability[at] * here[a] * abundance[b] / more
                if a == b or p < LEAST:
                    continue
                if n_found == MOST_OF_ELEMENT:
                    return np.zeros(0), np.zeros(0)
                other = found[n_found]
                other[:] = here
                other[a] -= 1
                other[b] += 1
                if not is_known(found, n_found):
                    probability[n_found] = p
                    n_found += 1
        at += 1
    masses = np.zeros(n_found)
    for k in range(n_isotopes):
        masses += found[:n_found, k] * mass[k]
    return masses, probability[:n_found].copy()


@bare
def fill_mode(
    n: int, abundance: NDArray[np.float64], numbers: NDArray[np.int64]
) -> None:
    """Fill how many atoms of each isotope the most probable composition has."""
    highest, rest = 0, n
    for k in range(len(abundance)):
        highest = k if abundance[k] > abundance[highest] else highest
        numbers[k] = math.floor(n * abundance[k])
        rest -= numbers[k]
    numbers[highest] += rest
    is_better = True
    while is_better:
        is_better = False
        for a in range(len(abundance)):
            for b in range(len(abundance)):
                loses = (numbers[b] + 1) * abundance[a]
                if a != b and numbers[a] * abundance[b] > loses:
                    numbers[a] -= 1
                    numbers[b] += 1
                    is_better = True


@bare
def is_known(found: NDArray[np.int64], n: int) -> bool:
    """Return whether row n of an array is equal to one before it."""
    for other in range(n):
        n_equal = 0
        while n_equal < found.shape[1] and found[other, n_equal] == found[n, n_equal]:
            n_equal += 1
        if n_equal == found.shape[1]:
            return True
    return False


@bare
def combine(
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
    start: NDArray[np.int64],
    masses: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    room: NDArray[np.float64],
) -> int:
    """Fill the isotopologues of an ion, in order of mass; return how many.

    `counts` holds the atoms of each element, of which the list for n atoms stands at
    ``start[first[element] + n]`` of `masses`; -1 is returned where there is no room.
    """
    n = 1
    mass[0], intensity[0] = 0.0, 1.0
    for element in range(len(counts)):
        if counts[element] == 0:
            continue
        where = first[element] + counts[element]
        begin, end = start[where], start[where + 1]
        if end == begin:
            return -1
        n_new = 0
        for k in range(n):
            for j in range(begin, end):
                p = intensity[k] * probabilities[j]
                if p >= LEAST:
                    if n_new == len(room):
                        return -1
                    room[n_new, 0] = mass[k] + masses[j]
                    room[n_new, 1] = p
                    n_new += 1
        for k in range(n_new):
            mass[k], intensity[k] = room[k, 0], room[k, 1]
        n = n_new
    sort_pairs(mass, intensity, n)
    return n


@bare
def sort_pairs(key: NDArray[np.float64], value: NDArray[np.float64], n: int) -> None:
    """Sort the first n keys and their values, in place; they are few."""
    gap = 1
    while gap < n // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            a, b = key[i], value[i]
            j = i
            while j >= gap and key[j - gap] > a:
                key[j], value[j] = key[j - gap], value[j - gap]
                j -= gap
            key[j], value[j] = a, b
        gap //= 3


@bare
def get_width(mz: float, model: int, resolving_power: float) -> float:
    """Return the standard deviation of a peak at an m/z."""
    if model == FTICR:
        resolving_power = resolving_power * 200.0 / mz
    elif model == ORBITRAP:
        resolving_power = resolving_power * math.sqrt(200.0 / mz)
    return mz / resolving_power / FWHM_OF_SIGMA


@bare
def add_gaussian(
    value: NDArray[np.float64], first: int, last: int, at: float, height: float
) -> None:
    """Add a Gaussian to points first .. last - 1.

    `at` is how far the first point is from the summit, in standard deviations.
    """
    slope = math.exp(-at * STEP)
    a = height * math.exp(-0.5 * at * at)
    b = a * slope * BEND_1
    c = a * slope**2 * BEND_2
    d = a * slope**3 * BEND_3
    turn = BEND_2**2  # of the ratio, from one point to the next
    ratio_a = slope**4 * BEND_4
    ratio_b = ratio_a * turn
    ratio_c = ratio_b * turn
    ratio_d = ratio_c * turn
    bend = turn**4
    j = first
    while j + 4 <= last:
        value[j] += a
        value[j + 1] += b
        value[j + 2] += c
        value[j + 3] += d
        a, b, c, d = a * ratio_a, b * ratio_b, c * ratio_c, d * ratio_d
        ratio_a, ratio_b = ratio_a * bend, ratio_b * bend
        ratio_c, ratio_d = ratio_c * bend, ratio_d * bend
        j += 4
    if j < last:
        value[j] += a
    if j + 1 < last:
        value[j + 1] += b
    if j + 2 < last:
        value[j + 2] += c


@bare
def draw_stretch(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    n: int,
    p: int,
    s: float,
    reach: float,
    begin_z: float,
    z: NDArray[np.float64],
    value: NDArray[np.float64],
    n_points: int,
) -> None:
    """Fill value, and z, of a stretch of the grid, all of whose peaks have one width.

    The peak `p`, which gives the width, counts wherever it is; others within reach.
    """
    step = s * STEP
    for j in range(n_points):
        z[j] = begin_z + j * step
        value[j] = 0.0
    k = p
    while k > 0 and begin_z - mass[k - 1] < reach * s:
        k -= 1
    while k < n and (k <= p or mass[k] - z[n_points - 1] <= reach * s):
        first, last = 0, n_points
        if k != p:
            first = max(0, math.ceil((mass[k] - reach * s - begin_z) / step))
            last = min(n_points, math.ceil((mass[k] + reach * s - begin_z) / step))
        if first < last:
            at = (begin_z - mass[k]) / s + first * STEP
            add_gaussian(value, first, last, at, intensity[k])
        k += 1
        if k == p + 1:  # which the grid may have left far behind
            k = find_first(mass, k, n, begin_z - (reach + 1.0) * s)


@bare
def find_first(mass: NDArray[np.float64], low: int, high: int, limit: float) -> int:
    """Return the first of the masses low .. high - 1 that is not below a limit."""
    while low < high and mass[low] < limit:
        middle = (low + high) // 2
        if mass[middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@bare
def find_centroids(
    z: NDArray[np.float64],
    value: NDArray[np.float64],
    first: int,
    end: int,
    limit: float,
    mz: NDArray[np.float64],
    height: NDArray[np.float64],
    n_found: int,
) -> int:
    """Append the centroids of a cluster, points first .. end - 1 with zeros about it.

    Those below `limit` are left out. Returns the number found so far, at most as many
    as there is room for.
    """
    for i in range(first, end):
        if not (value[i - 1] < value[i] >= value[i + 1] and value[i] >= limit):
            continue
        begin = i
        while i - begin < N_SIDE and begin > first and value[begin - 1] < value[begin]:
            begin -= 1
        last = i
        while last - i < N_SIDE - 1 and value[last + 2] <= value[last + 1]:
            last += 1
        last += last - i == N_SIDE - 1  # the engine does not look past the last one
        weight, moment = 0.0, 0.0
        for j in range(begin, min(last + 1, end)):
            weight += value[j]
            moment += value[j] * (z[j] - z[i])
        if n_found < len(mz):
            mz[n_found], height[n_found] = z[i] + moment / weight, value[i]
            n_found += 1
    return n_found


@bare
def lay_grid(
    mass: NDArray[np.float64],
    n: int,
    model: int,
    resolving_power: float,
    reach: float,
    grid: Grid,
) -> tuple[int, bool]:
    """Fill where the stretch of the grid of each peak begins, and its points.

    Stretches without a gap between them are a cluster. Returns how many clusters there
    are, and whether no peak reaches into another one than its own.
    """
    begin_z, width, n_points, clusters, _ = grid
    at = mass[0] - (reach + N_SIDE * STEP) * get_width(mass[0], model, resolving_power)
    n_clusters, first, is_apart = 0, 0, True
    clusters[0] = 0
    for p in range(n):
        s = get_width(mass[p], model, resolving_power)
        step = s * STEP
        begin_z[p], width[p] = at, s
        n_points[p] = max(1, math.floor((mass[p] + reach * s - at) / step) + 1)
        is_apart &= first == 0 or at - mass[first - 1] >= reach * s
        at += n_points[p] * step
        gap = 0.0
        if p + 1 < n:
            gap = mass[p + 1] - reach * s - at
        if p + 1 == n or gap > 0.0:
            n_clusters, first = n_clusters + 1, p + 1
            clusters[n_clusters] = first
        if gap > 0.0:
            at += math.ceil(gap / step) * step
    return n_clusters, is_apart


@bare
def get_least(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    first: int,
    last: int,
    begin_z: NDArray[np.float64],
    width: NDArray[np.float64],
) -> float:
    """Return a height that a centroid of the cluster of peaks first .. last reaches.

    That of the Gaussians at a point of the grid, which is at most a step from the mean
    mass, and that of the highest of them alone.
    """
    weight, moment, top = 0.0, 0.0, 0.0
    for k in range(first, last + 1):
        weight += intensity[k]
        moment += intensity[k] * (mass[k] - mass[first])
        top = max(top, intensity[k])
    middle, step = mass[first] + moment / weight, width[last] * STEP
    scale, least = FINENESS / width[first], 0.0
    for k in range(first, last + 1):
        far = int((abs(mass[k] - middle) + step) * scale) + 1
        least += intensity[k] * TAIL[min(far, len(TAIL) - 1)]
    return max(least, top * TAIL[int(STEP * FINENESS) + 1]) / MARGIN


@bare
def get_limit(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    grid: Grid,
    n_clusters: int,
    highest: NDArray[np.float64],
) -> float:
    """Return a height that as many centroids reach as are kept, or LEAST.

    `highest` has room for those kept.
    """
    begin_z, width, _, clusters, _ = grid
    highest[:] = 0.0
    for c in range(n_clusters):
        first, last = clusters[c], clusters[c + 1] - 1
        least = get_least(mass, intensity, first, last, begin_z, width)
        for k in range(len(highest)):
            if least > highest[k]:
                highest[k], least = least, highest[k]
    return max(LEAST, highest[-1])


@bare
def can_reach(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    first: int,
    last: int,
    begin_z: float,
    end_z: float,
    s: float,
    limit: float,
) -> bool:
    """Return whether Gaussians first .. last may reach a limit between two m/z.

    `s` is the greatest of their widths.
    """
    scale, most = FINENESS / s, 0.0
    for k in range(last, first - 1, -1):
        far = int(max(0.0, max(begin_z - mass[k], mass[k] - end_z)) * scale)
        most += intensity[k] * TAIL[min(far, len(TAIL) - 1)]
        if most * MARGIN >= limit:
            return True
    return False


@bare
def choose_stretches(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    first: int,
    last: int,
    reach: float,
    grid: Grid,
    limit: float,
) -> bool:
    """Mark the stretches of a cluster that centroids of a height depend on.

    Those where it may be reached, and points about them. Returns whether there are any.
    """
    begin_z, width, n_points, _, is_chosen = grid
    is_chosen[first : last + 1] = False
    s = width[last]
    if not can_reach(mass, intensity, first, last, -np.inf, np.inf, s, limit):
        return False
    is_any, far, about = False, (reach + 2.0) * s, (N_SIDE + 2) * STEP * s
    a = b = first
    for p in range(first, last + 1):
        begin = begin_z[p] - about
        end = begin_z[p] + n_points[p] * width[p] * STEP + about
        while a < last and mass[a] < begin - far:
            a += 1
        while b < last and mass[b + 1] <= end + far:
            b += 1
        if not can_reach(mass, intensity, a, last, begin, np.inf, s, limit):
            break
        is_chosen[p] = can_reach(mass, intensity, a, b, begin, end, s, limit)
        is_any |= is_chosen[p]
    return is_any


@bare
def draw_cluster(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    n: int,
    first: int,
    last: int,
    reach: float,
    grid: Grid,
    z: NDArray[np.float64],
    value: NDArray[np.float64],
) -> int:
    """Fill z and value of chosen stretches of a cluster, from point 1 on.

    The value of the others is 0. Returns where the zeros after it begin, -1 for no
    room.
    """
    begin_z, width, n_points, _, is_chosen = grid
    end = 1
    for p in range(first, last + 1):
        if end + n_points[p] + N_SIDE + 3 > len(value):
            return -1
        if is_chosen[p]:
            draw_stretch(
                mass,
                intensity,
                n,
                p,
                width[p],
                reach,
                begin_z[p],
                z[end:],
                value[end:],
                n_points[p],
            )
        else:
            value[end : end + n_points[p]] = 0.0
        end += n_points[p]
    value[0] = 0.0
    value[end : end + N_SIDE + 3] = 0.0
    return end


@bare
def find_pattern(
    mass: NDArray[np.float64],
    intensity: NDArray[np.float64],
    n: int,
    model: int,
    resolving_power: float,
    reach: float,
    grid: Grid,
    z: NDArray[np.float64],
    value: NDArray[np.float64],
    highest: NDArray[np.float64],
    mz: NDArray[np.float64],
    height: NDArray[np.float64],
) -> int:
    """Fill the centroids of the envelope of n peaks; return how many, -1 for no room.

    Of those that are not among the highest, as many as `highest` has room for, some may
    be left out. `grid` has room for n peaks, `z` and `value` for the points of one
    cluster and the zeros about it.
    """
    clusters, is_chosen = grid[3:]
    n_clusters, is_apart = lay_grid(mass, n, model, resolving_power, reach, grid)
    limit = get_limit(mass, intensity, grid, n_clusters, highest)
    n_found = 0
    for c in range(n_clusters):
        first, last = clusters[c], clusters[c + 1] - 1
        if not is_apart:
            is_chosen[first : last + 1] = True
        elif not choose_stretches(mass, intensity, first, last, reach, grid, limit):
            continue
        end = draw_cluster(mass, intensity, n, first, last, reach, grid, z, value)
        if end < 0:
            return -1
        n_found = find_centroids(z, value, 1, end, limit, mz, height, n_found)
    return n_found


@bare
def keep_highest(
    mz: NDArray[np.float64],
    height: NDArray[np.float64],
    n: int,
    out_mz: NDArray[np.float64],
    out_intensity: NDArray[np.float64],
) -> int:
    """Keep the highest of n centroids, in order of m/z and scaled to 100; pad with 0.

    Of two that are equally high the first is kept. Returns how many.
    """
    highest = 0.0
    for i in range(n):
        highest = max(highest, height[i])
    n_kept = 0
    for i in range(n):
        rank = 0
        for j in range(n):
            rank += height[j] > height[i] or (height[j] == height[i] and j < i)
        if rank < len(out_mz) and height[i] >= LEAST * highest:
            out_mz[n_kept] = mz[i]
            out_intensity[n_kept] = 100.0 * height[i] / highest
            n_kept += 1
    for k in range(n_kept, len(out_mz)):
        out_mz[k] = out_intensity[k] = 0.0
    return n_kept


@kernel
def fill_patterns(
    begin: int,
    n_most: int,
    formula_counts: NDArray[np.integer[Any]],
    modifier_counts: NDArray[np.integer[Any]],
    formula: NDArray[np.integer[Any]],
    modifier: NDArray[np.integer[Any]],
    charge_mass: float,
    label_mz: NDArray[np.float64],
    lists: Lists,
    model: int,
    resolving_power: float,
    reach: float,
    mz: NDArray[np.float64],
    intensity: NDArray[np.float64],
) -> int:
    """Fill the patterns of ions from `begin` on; return the first without room, or all.

    There is room for `n_most` isotopologues. `lists` are first, start, masses and
    probabilities of ``combine``. A resolving power of 0 or less is that at the highest
    isotopologue instead: -sigma, in Da.
    """
    first, start, masses, probabilities = lists
    counts = np.zeros(formula_counts.shape[1], np.int64)
    mass, weight = np.zeros(n_most), np.zeros(n_most)
    room = np.zeros((n_most, 2))
    z, value = np.zeros(POINTS * n_most), np.zeros(POINTS * n_most)
    grid = (
        np.zeros(n_most),
        np.zeros(n_most),
        np.zeros(n_most, np.int64),
        np.zeros(n_most + 1, np.int64),
        np.zeros(n_most, np.bool_),
    )
    highest = np.zeros(mz.shape[1])
    top_mz, top = np.zeros(n_most), np.zeros(n_most)
    for i in range(begin, len(formula)):
        shift, n_atoms = 0.0, 0
        for e in range(len(counts)):
            counts[e] = formula_counts[formula[i], e] + modifier_counts[modifier[i], e]
            if label_mz[e] > 0.0:
                shift += counts[e] * label_mz[e]
                counts[e] = 0
            n_atoms += counts[e]
        mz[i], intensity[i] = 0.0, 0.0
        if n_atoms == 0:
            continue
        n = combine(counts, first, start, masses, probabilities, mass, weight, room)
        if n < 0:
            return i
        mode = 0
        for k in range(n):
            mass[k] -= charge_mass
            mode = k if weight[k] > weight[mode] else mode
        top_mz[0], top[0] = mass[0], 1.0
        n_top = 1
        if n > 1:
            power = resolving_power
            if power <= 0.0:
                power = mass[mode] / (-power * FWHM_OF_SIGMA)
            n_top = find_pattern(
                mass,
                weight,
                n,
                model,
                power,
                reach,
                grid,
                z,
                value,
                highest,
                top_mz,
                top,
            )
        if n_top < 0:
            return i
        n_kept = keep_highest(top_mz, top, n_top, mz[i], intensity[i])
        mz[i, :n_kept] += shift
    return len(formula)
