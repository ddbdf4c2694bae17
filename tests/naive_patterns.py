"""Isotope patterns of ions, point by point: slow, and as METASPACE defines them."""

import csv
import itertools
import math
import re
from pathlib import Path

from hpc_connector.learner.annotation.formulas import format_formula, parse_formula

ELEMENTS = Path(__file__).parent / "data/metaspace_known_answers/elements.csv"
ELECTRON_MASS = 0.00054857990924
FWHM_OF_SIGMA = 2.3548200450309493
LEAST = 1e-4  # of the most probable isotopologue, and of the highest centroid
N_POINTS = 25  # of a grid within the full width at half maximum
N_SIDE = 7  # points of a centroid on either side of its top


def make_ion_formula(formula, modifier):
    """Return the formula of an ion, None where atoms run short or none is left."""
    counts = parse_formula(formula.replace(".", "").replace("=", ""))
    for sign, part in re.findall(r"([+-])([A-Z][^+-]*)", modifier):
        for element, n in parse_formula(part).items():
            counts[element] = counts.get(element, 0) + (n if sign == "+" else -n)
        if min(counts.values()) < 0:
            return None
    return format_formula(counts) or None


def read_isotopes():
    """Return mass and abundance of the isotopes of each element."""
    isotopes = {}
    with open(ELEMENTS) as stream:
        for row in csv.DictReader(stream):
            pair = float(row["mass"]), float(row["abundance"])
            isotopes.setdefault(row["element"], []).append(pair)
    return isotopes


def compose(n, n_parts):
    """Yield every way to write n as a sum of some parts, in order."""
    for bars in itertools.combinations(range(n + n_parts - 1), n_parts - 1):
        ends = (-1, *bars, n + n_parts - 1)
        yield [b - a - 1 for a, b in itertools.pairwise(ends)]


def list_isotopologues(counts, isotopes):
    """Return mass and probability, relative to the most probable, in order of mass."""
    found = [(0.0, 1.0)]
    for element, n in counts.items():
        parts = []
        for numbers in compose(n, len(isotopes[element])):
            pairs = list(zip(numbers, isotopes[element], strict=True))
            logarithm = math.lgamma(n + 1)
            for k, (_, abundance) in pairs:
                logarithm += k * math.log(abundance) - math.lgamma(k + 1)
            parts.append((sum(k * mass for k, (mass, _) in pairs), math.exp(logarithm)))
        mode = max(p for _, p in parts)
        parts = [(mass, p / mode) for mass, p in parts if p / mode >= LEAST]
        found = [(a + b, p * q) for a, p in found for b, q in parts if p * q >= LEAST]
    return sorted(found)


def make_width(instrument, sigma, peaks):
    """Return the function that gives the standard deviation of a peak at an m/z."""
    resolving_power = 200 / (sigma * FWHM_OF_SIGMA)
    if instrument == "v1":
        resolving_power = max(peaks, key=lambda p: p[1])[0] / (sigma * FWHM_OF_SIGMA)

    def get_width(mz):
        factor = {"FTICR": 200 / mz, "Orbitrap": math.sqrt(200 / mz)}.get(instrument, 1)
        return mz / (resolving_power * factor) / FWHM_OF_SIGMA

    return get_width


def draw_envelope(peaks, get_width, reach):
    """Return m/z and value of every point of the grid."""
    p, s, is_empty = 0, get_width(peaks[0][0]), False
    step = s * FWHM_OF_SIGMA / N_POINTS
    z = peaks[0][0] - reach * s
    points = []

    def get_value(z):
        near = (
            (mz, intensity)
            for k, (mz, intensity) in enumerate(peaks)
            if k == p or (mz - z <= reach * s and z - mz < reach * s)
        )
        return sum(i * math.exp(-0.5 * ((mz - z) / s) ** 2) for mz, i in near)

    points += [(z - k * step, get_value(z - k * step)) for k in range(N_SIDE, 0, -1)]
    while z <= peaks[-1][0] + reach * s:
        if z > peaks[p][0] + reach * s:
            is_empty = True
        if is_empty and p + 1 < len(peaks) and z >= peaks[p + 1][0] - reach * s:
            is_empty, p = False, p + 1
            s = get_width(peaks[p][0])
        points.append((z, 0.0 if is_empty else get_value(z)))
        z += s * FWHM_OF_SIGMA / N_POINTS
    return points


def find_centroids(points):
    """Return m/z and height of the centroids of an envelope."""
    value = [v for _, v in points] + [0.0] * (N_SIDE + 2)
    centroids = []
    for i in range(1, len(points)):
        if not (value[i - 1] < value[i] >= value[i + 1] and value[i] >= LEAST):
            continue
        first = i
        while i - first < N_SIDE and first > 0 and value[first - 1] < value[first]:
            first -= 1
        last = i
        while last - i < N_SIDE:
            last += 1
            if last - i < N_SIDE and value[last + 1] > value[last]:
                last -= 1
                break
        taken = points[first : last + 1]
        weight = sum(v for _, v in taken)
        centroids.append((sum(z * v for z, v in taken) / weight, value[i]))
    highest = max((v for _, v in centroids), default=1.0)
    return [(z, v / highest) for z, v in centroids if v / highest >= LEAST]


def get_pattern(counts, isotopes, instrument, sigma, charge=1, n_peaks=4):
    """Return m/z and intensity (of 100) of the highest centroids, in order of m/z."""
    found = list_isotopologues(counts, isotopes)
    highest = max(p for _, p in found)
    peaks = [(mass - charge * ELECTRON_MASS, p / highest) for mass, p in found]
    if len(peaks) == 1:
        return [(peaks[0][0], 100.0)]
    reach = 12 if instrument == "v1" else 6
    points = draw_envelope(peaks, make_width(instrument, sigma, peaks), reach)
    centroids = sorted(find_centroids(points), key=lambda c: -c[1])[:n_peaks]
    return sorted((mz, 100 * height) for mz, height in centroids)
