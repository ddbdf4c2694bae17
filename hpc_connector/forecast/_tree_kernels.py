"""Boosted trees, walked from root to leaf."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel


@kernel
def sum_leaves(
    x: NDArray[np.float64],
    feature: NDArray[np.integer[Any]],
    threshold: NDArray[np.float64],
    left: NDArray[np.integer[Any]],
    right: NDArray[np.integer[Any]],
    value: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the sum of the leaves that each row reaches, shape (n,).

    A node whose left child is 0 is a leaf, for the root is nobody's child.

    Parameters
    ----------
    x
        Features, shape (n, features), float64.
    feature, threshold, left, right, value
        Of the nodes of each tree, shape (trees, nodes).
    """
    totals = np.zeros(len(x))
    for tree in range(len(left)):
        for row in range(len(x)):
            node = 0
            while left[tree, node] > 0:
                if x[row, feature[tree, node]] <= threshold[tree, node]:
                    node = left[tree, node]
                else:
                    node = right[tree, node]
            totals[row] += value[tree, node]
    return totals
