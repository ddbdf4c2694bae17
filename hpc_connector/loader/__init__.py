"""Bytes to arrays: genotypes and phenotypes of every format."""

from hpc_connector.loader.labels import convert_labels, read_labels
from hpc_connector.loader.sample_file import ReadOptions
from hpc_connector.loader.samples import convert_samples, inspect_sample, read_sample

__all__ = [
    "ReadOptions",
    "convert_labels",
    "convert_samples",
    "inspect_sample",
    "read_labels",
    "read_sample",
]
