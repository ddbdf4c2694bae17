"""Bring the computation to extreme omics data on a supercomputer."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return the version, looked up when it is asked for: that costs megabytes."""
    if name == "__version__":
        from importlib.metadata import version

        return version("hpc_connector")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
