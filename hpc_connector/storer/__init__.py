"""Columns to files: HDF5, text, PNG."""

from hpc_connector.storer.results import Shards, save_output, save_table

__all__ = ["Shards", "save_output", "save_table"]
