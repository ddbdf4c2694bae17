"""Access of a run to its encrypted inputs: begun by the first rank, shared with all."""

import contextlib
import logging
from collections.abc import Iterator

from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.cores import forbid_cores
from hpc_connector.storage import key_ring

logger = logging.getLogger(__name__)

NEEDED = (
    "encrypted inputs and results need cryptography: expected "
    "pip install 'hpc_connector[confidential]'"
)


@contextlib.contextmanager
def explain_missing() -> Iterator[None]:
    """Say how to install cryptography, where it is imported and not there.

    Raises
    ------
    BadInput
        It is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        raise BadInput(NEEDED) from None


def begin_access(options: KeyOptions) -> None:
    """Have what opens encrypted inputs, in the process of the first rank alone.

    Raises
    ------
    BadInput
        A key that cannot be used, or options that need one.
    """
    key_ring.forget_keys()
    if options.key is None:
        if options.trust or options.grant or options.passphrase_fd is not None:
            raise BadInput(
                "--trust, --grant and --passphrase-fd: expected --key with them"
            )
        return
    with explain_missing():
        from hpc_connector.confidential.evidence.levels import describe_level
        from hpc_connector.confidential.keys import load_trusted
        from hpc_connector.confidential.openers import make_opener
    forbid_cores()
    opener = make_opener(options)
    trusted = load_trusted(options.trust) if options.trust else ()
    facts = opener.facts
    said = describe_level(facts["evidence"], from_file="keeper" not in facts)
    facts["proved"] = said
    logger.info("%s", said)
    key_ring.set_opener(opener, trusted)


def share_keys(comm: Communicator) -> None:
    """Give all ranks the session keys of what the first one has opened.

    They travel as messages, and are written nowhere. Private keys stay where they are.
    """
    known = comm.bcast(key_ring.get_known() if comm.rank == 0 else None)
    if any(known):
        forbid_cores()
    key_ring.know(known)
