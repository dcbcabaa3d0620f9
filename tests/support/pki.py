"""Certificates for tests: an authority, and what it signs. P-256, so that nothing takes long."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

NOW: Final = datetime(2030, 6, 1, tzinfo=UTC).timestamp()
"Seconds since 1970, where only the clock that a test hands over counts."


@dataclass
class Signed:
    """A certificate with its key, and perhaps the issuer that signed it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    issuer: Signed | None = None
    path: Path = field(default=Path())
    "Where `write` put it last."

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes | None = None) -> bytes:
        """The key alone."""
        cipher: KeySerializationEncryption = NoEncryption()
        if password is not None:
            cipher = BestAvailableEncryption(password)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher)

    def write(self, path: Path, *parts: bytes) -> Self:
        """Write key and certificate, or these parts, as a careful operator does."""
        path.write_bytes(b"".join(parts or (self.key_pem(), self.pem)))
        path.chmod(0o600)
        self.path = path
        return self

    def sign(
        self,
        *names: str,
        common_name: str = "",
        days: float = 90,
        begin: float = -1,
        now: float = NOW,
        authority: bool = False,
        emails: Iterable[str] = (),
        addresses: Iterable[str] = (),
        usage: x509.ObjectIdentifier | None = None,
    ) -> Signed:
        """A certificate for these host names, valid from `begin` to `days` (days from `now`)."""
        others: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        others += [x509.RFC822Name(email) for email in emails]
        others += [x509.IPAddress(ip_address(address)) for address in addresses]
        return _sign(self, others, common_name, days, begin, now, authority, usage)


def authority(name: str = "Test CA", now: float = NOW) -> Signed:
    """Signs itself, and others."""
    return _sign(None, (), name, 3650, -1, now, authority=True)


def _sign(
    issuer: Signed | None,
    others: Sequence[x509.GeneralName],
    common_name: str,
    days: float,
    begin: float,
    now: float,
    authority: bool,
    usage: x509.ObjectIdentifier | None = None,
) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    today = datetime.fromtimestamp(now, UTC)
    subject = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(os.urandom(8), "big") + 1)
        .not_valid_before(today + timedelta(days=begin))
        .not_valid_after(today + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if others:
        # a subject without a name makes this one count
        builder = builder.add_extension(
            x509.SubjectAlternativeName(others), critical=not common_name
        )
    signer = issuer.key if issuer else key
    return Signed(key, builder.sign(signer, hashes.SHA256()), issuer)
