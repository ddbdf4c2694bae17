"""Bytes to arrays: genotypes, labels and spectra of every format.

Each name is imported when it is asked for: spectra need no reader of genotypes.
"""

import importlib
from typing import Any

_HOMES = {
    "ReadOptions": "genotypes.sample_file",
    "convert_labels": "labels",
    "convert_samples": "genotypes.samples",
    "inspect_sample": "genotypes.samples",
    "read_labels": "labels",
    "read_sample": "genotypes.samples",
}

__all__ = [
    "ReadOptions",
    "convert_labels",
    "convert_samples",
    "inspect_sample",
    "read_labels",
    "read_sample",
]


def __getattr__(name: str) -> Any:
    """Return what a name stands for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
