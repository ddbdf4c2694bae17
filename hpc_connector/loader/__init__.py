"""Bytes to arrays: genotypes, labels and spectra of every format."""

from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import (
    convert_samples,
    inspect_sample,
    read_sample,
)
from hpc_connector.loader.labels import convert_labels, read_labels

__all__ = [
    "ReadOptions",
    "convert_labels",
    "convert_samples",
    "inspect_sample",
    "read_labels",
    "read_sample",
]
