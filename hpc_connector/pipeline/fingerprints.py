"""The fingerprints of a run's inputs, which its last rank computes meanwhile.

That one has the least to do as a run begins, while the first reads the inputs. They are
known before the first task: what is in the ledger is of inputs that are known.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hpc_connector.manifest import check_known, get_fingerprint
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.run_record import RunRecord
from hpc_connector.storage.checksums import SHA256, Checksums, Hasher


def is_hashing(comm: Communicator) -> bool:
    """Return whether this rank is the one that hashes."""
    return comm.rank == comm.size - 1


def list_unknown(record: RunRecord) -> list[str]:
    """Return the inputs whose fingerprints are not known yet, each once."""
    paths = [one["path"] for one in record["inputs"] if not get_fingerprint(one)]
    return list(dict.fromkeys(paths))


def begin_fingerprints(
    record: RunRecord,
    hasher: Hasher,
    algorithms: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Begin to hash the inputs that have no fingerprint, on the rank that does.

    Parameters
    ----------
    algorithms
        Of files that are hashed by others than SHA-256 alone; by none, which leaves
        the file for later.

    Raises
    ------
    BadInput
        An input that is not there any more.
    """
    for path in list_unknown(record):
        if wanted := algorithms.get(path, SHA256):
            hasher.begin(path, wanted)


def add_fingerprints(
    comm: Communicator,
    record: RunRecord,
    hasher: Hasher,
    check: Callable[[Mapping[str, Checksums]], None] = lambda _: None,
    datasets: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Wait for the fingerprints, and put them into the record of all ranks.

    Parameters
    ----------
    check
        Called with the checksums of each file, on the rank that has them.
    datasets
        Of a catalogue, by the names of inputs, with what those were.

    Raises
    ------
    BadInput
        An input that cannot be read or was changed meanwhile; what `check` raises.
    """
    paths = list_unknown(record)
    found: dict[str, Checksums] = {}
    with end_together(comm):
        if is_hashing(comm):
            found = {path: hasher.get(path) for path in paths}
            check(found)
            for path in paths:
                check_known(path, found[path], datasets)
    found = comm.bcast(found, root=comm.size - 1)
    for one in record["inputs"]:
        if one["path"] in found:
            one["sha256"] = found[one["path"]]["sha256"]
