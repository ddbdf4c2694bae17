"""Calls and numbers from the text of a VCF record, and calls from BCF's integers.

Each kernel fills one genotype (or row of numbers) an individual and returns how many
individuals it could read: fewer than there are names the first one that is wrong,
and one more means that the line goes on after the last. Those of calls return ~ that
number where some call is not plain, and add its kind, times :data:`MARK`, to it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.loader.genotypes._column_kernels import parse_whole
from hpc_connector.loader.genotypes.sample_file import MAX_POSITION_DIGITS

TAB, COLON, COMMA, DOT, SLASH, BAR = (ord(c) for c in "\t:,./|")
ZERO, PLUS, MINUS = (ord(c) for c in "0+-")
HASH, LESS, STAR, NEWLINE, RETURN = (ord(c) for c in "#<*\n\r")
MISSING = (DOT - ZERO) % 256  # a dot, read as if it were a digit
PLAIN, HALF, OTHER_PLOIDY, ONE_COPY = range(4)  # kinds of calls
MARK = 16  # a multiple of which tells the kind of a call beside its genotype
AS_MISSING, AS_HAPLOID, AS_REFERENCE = range(3)  # what half-calls are taken for


@inlined
def is_end(text: NDArray[np.uint8], at: int) -> bool:
    """Return whether a subfield ends at `at`."""
    return at >= len(text) or text[at] == TAB or text[at] == COLON


@inlined
def skip_column(text: NDArray[np.uint8], at: int) -> int:
    """Return where the next column begins; past the text + 1 after the last one."""
    while at < len(text) and text[at] != TAB:
        at += 1
    return at + 1


@inlined
def find_subfield(text: NDArray[np.uint8], at: int, field: int) -> int:
    """Return where subfield `field` of the column at `at` begins, -1 without one."""
    while field > 0:
        while not is_end(text, at):
            at += 1
        if at >= len(text) or text[at] == TAB:
            return -1
        at += 1
        field -= 1
    return at


@inlined
def get_genotype(n_counted: int, n_other: int, ploidy: int) -> np.int8:
    """Return the genotype of a call, -1 if an allele is neither REF nor the ALT."""
    if n_other > 0:
        return np.int8(-1)
    return np.int8(n_counted * 2 if ploidy == 1 else n_counted)


@inlined
def settle_call(
    n_counted: int, n_other: int, n_missing: int, ploidy: int, half_call: int
) -> np.int8:
    """Return the genotype of a call, with the mark of its kind.

    Parameters
    ----------
    n_counted, n_other, n_missing
        Its alleles that are the ALT, neither REF nor the ALT, and missing.
    half_call
        :data:`AS_MISSING`, :data:`AS_HAPLOID` or :data:`AS_REFERENCE`.
    """
    if n_missing == 0 and ploidy <= 2:
        genotype = get_genotype(n_counted, n_other, ploidy)
        return np.int8(genotype + ONE_COPY * MARK) if ploidy == 1 else genotype
    if n_missing == ploidy:
        return np.int8(-1)
    if ploidy > 2:
        return np.int8(OTHER_PLOIDY * MARK - 1)
    genotype = np.int8(-1)
    if half_call == AS_HAPLOID:
        genotype = get_genotype(n_counted, n_other, 1)
    if half_call == AS_REFERENCE:
        genotype = get_genotype(n_counted, n_other, 2)
    return np.int8(HALF * MARK + genotype)


@inlined
def count_copies(
    first: np.integer[Any],
    second: np.integer[Any],
    counted: np.integer[Any],
    zero: np.integer[Any],
    one: np.integer[Any],
) -> np.int8:
    """Return the genotype of a diploid call of two alleles, without a branch.

    `zero` and `one` are of the alleles' type, so that vectors keep its width.
    """
    count = (one if first == counted else zero) + (one if second == counted else zero)
    is_other = (first != zero and first != counted) or (
        second != zero and second != counted
    )
    return np.int8(-1) if is_other else np.int8(count)


@kernel
def parse_short_calls(
    columns: NDArray[np.uint32], n_alleles: int, alt: int, genotypes: NDArray[np.int8]
) -> bool:
    """Call genotypes where each column is three bytes and a tab, as 0/1.

    No branch depends on the data, so that the compiler can use vectors.

    Parameters
    ----------
    columns
        The four bytes of each individual, uint32 (individuals,).
    n_alleles
        Up to 10.
    alt, genotypes
        As for :func:`parse_calls`.

    Returns
    -------
    Whether every column is so, and no half-call; if not the genotypes mean nothing.
    """
    one, zero, alleles = np.uint32(1), np.uint32(0), np.uint32(n_alleles)
    counted, byte = np.uint32(alt), np.uint32(255)
    n_bad = zero
    for i in range(columns.shape[0]):
        first = ((columns[i] & byte) - np.uint32(ZERO)) & byte
        phase = (columns[i] >> np.uint32(8)) & byte
        second = (((columns[i] >> np.uint32(16)) & byte) - np.uint32(ZERO)) & byte
        n_bad |= one if first >= alleles and first != MISSING else zero
        n_bad |= one if second >= alleles and second != MISSING else zero
        n_bad |= one if phase != SLASH and phase != BAR else zero
        n_bad |= one if columns[i] >> np.uint32(24) != TAB else zero
        n_bad |= one if (first == MISSING) != (second == MISSING) else zero
        genotypes[i] = count_copies(first, second, counted, zero, one)
    return n_bad == zero


@kernel
def parse_calls(
    text: NDArray[np.uint8],
    at: int,
    field: int,
    n_alleles: int,
    alt: int,
    half_call: int,
    genotypes: NDArray[np.int8],
) -> int:
    """Call genotypes from GT.

    Parameters
    ----------
    text
        The line of a record, uint8 (bytes,).
    at
        Where the column of the first individual begins.
    field
        Place of GT among the subfields.
    n_alleles
        Number of alleles of the record, REF among them.
    alt
        The allele that is counted, 1 .. n_alleles - 1.
    half_call
        What calls such as 0/. are taken for, see :func:`settle_call`.
    genotypes
        Filled: 0, 1, 2 copies, -1 missing, int8 (individuals,).

    Returns
    -------
    Number of individuals read, or ~ of it.
    """
    n = genotypes.shape[0]
    n_done, is_odd = 0, False
    if field == 0 and n_alleles <= 10 and len(text) - at == 4 * n - 1:
        columns = text[at : len(text) - 3].view(np.uint32)  # the last has no tab
        if parse_short_calls(columns, n_alleles, alt, genotypes):
            n_done = n - 1
            at += 4 * n_done
    for i in range(n_done, n):
        start = find_subfield(text, at, field) if at <= len(text) else len(text) + 1
        if start > len(text):
            return i
        if start < 0:
            genotypes[i] = -1
        else:
            at, genotypes[i] = parse_call(text, start, n_alleles, alt, half_call)
            if at < 0:
                return i
            is_odd |= genotypes[i] > 2
        at = skip_column(text, at)
    if at <= len(text):
        return n + 1
    return ~n if is_odd else n


@kernel
def parse_call(
    text: NDArray[np.uint8], at: int, n_alleles: int, alt: int, half_call: int
) -> tuple[int, np.int8]:
    """Return where a call ends, -1 if it is malformed, and its marked genotype."""
    if at < len(text) and (text[at] == SLASH or text[at] == BAR):
        at += 1  # VCF 4.4 may tell the phase of the first allele
    ploidy = n_counted = n_other = n_missing = 0
    while True:
        allele, start = 0, at
        while at < len(text) and np.uint8(text[at] - ZERO) < 10 and at - start < 8:
            allele = allele * 10 + (text[at] - ZERO)
            at += 1
        if at == start:
            if at >= len(text) or text[at] != DOT:
                return -1, np.int8(-1)
            allele = -1
            at += 1
        if allele >= n_alleles:
            return -1, np.int8(-1)
        ploidy += 1
        n_missing += allele < 0
        n_counted += allele == alt
        n_other += allele > 0 and allele != alt
        if is_end(text, at):
            return at, settle_call(n_counted, n_other, n_missing, ploidy, half_call)
        if text[at] != SLASH and text[at] != BAR:
            return -1, np.int8(-1)
        at += 1


@kernel
def call_lines(
    text: NDArray[np.uint8],
    at: int,
    half_call: int,
    lines: NDArray[np.int64],
    fields: NDArray[np.int64],
    positions: NDArray[np.int64],
    genotypes: NDArray[np.int8],
) -> tuple[int, int]:
    """Call genotypes from GT of lines, where these are as most are.

    Those are records of one ALT, which is an allele, of ASCII but for their
    individuals, with calls that need no mark and no message.

    Parameters
    ----------
    text
        Whole lines, uint8 (bytes,).
    at
        Where the first begins.
    half_call
        As for :func:`parse_calls`.
    lines
        Filled: where each line begins and ends, and whether it is such a record, int64
        (lines, 3).
    fields
        Filled for these: where the fixed columns begin and end, int64 (9, 2, lines).
    positions, genotypes
        Filled for these: int64 (lines,), int8 (lines, individuals).

    Returns
    -------
    How many lines were filled, and where the one after them begins.
    """
    for k in range(lines.shape[0]):
        if at >= len(text):
            return k, at
        start, end = at, find_end(text, at)
        stop = end - 1 if end > start and text[end - 1] == RETURN else end
        at = find_columns(text[:stop], start, fields[:, :, k])
        is_plain = at >= 0 and is_simple(text, fields[:, :, k], positions[k : k + 1])
        if is_plain:
            calls, n = text[at:stop], genotypes.shape[1]
            is_plain = parse_calls(calls, 0, 0, 2, 1, half_call, genotypes[k]) == n
        lines[k, 0], lines[k, 1], lines[k, 2] = start, stop, is_plain
        at = end + 1
    return lines.shape[0], at


@inlined
def find_end(text: NDArray[np.uint8], at: int) -> int:
    """Return where the line that holds `at` ends; 64 bytes at once, by vectors."""
    while at + 64 <= len(text):
        is_in = False
        for k in range(64):
            is_in |= text[at + k] == NEWLINE
        if is_in:
            break
        at += 64
    while text[at] != NEWLINE:
        at += 1
    return at


@inlined
def find_columns(line: NDArray[np.uint8], at: int, fields: NDArray[np.int64]) -> int:
    """Return where the individuals begin, -1 if there are none, or not all is ASCII.

    Parameters
    ----------
    line
        Up to its end, uint8 (bytes,).
    at
        Where it begins.
    fields
        Filled: where each fixed column begins and ends, int64 (9, 2).
    """
    for column in range(fields.shape[0]):
        fields[column, 0] = at
        while at < len(line) and line[at] != TAB:
            if line[at] >= 128 or line[at] == 0:
                return -1
            at += 1
        if at >= len(line):
            return -1
        fields[column, 1] = at
        at += 1
    return at


@inlined
def is_simple(
    text: NDArray[np.uint8],
    fields: NDArray[np.int64],
    position: NDArray[np.int64],
) -> bool:
    """Return whether a record has a place and one ALT, and GT comes first.

    Parameters
    ----------
    text
        uint8 (bytes,).
    fields
        Where the fixed columns begin and end, int64 (9, 2).
    position
        Filled: int64 (1,).
    """
    if text[fields[0, 0]] == HASH:
        return False
    for column in (0, 3, 4):
        if fields[column, 0] == fields[column, 1]:
            return False
    alt, keys = fields[4, 0], fields[8, 0]
    if text[alt] == DOT or text[alt] == LESS or text[alt] == STAR:
        return False
    for at in range(alt, fields[4, 1]):
        if text[at] == COMMA:
            return False
    if text[keys] != ord("G") or text[keys + 1] != ord("T"):
        return False
    if fields[8, 1] != keys + 2 and text[keys + 2] != COLON:
        return False
    starts, ends = fields[1, :1], fields[1, 1:]
    return parse_whole(text, starts, ends, MAX_POSITION_DIGITS, position) == 1


@kernel
def convert_diploid_calls(
    codes: NDArray[np.int32], n_alleles: int, alt: int, genotypes: NDArray[np.int8]
) -> bool:
    """Call genotypes where each call has two alleles, or none; False if one has not.

    No branch depends on the data, as in :func:`parse_short_calls`; parameters as for
    :func:`convert_calls`.
    """
    one, zero = np.int32(1), np.int32(0)
    alleles, counted, unset = np.int32(n_alleles), np.int32(alt), np.int32(-1)
    n_bad = zero
    for i in range(codes.shape[0]):
        first = (codes[i, 0] >> one) - one
        second = (codes[i, 1] >> one) - one
        n_bad |= one if first < unset or first >= alleles else zero
        n_bad |= one if second < unset or second >= alleles else zero
        n_bad |= one if (first == unset) != (second == unset) else zero
        genotypes[i] = count_copies(first, second, counted, zero, one)
    return n_bad == zero


@kernel
def convert_calls(
    codes: NDArray[np.int32],
    end: int,
    n_alleles: int,
    alt: int,
    half_call: int,
    genotypes: NDArray[np.int8],
) -> int:
    """Call genotypes from BCF's integers, (allele + 1) << 1 | phase.

    Parameters
    ----------
    codes
        int32 (individuals, ploidy), negative where unset.
    end
        The code that fills up a call of fewer alleles.
    n_alleles, alt, half_call, genotypes
        As for :func:`parse_calls`.

    Returns
    -------
    Number of individuals read, or ~ of it.
    """
    is_odd = False
    if codes.shape[1] == 2 and convert_diploid_calls(codes, n_alleles, alt, genotypes):
        return genotypes.shape[0]
    for i in range(genotypes.shape[0]):
        ploidy = n_counted = n_other = n_missing = 0
        for code in codes[i]:
            if code == end:
                break
            allele = (code >> 1) - 1
            if allele >= n_alleles:
                return i
            ploidy += 1
            n_missing += allele < 0
            n_counted += allele == alt
            n_other += allele > 0 and allele != alt
        genotypes[i] = settle_call(n_counted, n_other, n_missing, ploidy, half_call)
        is_odd |= genotypes[i] > 2
    return ~genotypes.shape[0] if is_odd else genotypes.shape[0]


@kernel
def call_block(
    calls: NDArray[np.int32],
    half_call: int,
    genotypes: NDArray[np.int8],
    is_plain: NDArray[np.bool_],
) -> None:
    """Call genotypes of variants of VCF Zarr, of two alleles.

    Parameters
    ----------
    calls
        Alleles, int32 (variants, individuals, ploidy): -1 missing, -2 no such allele.
    genotypes
        Filled for those that need no mark and no message: int8 (variants, individuals).
    is_plain
        Of which variants, bool (variants,); changed to which of them need none.
    """
    n = genotypes.shape[1]
    codes = np.empty((n, calls.shape[2]), np.int32)
    for v in range(genotypes.shape[0]):
        if is_plain[v]:
            for i in range(n):
                for k in range(calls.shape[2]):
                    codes[i, k] = (calls[v, i, k] + 1) << 1
            is_plain[v] = convert_calls(codes, -2, 2, 1, half_call, genotypes[v]) == n


@inlined
def count_alleles(text: NDArray[np.uint8], at: int, field: int) -> int:
    """Return how many alleles the call that is subfield `field` at `at` has.

    Two where there are more, or no call; 0 where a dot alone leaves it open.
    """
    at = find_subfield(text, at, field)
    if at < 0 or is_end(text, at):
        return 2
    is_open = text[at] == DOT
    at += 1  # VCF 4.4 may tell the phase of the first allele
    while not is_end(text, at):
        if text[at] == SLASH or text[at] == BAR:
            return 2
        at += 1
    return 0 if is_open else 1


@kernel
def parse_numbers(
    text: NDArray[np.uint8],
    at: int,
    field: int,
    of_calls: int,
    numbers: NDArray[np.float64],
    ploidy: NDArray[np.int8],
) -> int:
    """Read a subfield of numbers.

    Parameters
    ----------
    text, at, field
        As for :func:`parse_calls`.
    of_calls
        Place of GT among the subfields, -1 where it is not.
    numbers
        Filled: float64 (individuals, numbers), NaN where missing, inf after the last.
    ploidy
        Filled: int8 (individuals,), see :func:`count_alleles`.

    Returns
    -------
    Number of individuals read.
    """
    n, width = numbers.shape
    numbers[:] = np.inf
    for i in range(n):
        start = find_subfield(text, at, field) if at <= len(text) else len(text) + 1
        if start > len(text):
            return i
        ploidy[i] = count_alleles(text, at, of_calls) if of_calls >= 0 else 2
        if start < 0:
            numbers[i, 0] = np.nan
        else:
            for j in range(width):
                at, numbers[i, j] = parse_number(text, start)
                if at < 0 or is_end(text, at):
                    break
                start = at + 1
            if at < 0 or not is_end(text, at):
                return i
        at = skip_column(text, at)
    return n if at > len(text) else n + 1


@kernel
def parse_number(text: NDArray[np.uint8], at: int) -> tuple[int, float]:
    """Return where a decimal number ends, -1 if it is malformed, and the number."""
    start = at
    is_negative = at < len(text) and text[at] == MINUS
    at += is_negative or (at < len(text) and text[at] == PLUS)
    value, n_digits, n_decimals, is_fraction = 0.0, 0, 0, False
    while at < len(text):
        digit = np.uint8(text[at] - ZERO)
        if digit < 10:
            value = value * 10 + digit
            n_digits += 1
            n_decimals += is_fraction
        elif text[at] == DOT and not is_fraction:
            is_fraction = True
        else:
            break
        at += 1
    exponent = 0
    if n_digits and at < len(text) and text[at] | 32 == ord("e"):
        at, exponent = parse_exponent(text, at + 1)
        if at < 0:
            return -1, np.nan
    if at == start and is_nan(text, at):
        at += 3
    if at < len(text) and text[at] != COMMA and not is_end(text, at):
        return -1, np.nan
    if n_digits == 0:  # a dot alone is a missing number, and so is NaN
        is_missing = (is_fraction and at == start + 1) or at == start + 3
        return (at if is_missing else -1), np.nan
    value *= 10.0 ** (exponent - n_decimals)
    if not np.isfinite(value):
        return -1, np.nan
    return at, -value if is_negative else value


@inlined
def is_nan(text: NDArray[np.uint8], at: int) -> bool:
    """Return whether NaN stands at `at`, in letters of any case."""
    return (
        at + 3 <= len(text)
        and text[at] | 32 == ord("n")
        and text[at + 1] | 32 == ord("a")
        and text[at + 2] | 32 == ord("n")
    )


@kernel
def parse_exponent(text: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return where an exponent ends, -1 if it is malformed, and the exponent."""
    is_negative = at < len(text) and text[at] == MINUS
    at += is_negative or (at < len(text) and text[at] == PLUS)
    start, exponent = at, 0
    while at < len(text) and np.uint8(text[at] - ZERO) < 10 and at - start < 4:
        exponent = exponent * 10 + (text[at] - ZERO)
        at += 1
    if at == start:
        return -1, 0
    return at, -exponent if is_negative else exponent
