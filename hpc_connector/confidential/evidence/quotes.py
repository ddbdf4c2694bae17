"""The evidence of a job, from what its node has: a quote of its TPM."""

import json
import logging
import socket
from pathlib import Path
from typing import Any

from hpc_connector.confidential.evidence.tpm import get_extra_data

logger = logging.getLogger(__name__)

HELPER = Path("/run/hpc_connector/tpm.sock")  # of tpm.sh, which a site installs
MOST_BYTES = 1 << 16  # of an answer
PATIENCE_S = 20


def make_evidence(
    nonce: bytes,
    job_public: bytes,
    measurement: str,
    node: str,
    helper: Path = HELPER,
) -> dict[str, Any]:
    """Return what a job can show of this node; nothing where nobody makes quotes.

    Parameters
    ----------
    nonce, job_public
        32 bytes each.
    measurement
        64 hex digits.
    node
        Its name in Slurm.
    helper
        Socket of what may ask the TPM.
    """
    try:
        quote = ask_quote(get_extra_data(nonce, job_public, measurement), helper)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        logger.warning("%s: no quote of the TPM of %s: %s", helper, node, error)
        return {}
    return {"tpm": {node: quote}}


def ask_quote(extra_data: bytes, helper: Path) -> dict[str, str]:
    """Return a quote of the TPM of this node, as evidence has it.

    Raises
    ------
    OSError
        Nobody answers.
    ValueError
        The answer is no quote.
    """
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(PATIENCE_S)
        asked.connect(str(helper))
        asked.sendall(extra_data.hex().encode() + b"\n")
        with asked.makefile("rb") as stream:
            answer = json.loads(stream.read(MOST_BYTES))
    if not isinstance(answer, dict) or "quoted" not in answer:
        raise ValueError(f"an answer that is no quote: {str(answer)[:80]}")
    return {name: str(answer[name]) for name in ("quoted", "signature")}
