"""Cut a plane to rectangles, such that each point is in one and in one only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpc_connector.slices.strategies import check_count


@dataclass(frozen=True)
class Square:
    """One of the rectangles of a plane: a cell of a row of cells.

    The plane is cut to `n_rows` rows, and its row `row` to `n_columns` cells.
    """

    lowest: tuple[float, float]
    highest: tuple[float, float]
    n_rows: int
    row: int
    n_columns: int
    column: int

    def as_facts(self) -> dict[str, Any]:
        """Return it as facts of a slice."""
        corners = {"lowest": list(self.lowest), "highest": list(self.highest)}
        return asdict(self) | corners

    def holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return which points are in it, bool.

        Its lower bounds belong to it, the upper ones to its neighbours, and what lies
        outside the plane to the cell at the edge.
        """
        return self.meets(x, x, y, y)

    def meets(
        self,
        x_low: np.ndarray,
        x_high: np.ndarray,
        y_low: np.ndarray,
        y_high: np.ndarray,
    ) -> np.ndarray:
        """Return which boxes have points that may be in it, bool.

        Parameters
        ----------
        x_low, x_high, y_low, y_high
            Bounds of the boxes, shape (boxes,).
        """
        (x0, y0), (x1, y1) = self.lowest, self.highest
        columns = [get_cell(x, x0, x1, self.n_columns) for x in (x_low, x_high)]
        rows = [get_cell(y, y0, y1, self.n_rows) for y in (y_low, y_high)]
        in_row = (rows[0] <= self.row) & (self.row <= rows[1])
        return in_row & (columns[0] <= self.column) & (self.column <= columns[1])


def get_cell(value: np.ndarray, lowest: float, highest: float, n: int) -> np.ndarray:
    """Return which of n equal parts of a range values are in; its ends take the rest.

    It never falls where the value grows: the box of some points has their cells.

    Parameters
    ----------
    value
        Shape (...,).
    lowest, highest
        Of the range.
    n
        Parts.
    """
    width = highest - lowest if lowest < highest else 1.0
    return np.clip(np.floor((value - lowest) / width * n), 0, n - 1)


def plan_squares(
    lowest: Sequence[float], highest: Sequence[float], num_chunks: int
) -> list[Square]:
    """Return rectangles that cover a plane, as square as their number lets them be.

    Examples
    --------
    >>> [(s.row, s.n_columns) for s in plan_squares((0, 0), (1, 1), 5)]
    [(0, 2), (0, 2), (1, 3), (1, 3), (1, 3)]
    """
    num_chunks = check_count("num_chunks", num_chunks)
    (x0, y0), (x1, y1) = map(float, lowest), map(float, highest)
    n_rows = int(num_chunks**0.5)
    cuts = [num_chunks * row // n_rows for row in range(n_rows + 1)]
    return [
        Square((x0, y0), (x1, y1), n_rows, row, cuts[row + 1] - cuts[row], column)
        for row in range(n_rows)
        for column in range(cuts[row + 1] - cuts[row])
    ]
