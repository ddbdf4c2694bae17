"""Kernels of imzML: one walk over the XML of all spectra, and over their peaks."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare

SPACE, NEWLINE, TAB, RETURN = 32, 10, 9, 13
LESS, GREATER, SLASH, EQUALS, QUOTE, APOSTROPHE = 60, 62, 47, 61, 34, 39
BANG, QUESTION, DASH, COLON, AMPERSAND = 33, 63, 45, 58, 38
HASH_SEED, HASH_FACTOR = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits
MOST_DEPTH = 64

# Columns of a spectrum, of each of its two arrays, and of what holds for all spectra
X, Y, Z, TIC, LOWEST, HIGHEST, FORM = range(7)
LENGTH, BYTES, OFFSET = range(3)
TYPE, PACKED, POSITIVE, NEGATIVE = range(4)
N_COLUMNS, N_PLACES, N_COMMON = 7, 3, 4
MZ, INTENSITY, UNKNOWN = 0, 1, -1
NAME, IS_END, IS_EMPTY, CODE, GROUP, HAS_PREFIX = range(6)  # of a tag

# Accessions, those of the imaging ontology above a billion
IMS = 1_000_000_000
POSITION = (IMS + 1000050, IMS + 1000051, IMS + 1000052)
OF_SPECTRUM = (1000285, 1000528, 1000527)
OF_ARRAY = (IMS + 1000103, IMS + 1000104, IMS + 1000102)
ARRAYS = (1000514, 1000515)
ZLIB, PLAIN, EXTERNAL = 1000574, 1000576, IMS + 1000101
CENTROID, PROFILE = 1000127, 1000128
NEGATIVE_SCAN, POSITIVE_SCAN = 1000129, 1000130
FIRST_TYPE, LAST_TYPE = 1000518, 1000523
IMS_TYPES = (IMS + 1100000, IMS + 1100001, IMS + 1000141, IMS + 1000142)

DONE, MALFORMED, NOT_A_NUMBER, TOO_MANY, MIXED, UNUSUAL = range(6)
ODD = -1  # an accession, or group, that only an XML parser may know

Groups = tuple[
    NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]
]
Words = tuple[NDArray[np.uint8], NDArray[np.int64]]
Room = tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
]


def get_hash(text: bytes) -> int:
    """Return the hash that the kernels give to a name."""
    value = HASH_SEED
    for byte in text:
        value = (value ^ byte) * HASH_FACTOR & 0xFFFFFFFFFFFFFFFF
    return value


SPECTRUM = np.uint64(get_hash(b"spectrum"))
ARRAY = np.uint64(get_hash(b"binaryDataArray"))
PARAM = np.uint64(get_hash(b"cvParam"))
REFERENCE = np.uint64(get_hash(b"referenceableParamGroupRef"))
ACCESSION = np.uint64(get_hash(b"accession"))
VALUE = np.uint64(get_hash(b"value"))
REF = np.uint64(get_hash(b"ref"))


@bare
def hash_bytes(data: NDArray[np.uint8], first: int, last: int) -> np.uint64:
    """Return the hash of a stretch of bytes."""
    value = np.uint64(HASH_SEED)
    for i in range(first, last):
        value = (value ^ np.uint64(data[i])) * np.uint64(HASH_FACTOR)
    return value


@bare
def is_space(byte: int) -> bool:
    """Return whether a byte is white space."""
    return byte in (SPACE, NEWLINE, TAB, RETURN)


@bare
def is_end_of_name(byte: int) -> bool:
    """Return whether a byte cannot be part of a name."""
    if byte > GREATER:  # as nearly all are
        return False
    return is_space(byte) or byte in (SLASH, GREATER, EQUALS, LESS, QUOTE, APOSTROPHE)


@bare
def skip_space(data: NDArray[np.uint8], at: int) -> int:
    """Return the next byte that is not white space."""
    while at < len(data) and is_space(data[at]):
        at += 1
    return at


@bare
def read_name(data: NDArray[np.uint8], at: int, found: NDArray[np.int64]) -> int:
    """Return the end of a name; keep its hash, and whether it has a prefix."""
    value, has_prefix = np.uint64(HASH_SEED), False
    while at < len(data) and not is_end_of_name(data[at]):
        value = (value ^ np.uint64(data[at])) * np.uint64(HASH_FACTOR)
        has_prefix |= data[at] == COLON
        at += 1
    found[0], found[3] = np.int64(value), has_prefix
    return at


@bare
def read_attribute(data: NDArray[np.uint8], at: int, found: NDArray[np.int64]) -> int:
    """Read one attribute: hash of its name, and where its value begins and ends.

    Returns what follows it, -1 for no attribute.
    """
    end = read_name(data, at, found)
    if end == at:
        return -1
    at = skip_space(data, end)
    if at >= len(data) or data[at] != EQUALS:
        return -1
    at = skip_space(data, at + 1)
    if at >= len(data) or data[at] not in (QUOTE, APOSTROPHE):
        return -1
    quote = data[at]
    at += 1
    found[1] = at
    while at < len(data) and data[at] != quote:
        if data[at] == LESS:
            return -1
        at += 1
    found[2] = at
    if at + 1 >= len(data):
        return -1
    is_apart = is_space(data[at + 1]) or data[at + 1] in (SLASH, GREATER, QUESTION)
    return at + 1 if is_apart else -1


@bare
def skip_aside(data: NDArray[np.uint8], at: int) -> int:
    """Return the place after a comment or instruction that begins at `at`; or -1."""
    if data[at + 1] == QUESTION:
        at += 2
        while at + 1 < len(data):
            if data[at] == QUESTION and data[at + 1] == GREATER:
                return at + 2
            at += 1
        return -1
    if at + 3 >= len(data) or data[at + 2] != DASH or data[at + 3] != DASH:
        return -1
    at += 4
    while at + 2 < len(data):
        if data[at] == DASH and data[at + 1] == DASH:
            return at + 3 if data[at + 2] == GREATER else -1
        at += 1
    return -1


@bare
def read_accession(data: NDArray[np.uint8], first: int, last: int) -> int:
    """Return the number of an accession, such as MS:1000514; ODD for another form."""
    is_imaging = last - first > 4 and data[first] == 73  # I
    code, at = 0, first
    while at < last and data[at] != COLON:
        at += 1
    for i in range(at + 1, last):
        if not 48 <= data[i] <= 57 or code > IMS:
            return ODD
        code = 10 * code + data[i] - 48
    return code + IMS if is_imaging else code


@bare
def read_number(data: NDArray[np.uint8], first: int, last: int) -> float:
    """Return a decimal number, white space about it or not; NaN for what is none."""
    first = skip_space(data, first)
    while last > first and is_space(data[last - 1]):
        last -= 1
    sign, at = 1.0, first
    if at < last and data[at] in (43, DASH):
        sign = -1.0 if data[at] == DASH else 1.0
        at += 1
    digits, value, exponent = 0, 0.0, 0
    seen_point = False
    while at < last and (48 <= data[at] <= 57 or (data[at] == 46 and not seen_point)):
        if data[at] == 46:
            seen_point = True
        else:
            value = 10.0 * value + (data[at] - 48)
            digits += 1
            exponent -= seen_point
        at += 1
    if digits == 0:
        return math.nan
    if at < last and data[at] in (69, 101):
        power, power_sign, n = 0, 1, 0
        at += 1
        if at < last and data[at] in (43, DASH):
            power_sign = -1 if data[at] == DASH else 1
            at += 1
        while at < last and 48 <= data[at] <= 57 and power < 1000:
            power = 10 * power + data[at] - 48
            at += 1
            n += 1
        exponent += power_sign * power
        if n == 0:
            return math.nan
    if at != last:
        return math.nan
    scale = 10.0 ** abs(exponent)
    return sign * (value * scale if exponent > 0 else value / scale)


@bare
def set_number(
    numbers: NDArray[np.float64], at: int, number: float, is_own: bool
) -> None:
    """Take a number; that of a group only where there is none yet."""
    if is_own or math.isnan(numbers[at]):
        numbers[at] = number


@bare
def note(
    code: int,
    number: float,
    is_own: bool,
    of_spectrum: NDArray[np.float64],
    in_array: bool,
    kind: NDArray[np.float64],
    common: NDArray[np.int64],
) -> int:
    """Take one parameter of a spectrum, or of an array of it; return DONE or a fault.

    `kind` holds whether the array at hand is of m/z or intensities, and what its place,
    type and compression are: they may come before that is known. What stands in the
    element itself goes before what a group says.
    """
    for k in range(3):
        if code == POSITION[k]:
            set_number(of_spectrum, X + k, number, is_own)
        elif code == OF_SPECTRUM[k]:
            set_number(of_spectrum, TIC + k, number, is_own)
        elif in_array and code == OF_ARRAY[k]:
            if is_own and math.isnan(number):
                return NOT_A_NUMBER
            set_number(kind, 1 + k, number, is_own)
    if in_array and code in ARRAYS and (is_own or kind[0] == UNKNOWN):
        kind[0] = MZ if code == ARRAYS[0] else INTENSITY
    is_type = FIRST_TYPE <= code <= LAST_TYPE or code in IMS_TYPES
    if in_array and is_type and (is_own or kind[4] == 0):
        kind[4] = code
    if in_array and code in (ZLIB, PLAIN) and (is_own or kind[5] == 0):
        kind[5] = code
    if CENTROID <= code <= POSITIVE_SCAN:
        common[0, POSITIVE] += code == POSITIVE_SCAN
        common[0, NEGATIVE] += code == NEGATIVE_SCAN
        if code <= PROFILE and of_spectrum[FORM] != PROFILE:
            of_spectrum[FORM] = code
    return DONE


@bare
def end_array(
    spectrum: int,
    places: NDArray[np.float64],
    kind: NDArray[np.float64],
    common: NDArray[np.int64],
) -> int:
    """Keep what was read of an array; return DONE or a fault."""
    which = np.int64(kind[0])
    if which == UNKNOWN:
        return DONE
    for k in range(N_PLACES):
        places[spectrum, which, k] = kind[1 + k]
    for column in (TYPE, PACKED):
        code = np.int64(kind[4 + column])
        if code > 0 and common[which, column] > 0 and common[which, column] != code:
            return MIXED
        if code > 0:
            common[which, column] = code
    return DONE


@bare
def begin_array(kind: NDArray[np.float64]) -> None:
    """Forget the array before; its kind, place, type and compression may come."""
    kind[0], kind[4], kind[5] = UNKNOWN, 0, 0
    kind[1:4] = math.nan


@bare
def take_attribute(
    data: NDArray[np.uint8],
    tag: NDArray[np.int64],
    value: NDArray[np.float64],
    found: NDArray[np.int64],
) -> None:
    """Keep what an attribute says of a parameter, or of a group that is meant."""
    name = np.uint64(found[0])
    if tag[NAME] == np.int64(PARAM) and name == ACCESSION:
        tag[CODE] = read_accession(data, found[1], found[2])
    elif tag[NAME] == np.int64(PARAM) and name == VALUE:
        value[0] = read_number(data, found[1], found[2])
    elif tag[NAME] == np.int64(REFERENCE) and name == REF:
        tag[GROUP] = np.int64(hash_bytes(data, found[1], found[2]))


@bare
def read_tag(
    data: NDArray[np.uint8],
    at: int,
    tag: NDArray[np.int64],
    value: NDArray[np.float64],
    found: NDArray[np.int64],
) -> int:
    """Read the tag that begins at a byte; return what follows it, -1 for no tag."""
    tag[IS_END] = data[at + 1] == SLASH
    first = at + 1 + tag[IS_END]
    at = read_name(data, first, found)
    if at == first:
        return -1
    tag[NAME], tag[HAS_PREFIX] = found[0], found[3]
    tag[CODE], tag[GROUP], tag[IS_EMPTY] = 0, 0, 0
    value[0] = math.nan
    while True:
        at = skip_space(data, at)
        if at >= len(data):
            return -1
        if data[at] == GREATER:
            return at + 1
        if tag[IS_END]:
            return -1
        if data[at] == SLASH:
            tag[IS_EMPTY] = 1
            is_whole = at + 1 < len(data) and data[at + 1] == GREATER
            return at + 2 if is_whole else -1
        at = read_attribute(data, at, found)
        if at < 0:
            return -1
        take_attribute(data, tag, value, found)


@bare
def follow_tag(tag: NDArray[np.int64], stack: NDArray[np.int64], depth: int) -> int:
    """Return how deep elements lie after a tag; -1 where it ends another element."""
    if tag[IS_EMPTY]:
        return depth
    if not tag[IS_END]:
        if depth == len(stack):
            return -1
        stack[depth] = tag[NAME]
        return depth + 1
    return depth - 1 if depth > 0 and stack[depth - 1] == tag[NAME] else -1


@bare
def note_group(
    group: int,
    groups: Groups,
    of_spectrum: NDArray[np.float64],
    in_array: bool,
    kind: NDArray[np.float64],
    common: NDArray[np.int64],
) -> int:
    """Take the parameters of a group that is referred to; UNUSUAL if there is none."""
    group_hash, group_start, group_codes, group_numbers = groups
    for g in range(len(group_hash)):
        if np.int64(group_hash[g]) == group:
            for k in range(group_start[g], group_start[g + 1]):
                code, number = group_codes[k], group_numbers[k]
                note(code, number, False, of_spectrum, in_array, kind, common)
            return DONE
    return UNUSUAL


@bare
def take_tag(
    tag: NDArray[np.int64],
    number: float,
    state: NDArray[np.int64],
    groups: Groups,
    columns: NDArray[np.float64],
    places: NDArray[np.float64],
    kind: NDArray[np.float64],
    common: NDArray[np.int64],
) -> int:
    """Take what a tag says of a spectrum; return DONE or a fault.

    `state` holds the spectrum at hand, and whether a tag lies in one, and in an array.
    """
    name = np.uint64(tag[NAME])
    is_open = not tag[IS_END] and not tag[IS_EMPTY]
    if tag[HAS_PREFIX]:
        return UNUSUAL
    if name == SPECTRUM:
        state[0] += not tag[IS_END]
        state[1] = is_open
        return TOO_MANY if state[0] >= len(columns) else DONE
    if not state[1]:
        return DONE
    if name == ARRAY:
        was_open, state[2] = state[2], is_open
        if is_open:
            begin_array(kind)
        elif was_open:
            return end_array(state[0], places, kind, common)
    elif tag[CODE] > 0:
        row = columns[state[0]]
        return note(tag[CODE], number, True, row, state[2], kind, common)
    elif tag[CODE] == ODD:
        return UNUSUAL
    elif tag[GROUP] != 0:
        row = columns[state[0]]
        return note_group(tag[GROUP], groups, row, state[2], kind, common)
    return DONE


@bare
def read_params(words: Words, groups: Groups) -> None:
    """Read accessions and numbers of the parameters of groups; see ``scan``."""
    text, ends = words
    _, _, codes, numbers = groups
    for i in range(len(codes)):
        codes[i] = read_accession(text, ends[2 * i], ends[2 * i + 1])
        numbers[i] = read_number(text, ends[2 * i + 1], ends[2 * i + 2])


@bare
def scan(
    data: NDArray[np.uint8],
    words: Words,
    groups: Groups,
    columns: NDArray[np.float64],
    places: NDArray[np.float64],
    common: NDArray[np.int64],
    room: Room,
    is_plain: bool,
) -> tuple[int, int]:
    """Walk over a file and take the parameters of its spectra.

    Parameters
    ----------
    data
        The file, uint8.
    words
        Accession and value of each parameter of a group, joined, and where each ends.
    groups
        Of parameters: hash of the name of each, where its parameters begin, and room
        for these, accessions and numbers.
    columns, places
        Filled: shape (spectra, 7) and (spectra, 2, 3), NaN at first.
    common
        Filled: type and compression of both arrays, polarities; shape (2, 4), 0.
    room
        From ``make_room``.
    is_plain
        Of a file in plain form, in which nothing is unusual.

    Returns
    -------
    DONE or a fault, and the byte it is at.
    """
    stack, tag, found, state, value, kind = room
    state[0] = -1
    read_params(words, groups)
    depth, at = 0, 0
    while True:
        while at < len(data) and data[at] != LESS:
            at += 1
        if at + 1 >= len(data):
            return (DONE if depth == 0 and at == len(data) else MALFORMED), at
        begin = at
        if data[at + 1] in (BANG, QUESTION):
            at = skip_aside(data, at)
            if at < 0:
                return MALFORMED, begin
            continue
        at = read_tag(data, at, tag, value, found)
        depth = follow_tag(tag, stack, depth) if at >= 0 else -1
        if depth < 0:
            return MALFORMED, begin
        fault = take_tag(tag, value[0], state, groups, columns, places, kind, common)
        if fault != DONE and not (is_plain and fault == UNUSUAL):
            return fault, begin


def make_room() -> Room:
    """Return the arrays that ``scan`` works in."""
    sizes = (MOST_DEPTH, 6, 4, 3)
    stack, tag, found, state = (np.zeros(size, np.int64) for size in sizes)
    return stack, tag, found, state, np.zeros(1), np.zeros(6)


@bare
def keep_peaks(
    data: NDArray[np.uint8],
    mz_at: NDArray[np.int64],
    intensity_at: NDArray[np.int64],
    n_peaks: NDArray[np.int64],
    samples: tuple[NDArray[Any], NDArray[Any]],
    mz: NDArray[np.floating[Any]],
    intensity: NDArray[np.float32],
    n_kept: NDArray[np.int64],
    n: NDArray[np.int64],
) -> int:
    """Copy the peaks of spectra that count, and count the others.

    Parameters
    ----------
    data
        Bytes of the arrays, uint8.
    mz_at, intensity_at, n_peaks
        Where the arrays of a spectrum begin, and how long they are.
    samples
        An array of the type of m/z, and one of that of intensities.
    mz, intensity, n_kept
        Filled: peaks of one spectrum after the other, and how many each has.
    n
        Added to: peaks without a number, negative and zero ones, unsorted spectra.

    Returns
    -------
    The number of peaks kept.
    """
    total = 0
    for spectrum in range(len(n_peaks)):
        length = n_peaks[spectrum]
        a, b = mz_at[spectrum], intensity_at[spectrum]
        some_mz = data[a : a + length * samples[0].itemsize].view(samples[0].dtype)
        some = data[b : b + length * samples[1].itemsize].view(samples[1].dtype)
        before, first, is_sorted = -math.inf, total, True
        for i in range(length):
            here, value = some_mz[i], np.float32(some[i])
            is_sorted &= not here < before
            before = np.float64(here)
            if not (0 < here < math.inf and value < math.inf):
                n[0] += not (math.isinf(value) and value < 0)
                n[1] += math.isinf(value) and value < 0
                continue
            if value <= 0:
                n[1] += value < 0
                n[2] += value == 0
                continue
            mz[total], intensity[total] = here, value
            total += 1
        n_kept[spectrum] = total - first
        n[3] += not is_sorted
    return total
