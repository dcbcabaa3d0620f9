"""Reading one certificate: what is accepted, and what is said about everything else."""

from __future__ import annotations

import os
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from rtmptwist.net.certificate import (
    SELF_MADE_FOR,
    Certificate,
    CertificateError,
    make_certificate,
    pem_certificates,
    read_certificate,
    reasons,
)
from tests.support.pki import NOW, Signed, authority
from tests.support.programs import program

ROOT = authority()
MIDDLE = ROOT.sign(common_name="Test Intermediate", authority=True)
LOWER = MIDDLE.sign(common_name="Test Issuing", authority=True)
LEAF = LOWER.sign("Example.org", "*.example.org", common_name="example.org")
OTHER = ROOT.sign("other.example")


def read(tmp_path: Path, *parts: bytes, signed: Signed = LEAF) -> Certificate:
    """Read a file that consists of these parts."""
    return read_certificate(signed.write(tmp_path / "site.pem", *parts).path, now=NOW)


def refusal(tmp_path: Path, *parts: bytes) -> str:
    """What is said of such a file."""
    with pytest.raises(CertificateError) as caught:
        read(tmp_path, *parts)
    assert str(caught.value).startswith(str(tmp_path / "site.pem"))
    return str(caught.value).removeprefix(f"{tmp_path / 'site.pem'}: ")


@pytest.mark.parametrize(
    "parts",
    [
        (LEAF.key_pem(), LEAF.pem, LOWER.pem, MIDDLE.pem),
        (LEAF.pem, LOWER.pem, MIDDLE.pem, LEAF.key_pem()),
        (MIDDLE.pem, LEAF.pem, LEAF.key_pem(), LOWER.pem),
        (b"CN = example.org\n", ROOT.pem, MIDDLE.pem, LOWER.pem, LEAF.pem, b"\n", LEAF.key_pem()),
    ],
    ids=["key first", "key last", "any order", "root and words"],
)
def test_key_and_chain_come_in_any_order(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    found = read(tmp_path, *parts)
    assert found.leaf == LEAF.certificate
    assert found.chain == (LOWER.certificate, MIDDLE.certificate)
    assert found.names == ("example.org", "*.example.org")
    assert found.expires_at == NOW + 90 * 86400
    assert found.warnings == ()


def test_the_key_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    chain, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    chain.write_bytes(LEAF.pem + LOWER.pem)
    LEAF.write(key, LEAF.key_pem())
    found = read_certificate(chain, key, now=NOW)
    assert found.leaf == LEAF.certificate
    assert found.warnings == ()


def test_of_two_certificates_with_the_same_key_the_newer_one_counts(tmp_path: Path) -> None:
    soon = make_certificate(["a"], NOW)
    later = make_certificate(["a"], NOW + 86400)
    merged = read(tmp_path, soon, later)
    assert merged.expires_at == NOW + 86400 + SELF_MADE_FOR


def test_a_chain_without_its_end_is_warned_of(tmp_path: Path) -> None:
    (warning,) = read(tmp_path, LEAF.key_pem(), LEAF.pem).warnings
    assert "without its issuer, CN=Test Issuing" in warning
    assert "full chain" in warning


def test_what_does_not_belong_to_the_chain_is_left_out_and_said(tmp_path: Path) -> None:
    found = read(tmp_path, LEAF.key_pem(), LEAF.pem, LOWER.pem, MIDDLE.pem, OTHER.pem)
    assert OTHER.certificate not in found.chain
    (warning,) = found.warnings
    assert "not part of the chain" in warning


def test_a_certificate_without_alternative_names_goes_by_its_subject(tmp_path: Path) -> None:
    bare = ROOT.sign(common_name="Old.example")
    found = read(tmp_path, signed=bare)
    assert found.names == ("old.example",)
    assert any("subjectAltName" in warning for warning in found.warnings)


def test_a_key_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    LEAF.write(path := tmp_path / "site.pem", LEAF.key_pem(), LEAF.pem, LOWER.pem)
    for mode, words in [(0o600, ""), (0o640, ""), (0o644, "chmod 640"), (0o660, "chmod 640")]:
        path.chmod(mode)
        assert words in "".join(read_certificate(path, now=NOW).warnings), oct(mode)
        assert bool(read_certificate(path, now=NOW).warnings) == bool(words), oct(mode)


def test_one_that_is_not_valid_yet_is_warned_of(tmp_path: Path) -> None:
    """A small machine may have the wrong time after its start; that is no reason to be silent."""
    early = ROOT.sign("a.example", begin=2)
    warnings = "".join(read(tmp_path, signed=early).warnings)
    assert "not valid before 2030-06-03" in warnings
    assert "clock says 2030-06-01" in warnings


def test_an_expired_one_is_refused(tmp_path: Path) -> None:
    late = ROOT.sign("a.example", begin=-90, days=-1)
    assert "expired on 2030-05-31" in refusal(tmp_path, late.key_pem(), late.pem)


def test_a_key_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    words = refusal(tmp_path, OTHER.key_pem(), LEAF.pem)
    assert "belongs to none" in words
    assert "CN=example.org" in words


def _dsa() -> bytes:
    key = dsa.generate_private_key(1024)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


DAMAGED = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
DAMAGED_KEY = b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((b"",), "no certificate in it"),
        ((b"hello",), "no certificate in it"),
        ((LEAF.certificate.public_bytes(Encoding.DER),), "openssl x509 -inform der"),
        ((LEAF.key_pem(),), "no certificate in it"),
        ((DAMAGED, LEAF.key_pem()), "damaged"),
        ((LEAF.key_pem(), LEAF.pem, LOWER.pem[:-10]), "cut off"),
        ((LEAF.pem, LOWER.pem, LEAF.key_pem()[:60]), "cut off"),
        ((LEAF.key_pem()[:-10], LEAF.pem, LOWER.pem), "cut off"),
        ((LEAF.pem,), "no key in it"),
        ((LEAF.pem, DAMAGED_KEY), "the key is damaged"),
        ((LEAF.pem, LEAF.key_pem(b"secret")), "needs a password: openssl pkey"),
        ((LEAF.pem, _dsa()), "not RSA, EC or EdDSA"),
        ((LEAF.pem, b" " * (1 << 20)), "more than 1048576 bytes"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, parts: tuple[bytes, ...], words: str) -> None:
    assert words in refusal(tmp_path, *parts)


def test_a_key_too_weak_for_openssl_is_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    weak = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(LEAF.certificate.not_valid_before_utc)
        .not_valid_after(LEAF.certificate.not_valid_after_utc)
        .sign(ROOT.key, LEAF.certificate.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    words = refusal(tmp_path, pem, weak.public_bytes(Encoding.PEM))
    assert "OpenSSL does not accept it: ee key too small" in words


def test_missing_and_forbidden_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="No such file"):
        read_certificate(tmp_path / "nothing.pem", now=NOW)
    with pytest.raises(CertificateError, match="Is a directory"):
        read_certificate(tmp_path, now=NOW)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """The reactor would stand still."""
    path = tmp_path / "certificate.pem"
    os.mkfifo(path)
    with pytest.raises(CertificateError, match=r"certificate.pem: no file \(expected a PEM file"):
        read_certificate(path, now=NOW)


def test_a_file_that_we_may_not_read_is_named_with_who_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, who may read everything."""

    def forbidden(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    LEAF.write(path := tmp_path / "site.pem")
    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(CertificateError, match=rf"\(uid {os.geteuid()}\) may not read it"):
        read_certificate(path, now=NOW)


def test_a_chain_that_goes_in_circles_ends(tmp_path: Path) -> None:
    """Two authorities that signed each other, and no root."""
    first = authority("First")
    second = authority("Second")
    crossed_first, crossed_second = crossed(first, second), crossed(second, first)
    leaf = first.sign("a.example")
    found = read(tmp_path, leaf.key_pem(), leaf.pem, crossed_first, crossed_second)
    assert len(found.chain) == 2


def crossed(subject: Signed, issuer: Signed) -> bytes:
    """`subject`'s key and name, signed by `issuer`."""
    certificate = (
        x509.CertificateBuilder(
            issuer.certificate.subject, subject.certificate.subject, subject.key.public_key(), 7
        )
        .not_valid_before(subject.certificate.not_valid_before_utc)
        .not_valid_after(subject.certificate.not_valid_after_utc)
        .sign(issuer.key, subject.certificate.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    return certificate.public_bytes(Encoding.PEM)


def test_pem_certificates_reads_all(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(ROOT.pem + OTHER.pem)
    assert pem_certificates(path) == [ROOT.certificate, OTHER.certificate]


P256, UNKNOWN = b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x06"
"Names of curves; the second one is nobody's."


def test_a_certificate_with_an_unknown_kind_of_key_is_passed_over(tmp_path: Path) -> None:
    der = LEAF.certificate.public_bytes(Encoding.DER).replace(P256, UNKNOWN)
    strange = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    assert read(tmp_path, strange, LEAF.key_pem(), LEAF.pem, LOWER.pem).leaf == LEAF.certificate


def test_damaged_alternative_names_are_refused(tmp_path: Path) -> None:
    der = LEAF.certificate.public_bytes(Encoding.DER).replace(b"\x82\x0bExample.org", b"\x92" * 13)
    broken = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    assert "the certificate is damaged" in refusal(tmp_path, broken, LEAF.key_pem())


# ---- our own


def test_a_made_certificate_can_be_read_and_is_no_authority(tmp_path: Path) -> None:
    pem = make_certificate(["localhost", "Büro.example", "bad name..", "127.0.0.1", "::1"], NOW)
    found = read(tmp_path, pem)
    assert found.warnings == ()
    assert found.chain == ()
    names = found.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "xn--bro-hoa.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    constraints = found.leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    assert found.expires_at == NOW + SELF_MADE_FOR


def test_openssl_trusts_a_made_certificate_that_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "site.pem"
    path.write_bytes(make_certificate(["localhost"], NOW))
    done = subprocess.run(
        [program("openssl"), "verify", "-attime", f"{NOW:.0f}", "-verify_hostname", "localhost",
         "-purpose", "sslserver", "-CAfile", path, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{path}: OK\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            SSL.Error([("SSL routines", "", "no shared cipher"), ("x", "", "y")]),
            "no shared cipher; y",
        ),
        (SSL.Error([]), ""),
        (SSL.Error(), ""),
        (SSL.SysCallError(-1, "Unexpected EOF"), "(-1, 'Unexpected EOF')"),
    ],
)
def test_reasons_are_what_openssl_said(error: SSL.Error, words: str) -> None:
    assert reasons(error) == words
