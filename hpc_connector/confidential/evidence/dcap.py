"""Quotes of SGX and TDX, verified offline by Intel's collateral (DCAP).

Collateral lives for some 30 days: it comes with a quote, and decides at the time of a
release. What is out of time is refused, as what is forged.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from hpc_connector.confidential.evidence.binding import WORD, hash_binding
from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput

LABEL = b"hpc_connector tee v1\0"
REPORT_BYTES = 64  # of report_data: 32 that we bind, and as many zeros
SGX_DEBUG, TD_DEBUG = 0x02, 0x01  # of the first byte of attributes


@dataclass(frozen=True)
class Enclave:
    """What a verified quote says.

    Parameters
    ----------
    identity
        MRENCLAVE, 64 hex digits, or MRTD, 96.
    report_data
        What it was made for, 64 bytes.
    status
        Of the processor's firmware, in Intel's words.
    is_debug
        Whether who runs it may read its memory.
    """

    identity: str
    report_data: bytes
    status: str
    is_debug: bool


def get_report_data(nonce: bytes, job_public: bytes, measurement: str) -> bytes:
    """Return what an enclave must have quoted: 64 bytes; see :func:`hash_binding`."""
    digest = hash_binding(LABEL, nonce, job_public, measurement)
    return digest.ljust(REPORT_BYTES, b"\0")


def verify_enclave(quote: bytes, collateral: str, now_s: float) -> Enclave:
    """Return what a quote says, once it was found to be of a processor of Intel's.

    Parameters
    ----------
    collateral
        JSON of its certificates, revocations and status, as a PCCS gives them.
    now_s
        Seconds since 1970.

    Raises
    ------
    Refused
        It is not, or its collateral is not of this time.
    BadInput
        The library that verifies is not installed.
    """
    try:
        import dcap_qvl
    except ModuleNotFoundError:
        raise BadInput(
            "quotes of SGX and TDX need dcap-qvl: expected "
            "pip install 'hpc_connector[enclave]'"
        ) from None
    try:
        known = dcap_qvl.QuoteCollateralV3.from_json(collateral)
        verified = json.loads(dcap_qvl.verify(quote, known, int(now_s)).to_json())
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise Refused(WORD, f"a quote that does not hold: {reason}") from None
    return read_report(verified["report"], verified["status"])


def read_report(report: dict[str, dict[str, str]], status: str) -> Enclave:
    """Return what we need of a report, which has the name of its kind around it."""
    ((kind, said),) = report.items()
    said = said.get("base", said)  # type: ignore[assignment] # TD 1.5 extends 1.0
    is_sgx = kind == "SgxEnclave"
    flags = bytes.fromhex(said["attributes" if is_sgx else "td_attributes"])[0]
    return Enclave(
        said["mr_enclave" if is_sgx else "mr_td"],
        bytes.fromhex(said["report_data"]),
        status,
        bool(flags & (SGX_DEBUG if is_sgx else TD_DEBUG)),
    )


def check_enclave(
    enclave: Enclave,
    report_data: bytes,
    approved: Collection[str],
    statuses: Collection[str],
) -> None:
    """Refuse an enclave that was not made for a job, or is not approved.

    Parameters
    ----------
    approved
        MRENCLAVE or MRTD, hex.
    statuses
        Of firmware, that are good enough.

    Raises
    ------
    Refused
        The message says what it is not.
    """
    if enclave.report_data != report_data:
        raise Refused(WORD, "a quote for another nonce, key or code")
    if enclave.is_debug:
        raise Refused(WORD, "an enclave in debug mode, which hides nothing")
    if enclave.identity not in approved:
        raise Refused(WORD, f"an enclave {enclave.identity[:16]}... not approved")
    if enclave.status not in statuses:
        raise Refused(WORD, f"a processor whose status is {enclave.status}")
