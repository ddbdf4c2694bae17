"""The checksums of what a run reads; of the .ibd file also that which imzML gives.

One read of a file is for all of them, on the rank that hashes; see
:mod:`hpc_connector.pipeline.fingerprints`.
"""

from collections.abc import Mapping

from hpc_connector.loader.spectra.ibd import check_checksum
from hpc_connector.loader.spectra.imzml import Imzml, find_ibd, guess_algorithm
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.fingerprints import (
    add_fingerprints,
    begin_fingerprints,
    list_unknown,
)
from hpc_connector.run_record import RunRecord
from hpc_connector.storage.address import is_encrypted, is_remote
from hpc_connector.storage.checksums import SHA256, Checksums, Hasher
from metabolite_annotation.options import Options


def begin_checksums(options: Options, record: RunRecord, hasher: Hasher) -> None:
    """Begin to hash the inputs, but for an .ibd file that will be copied.

    The dataset is not among them where it is no file.

    Raises
    ------
    BadInput
        An input that is not there any more.
    """
    algorithms: dict[str, tuple[str, ...]] = {}
    is_input = options.dataset in [one["path"] for one in record["inputs"]]
    if is_input and not is_remote(options.dataset):
        path = find_ibd(options.dataset)
        is_asked = options.check and not is_encrypted(path)
        own = guess_algorithm(options.dataset) if is_asked else None
        algorithms[path] = () if options.scratch else join_algorithms(own)
    begin_fingerprints(record, hasher, algorithms)


def join_algorithms(own: str | None) -> tuple[str, ...]:
    """Return the algorithms of a file that has a checksum of its own, or none."""
    return tuple(dict.fromkeys([*SHA256, own] if own else SHA256))


def begin_copy(
    options: Options, record: RunRecord, hasher: Hasher, imzml: Imzml, copy: str
) -> None:
    """Begin to hash a copy of the .ibd file, unless its checksums are known."""
    if copy != imzml.ibd_path and imzml.ibd_path in list_unknown(record):
        is_asked = options.check and not is_encrypted(copy)
        own = imzml.checksum[0] if is_asked and imzml.checksum else None
        hasher.begin(imzml.ibd_path, join_algorithms(own), copy)


def add_checksums(
    comm: Communicator,
    options: Options,
    record: RunRecord,
    hasher: Hasher,
    imzml: Imzml,
) -> None:
    """Wait for the checksums, which go into the record, and compare them.

    That of an earlier attempt has been compared by it.

    Raises
    ------
    BadInput
        A file that was changed meanwhile, or has another checksum than imzML gives.
    """

    def check(found: Mapping[str, Checksums]) -> None:
        if options.check and imzml.ibd_path in found:
            check_checksum(imzml, found[imzml.ibd_path])

    add_fingerprints(comm, record, hasher, check, options.datasets)
