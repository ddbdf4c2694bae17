"""Three probabilities an individual, from text to genotypes in one pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel

DIGITS = 15  # a decimal of so many digits is rightly rounded after one division
WORD = 8
CERTAIN = np.frombuffer(b"1 0 0 \0\x000 1 0 \0\x000 0 1 \0\0", np.uint64)  # genotypes
POWERS = 10.0 ** np.arange(WORD + 1)
ZEROS = np.uint64(0x3030303030303030)
HIGH_BITS = np.uint64(0x8080808080808080)
OVER_NINE = np.uint64(0x7676767676767676)  # sets the high bit of a byte above 9
PLACES = np.uint64(0x0001020304050607)  # of the lowest byte that is set
PAIRS = np.uint64(0x000000FF000000FF)
NOISE = 1e-6  # what rounding may leave beyond 0..1
GREATEST_EXPONENT = 99  # before its last digit
GREATEST_SUM = 1.02  # three decimals, rounded each to two digits, of probabilities


@intrinsic
def load_word(typingctx: Any, text: types.Array, at: types.Type) -> Any:
    """Return eight bytes of a text as one number, the first the lowest."""

    def codegen(
        context: Any, builder: IRBuilder, signature: Any, args: Sequence[Value]
    ) -> Value:
        data = context.make_array(text)(context, builder, args[0]).data
        word = ir.IntType(64).as_pointer()
        place = builder.bitcast(builder.gep(data, [args[1]]), word)
        return builder.load(place, align=1)

    return types.uint64(text, types.intp), codegen


@inlined
def _is_blank(byte: int) -> bool:
    """Return whether a byte is a space, a tab or a carriage return."""
    return byte == 32 or (byte == 9 or byte == 13)


@inlined
def _skip_blanks(line: NDArray[np.uint8], at: int) -> int:
    while at < line.shape[0] and _is_blank(line[at]):
        at += 1
    return at


@kernel
def call_line(
    line: NDArray[np.uint8], threshold: float, genotypes: NDArray[np.int8]
) -> int:
    """Read 3 n decimals separated by blanks and call the genotypes.

    Parameters
    ----------
    line
        Bytes, uint8.
    threshold
        A genotype is called if its probability is strictly greater.
    genotypes
        The result, int8 (n,): 0, 1, 2, or -1 where none is called.

    Returns
    -------
    0 if the line holds exactly 3 n probabilities; else the number from 1 of the first
    that is missing, malformed or not within 0..1, or with which three sum to more than
    1, or 3 n + 1 for one too many.
    """
    n = line.shape[0]
    at = _skip_blanks(line, 0)
    for individual in range(genotypes.shape[0]):
        if at + WORD <= n:  # most individuals are certain
            word = load_word(line, at) & np.uint64(0xFFFFFFFFFFFF)
            is_certain = False
            for genotype in range(3):
                if word == CERTAIN[genotype]:
                    genotypes[individual] = genotype if threshold < 1.0 else -1
                    is_certain = True
            if is_certain:
                at += 6
                continue
        total, start = 0.0, at
        call = -1
        for genotype in range(3):
            probability, at = read_number(line, _skip_blanks(line, at))
            total += probability
            if at < 0 or total > GREATEST_SUM:
                return individual * 3 + genotype + 1
            if probability > threshold:
                call = genotype
        if call >= 0 and np.isnan(total):
            return individual * 3 + find_missing(line, start)
        genotypes[individual] = call
        at = _skip_blanks(line, at)
    return 0 if at >= n else genotypes.shape[0] * 3 + 1


@kernel
def find_missing(line: NDArray[np.uint8], at: int) -> int:
    """Return which of three numbers is the first that is missing, from 1."""
    for number in range(1, 3):
        probability, at = read_number(line, _skip_blanks(line, at))
        if np.isnan(probability):
            return number
    return 3


@inlined
def read_number(line: NDArray[np.uint8], at: int) -> tuple[float, int]:
    """Return a probability and where it ends, -1 if there is none within 0..1."""
    if at + WORD <= line.shape[0]:
        word = load_word(line, at)
        third = word >> np.uint64(8)
        if third & np.uint64(0xFF) == 32 and word & np.uint64(0xFE) == 48:
            return np.float64(word & np.uint64(1)), at + 1
        if _has_three_decimals(word):
            return _take_three_decimals(word), at + 5
        if word & np.uint64(0xFFFF) == 0x2E30 and at + 2 + WORD < line.shape[0]:
            digits, n_digits = _take_digits(load_word(line, at + 2))
            end = at + 2 + n_digits
            if n_digits > 0 and _is_blank(line[end]):
                return digits / POWERS[n_digits], end
    return read_decimal(line, at)


@inlined
def _has_three_decimals(word: np.uint64) -> bool:
    """Return whether a text begins as ``0.995`` and a space."""
    digits = (word >> np.uint64(16)) & np.uint64(0xFFFFFF)
    above = (digits + np.uint64(0x060606)) & np.uint64(0xF0F0F0)
    are_digits = digits & np.uint64(0xF0F0F0) == 0x303030 and above == 0x303030
    is_end = (word >> np.uint64(40)) & np.uint64(0xFF) == 32
    return word & np.uint64(0xFFFF) == 0x2E30 and are_digits and is_end


@inlined
def _take_three_decimals(word: np.uint64) -> float:
    """Return the number of a text that begins as ``0.995``."""
    first = (word >> np.uint64(16)) & np.uint64(15)
    second = (word >> np.uint64(24)) & np.uint64(15)
    third = (word >> np.uint64(32)) & np.uint64(15)
    return np.float64(first * 100 + second * 10 + third) / 1000.0


@inlined
def _take_digits(word: np.uint64) -> tuple[np.int64, int]:
    """Return the number that up to eight digits begin with, and how many they are.

    Eight digits become four pairs, and these a number by two multiplications
    (D. Lemire, "Quickly parsing eight digits", 2018).
    """
    digits = word ^ ZEROS
    others = ((digits + OVER_NINE) | digits) & HIGH_BITS
    first = (others & (~others + np.uint64(1))) >> np.uint64(7)
    n = (first * PLACES) >> np.uint64(56) if others else np.uint64(8)
    digits <<= (np.uint64(8) - n) * np.uint64(8) & np.uint64(63)  # zeros before them
    digits = digits * np.uint64(10) + (digits >> np.uint64(8))
    number = (digits & PAIRS) * np.uint64(100 + (1000000 << 32))
    number += ((digits >> np.uint64(16)) & PAIRS) * np.uint64(1 + (10000 << 32))
    return np.int64(number >> np.uint64(32)), np.int64(n)  # type: ignore[return-value]


@kernel
def read_decimal(line: NDArray[np.uint8], at: int) -> tuple[float, int]:
    """Return a probability of any decimal notation and where it ends, or -1.

    What rounding leaves below 0 or above 1 is 0 or 1; NA, NaN and a dot are missing.
    """
    n, start = line.shape[0], at
    mantissa, digits, decimals, exponent = np.int64(0), 0, 0, 0
    after_point = False
    is_negative = at < n and line[at] == 45
    if at < n and (line[at] == 45 or line[at] == 43):
        at += 1
    while at < n and not _is_blank(line[at]):
        byte = line[at]
        if 48 <= byte <= 57:
            if digits < DIGITS:
                mantissa = mantissa * 10 + (byte - 48)
                decimals += after_point
            elif not after_point:
                return 0.0, -1
            digits += 1
        elif byte == 46 and not after_point:
            after_point = True
        elif (byte == 101 or byte == 69) and digits > 0:
            exponent, at = _read_exponent(line, at + 1)
            if at < 0:
                return 0.0, -1
            break
        else:
            return np.nan, _skip_missing(line, start)
        at += 1
    exponent = exponent if mantissa > 0 else 0
    if digits == 0:  # a dot alone is missing
        return np.nan, at if after_point and at == start + 1 else -1
    power = decimals - exponent
    probability = mantissa / 10.0**power if power >= 0 else mantissa * 10.0**-power
    if probability > (NOISE if is_negative else 1 + NOISE):
        return 0.0, -1
    return 0.0 if is_negative else min(probability, 1.0), at


@inlined
def _skip_missing(line: NDArray[np.uint8], at: int) -> int:
    """Return where the word NA or NaN ends, in any case; -1 if it is none."""
    end = at
    while end < line.shape[0] and not _is_blank(line[end]):
        end += 1
    is_na = end - at >= 2 and line[at] | 32 == 110 and line[at + 1] | 32 == 97
    if is_na and (end - at == 2 or (end - at == 3 and line[at + 2] | 32 == 110)):
        return end
    return -1


@kernel
def _read_exponent(line: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return an exponent and where it ends, -1 if it is none."""
    is_negative = at < line.shape[0] and line[at] == 45
    if at < line.shape[0] and (line[at] == 45 or line[at] == 43):
        at += 1
    start, exponent = at, 0
    while at < line.shape[0] and not _is_blank(line[at]):
        if line[at] < 48 or line[at] > 57 or exponent > GREATEST_EXPONENT:
            return 0, -1
        exponent = exponent * 10 + (line[at] - 48)
        at += 1
    if at == start:
        return 0, -1
    return -exponent if is_negative else exponent, at
