"""Where the spectra of imzML lie: sections, and pixels of what may be stage positions.

imzML counts pixels from 1. Exporters also count from 0, or write where the stage was;
then all positions are some steps from the first, and the step is divided out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.notes import Assumption

AXES = ("x", "y")
DECIMALS = 6  # nanometres of a position in millimetres
JITTER = 0.05  # of a step: what rounding positions may do
MOST_ROOM = 4  # places a pixel; in sparser images, most pixels have neighbours
MOST_FILLED = 100  # places a pixel of an image that may be of any size
MOST_PLACES = 1 << 28  # of an image in which nearly all are empty


def choose_section(
    path: str, z: NDArray[np.float64], section: float | None
) -> NDArray[np.bool_]:
    """Return which spectra are of a section, bool.

    Parameters
    ----------
    z
        Position z of each spectrum, NaN for none.
    section
        None for the only one.

    Raises
    ------
    BadInput
        There are several, or there is none such.
    """
    sections = np.unique(z[~np.isnan(z)]).tolist()
    if section is None and len(sections) <= 1:
        return np.ones(len(z), bool)
    named = ", ".join(f"{one:.15g}" for one in sections[:20]) or "none"
    if section is None:
        raise BadInput(
            f"{path} has {len(sections)} sections (position z {named}): expected one, "
            "or --section with the one to take"
        )
    if section not in sections:
        raise BadInput(
            f"{path} has no section {section:.15g}: expected --section to be of its "
            f"position z: {named}"
        )
    is_chosen: NDArray[np.bool_] = z == section
    return is_chosen


def get_pixels(
    path: str, position: NDArray[np.float64], *, in_steps: bool
) -> tuple[NDArray[np.int32], tuple[Assumption, ...]]:
    """Return column and row of each spectrum, int32 (spectra, 2), and what is assumed.

    Whole numbers are taken as they are, unless they are to be divided by their step.

    Raises
    ------
    BadInput
        Fractions that are of no common step, or an image too large for its pixels.
    """
    is_whole = (position % 1 == 0).all(axis=0)
    step = [get_step(position[:, k]) if in_steps else 0.0 for k in range(2)]
    pixel: NDArray[Any] = position.copy()
    for k in range(2):
        if step[k] == 0:
            check_whole(path, position[:, k], AXES[k])
        elif step[k] != 1 or not is_whole[k]:
            pixel[:, k] = 1 + np.rint((pixel[:, k] - pixel[:, k].min()) / step[k])
    pixel = pixel.astype(np.int32)
    said = (*_say_step(path, step), *check_room(path, pixel)) if in_steps else ()
    return pixel, said


def _say_step(path: str, step: list[float]) -> tuple[Assumption, ...]:
    """Return the assumption where positions are divided by a step."""
    if set(step) <= {0, 1}:
        return ()
    each = zip(step, AXES, strict=True)
    taken = " and ".join(f"{one or 1:.6g} in {axis}" for one, axis in each)
    because = f"the positions in {path} are multiples of that apart (of the stage?)"
    return (Assumption("distance of neighbouring pixels", taken, because),)


def get_step(position: NDArray[np.float64]) -> float:
    """Return the step that all distances are multiples of, 0 where there is none.

    Examples
    --------
    >>> get_step(np.array([100, 250, 50, 100])), get_step(np.array([0, 33, 67, 100]))
    (50.0, 33.333333333333336)
    """
    if (np.abs(np.diff(position)) == 1).any() and (position % 1 == 0).all():
        return 1.0  # as nearly always
    gaps = np.diff(np.unique(position.round(DECIMALS)))
    is_whole = (gaps % 1 == 0).all()
    if len(gaps) == 0 or (is_whole and gaps.min() == 1):
        return 1.0
    n = np.rint(gaps / gaps.min())
    step = gaps.sum() / n.sum()
    if (np.abs(gaps - n * step) < JITTER * step).all():
        return float(step)
    return float(np.gcd.reduce(gaps.astype(np.int64))) if is_whole else 0.0


def check_whole(path: str, position: NDArray[np.float64], axis: str) -> None:
    """Refuse positions that are no whole numbers."""
    wrong = np.flatnonzero(position % 1 != 0)
    if len(wrong):
        raise BadInput(
            f"{path}: spectrum {wrong[0] + 1} has position {axis} "
            f"{position[wrong[0]]:.15g}: expected whole numbers, or multiples of a step"
        )


def check_room(path: str, pixel: NDArray[np.int32]) -> tuple[Assumption, ...]:
    """Return the assumption about an image in which pixels stand alone.

    Raises
    ------
    BadInput
        One that is too large.
    """
    width, height = (np.ptp(pixel, axis=0) + 1).tolist()
    if width * height <= MOST_ROOM * len(pixel):
        return ()
    image = f"{path} has {len(pixel)} spectra in an image of {width} x {height}"
    if is_too_large(width, height, len(pixel)):
        raise BadInput(f"{image}: expected positions of pixels, not of the stage")
    if have_neighbours(pixel):
        return ()
    return (Assumption("position", "of pixels", f"{image}, most without neighbours"),)


def is_too_large(width: int, height: int, n_pixels: int) -> bool:
    """Return whether an image has too much room for its pixels."""
    return width * height > max(MOST_PLACES, MOST_FILLED * n_pixels)


def have_neighbours(pixel: NDArray[np.int32]) -> bool:
    """Return whether half of the pixels, or more, have one right beside them."""
    row, column = pixel[:, 1].astype(np.int64), pixel[:, 0]
    place = np.unique(row * 2**32 + column)
    beside = np.diff(place) == 1
    return bool(np.mean(np.append(beside, False) | np.append(False, beside)) >= 0.5)
