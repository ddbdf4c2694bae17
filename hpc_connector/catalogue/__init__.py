"""A catalogue: which data sets there are, where, how they are cut, who may use them."""

import importlib
from typing import Any

OFFERED = {  # each loaded when it is asked for: module of this folder
    "Catalog": "catalog",
    "DataSet": "records",
    "Grant": "records",
    "Policy": "records",
    "Provenance": "records",
    "SliceIndex": "records",
    "StoredObject": "records",
    "add": "gather",
    "export_dcat": "graph.dcat",
    "find": "lookup",
    "get": "lookup",
    "import_dcat": "graph.read",
    "open_catalog": "catalog",
    "search": "search",
    "verify": "verify",
}

__all__ = [*OFFERED]


def __getattr__(name: str) -> Any:
    """Return what is offered, whose module is loaded now."""
    if name not in OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{OFFERED[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that there are, loaded or not."""
    return sorted({*globals(), *OFFERED})
