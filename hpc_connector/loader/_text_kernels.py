"""Three probabilities an individual, from text to genotypes in one pass."""

import numpy as np

from hpc_connector._jit import inlined, kernel

DIGITS = 15  # a decimal of so many digits is rightly rounded after one division


@inlined
def _is_blank(byte):
    """Return whether a byte is a space, a tab or a carriage return."""
    return byte == 32 or (byte == 9 or byte == 13)


@kernel
def call_line(line, at, threshold, genotypes):
    """Read 3 n decimals separated by blanks and call the genotypes.

    Parameters
    ----------
    line
        Bytes, uint8.
    at
        Where the first decimal, or a blank before it, stands.
    threshold
        A genotype is called if its probability is strictly greater.
    genotypes
        The result, int8 (n,): 0, 1, 2, or -1 where none is called.

    Returns
    -------
    0 if the line holds exactly 3 n probabilities; else the number from 1 of the first
    that is missing, malformed or not within 0..1, or 3 n + 1 for one too many.
    """
    n = line.shape[0]
    for individual in range(genotypes.shape[0]):
        call = -1
        for genotype in range(3):
            while at < n and _is_blank(line[at]):
                at += 1
            mantissa = np.int64(0)
            scale = 1.0
            digits = 0
            after_point = False
            while at < n and not _is_blank(line[at]):
                byte = line[at]
                if 48 <= byte <= 57:
                    if digits < DIGITS:
                        mantissa = mantissa * 10 + (byte - 48)
                        if after_point:
                            scale *= 10.0
                    elif not after_point:
                        return individual * 3 + genotype + 1
                    digits += 1
                elif byte == 46 and not after_point:
                    after_point = True
                elif (byte == 101 or byte == 69) and digits > 0:
                    exponent = _read_exponent(line, at + 1)
                    if exponent < 0:
                        return individual * 3 + genotype + 1
                    while at < n and not _is_blank(line[at]):
                        at += 1
                    scale *= 10.0**exponent
                    break
                else:
                    return individual * 3 + genotype + 1
                at += 1
            probability = mantissa / scale
            if digits == 0 or probability > 1.0:
                return individual * 3 + genotype + 1
            if probability > threshold:
                call = genotype
        genotypes[individual] = call
    while at < n:
        if not _is_blank(line[at]):
            return genotypes.shape[0] * 3 + 1
        at += 1
    return 0


@kernel
def _read_exponent(line, at):
    """Return the size of a negative exponent, -1 where it is none."""
    if at + 1 >= line.shape[0] or line[at] != 45:
        return -1
    exponent = 0
    at += 1
    while at < line.shape[0] and not _is_blank(line[at]):
        if line[at] < 48 or line[at] > 57 or exponent > 30:
            return -1
        exponent = exponent * 10 + (line[at] - 48)
        at += 1
    return exponent
