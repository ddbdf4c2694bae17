"""Chromosomes by any of their names: 1, chr1, 01; X, chrX, 23; MT, M, 26.

What a file says is kept and printed; names are compared as :func:`normalise` has them.
Numbers above 22 are PLINK's of the human genome, unless some are above 26.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

UNPLACED = {"", "0", ".", "-", "--", "---", "?", "*", "-1", "-9"}
UNPLACED |= {"NA", "N/A", "NAN", "NONE", "NULL", "UN", "UNKNOWN"}
PLINK_CODES = {"23": "X", "24": "Y", "25": "X", "26": "MT"}  # 25 is X's PAR, on X
LAST_CODE = 26
ALIASES = {"M": "MT", "MTDNA": "MT", "MITO": "MT", "XY": "X", "YX": "X", "PAR": "X"}
ALIASES |= {"PAR1": "X", "PAR2": "X", "X_PAR1": "X", "X_PAR2": "X", "X_NONPAR": "X"}
ONE_COPY = {"X", "Y", "MT"}  # of some individuals, at least

PSEUDOAUTOSOMAL = {"25", "XY", "YX", "PAR", "PAR1", "PAR2", "X_PAR1", "X_PAR2"}

PREFIX = re.compile(r"(?:CHROMOSOME|CHROM|CHR)[ _.:-]?(?=.)")
REFSEQ = re.compile(r"NC_0000(0[1-9]|1\d|2[0-4])(?:\.\d+)?")
GENBANK = re.compile(r"CM000(66[3-9]|67\d|68[0-6])(?:\.\d+)?")  # 1 .. 22, X, Y
MITOCHONDRIA = re.compile(r"(?:NC_012920|NC_001807|J01415)(?:\.\d+)?")
NAME = r"(?:\d{1,2}|XY|X|Y|MT|M)"
CONTIG = r"(?:_[A-Z]{2,}\w*)?"  # of chr1_KI270706v1_random
KNOWN = re.compile(
    rf"(?:chromosome|chrom|chr)[ _]?(?:0?{NAME}|Un){CONTIG}"
    rf"|NC_\d{{6}}\.\d+|0?{NAME}|PAR[12]",
    re.I,
)
IN_ID = re.compile(r"((?:chr)?0?[0-9A-Z]{1,2})[:_.-](\d+)(?:[^0-9.].*)?", re.I)
IN_PATH = re.compile(
    rf"(?<![a-z0-9])(?:chromosome|chrom|chr)[_.-]?({NAME})(?![a-z0-9]|-(?:chr)?\d|_?to_?)",
    re.I,
)


def normalise(name: str, *, plink_codes: bool = True) -> str:
    """Return the name by which a chromosome is compared; empty where it is none.

    Examples
    --------
    >>> [normalise(name) for name in ("chr01", "23", "chrM", "NC_000001.11", "0")]
    ['1', 'X', 'MT', '1', '']
    """
    word = name.strip().upper()
    if MITOCHONDRIA.fullmatch(word):
        return "MT"
    if found := REFSEQ.fullmatch(word):
        word = found[1]
    elif found := GENBANK.fullmatch(word):
        word = str(int(found[1]) - 662)
    word = PREFIX.sub("", word, count=1) if PREFIX.match(word) else word
    word = re.sub(r"(?<=\d)\.0$", "", word).lstrip("0")  # pandas writes 1 so
    if word in UNPLACED:
        return ""
    return ALIASES.get(word) or (PLINK_CODES if plink_codes else {}).get(word, word)


def get_plink_name(name: str) -> str:
    """Return the name of a chromosome, with XY for the pseudo-autosomal regions.

    PLINK chooses those apart from X; elsewhere here they lie on it.

    Examples
    --------
    >>> [get_plink_name(name) for name in ("chr01", "23", "25", "PAR1")]
    ['1', 'X', 'XY', 'XY']
    """
    word = name.strip().upper()
    word = PREFIX.sub("", word, count=1) if PREFIX.match(word) else word
    return "XY" if word in PSEUDOAUTOSOMAL else normalise(name)


def normalise_all(names: Iterable[str]) -> dict[str, str]:
    """Return the keys by which names of one cohort are compared."""
    plain = {name: normalise(name, plink_codes=False) for name in names}
    numbers = [int(word) for word in plain.values() if word.isdecimal()]
    if max(numbers, default=0) > LAST_CODE:  # not of the human genome
        return plain
    return {name: PLINK_CODES.get(word, word) for name, word in plain.items()}


def get_codes(names: np.ndarray) -> NDArray[np.int32]:
    """Return a number for each chromosome, by any of its names; -1 where it is none.

    Parameters
    ----------
    names
        Of each variant; mostly the same as of the one before.

    Returns
    -------
    int32 (variants,).
    """
    if len(names) == 0:
        return np.empty(0, np.int32)
    starts = np.concatenate([[0], np.flatnonzero(names[1:] != names[:-1]) + 1])
    of_runs = names[starts].tolist()
    name_of = normalise_all(dict.fromkeys(of_runs))
    code_of = {"": -1}
    for name in name_of.values():
        code_of.setdefault(name, len(code_of) - 1)
    codes = np.array([code_of[name_of[name]] for name in of_runs], np.int32)
    return np.repeat(codes, np.diff([*starts, len(names)]))


def unify(names: np.ndarray) -> np.ndarray:
    """Return names of which each chromosome has one, its first; "0" where it is none.

    Parameters as for :func:`get_codes`.
    """
    codes = get_codes(names)
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    return np.where(codes < 0, "0", names[first][place])


def is_known(name: str) -> bool:
    """Return whether a word is the name of a chromosome, and not of a variant.

    Examples
    --------
    >>> [is_known(word) for word in ("7", "chr7", "X", "27", "SNP_A-1", "---")]
    [True, True, True, False, False, False]
    """
    if not KNOWN.fullmatch(name):
        return False
    word = normalise(name, plink_codes=False)
    return bool(word) and (
        not name.strip().isdecimal() or 1 <= int(word or 0) <= LAST_CODE
    )


def find_in_id(name: str, position: int) -> str:
    """Return the chromosome that an id names beside the position; empty if none.

    Examples
    --------
    >>> find_in_id("1:123:A:G", 123), find_in_id("chr1_123_A_G", 123)
    ('1', 'chr1')
    >>> find_in_id("1:123:A:G", 999), find_in_id("rs123", 123)
    ('', '')
    """
    found = IN_ID.fullmatch(name)
    if found and int(found[2]) == position and is_known(found[1]):
        return found[1]
    return ""


def find_in_path(path: str) -> str:
    """Return the one chromosome that the name of a file names; empty if none.

    Examples
    --------
    >>> find_in_path("a/cohort_chr5.gen.gz"), find_in_path("chr1-22.gen")
    ('5', '')
    """
    found = set(IN_PATH.findall(PurePosixPath(path).name))
    return found.pop() if len(found) == 1 else ""
