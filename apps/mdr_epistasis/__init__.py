"""Exhaustive search for interacting variants by dimensionality reduction.

import mdr_epistasis as mdr

result = mdr.search(genotypes, is_case)             # arrays
result = mdr.run("cohort.bed", out="results")       # files, as the command
result = mdr.load("results")                        # a run of the command
mdr.MDR().fit(X, y)                                 # an estimator of scikit-learn
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdr_epistasis.api import run, search
    from mdr_epistasis.estimator import MDR
    from mdr_epistasis.output.result import Result, load

__all__ = ["MDR", "Result", "load", "run", "search"]

HOMES = {
    "MDR": "estimator",
    "Result": "output.result",
    "load": "output.result",
    "run": "api",
    "search": "api",
}


def __getattr__(name: str) -> Any:
    """Return a name, imported when it is asked for: numba takes a second."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the API."""
    return sorted({*globals(), *__all__})
