"""What is simulated, and which ions of it are where."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import format_formula, parse_formula
from hpc_connector.learner.annotation.ions import Candidates, Chemistry, Ions, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids

MOST_DISCS = 3  # of an ion
RADII = (0.1, 0.35)  # of a disc, by the shorter side of the box
LEVELS = (0.4, 1.0)  # in the middle of a disc
AMPLITUDE, AMPLITUDE_SPREAD = 30.0, 1.0  # median, by the detection limit; log
STEPS = {"C": 3, "H": 4, "N": 2, "O": 2}  # most atoms that unknown molecules differ by
MOST_TRIES = 100  # to find an unknown molecule, for each


@dataclass(frozen=True)
class Design:
    """What is simulated.

    Parameters
    ----------
    planted, unknown
        Ions of molecules of the database, and of others that resemble them.
    noise
        Peaks of a spectrum that belong to no ion.
    """

    width: int
    height: int
    planted: int
    unknown: int
    noise: int
    seed: int


@dataclass(frozen=True)
class Targets:
    """All ions of a database that a search would look for.

    ``ion``, shape (formulas, adducts), are rows of ``mz`` and ``heights``, shape (ions,
    peaks), as of ``calculate_centroids``; -1 for one that cannot be.
    """

    formulas: tuple[str, ...]
    adducts: tuple[str, ...]
    ions: Ions
    ion: NDArray[np.int64]
    mz: NDArray[np.float64]
    heights: NDArray[np.float64]


class Disc(NamedTuple):
    """Where an ion is: brightest in the middle, pixels from the corner."""

    x: float
    y: float
    radius: float
    level: float


@dataclass(frozen=True)
class Planted:
    """Ions that are there.

    Parameters
    ----------
    names
        Sum formulas of the ions.
    row
        Of the targets, -1 for an unknown one, (ions,).
    mz, heights
        Of the isotope peaks, (ions, peaks); heights are 1 at most, 0 for none.
    amplitude
        Of the highest peak, by the detection limit, (ions,).
    discs
        Of each ion.
    """

    names: tuple[str, ...]
    row: NDArray[np.int64]
    mz: NDArray[np.float64]
    heights: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    discs: tuple[tuple[Disc, ...], ...]


def list_targets(
    formulas: list[str], adducts: tuple[str, ...], resolution: Resolution
) -> Targets:
    """Return the target ions of a database, with their isotope patterns.

    Raises
    ------
    BadInput
        A formula that loses more than it has, or is too large.
    """
    ions, found = _make_ions(formulas, adducts)
    mz, heights = calculate_centroids(ions, resolution)
    is_there = (found.target >= 0) & (mz[found.target, 0] > 0)
    ion = np.where(is_there, found.target, -1)
    return Targets(tuple(formulas), adducts, ions, ion, mz, heights)


def _make_ions(
    formulas: list[str], adducts: tuple[str, ...]
) -> tuple[Ions, Candidates]:
    """Return ions of formulas with each adduct; with as few decoys as can be."""
    try:
        ions, (found,) = make_ions([formulas], Chemistry(adducts, n_decoys=1))
    except ValueError as error:
        raise BadInput(f"--adducts: {error}") from None
    return ions, found


def plant(design: Design, targets: Targets, resolution: Resolution) -> Planted:
    """Choose the ions that are there, and where; the same design gives the same ones.

    Raises
    ------
    BadInput
        The database has too few ions.
    """
    choosing, placing = np.random.default_rng(design.seed).spawn(2)
    there = np.unique(targets.ion[targets.ion >= 0])
    if len(there) < max(1, design.planted):
        raise BadInput(
            f"--planted {design.planted}: the database has {len(there)} ions, expected "
            "no more"
        )
    row = np.sort(choosing.choice(there, design.planted, replace=False))
    names, mz, heights = _make_unknown(design, targets, resolution, choosing)
    names = [*(targets.ions.get_name(ion) for ion in row.tolist()), *names]
    amplitude = placing.lognormal(np.log(AMPLITUDE), AMPLITUDE_SPREAD, len(names))
    return Planted(
        tuple(names),
        np.concatenate([row, np.full(design.unknown, -1)]),
        np.concatenate([targets.mz[row], mz]),
        np.concatenate([targets.heights[row], heights]) / 100,
        amplitude,
        tuple(_draw_discs(design, placing) for _ in names),
    )


def _draw_discs(design: Design, rng: np.random.Generator) -> tuple[Disc, ...]:
    """Draw where an ion is."""
    n = int(rng.integers(1, MOST_DISCS + 1))
    size = min(design.width, design.height)
    x, y = rng.uniform(0, design.width, n), rng.uniform(0, design.height, n)
    radius, level = rng.uniform(*RADII, n) * size, rng.uniform(*LEVELS, n)
    columns = (column.tolist() for column in (x, y, radius, level))
    return tuple(map(Disc, *columns))


def draw_level(
    discs: tuple[Disc, ...], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much of an ion is at some places, 0 to 1.

    A parabola over each disc, that of the highest where they overlap.

    Parameters
    ----------
    x, y
        Pixels from the corner; the middle of the first is at 0.5.
    """
    level = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for disc in discs:
        far = ((x - disc.x) ** 2 + (y - disc.y) ** 2) / disc.radius**2
        np.maximum(level, disc.level * (1 - far), out=level)
    return level


# Molecules that the database lacks


def _make_unknown(
    design: Design, targets: Targets, resolution: Resolution, rng: np.random.Generator
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Return names, m/z and heights of ions of molecules like those of the database.

    Raises
    ------
    BadInput
        All such molecules are in the database.
    """
    if not design.unknown:
        n_peaks = targets.mz.shape[1]
        return [], np.zeros((0, n_peaks)), np.zeros((0, n_peaks))
    known = {targets.ions.get_name(ion) for ion in np.unique(targets.ion) if ion >= 0}
    names: list[str] = []
    ions: list[int] = []
    if not (formulas := _draw_formulas(design, targets, rng)):
        raise BadInput(_say_known(design, 0))
    found, candidates = _make_ions(formulas, targets.adducts)
    mz, heights = calculate_centroids(found, resolution)
    adduct = rng.integers(0, len(targets.adducts), len(formulas))
    for ion in candidates.target[np.arange(len(formulas)), adduct].tolist():
        name = found.get_name(ion) if ion >= 0 and mz[ion, 0] > 0 else ""
        if name and name not in known and len(names) < design.unknown:
            known.add(name)
            names.append(name)
            ions.append(ion)
    if len(names) < design.unknown:
        raise BadInput(_say_known(design, len(names)))
    return names, mz[ions], heights[ions]


def _say_known(design: Design, n_found: int) -> str:
    return (
        f"--unknown {design.unknown}: {n_found} molecules like those of the database "
        "were found outside it"
    )


def _draw_formulas(
    design: Design, targets: Targets, rng: np.random.Generator
) -> list[str]:
    """Return formulas a few atoms from those of a database; more than are needed."""
    known = {format_formula(parse_formula(formula)) for formula in targets.formulas}
    found: dict[str, None] = {}
    for _ in range(MOST_TRIES * design.unknown):
        near = targets.formulas[int(rng.integers(len(targets.formulas)))]
        counts = parse_formula(near)
        for element, most in STEPS.items():
            step = int(rng.integers(-most, most + 1))
            counts[element] = counts.get(element, 0) + step
        is_molecule = min(counts.values()) >= 0 and counts["C"] > 0 and counts["H"] > 0
        formula = format_formula(counts)
        if is_molecule and formula not in known:
            found[formula] = None
        if len(found) >= 2 * design.unknown + 10:
            break
    return list(found)
