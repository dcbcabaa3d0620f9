"""
One certificate: read from a file or two and checked in words, or signed by ourselves.

Knows PEM and X.509, not where certificates come from (`net.certificates`) or what they serve for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from rtmptwist.disk.reading import NotRegular, TooLarge, read_small

SELF_MADE_FOR: Final = 10 * 365 * 86400.0
"""
Seconds that a self-made certificate is valid. Whoever trusts it keeps a copy of it, which a new one
would make worthless; so it shall last as long as the machine. (Apple's programs accept nothing
beyond 825 days, but nothing self-made either without a profile.)
"""

_FILE_SIZE: Final = 1 << 20
"Bytes of a PEM file at most; a long chain with its key has 20 KB."

_OTHERS: Final = 0o027
"Permissions that a file with a key should not have. A group may read it, as Debian's ssl-cert."

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)

_BEGIN: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----")

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)


class CertificateError(Exception):
    """A certificate cannot be used; the text names the file, what is wrong and what to do."""


class KeyMismatch(CertificateError):
    """The key is missing, or another one's; perhaps only one of the two has been replaced yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """A certificate with its key, fit for use."""

    path: Path
    key: PrivateKey
    leaf: x509.Certificate

    chain: tuple[x509.Certificate, ...]
    "Its issuer, the issuer's issuer and so on, without the root."

    names: tuple[str, ...]
    "The host names it is for, in lower case, such as `*.example.org`."

    warnings: tuple[str, ...]
    "What an operator should know about it."

    @property
    def expires_at(self) -> float:
        """Seconds since 1970."""
        return self.leaf.not_valid_after_utc.timestamp()

    def install(self, context: SSL.Context) -> None:
        """
        Have `context` show it.

        Raises:
            SSL.Error: OpenSSL finds it too weak.
        """
        context.use_certificate(self.leaf)
        context.use_privatekey(self.key)
        for issuer in self.chain:
            context.add_extra_chain_cert(issuer)


def common_names(certificate: x509.Certificate) -> list[str]:
    """What the subject calls itself; usually one name."""
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in found]


def read_certificate(path: Path, key_path: Path | None = None, *, now: float) -> Certificate:
    """
    Read a certificate, its key and its chain, in any order, from one file or two.

    Raises:
        CertificateError: it cannot be used at `now`.
    """
    key_path = key_path or path
    data = _read(path)
    if key_path != path:
        try:
            data += b"\n" + _read(key_path)
        except CertificateError as error:
            raise KeyMismatch(str(error)) from error
    certificates = pem_certificates(path, data)
    keys = _keys(key_path, data)
    pairs = [(leaf, key) for leaf in certificates for key in keys if _belong(leaf, key)]
    if not pairs:
        raise KeyMismatch(
            f"{key_path}: the key belongs to none of the certificates in {path} (the first is"
            f" for {_subject(certificates[0])})"
        )
    leaf, key = max(pairs, key=lambda pair: pair[0].not_valid_after_utc)
    chain, warnings = _chain(path, leaf, certificates)
    _check_time(path, leaf, now, warnings)
    if _is_open_to_others(key_path):
        warnings.append(f"{key_path}: others may read or change the key: chmod 640 {key_path}")
    names = tuple(name.lower() for name in _host_names(path, leaf, warnings))
    certificate = Certificate(path, key, leaf, tuple(chain), names, tuple(warnings))
    try:
        certificate.install(SSL.Context(SSL.TLS_SERVER_METHOD))
    except SSL.Error as error:
        raise CertificateError(f"{path}: OpenSSL does not accept it: {reasons(error)}") from error
    return certificate


def pem_certificates(path: Path, data: bytes | None = None) -> list[x509.Certificate]:
    """
    All certificates in a PEM file, whose content is `data` if it has been read.

    Raises:
        CertificateError: there is none, or one is damaged.
    """
    data = _read(path) if data is None else data
    blocks = list(_PEM.finditer(data))
    if len(blocks) < len(_BEGIN.findall(data)):
        raise CertificateError(
            f"{path}: cut off: not all that begins in it (-----BEGIN) has an end"
        )
    try:
        found = [
            x509.load_pem_x509_certificate(block[0])
            for block in blocks
            if block[1] == b"CERTIFICATE"
        ]
    except ValueError as error:
        raise CertificateError(f"{path}: a certificate in it is damaged: {error}") from error
    if found:
        return found
    hint = ""
    if data[:1] == b"\x30":
        hint = f"; it looks like DER: openssl x509 -inform der -in {path} -out PEM-FILE"
    raise CertificateError(f"{path}: no certificate in it (-----BEGIN CERTIFICATE-----){hint}")


def reasons(error: SSL.Error) -> str:
    """What OpenSSL says."""
    found = error.args[0] if error.args else ()
    if isinstance(found, list | tuple):
        return "; ".join(str(entry[-1]) for entry in found if entry)
    return str(error)


def make_certificate(names: Iterable[str], now: float) -> bytes:
    """
    Sign a certificate for itself; return it and its key as PEM.

    `names` are host names and IP addresses; those that a certificate cannot name are left out. The
    key is P-256: made and used fast, and known to every client that knows TLS 1.2. It is no CA, so
    that who trusts it trusts nothing else.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rtmptwist, self-made")])
    begin = datetime.fromtimestamp(now, UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(days=1))  # clocks differ
        .not_valid_after(begin + timedelta(seconds=SELF_MADE_FOR))
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return leaf.public_bytes(Encoding.PEM) + private


def _read(path: Path) -> bytes:
    try:
        return read_small(path, _FILE_SIZE)
    except NotRegular:
        raise CertificateError(f"{path}: no file (expected a PEM file)") from None
    except TooLarge:
        raise CertificateError(
            f"{path}: more than {_FILE_SIZE} bytes (expected a PEM file)"
        ) from None
    except PermissionError as error:
        raise CertificateError(
            f"{path}: the user who runs the server (uid {os.geteuid()}) may not read it"
        ) from error
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:  # pragma: no cover - gone since it was read
        return False


def _keys(path: Path, data: bytes) -> list[PrivateKey]:
    found: list[PrivateKey] = []
    for block in _PEM.finditer(data):
        if not block[1].endswith(b"PRIVATE KEY"):
            continue
        try:
            key = load_pem_private_key(block[0], None)
        except TypeError as error:
            raise CertificateError(
                f"{path}: the key needs a password: openssl pkey -in {path} -out NEW-FILE"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise CertificateError(f"{path}: the key is damaged or of an unknown kind") from error
        if not isinstance(key, PrivateKey):
            raise CertificateError(f"{path}: the key is not RSA, EC or EdDSA")
        found.append(key)
    if not found:
        raise KeyMismatch(
            f"{path}: no key in it (-----BEGIN PRIVATE KEY-----); put it there, beside the"
            " certificate and its chain, or name its file (key = FILE)"
        )
    return found


def _belong(leaf: x509.Certificate, key: PrivateKey) -> bool:
    try:
        return leaf.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def _chain(
    path: Path, leaf: x509.Certificate, certificates: Iterable[x509.Certificate]
) -> tuple[list[x509.Certificate], list[str]]:
    """The issuers in their order, and what is odd about them."""
    chain: list[x509.Certificate] = []
    rest = [each for each in dict.fromkeys(certificates) if each != leaf]
    last = leaf
    while not _signed(last, last):
        issuer = next((each for each in rest if _signed(last, each)), None)
        if issuer is None:
            break
        rest.remove(issuer)
        last = issuer
        if not _signed(issuer, issuer):
            chain.append(issuer)
    warnings = []
    if last is leaf and not _signed(leaf, leaf):
        warnings.append(
            f"{path}: without its issuer, {leaf.issuer.rfc4514_string()}: clients that do not know"
            " that one refuse it. Use the file with the full chain"
        )
    warnings += [f"{path}: {_subject(each)} is not part of the chain; not used" for each in rest]
    return chain, warnings


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _host_names(path: Path, leaf: x509.Certificate, warnings: list[str]) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        warnings.append(f"{path}: no subjectAltName, without which most clients refuse it")
        return common_names(leaf)
    except ValueError as error:
        raise CertificateError(f"{path}: the certificate is damaged: {error}") from error
    return found.value.get_values_for_type(x509.DNSName)


def _check_time(path: Path, leaf: x509.Certificate, now: float, warnings: list[str]) -> None:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    clock = f"this machine's clock says {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC"
    if end.timestamp() < now:
        raise CertificateError(f"{path}: expired on {end:%Y-%m-%d}; {clock}")
    if begin.timestamp() > now:  # it will be, and the clock of a small machine may be late
        warnings.append(f"{path}: not valid before {begin:%Y-%m-%d %H:%M} UTC; {clock}")


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "nobody"


def _alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            with suppress(UnicodeError, ValueError):
                found.append(x509.DNSName(name.encode("idna").decode("ascii")))
    return found
