"""Access of a run to its encrypted inputs: begun by the first rank, shared with all."""

import logging
from functools import partial

from hpc_connector import errors
from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.cores import forbid_cores
from hpc_connector.storage import key_ring

logger = logging.getLogger(__name__)

explain_missing = partial(
    errors.explain_missing,
    *("encrypted inputs and results need", "confidential", "cryptography"),
)


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
