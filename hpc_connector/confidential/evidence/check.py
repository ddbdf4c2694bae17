"""What the evidence of a job proves: a level, and never more than that.

Evidence is a map of the kinds ``tpm`` and ``dcap``; each maps nodes to their quotes:
``{"tpm": {NODE: {"quoted": BASE64, "signature": BASE64}}}`` and
``{"dcap": {NODE: {"quote": BASE64, "collateral": {...}}}}``. A level holds for a job
when it holds for each of its nodes: the plaintext is in the memory of all.
"""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hpc_connector.confidential.evidence import dcap, tpm
from hpc_connector.confidential.evidence.binding import WORD
from hpc_connector.confidential.refused import Refused

REGISTERS = tuple(range(8))  # PCRs of firmware and of what boots
KINDS = {"tpm": ("quoted", "signature"), "dcap": ("quote", "collateral")}


@dataclass(frozen=True)
class Node:
    """How a node signs, and how it boots when all is right.

    Parameters
    ----------
    key
        That its TPM signs quotes with.
    digests
        Of the registers, hex: those that are approved.
    registers
        Numbers of PCRs: 0 to 7, and 10 where IMA runs.
    """

    key: EllipticCurvePublicKey
    digests: Collection[str]
    registers: Sequence[int] = REGISTERS


@dataclass(frozen=True)
class Approved:
    """What evidence is held against.

    Parameters
    ----------
    measurements
        Of approved code; without any, nothing above level 0 is proved.
    job_nodes
        Names of all nodes of the job.
    nodes
        Those whose TPM is known.
    enclaves
        MRENCLAVE or MRTD of approved ones, hex.
    statuses
        Of the firmware of processors, in Intel's words, that are good enough.
    """

    measurements: Collection[str] = ()
    job_nodes: Sequence[str] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    enclaves: Collection[str] = ()
    statuses: Collection[str] = ("UpToDate",)


def check_evidence(
    evidence: Mapping[str, Any],
    *,
    nonce: bytes,
    job_public: bytes,
    measurement: str,
    policy: Approved,
    now: float,
) -> int:
    """Return the level that a job has proved, whose user and job were checked before.

    Parameters
    ----------
    nonce, job_public
        32 bytes each.
    measurement
        64 hex digits, as the job said it.
    now
        Seconds since 1970.

    Raises
    ------
    Refused
        Evidence that does not hold: it is refused, not passed over. What the policy
        says nothing of, nodes or enclaves, is passed over and proves nothing.
    """
    said = nonce, job_public, measurement
    quotes = {kind: read_quotes(evidence, kind) for kind in KINDS}
    if unknown := evidence.keys() - KINDS.keys():
        raise Refused(WORD, f"of an unknown kind {min(unknown)[:40]!r}")
    booted = quotes["tpm"].keys() & policy.nodes.keys()
    for name in sorted(booted):
        quote, node = quotes["tpm"][name], policy.nodes[name]
        check_node(quote, node, tpm.get_extra_data(*said))
    enclosed = quotes["dcap"].keys() if policy.enclaves else set[str]()
    for name in sorted(enclosed):
        quote = quotes["dcap"][name]
        check_processor(quote, dcap.get_report_data(*said), policy, now)
    if measurement not in policy.measurements:
        return 0
    nodes = set(policy.job_nodes)
    proved = [level for level, names in ((3, enclosed), (2, booted)) if nodes <= names]
    return proved[0] if nodes and proved else 1


def read_quotes(evidence: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the quotes of one kind, by their nodes.

    Raises
    ------
    Refused
        They are not of that form.
    """
    found: Any = evidence.get(kind, {})
    is_right = isinstance(found, dict) and all(
        isinstance(quote, dict) and quote.keys() == set(KINDS[kind])
        for quote in found.values()
    )
    if not is_right:
        expected = " and ".join(KINDS[kind])
        raise Refused(WORD, f"{kind} that is not {expected} for each node")
    return dict(found)


def check_node(quote: Mapping[str, Any], node: Node, extra_data: bytes) -> None:
    """Refuse the quote of a TPM that is not of a node, this job, an approved boot.

    Raises
    ------
    Refused
        The message says which of these.
    """
    attest, signature = (decode(quote[field]) for field in KINDS["tpm"])
    found = tpm.verify_quote(attest, signature, node.key)
    if found.extra_data != extra_data:
        raise Refused(WORD, "a quote for another nonce, key or code")
    if sorted(found.registers) != sorted(node.registers):
        raise Refused(WORD, f"a quote of other registers than {list(node.registers)}")
    if found.digest.hex() not in node.digests:
        raise Refused(WORD, "a node that was not booted as approved")


def check_processor(
    quote: Mapping[str, Any], report_data: bytes, policy: Approved, now_s: float
) -> None:
    """Refuse the quote of a processor that is not of this job and approved.

    Raises
    ------
    Refused
        The message says what it is not.
    """
    collateral = json.dumps(quote["collateral"])
    enclave = dcap.verify_enclave(decode(quote["quote"]), collateral, now_s)
    dcap.check_enclave(enclave, report_data, policy.enclaves, policy.statuses)


def decode(text: object) -> bytes:
    """Return the bytes of base64."""
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError:
        raise Refused(WORD, "a quote that is not base64") from None
