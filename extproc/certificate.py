"""A certificate to begin with: self-signed, made once. Real ones take its place by taking its files' place."""

import datetime
import ipaddress
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from extproc.errors import ConfigError
from extproc.names import TLS_CERTIFICATE, TLS_KEY

_VALID: Final = datetime.timedelta(days=3650)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def ensure_certificate(folder: Path, *addresses: str) -> None:
    """Make one for loopback and these addresses, unless the folder has one.

    Raises `ConfigError` where it has only half of one.
    """
    missing = [folder / name for name in (TLS_CERTIFICATE, TLS_KEY) if not (folder / name).exists()]
    if len(missing) == 1:
        raise ConfigError(f"{missing[0]} is missing: a certificate and its key go together")
    if missing:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate, key = self_signed(*_LOOPBACK, *addresses)
        _write(folder / TLS_KEY, key)
        _write(folder / TLS_CERTIFICATE, certificate)


def self_signed(*names: str) -> tuple[bytes, bytes]:
    """A certificate for these names and addresses, and its key, both as PEM. P-256: every client can, HTTP/3 too."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tollgate, self-signed")])
    public, now = key.public_key(), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(issuer, issuer, public, x509.random_serial_number(), now, now + _VALID)
        .add_extension(x509.SubjectAlternativeName([_general(each) for each in dict.fromkeys(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding), private


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes) -> None:
    """For its owner alone."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
