"""FDR-controlled annotation of metabolites in imaging mass spectrometry.

What Python users call is loaded when it is asked for: :func:`annotate` runs a search,
:func:`load` reads one that was run before, and both return a :class:`Result`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metabolite_annotation.api import Result, annotate, load

__all__ = ["Result", "annotate", "load"]


def __getattr__(name: str) -> Any:
    """Return a name that the package offers, which loads all that it needs."""
    if name in __all__:
        return getattr(import_module("metabolite_annotation.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the package, also of what is not loaded yet."""
    return sorted({*globals(), *__all__})
