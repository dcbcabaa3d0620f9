"""Real programs that look at certificates: openssl's client, and FFmpeg with its eyes open."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from tests.support.pki import Signed
from tests.support.programs import PATIENCE, program


@dataclass(frozen=True)
class Told:
    """What `openssl s_client` told of a connection."""

    text: str
    status: int

    @property
    def serial(self) -> int:
        """Of the certificate that it was shown."""
        found = re.search(
            "-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", self.text, re.DOTALL
        )
        assert found is not None, self.text
        return x509.load_pem_x509_certificate(found[0].encode()).serial_number


def s_client(port: int, *options: str | Path, say: bytes = b"") -> Told:
    """Let it connect, say something, and leave."""
    done = subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *options],
        input=say, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return Told((done.stdout + done.stderr).decode(errors="replace"), done.returncode)


def with_tls(command: Sequence[str], *options: str | Path) -> list[str]:
    """An FFmpeg command with these options of TLS, instead of not looking at certificates."""
    words = list(command)
    at = words.index("-tls_verify")
    words[at : at + 2] = map(str, options)
    return words


def checking(authority: Path) -> list[str]:
    """Options of FFmpeg with which it believes this authority, and nobody else."""
    return ["-tls_verify", "1", "-ca_file", str(authority)]


def serial(signed: Signed) -> int:
    """The number by which a certificate is known."""
    return signed.certificate.serial_number
