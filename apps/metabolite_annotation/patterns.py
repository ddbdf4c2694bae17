"""Isotope patterns of all ions: from the cache, or computed by all ranks."""

import hashlib
import json
import logging
import os
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpc_connector.learner.annotation.ions import Ions
from hpc_connector.learner.annotation.patterns import (
    Resolution,
    calculate_centroids,
    list_isotopologues,
)
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.ledger import DAMAGED, read_arrays
from hpc_connector.pipeline.ranks import run_on_ranks
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.publish import get_readers, publish
from hpc_connector.storage.address import is_encrypted
from metabolite_annotation.options import Options

logger = logging.getLogger(__name__)

ALGORITHM = 1  # changes with any pattern
IONS_A_TASK = 1024  # some ions take a second
ARRAYS = ("formula_counts", "modifier_counts", "formula", "modifier")


class Patterns(NamedTuple):
    """The isotope peaks of ions.

    Parameters
    ----------
    mz
        Of the centroids, float64 (ions, images), 0 where there is none.
    intensity
        What theory says of their heights, float64 (ions, images).
    """

    mz: np.ndarray
    intensity: np.ndarray


def get_patterns(
    comm: Communicator, options: Options, ions: Ions, resolution: Resolution
) -> Patterns | None:
    """Return m/z and intensity of the isotope peaks of all ions, on every rank.

    They are looked up in the folder ``options.pattern_cache``, which runs may share: a
    set of patterns is named by all that decides it. Those of molecules that are
    encrypted, or of which encrypted results are, are not kept.

    Returns
    -------
    As ``calculate_centroids``; None after a stop signal.
    """
    folder = options.pattern_cache or get_cache_folder()
    path = folder / f"{get_key(ions, resolution)}.npz" if folder else None
    found = read_patterns(path) if comm.rank == 0 else None
    patterns: Patterns | None = comm.bcast(found)
    is_known = patterns is not None
    if not is_known:
        patterns = compute_patterns(comm, options, ions, resolution)
    if comm.rank == 0 and patterns is not None:
        logger.info(
            "%d isotope patterns %s",
            len(ions),
            "from the cache" if is_known else "computed",
        )
        if path and not is_known and not is_secret(options):
            save_patterns(path, patterns)
    return patterns


def is_secret(options: Options) -> bool:
    """Return whether the m/z of molecules are not to be kept for other runs."""
    return get_readers() is not None or any(map(is_encrypted, options.database))


def compute_patterns(
    comm: Communicator, options: Options, ions: Ions, resolution: Resolution
) -> Patterns | None:
    """Return the patterns of all ions, computed by all ranks."""
    firsts = range(0, len(ions), IONS_A_TASK)
    lists = list_isotopologues(ions)
    found: dict[int, Patterns] = {}

    def run_task(number: int, thread: int) -> None:
        ends = firsts[number], min(firsts[number] + IONS_A_TASK, len(ions))
        found[number] = Patterns(
            *calculate_centroids(ions, resolution, *ends, lists=lists)
        )

    outcome = run_on_ranks(
        comm,
        run_task,
        range(len(firsts))[::-1],  # those without carbon, the slowest, come last
        lambda *_: None,
        threads=options.threads,
        show=make_progress(quiet=options.quiet),
    )
    parts = {n: part for share in comm.allgather(found) for n, part in share.items()}
    if not outcome.is_done:
        return None
    columns = zip(*(parts[n] for n in range(len(firsts))), strict=True)
    return Patterns(*map(np.concatenate, columns))


def get_key(ions: Ions, resolution: Resolution) -> str:
    """Return the name of a set of patterns: a digest of all that decides it."""
    setting = {"algorithm": ALGORITHM, "elements": ions.elements} | asdict(resolution)
    digest = hashlib.sha256(json.dumps(setting, sort_keys=True).encode())
    for name in ARRAYS:
        array = np.ascontiguousarray(getattr(ions, name))
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()[:32]


def read_patterns(path: Path | None) -> Patterns | None:
    """Return the patterns of a file, None if there is none or it is damaged."""
    if path is None:
        return None
    try:
        arrays = read_arrays(path)
        return Patterns(arrays["mz"], arrays["intensity"])
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except DAMAGED as error:
        logger.warning("%s is damaged and will be replaced (%s)", path, error)
        return None


def save_patterns(path: Path, patterns: Patterns) -> None:
    """Keep patterns; runs that keep the same at the same time do no harm."""
    own = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with publish(own, "open") as stream:
            np.savez(stream, mz=patterns.mz, intensity=patterns.intensity)
        own.replace(path)
    except OSError as error:
        logger.warning("isotope patterns are not kept: %s", error)


def get_cache_folder() -> Path | None:
    """Return where patterns are kept, by the rule of the XDG base directories.

    None without a home, or where another user has made it.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "hpc_connector" / "patterns"
        is_own = folder.stat().st_uid == os.getuid()
    except (FileNotFoundError, NotADirectoryError):
        return folder  # it can be made
    except (OSError, RuntimeError):
        return None
    return folder if is_own else None
