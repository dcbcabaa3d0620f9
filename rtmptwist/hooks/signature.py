"""
The signature by which a hook knows that it is this server that asks.

It follows Standard Webhooks 1.0, for which there are libraries in most languages. Three headers:

    webhook-id          of this question; the same when it is asked again
    webhook-timestamp   seconds since the epoch
    webhook-signature   v1, and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`

Who checks it refuses timestamps that are minutes away, and does not do twice what has an id that it
has seen: then nothing that somebody has overheard is of use.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from pathlib import Path
from typing import Final

from rtmptwist.auth.files import BadFile, SecretFile, read_text

PREFIX: Final = "whsec_"
"Of a secret in base64."

SHORTEST: Final = 16
"Bytes of a secret: 128 bits; what is shorter can be guessed from one signature."


class BadSecret(ValueError):
    """A text cannot be a secret. Says why, and not what it is."""


def read_secret(text: str) -> bytes:
    """
    The secret that a file says: base64 behind `whsec_`, or the text itself.

    Raises:
        BadSecret: it is none.
    """
    text = text.strip()
    if "\n" in text:
        raise BadSecret("expected one line")
    secret = text.encode()
    if text.startswith(PREFIX):
        try:
            secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise BadSecret(f"what stands behind {PREFIX} is no base64") from None
    if len(secret) < SHORTEST:
        raise BadSecret(
            f"{len(secret)} bytes are too short (expected at least {SHORTEST}, such as"
            f" {PREFIX} and what `openssl rand -base64 32` prints)"
        )
    return secret


def secret_file(path: Path) -> SecretFile[bytes]:
    """
    A file with a secret, to be watched.

    Raises:
        BadFile: it cannot be used.
    """

    def read(path: Path) -> bytes:
        try:
            return read_secret(read_text(path))
        except BadSecret as error:
            raise BadFile(path, [(0, str(error))]) from error

    return SecretFile(path, read)


def headers(secret: bytes, question: str, now: int, body: bytes) -> dict[str, str]:
    """The headers of a request with this body, asked at `now`."""
    signed = f"{question}.{now}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": question,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{signature}",
    }
