"""Whether there is a model to search at all: variants enough, listed and far apart."""

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.mdr.search import Question


def check_models(question: Question, n_variants: int) -> None:
    """Refuse a search without a model.

    Raises
    ------
    BadInput
        Too few variants, lists that share no model, or none that are far enough apart.
    """
    order = question.order
    check_number(n_variants, order)
    first, second = split_roles(question, n_variants)
    n_either = int((first | second).sum())
    if not first.any() or second.sum() < order - 1 or n_either < order:
        raise BadInput(
            f"--variants leaves {first.sum()} variants and --with-variants "
            f"{second.sum()}: expected one of the first and {order - 1} more of the "
            "second for a model"
        )
    if len(question.home) and not any_across(question):
        raise BadInput(
            "--sets: no two variants of two sets make a pair: expected sets of other "
            "variants, or a smaller --min-distance-bp"
        )
    if question.min_distance > 0:
        n_far = count_far(question, first, second)
        if not (n_far >= order - 1).any():
            raise BadInput(
                f"no {order} variants are {question.min_distance:,} base pairs apart: "
                "expected a smaller --min-distance-bp"
            )


def check_number(n_variants: int, order: int) -> None:
    """Refuse fewer variants than a model has."""
    if n_variants < order:
        raise BadInput(
            f"variants kept: {n_variants}; expected {order} or more for a model of "
            f"{order} (--min-maf, --max-missing and --variants leave some out)"
        )


def split_roles(question: Question, n_variants: int) -> tuple[np.ndarray, np.ndarray]:
    """Return who may be the first of a model, and who the others, bool (variants,)."""
    role = question.role if len(question.role) else np.full(n_variants, 3)
    return (role & 1) != 0, (role & 2) != 0


def any_across(question: Question) -> bool:
    """Return whether some pair across sets is far enough apart."""
    home, place = question.home, question.position
    for i in range(len(home)):
        is_fit = (home != home[i]) | (home[i] < 0)
        is_fit[i] = False
        if question.min_distance > 0:
            is_far = np.abs(place - place[i]) >= question.min_distance
            is_fit &= is_far | (question.chromosome != question.chromosome[i])
        if is_fit.any():
            return True
    return False


def count_far(question: Question, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Count variants that are far from one of `first`, and from one another.

    Parameters
    ----------
    second
        Those to count, bool (variants,).

    Returns
    -------
    For each of `first`; on each chromosome, and to each side on its own, up to 2.
    """
    distance = question.min_distance
    places = {}
    for chromosome in np.unique(question.chromosome[second]):
        here = second & (question.chromosome == chromosome)
        places[chromosome] = np.sort(question.position[here])
    n_of = {c: 1 + (p[-1] - p[0] >= distance) for c, p in places.items()}
    n_far = np.full(len(first), sum(n_of.values()))
    for chromosome, there in places.items():
        mine = question.chromosome == chromosome
        at = question.position[mine]
        last_left = there[np.searchsorted(there, at - distance, "right") - 1]
        first_right = np.append(there, there[-1])[
            np.searchsorted(there, at + distance, "left")
        ]
        left = (there[0] <= at - distance) * (1 + (last_left - there[0] >= distance))
        right = (there[-1] >= at + distance) * (
            1 + (there[-1] - first_right >= distance)
        )
        n_far[mine] += left + right - n_of[chromosome]
    return n_far[first]
