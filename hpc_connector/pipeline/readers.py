"""Who can read what a run, or a command on its results, writes."""

from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_whole_manifest
from hpc_connector.options import ReaderOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.access import begin_access, explain_missing
from hpc_connector.pipeline.cores import allow_cores, forbid_cores
from hpc_connector.publish import Readers, get_readers, name_encrypted, set_readers
from hpc_connector.report.results_file import RESULTS
from hpc_connector.storage import key_ring

REFUSED = {  # options that write, or send, what nothing encrypts yet
    "all_models": "the errors of all models are not encrypted",
    "compat": "what that writes is not encrypted",
    "burst": "what functions are sent is not encrypted",
    "results_stream": "its records are not encrypted",
}


def check_readers(options: ReaderOptions) -> None:
    """Refuse what nothing encrypts yet, before anything is read.

    Raises
    ------
    BadInput
        An option that says so.
    """
    for name, reason in REFUSED.items():
        value = getattr(options, name, None)
        if options.encrypt_to and value:
            shown = f" {value}" if name == "compat" else ""
            raise BadInput(
                f"--{name.replace('_', '-')}{shown}: {reason}: not for --encrypt-to"
            )


def begin_readers(options: ReaderOptions) -> None:
    """Have those who read what this process writes; its keys are there already.

    Raises
    ------
    BadInput
        The key of one cannot be read.
    """
    set_readers(None)
    if not options.encrypt_to:
        return
    with explain_missing():
        from hpc_connector.confidential.keys import load_recipients
        from hpc_connector.crypt4gh.header import get_fingerprint
    readers = tuple(load_recipients(options.encrypt_to))
    own = key_ring.get_public()
    both = dict.fromkeys([*readers, *([own] if own else [])])
    set_readers(Readers(readers, tuple(both), tuple(map(get_fingerprint, readers))))
    forbid_cores()


def share_readers(comm: Communicator) -> None:
    """Give all ranks the readers that the first one has: public keys."""
    readers: Readers | None = comm.bcast(get_readers() if comm.rank == 0 else None)
    if comm.rank:
        set_readers(readers)
    if readers:
        forbid_cores()


def end_readers() -> None:
    """Write for anybody again; forget the keys, and what was kept in memory."""
    set_readers(None)
    key_ring.forget_keys()
    allow_cores()


def begin_command(
    options: ReaderOptions, folders: list[Path], *, writes: bool = True
) -> None:
    """Have the keys of a command on results of runs, and who reads what it writes.

    Raises
    ------
    BadInput
        There is no key for them; or it would write what is encrypted for anybody, or
        for some what is not.
    """
    begin_access(options)
    begin_readers(options)
    encrypted = [path for path in folders if name_encrypted(path / RESULTS).exists()]
    for path in encrypted:
        read_whole_manifest(path)  # which the key must open
    if encrypted and writes and not options.encrypt_to:
        raise BadInput(
            f"{encrypted[0]} has encrypted results: expected --encrypt-to, and the "
            "public key of who can read what is written"
        )
    if options.encrypt_to and not encrypted:
        raise BadInput(
            f"--encrypt-to: {folders[0]} has no encrypted results: expected those of "
            "a run with --encrypt-to"
        )
