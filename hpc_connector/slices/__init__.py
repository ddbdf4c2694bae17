"""Slices of objects near the data: index once, cut on the fly, read only those bytes.

Arjona, Garcia-Lopez, Barcelona-Pons, "Dataplug: Unlocking extreme data analytics with
on-the-fly dynamic partitioning of unstructured data", CCGrid 2024. The names are those
of deliverable D2.2; the code is our own.
"""

import importlib
from typing import Any

from hpc_connector.burst.lithops.executor import open_executor
from hpc_connector.slices.backends import LithopsPreprocessor
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format

FORMATS = {  # by name, each loaded when it is asked for: module of formats/
    "BCF": "bcf",
    "COG": "cog",
    "COPC": "copc",
    "CSV": "text",
    "FASTA": "fasta",
    "FASTQGZip": "fastq_gzip",
    "ImzML": "imzml",
    "LAS": "las",
    "LiDARPointCloud": "las",
    "Lines": "text",
    "UTF8Text": "text",
    "VCF": "text",
    "VCFGZip": "vcf_gzip",
}

__all__ = [
    "CloudObject",
    "DataSlice",
    "Format",
    "LithopsPreprocessor",
    "open_executor",
    *FORMATS,
]


def __getattr__(name: str) -> Any:
    """Return a format, whose module is loaded now."""
    if name not in FORMATS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.formats.{FORMATS[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that there are, loaded or not."""
    return sorted({*globals(), *FORMATS})
