"""Arrays to arrays: epistasis by MDR, and annotation of metabolites.

The names are those of deliverable D2.2. Each is imported when it is asked for: neither
program needs the kernels of the other.
"""

import importlib
from typing import Any

_HOMES = {
    "annotate": "annotation.ion_images",
    "applyMdrDict": "mdr.mdr",
    "apply_mdr_dict": "mdr.mdr",
    "calculate_centroids": "annotation.patterns",
    "filter_imputation": "mdr.mdr",
    "get_error": "mdr.mdr",
    "get_risk_array": "mdr.mdr",
    "make_ions": "annotation.ions",
    "run_fdr": "annotation.fdr",
    "transform_patients": "mdr.mdr",
}
_ALIASES = {"build_database": "make_ions"}

__all__ = [
    "annotate",
    "applyMdrDict",
    "apply_mdr_dict",
    "build_database",
    "calculate_centroids",
    "filter_imputation",
    "get_error",
    "get_risk_array",
    "run_fdr",
    "transform_patients",
]


def __getattr__(name: str) -> Any:
    """Return what a name stands for."""
    known = _ALIASES.get(name, name)
    if known not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[known]}")
    return getattr(home, known)
