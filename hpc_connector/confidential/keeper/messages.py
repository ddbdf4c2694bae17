"""What a job and its keeper say to one another, the same bytes on both sides."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from hpc_connector.confidential.refused import Refused
from hpc_connector.text import pack_json

FORMAT_VERSION = 1
MOST_BYTES = 1 << 20  # of a request
MOST_OBJECTS = 1000  # of one
MOST_RESTARTS = (1 << 31) - 1
ID_DIGITS = 32  # of an object
MEASUREMENT = re.compile("[0-9a-f]{64}")
KINDS = {  # of what a job sends
    "format_version": int,
    "grant": str,
    "cluster": str,
    "job_id": str,
    "restart": int,
    "node": str,
    "nonce": str,
    "job_public": str,
    "program": str,
    "version": str,
    "measurement": str,
    "objects": list,
    "evidence": dict,
}


def encode(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode()


def decode(text: str, size: int | None = None) -> bytes:
    """Return the bytes of base64.

    Raises
    ------
    ValueError
        It is not base64, or not of so many bytes.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("expected base64") from None
    if size is not None and len(data) != size:
        raise ValueError(f"expected {size} bytes in base64, found {len(data)}")
    return data


def name_object(sealed: bytes) -> str:
    """Return the id of an object: of its seal, up to and including the signature."""
    return hashlib.sha256(sealed).hexdigest()[:ID_DIGITS]


def read_body(data: bytes) -> dict[str, Any]:
    """Return what a job asks for.

    Raises
    ------
    ValueError
        It is not what a job of this version sends.
    """
    try:
        body = json.loads(data)
        pack_json(body)  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise ValueError("expected JSON") from None
    if not isinstance(body, dict) or body.keys() != KINDS.keys():
        raise ValueError(f"expected {', '.join(KINDS)}")
    wrong = [name for name, kind in KINDS.items() if type(body[name]) is not kind]
    if wrong or body["format_version"] != FORMAT_VERSION:
        raise ValueError(f"wrong {', '.join(wrong) or 'format_version'}")
    if not all(isinstance(one, str) for one in body["objects"]):
        raise ValueError("objects: expected a list of ids")
    if not 0 <= body["restart"] <= MOST_RESTARTS:
        raise ValueError(f"restart: expected 0 to {MOST_RESTARTS}")
    if not MEASUREMENT.fullmatch(body["measurement"]):
        raise ValueError("measurement: expected 64 hex digits")
    if len(body["objects"]) > MOST_OBJECTS:
        raise ValueError(f"objects: expected at most {MOST_OBJECTS}")
    return body


def describe(answer: Mapping[str, Any]) -> Refused:
    """Return the refusal that a keeper has answered."""
    word, reason = str(answer.get("refused", "")), str(answer.get("reason", ""))
    return Refused(word, reason, again=answer.get("again") is True)
