"""Slices of objects near the data: index once, cut on the fly, read only those bytes.

Arjona, Garcia-Lopez, Barcelona-Pons, "Dataplug: Unlocking extreme data analytics with
on-the-fly dynamic partitioning of unstructured data", CCGrid 2024. The names are those
of deliverable D2.2; the code is our own.
"""

from hpc_connector.burst.executor import open_executor
from hpc_connector.slices.backends import LithopsPreprocessor
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format

__all__ = [
    "CloudObject",
    "DataSlice",
    "Format",
    "LithopsPreprocessor",
    "open_executor",
]
