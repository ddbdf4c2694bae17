"""The numba options that every kernel of the package shares."""

import numba

kernel = numba.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
inlined = numba.njit(
    cache=True, nogil=True, error_model="numpy", boundscheck=False, inline="always"
)
