"""Isotope patterns of all ions: from the cache, or computed by all ranks."""

import hashlib
import json
import logging
import os
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.learner.ions import Ions
from hpc_connector.learner.patterns import Resolution, calculate_centroids
from hpc_connector.partitioner.communicator import end_together
from hpc_connector.pipeline import DAMAGED, read_arrays
from hpc_connector.publish import publish

logger = logging.getLogger(__name__)

ALGORITHM = 1  # changes with any pattern
ARRAYS = ("formula_counts", "modifier_counts", "formula", "modifier")

Patterns = tuple[np.ndarray, np.ndarray]


def get_patterns(
    comm: Any, ions: Ions, resolution: Resolution, cache: Path | None
) -> tuple[Patterns, bool]:
    """Return m/z and intensity of the isotope peaks of all ions, on every rank.

    Parameters
    ----------
    cache
        Folder of patterns that were computed before; a pattern set is found there by
        what decides it, so runs may share a folder.

    Returns
    -------
    The patterns, as ``calculate_centroids``, and whether they were in the cache.
    """
    path = cache / f"{get_key(ions, resolution)}.npz" if cache else None
    known = comm.bcast(read_patterns(path) if comm.rank == 0 else None)
    if known is not None:
        return known, True
    ends = len(ions) * np.arange(comm.size + 1) // comm.size
    share = None
    with end_together(comm):
        share = calculate_centroids(ions, resolution, *ends[comm.rank : comm.rank + 2])
    mz, intensity = map(np.concatenate, zip(*comm.allgather(share), strict=True))
    if comm.rank == 0 and path is not None:
        save_patterns(path, (mz, intensity))
    return (mz, intensity), False


def get_key(ions: Ions, resolution: Resolution) -> str:
    """Return what names a set of patterns: a digest of all that decides it."""
    setting = {"algorithm": ALGORITHM, "elements": ions.elements} | asdict(resolution)
    digest = hashlib.sha256(json.dumps(setting, sort_keys=True).encode())
    for name in ARRAYS:
        array = np.ascontiguousarray(getattr(ions, name))
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()[:32]


def read_patterns(path: Path | None) -> Patterns | None:
    """Return the patterns of a file, None if there is none or it is damaged."""
    if path is None or not path.exists():
        return None
    try:
        arrays = read_arrays(path)
        return arrays["mz"], arrays["intensity"]
    except DAMAGED as error:
        logger.warning("%s is damaged and will be replaced (%s)", path, error)
        return None


def save_patterns(path: Path, patterns: Patterns) -> None:
    """Keep patterns; runs that keep the same at the same time do no harm."""
    own = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with publish(own) as stream:
            np.savez(stream, mz=patterns[0], intensity=patterns[1])
        own.replace(path)
    except OSError as error:
        logger.warning("isotope patterns are not kept: %s", error)


def get_cache_folder() -> Path:
    """Return where patterns are kept, by the rule of the XDG base directories."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hpc_connector" / "patterns"
