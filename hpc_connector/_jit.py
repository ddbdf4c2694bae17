"""The numba options that every kernel of the package shares."""

from functools import partial

import numba

_jit = partial(
    numba.njit, cache=True, nogil=True, error_model="numpy", boundscheck=False
)

kernel = _jit()
inlined = _jit(inline="always")

# For hot loops. What allocates nothing needs no reference counts, whose atomic
# additions cost as much as a pair of variants; numba's own sort is compiled so.
bare = _jit(_nrt=False)
