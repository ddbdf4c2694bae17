"""Values that are told, as bytes: no code, the same bits on all machines.

A line of JSON, and behind it the bytes of arrays, little endian, one after another.
"""

import base64
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput

# Of arrays: truth values, whole numbers, floating-point numbers
DTYPE = re.compile(r"\|[biu]1|<[iu][248]|<f[248]")
TEXT = np.dtypes.StringDType()  # takes as much memory as its text, whatever is told
# What is raised of bytes that nobody has encoded
UNREADABLE = (ValueError, TypeError, KeyError, ArithmeticError, RecursionError)
ARRAY, STRINGS, BYTES = "$array", "$strings", "$bytes"


def encode(value: Any) -> bytes:
    """Return the bytes of a value.

    Parameters
    ----------
    value
        None, truth values, numbers, text, bytes, arrays of numbers or of text
        (``StringDType``, of one axis), and lists and dicts of them whose keys are text.

    Raises
    ------
    TypeError
        It has something else.
    """
    arrays: list[NDArray[Any]] = []
    plain = json.dumps(_to_plain(value, arrays), separators=(",", ":"))
    return b"".join((plain.encode(), b"\n", *(one.tobytes() for one in arrays)))


def _to_plain(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is bytes:
        return {BYTES: base64.b64encode(value).decode()}
    if type(value) is list:
        return [_to_plain(one, arrays) for one in value]
    if type(value) is dict and all(type(key) is str for key in value):
        if any(key.startswith("$") for key in value):
            raise TypeError(f"{sorted(value)}: keys that begin with $ are not told")
        return {key: _to_plain(one, arrays) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype == TEXT and value.ndim == 1:
            return {STRINGS: value.tolist()}
        little = value.dtype.newbyteorder("<")
        if DTYPE.fullmatch(little.str):
            arrays.append(np.ascontiguousarray(value, little))
            return {ARRAY: [little.str, list(value.shape)]}
        raise TypeError(f"an array of {value.dtype} is not told")
    raise TypeError(f"a value of type {type(value).__name__} is not told")


def decode(data: bytes) -> Any:
    """Return the value of bytes of :func:`encode`.

    Raises
    ------
    BadInput
        They are of nothing that can be told.
    """
    plain, _, rest = data.partition(b"\n")
    arrays = _Arrays(memoryview(rest))
    try:
        value = _from_plain(json.loads(plain), arrays)
    except UNREADABLE as error:
        raise BadInput(f"what was told cannot be read: {error}") from None
    if left := len(rest) - arrays.at:
        raise BadInput(f"what was told cannot be read: {left} bytes are left")
    return value


def load(path: Path) -> Any:
    """Return the value of a file, None if it is not there.

    Raises
    ------
    BadInput
        The file is damaged.
    """
    if not path.exists():
        return None
    try:
        return decode(path.read_bytes())
    except BadInput as error:
        said = "expected it as it was, or a new folder"
        raise BadInput(f"{path} is damaged ({error}): {said}") from None


@dataclass
class _Arrays:
    """The bytes of arrays, and how many were taken."""

    data: memoryview
    at: int = 0

    def take(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        n = math.prod(shape)
        found = np.frombuffer(self.data, dtype, n, self.at) if n else np.empty(0, dtype)
        self.at += found.nbytes
        return found.reshape(shape).copy()


def _from_plain(value: Any, arrays: _Arrays) -> Any:
    if isinstance(value, list):
        return [_from_plain(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {BYTES}:
        return base64.b64decode(value[BYTES], validate=True)
    if value.keys() == {STRINGS}:
        found = value[STRINGS]
        if type(found) is not list or not all(type(one) is str for one in found):
            raise ValueError("an array of other than text")
        return np.array(found, TEXT)
    if value.keys() == {ARRAY}:
        name, shape = value[ARRAY]
        is_shape = all(type(n) is int and n >= 0 for n in shape)
        if not (is_shape and DTYPE.fullmatch(name)):
            raise ValueError(f"an array of {name!r}, {shape!r}")
        return arrays.take(np.dtype(name), tuple(shape))
    return {key: _from_plain(one, arrays) for key, one in value.items()}
