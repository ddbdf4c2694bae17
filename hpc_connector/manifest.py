"""The record of a run: provenance, restart point and training row at once."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish

FORMAT_VERSION = 1
NAME = "manifest.json"


def save_manifest(directory: Path, record: dict[str, Any]) -> None:
    """Write ``manifest.json``, published by rename."""
    text = json.dumps({"format_version": FORMAT_VERSION} | record, indent=2)
    with publish(directory / NAME) as stream:
        stream.write(f"{text}\n".encode())


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the record of a run.

    Raises
    ------
    BadInput
        There is none, it is not JSON, or it has another format version.
    """
    path = directory / NAME
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{directory} holds no run: expected {NAME} in it") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a manifest: {error}") from None
    found = record.get("format_version") if isinstance(record, dict) else None
    if found != FORMAT_VERSION:
        raise BadInput(
            f"{path} has manifest format {found}; this version reads {FORMAT_VERSION}"
        )
    return record


def get_checksum(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def get_time() -> str:
    """Return the time now in UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def find_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what differs between two records, one phrase a key."""
    return [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
