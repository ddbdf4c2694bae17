"""Columns of results: what each is, and all of them as a table."""

from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

TEXT = "text"  # UTF-8, of any length


class Column(NamedTuple):
    """A column of the results of a program.

    Parameters
    ----------
    dtype
        As NumPy names it; ``text`` for text in UTF-8.
    definition
        What it is, in words of the field.
    unit
        Empty for text, and for a number without one.
    shape
        Of one row, where it is more than one value.
    """

    name: str
    dtype: str
    definition: str
    unit: str = ""
    shape: str = ""


def to_plain(value: Any) -> Any:
    """Return a scalar of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def to_table(columns: dict[str, Any]) -> Any:
    """Return columns as a pandas.DataFrame; as they are where there is no pandas."""
    if find_spec("pandas") is None:
        return columns
    import pandas as pd

    texts = np.dtypes.StringDType()
    return pd.DataFrame({
        name: list(column) if getattr(column, "dtype", None) == texts else column
        for name, column in columns.items()
    })  # fmt: skip
