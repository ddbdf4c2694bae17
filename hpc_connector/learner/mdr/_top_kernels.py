"""The best models of a task, in an order that nothing can change.

Three statistics decide, the larger the better, then the lower variant indices. The
list is a heap whose root is the worst model that is still in it.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel


@kernel
def _is_worse(
    key: NDArray[np.float64], model: NDArray[np.int64], a: int, b: int
) -> bool:
    """Return whether row a ranks behind row b."""
    for k in range(key.shape[1]):
        if key[a, k] != key[b, k]:
            return key[a, k] < key[b, k]
    for k in range(model.shape[1]):
        if model[a, k] != model[b, k]:
            return model[a, k] > model[b, k]
    return False


@kernel
def _swap(key: NDArray[np.float64], model: NDArray[np.int64], a: int, b: int) -> None:
    for k in range(key.shape[1]):
        key[a, k], key[b, k] = key[b, k], key[a, k]
    for k in range(model.shape[1]):
        model[a, k], model[b, k] = model[b, k], model[a, k]


@kernel
def _sift_up(key: NDArray[np.float64], model: NDArray[np.int64], row: int) -> None:
    while row > 0 and _is_worse(key, model, row, (row - 1) // 2):
        _swap(key, model, row, (row - 1) // 2)
        row = (row - 1) // 2


@kernel
def _sift_down(key: NDArray[np.float64], model: NDArray[np.int64]) -> None:
    row, size = 0, key.shape[0] - 1
    while 2 * row + 1 < size:
        child = 2 * row + 1
        if child + 1 < size and _is_worse(key, model, child + 1, child):
            child += 1
        if not _is_worse(key, model, child, row):
            return
        _swap(key, model, row, child)
        row = child


@kernel
def offer_model(
    key: NDArray[np.float64], model: NDArray[np.int64], size: NDArray[np.int64]
) -> None:
    """Put the model of the last row into the list if it belongs there.

    Parameters
    ----------
    key, model
        float64 (top + 1, 3) and int64 (top + 1, order), changed in place. The last row
        is room for the model that is offered.
    size
        Models in the list, int64 (1,), changed in place.
    """
    top = key.shape[0] - 1
    if size[0] < top:
        row = size[0]
        _swap(key, model, row, top)
        size[0] += 1
        _sift_up(key, model, row)
    elif _is_worse(key, model, 0, top):
        _swap(key, model, 0, top)
        _sift_down(key, model)
