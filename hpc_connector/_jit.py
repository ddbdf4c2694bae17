"""The numba options that every kernel of the package shares, and how they are kept."""

import contextlib
import hashlib
import pickle
import sys
from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import Any, Self, TypeVar

import numba
from llvmlite.binding import add_symbol, parse_bitcode
from numba.core import environment
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.runtime import _nrt_python

FORMAT = 2  # of what is kept
Function = TypeVar("Function", bound=Callable[..., Any])


class KeptLibrary(JITCodeLibrary):
    """Machine code, with the bitcode from which what calls it is compiled.

    numba parses the bitcode as it loads the code, to learn its symbols. Here these are
    kept beside it, and it is parsed when something is compiled.
    """

    _bitcode = b""

    def _get_module_for_linking(self) -> Any:
        """Return the bitcode, parsed."""
        if self._bitcode:
            self._shared_module, self._bitcode = parse_bitcode(self._bitcode), b""
        return super()._get_module_for_linking()

    def serialize_using_object_code(self) -> tuple[str, str, Any]:
        """Return what is kept: machine code, bitcode, and the symbols of both."""
        name, _, data = super().serialize_using_object_code()
        module = self._get_module_for_linking()
        symbols = [
            one.name
            for group in (module.functions, module.global_variables)
            for one in group
            if not one.is_declaration
        ]
        return name, "kept", (*data, symbols)

    @classmethod
    def _unserialize(cls, codegen: Any, state: tuple[str, str, Any]) -> Self:
        """Load what was kept."""
        name, _, (code, bitcode, symbols) = state
        library: Self = codegen.create_library(name)
        library.enable_object_caching()
        library._set_compiled_object(code)
        library._finalize_final_module()
        library._bitcode = bitcode
        codegen._engine._defined_symbols.update(symbols)
        return library


def find_environment(module: str, consts: list[Any], name: str) -> Any:
    """Return what a compiled function has of Python, without importing its module.

    Code that is compiled whole, as all of ours, looks up nothing in there by name: its
    constants alone count. Of numba's own functions, this loads a good part of it.
    """
    found = environment.lookup_environment(name)
    if found is None:
        known = sys.modules.get(module)
        found = environment.Environment(vars(known) if known else {"__name__": module})
        found.consts[:] = consts
        found.env_name = name
        environment.Environment._memo[name] = found
    return found


class CodeReader(pickle.Unpickler):
    """Reads what was kept of a function."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name means."""
        if (module, name) == (environment.__name__, "_rebuild_env"):
            return find_environment
        return super().find_class(module, name)


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

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as stream:
            return CodeReader(stream).load()

    def _get_marks(self, key: Any) -> tuple[Any, ...]:
        return FORMAT, self._version, self._source_stamp, key

    def _get_name(self, marks: tuple[Any, ...]) -> str:
        digest = hashlib.sha256(repr(marks).encode()).hexdigest()
        name: str = self._index_name
        return name.removesuffix("nbi") + f"{digest[:32]}.nbc"


@cache
def name_runtime() -> None:
    """Say where the runtime is: all of numba that compiled code needs."""
    for name, address in _nrt_python.c_helpers.items():
        add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


class KeptCode:
    """The code of a function that was compiled before, looked for at its first call.

    numba looks for a folder as a function is defined, though most are called by others
    alone; and, before it loads code, for all that it can compile. Both together were a
    fifth of the start of a program.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def _cache(self) -> FunctionCache | None:
        """Where code is kept; None without a folder to write to."""
        try:
            cache = FunctionCache(self._function)
        except RuntimeError:
            return None
        name, stamp = cache._impl.filename_base, cache._cache_file._source_stamp
        cache._cache_file = KeyedFiles(cache.cache_path, name, stamp)
        return cache

    @property
    def cache_path(self) -> str | None:
        """Return the folder where code is kept."""
        return self._cache and self._cache.cache_path

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was compiled for a signature, or None."""
        name_runtime()
        context.codegen()._library_class = KeptLibrary  # also of what is compiled now
        return self._cache and self._cache._load_overload(signature, context)

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled for a signature."""
        if self._cache:
            self._cache.save_overload(signature, compiled)


def _jit(**options: Any) -> Callable[[Function], Function]:
    """Return a decorator that has a function compiled, and kept where there is room."""
    compiled = partial(
        numba.njit, nogil=True, error_model="numpy", boundscheck=False, **options
    )
    return lambda function: _keep(compiled(function))


def _keep(kernel: Any) -> Any:
    """Have the code of a kernel kept, unless numba is switched off."""
    if hasattr(kernel, "enable_caching"):
        kernel._cache = KeptCode(kernel.py_func)
    return kernel


kernel = _jit()
inlined = _jit(inline="always")

# For hot loops. What allocates nothing needs no reference counts, whose atomic
# additions cost as much as a pair of variants; numba's own sort is compiled so.
bare = _jit(_nrt=False)
