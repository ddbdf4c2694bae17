"""The numba options that every kernel of the package shares, and how they are kept."""

import contextlib
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numba
from numba.core.caching import IndexDataCacheFile

Function = TypeVar("Function", bound=Callable[..., Any])


class KeyedFiles(IndexDataCacheFile):
    """The compiled code of a function: a file for each signature, named by what it is.

    numba numbers these files in an index, which processes read and write without a
    lock: of two ranks that compile a function for different types at a time, one may
    later be given the code of the other, and compute wrong numbers. What a file holds
    is checked as it is read, and what is damaged is compiled again.
    """

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled, if there is room for it."""
        with contextlib.suppress(OSError):
            marks = self._get_marks(key)
            self._save_data(self._get_name(marks), (*marks, data))

    def load(self, key: Any) -> Any:
        """Return the machine code that was compiled before, or None."""
        marks = self._get_marks(key)
        try:
            *found, data = self._load_data(self._get_name(marks))
        except Exception:  # there is none, or it cannot be unpickled
            return None
        return data if tuple(found) == marks else None

    def _get_marks(self, key: Any) -> tuple[Any, ...]:
        return self._version, self._source_stamp, key

    def _get_name(self, marks: tuple[Any, ...]) -> str:
        digest = hashlib.sha256(repr(marks).encode()).hexdigest()
        name: str = self._index_name
        return name.removesuffix("nbi") + f"{digest[:32]}.nbc"


def _jit(**options: Any) -> Callable[[Function], Function]:
    """Return a decorator that has a function compiled, and kept where there is room."""
    compiled = partial(
        numba.njit, nogil=True, error_model="numpy", boundscheck=False, **options
    )
    return lambda function: _keep(compiled(function))


def _keep(kernel: Any) -> Any:
    """Have the code of a kernel kept; without a folder to write to it is in memory."""
    with contextlib.suppress(RuntimeError, AttributeError):  # or numba is switched off
        kernel.enable_caching()
        cache = kernel._cache
        name, stamp = cache._impl.filename_base, cache._cache_file._source_stamp
        cache._cache_file = KeyedFiles(cache.cache_path, name, stamp)
    return kernel


kernel = _jit()
inlined = _jit(inline="always")

# For hot loops. What allocates nothing needs no reference counts, whose atomic
# additions cost as much as a pair of variants; numba's own sort is compiled so.
bare = _jit(_nrt=False)
