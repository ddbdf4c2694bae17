"""Whether an individual is at two sites, by ids that are hashed under a shared key.

Everybody who has the key can try ids, so that a party without it must not get it: a hub
sees hashes alone.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from hpc_connector.confidential.keys import read_secret
from hpc_connector.errors import BadInput
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Link
from hpc_connector.publish import publish

LEAST_KEY_BYTES, HASH_BYTES = 16, 32
KEY_CHECK = b"\0hpc_connector overlap key v1"  # no id begins with a zero byte
Overlaps = Mapping[tuple[str, str], set[bytes]]  # hashes, by the names of two sites
KEY, IDS = "overlap_key", "overlap_ids"  # of what a site shows


def load_overlap_key(path: str | None, study: Study) -> bytes | None:
    """Return the key of all sites, None if the study does not look for overlaps.

    White space around it is none of it.

    Raises
    ------
    BadInput
        It is not given, or given and not needed, or too short, or others may read it.
    """
    if not study.check_overlap:
        if path is not None:
            raise BadInput(f"--overlap-key: study {study.name} has no check_overlap")
        return None
    if path is None:
        raise BadInput(
            f"study {study.name} has check_overlap: expected --overlap-key, a file of "
            "all sites that is not in the study"
        )
    key = read_secret(Path(path)).strip()
    if len(key) < LEAST_KEY_BYTES:
        raise BadInput(
            f"{path}: a key of {len(key)} bytes: expected {LEAST_KEY_BYTES} or more, "
            "such as of openssl rand -hex 32"
        )
    return key


def hash_id(key: bytes, name: str) -> bytes:
    """Return the HMAC-SHA256 of an id.

    Examples
    --------
    >>> hash_id(b"key of all sites", "NA12878").hex()[:16]
    'ea788e7e13c8e273'
    """
    return hmac.digest(key, name.encode(), "sha256")


def show_ids(key: bytes | None, ids: Iterable[str]) -> dict[str, bytes]:
    """Return what a site shows of its individuals: hashes of their ids, in their order.

    With it goes a hash by which others see that it has the same key.
    """
    if key is None:
        return {}
    hashes = sorted(hash_id(key, name) for name in ids)
    return {KEY: hmac.digest(key, KEY_CHECK, "sha256"), IDS: b"".join(hashes)}


def find_overlaps(
    study: Study, hellos: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], set[bytes]]:
    """Return the hashes that two sites have both, by the names of the two.

    Parameters
    ----------
    hellos
        What the sites have shown.

    Raises
    ------
    BadInput
        One has shown no ids, or has another key.
    """
    if not study.check_overlap:
        return {}
    shown = {one["site"]: read_ids(one) for one in hellos}
    keys = {one["site"]: one[KEY] for one in hellos}
    first = next(iter(keys))
    for name, key in keys.items():
        if key != keys[first]:
            raise BadInput(
                f"sites {first} and {name} have two keys: expected one --overlap-key"
            )
    both = {(a, b): shown[a] & shown[b] for a, b in combinations(shown, 2)}
    return {names: found for names, found in both.items() if found}


def read_ids(hello: Mapping[str, Any]) -> set[bytes]:
    """Return the hashes that a site has shown."""
    ids = hello.get(IDS)
    if not isinstance(ids, bytes) or KEY not in hello or len(ids) % HASH_BYTES:
        raise BadInput(f"site {hello['site']} has shown no ids: expected its hashes")
    starts = range(0, len(ids), HASH_BYTES)
    return {ids[start : start + HASH_BYTES] for start in starts}


def refuse_overlaps(link: Link, overlaps: Overlaps) -> None:
    """Refuse individuals at two sites, who would count twice, at all parties alike.

    They know it all, and yet wait for who scores: a site that went by itself would end
    the search of others for another reason.

    Raises
    ------
    BadInput
        At which sites, and how many.
    """
    if overlaps:
        said = "; ".join(
            f"{len(found):,} at {a} and at {b}" for (a, b), found in overlaps.items()
        )
        told = (
            f"individuals of two sites: {said}; expected each at one (each site "
            "has its ids in its records)"
        )
        link.tell({"error": told})


def save_own(
    path: Path,
    name: str,
    key: bytes,
    ids: Iterable[str],
    overlaps: Overlaps,
) -> int:
    """Write the ids of a site that others have too; return how many.

    Parameters
    ----------
    path
        Of a table of two columns, which its owner alone may read.
    name, ids
        Of the site.
    """
    name_of = {hash_id(key, one): one for one in ids}
    rows = []
    for names, found in overlaps.items():
        if name in names:
            other = names[names[0] == name]
            rows += [f"{name_of[one]}\t{other}\n" for one in sorted(found)]
    if rows:
        with publish(path, private=True) as stream:
            stream.write("".join(["id\tsite\n", *rows]).encode())
    return len(rows)
