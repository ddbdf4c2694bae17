"""Certificates that a study names, and TLS 1.3 that trusts those and nothing else.

Each party signs its own certificate: the study says whose it is, and no authority does.
"""

import hashlib
import ipaddress
import ssl
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hpc_connector.confidential.keys import read_secret
from hpc_connector.errors import BadInput

MOST_DAYS = 825  # of a certificate
EARLY = timedelta(hours=1)  # of it, for clocks that differ
BEGIN = "-----BEGIN CERTIFICATE-----"


def make_certificate(
    name: str, hosts: Sequence[str] = (), days: float = MOST_DAYS
) -> tuple[str, bytes]:
    """Return a certificate of a new key that signs itself, and the private key, PEM.

    Parameters
    ----------
    name
        Of the party.
    hosts
        Names or addresses under which it is called, of a hub.
    days
        That it lasts.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    use = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([name_host(host) for host in hosts])
        made = made.add_extension(names, critical=False)
    pem = made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, private


def name_host(host: str) -> x509.GeneralName:
    """Return a host as a certificate names it, by its address or its name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def read_certificate(pem: str) -> str:
    """Return the one certificate of a text, PEM.

    Raises
    ------
    BadInput
        It has none, more, or a private key.
    """
    if "PRIVATE KEY" in pem:
        raise BadInput("a private key: expected the certificate alone, and a new key")
    try:
        (found,) = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise BadInput(f"expected one certificate, {BEGIN} ...") from None
    return found.public_bytes(Encoding.PEM).decode()


def check_days(pem: str) -> None:
    """Refuse a certificate that has ended: nobody would accept it."""
    ended = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    if ended < datetime.now(UTC):
        raise BadInput(
            f"the own certificate in the study ended on {ended:%Y-%m-%d}: expected a "
            "new one (hpc-connector federate identity), in a new study"
        )


def get_fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate, by which it is known."""
    return hashlib.sha256(der).hexdigest()


def get_fingerprint_of(pem: str) -> str:
    """Return the SHA-256 of a certificate, from its PEM."""
    return get_fingerprint(ssl.PEM_cert_to_DER_cert(pem))


def make_server_context(
    certificate: str, key: Path, trusted: Iterable[str]
) -> ssl.SSLContext:
    """Return the TLS of a hub, to which every client shows a certificate it trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    return _complete(context, certificate, key, trusted)


def make_client_context(certificate: str, key: Path, hub: str) -> ssl.SSLContext:
    """Return the TLS of a site, which trusts the certificate of its hub alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _complete(context, certificate, key, [hub])


def _complete(
    context: ssl.SSLContext, certificate: str, key: Path, trusted: Iterable[str]
) -> ssl.SSLContext:
    """Have a context show a certificate, and trust some.

    Raises
    ------
    BadInput
        The key is not that of the certificate, or others may read it; or that has
        ended.
    """
    check_days(certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # not of an authority
    context.load_verify_locations(cadata="".join(trusted))
    read_secret(key)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as own:
        own.write(certificate)
        own.flush()
        try:
            context.load_cert_chain(own.name, key, password="")
        except OSError:  # an error of TLS is one
            raise BadInput(
                f"{key} is not the private key of the certificate in the study: "
                "expected that (PEM, without a passphrase)"
            ) from None
    return context
