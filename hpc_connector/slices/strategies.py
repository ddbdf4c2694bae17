"""What all strategies refuse: objects of other formats, and numbers that are none."""

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, TypeVar

from hpc_connector.errors import BadInput

MOST_SLICES = 10**7

Cut = TypeVar("Cut", bound=Callable[..., Any])


def cuts(formats: str, by: str) -> Callable[[Cut], Cut]:
    """Have a strategy refuse an object whose index has not what it cuts by.

    So it may be used for the format of anybody that has such an index.

    Parameters
    ----------
    formats
        Names of the formats it is of, for people.
    by
        A fact, or an array, that only such indexes have.
    """

    def decorate(strategy: Cut) -> Cut:
        @functools.wraps(strategy)
        def check(co: Any, *values: Any, **options: Any) -> Any:
            if by not in co.index.facts and by not in co.index.arrays:
                raise BadInput(
                    f"{co.source.uri} is {co.format.name}: {strategy.__module__}."
                    f"{strategy.__name__} is a strategy of {formats}"
                )
            return strategy(co, *values, **options)

        return check  # type: ignore[return-value]

    return decorate


def check_options(strategy: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuse options that a strategy has not, and those that it lacks.

    Raises
    ------
    BadInput
        With the names that it knows.
    """
    signature = inspect.signature(strategy)
    try:
        signature.bind(None, **options)
    except TypeError as error:
        known = ", ".join(list(signature.parameters)[1:])
        name = getattr(strategy, "__name__", strategy)
        raise BadInput(f"{name}: {error}: expected {known}") from None


def check_number(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of any kind as Python's.

    Raises
    ------
    BadInput
        It is none, or less than it may be.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BadInput(f"{name}: {value!r}: expected a whole number, {least} or more")
    if (number := operator.index(value)) < least:
        raise BadInput(f"{name}: {number}: expected {least} or more")
    return number


def check_count(name: str, value: Any) -> int:
    """Return a number of slices as Python's, if so many can be held.

    Raises
    ------
    BadInput
        As ``check_number``, and more than ``MOST_SLICES``.
    """
    if (number := check_number(name, value)) > MOST_SLICES:
        raise BadInput(f"{name}: {number}: expected {MOST_SLICES} at most")
    return number


def count_slices(name: str, size: Any, total: int) -> int:
    """Return how many slices of a size there are, at least one.

    Raises
    ------
    BadInput
        As ``check_number``, and a size so small that there were too many.
    """
    n = max(1, -(-total // check_number(name, size)))
    if n > MOST_SLICES:
        raise BadInput(f"{name}: {size}: expected {-(-total // MOST_SLICES)} or more")
    return n


def check_list(name: str, values: Any) -> list[Any]:
    """Return values as a list.

    Raises
    ------
    BadInput
        They are not several.
    """
    if not hasattr(values, "__iter__"):
        raise BadInput(f"{name}: {values!r}: expected a list")
    return list(values)
