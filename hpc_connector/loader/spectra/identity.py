"""How imzML says which .ibd file is its own: a UUID, and a checksum.

Both are hexadecimal digits, in whatever dress: ``{ABCD-...}``, ``urn:uuid:abcd-...``,
``0xAB 0xCD``, ``SHA-1: ABCD``.
"""

import re
import uuid
from collections.abc import Sequence

from hpc_connector.notes import Assumption

UUID = {"IMS:1000080": "UUID", "universally unique identifier": "UUID"}
CHECKSUMS = {
    "IMS:1000090": "md5",
    "IMS:1000091": "sha1",
    "IMS:1000092": "sha256",
    "ibd MD5": "md5",
    "ibd SHA-1": "sha1",
    "ibd SHA-256": "sha256",
}
ALGORITHMS = {  # by digits
    32: "md5",
    40: "sha1",
    56: "sha224",
    64: "sha256",
    96: "sha384",
    128: "sha512",
}
DIGITS = re.compile(r"(?:0x|uuid|guid)?([0-9a-f]+)")

Checksum = tuple[str, str]


def get_uuid(said: Sequence[tuple[str, str]]) -> str:
    """Return the digits of a UUID by terms and values, nothing where there are none."""
    digits = [get_digits(value) for _, value in said]
    return next(filter(None, digits), "")


def is_same_uuid(digits: str, number: bytes) -> bool:
    """Return whether 16 bytes are a UUID, in the usual order or that of .NET."""
    if len(digits) != 32:
        return False
    named = uuid.UUID(digits)
    return number in (named.bytes, named.bytes_le)


def get_digits(text: str, sizes: Sequence[int] = (32,)) -> str:
    """Return the hexadecimal digits in a text, of one of some numbers of them if any.

    Examples
    --------
    >>> get_digits("urn:uuid:{00000000-0000-0000-0000-00000000002A}")
    '0000000000000000000000000000002a'
    >>> get_digits("sha1 (abcd)"), get_digits("SHA-1: abcd", [4])
    ('abcd', 'abcd')
    """
    words = re.findall("[0-9a-z]+", text.lower())
    found = [match[1] for word in words if (match := DIGITS.fullmatch(word))]
    whole = [word for word in found if len(word) in sizes]
    return whole[0] if whole else "".join(found)


def get_checksum(
    path: str, said: Sequence[tuple[str, str]]
) -> tuple[Checksum | None, tuple[Assumption, ...]]:
    """Return algorithm and digits of a checksum by terms and values, and assumptions.

    The number of digits says which algorithm it is of.
    """
    for term, value in said:
        named = CHECKSUMS[term]
        digits = get_digits(value, tuple(ALGORITHMS))
        algorithm = ALGORITHMS.get(len(digits))
        if algorithm == named:
            return (algorithm, digits), ()
        if algorithm:
            because = f"{path} gives {len(digits)} digits as its {named}"
            taken = Assumption("algorithm of the checksum", algorithm, because)
            return (algorithm, digits), (taken,)
    if not said:
        return None, ()
    term, value = said[0]
    because = f"the {CHECKSUMS[term]} in {path} is {value!r}"
    return None, (Assumption("checksum of the .ibd file", "absent", because),)
