"""Bring the computation to extreme omics data on a supercomputer."""

from importlib.metadata import version

__version__ = version("hpc_connector")
