"""
SWF verification: a player shows that it knows hash and size of a certain SWF file.

The server asks with one user control event, the player answers with another (`wire.control`).
Whoever has the file can answer: it keeps nobody out.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rtmptwist.wire.control import SwfVerificationResponse
from rtmptwist.wire.digest import PLAYER_KEY
from rtmptwist.wire.limits import Limits

_HEADER_SIZE: Final = 8
"Magic, version and length, never compressed."


@dataclass(frozen=True, slots=True)
class Swf:
    """What a SWF file is known by, its compression taken away."""

    size: int
    "Bytes."

    hash: bytes
    "32 bytes: HMAC-SHA256 of the file, under a key that everybody knows."

    @classmethod
    def of(cls, file: bytes, limits: Limits | None = None) -> Swf:
        """
        Take the measure of a file, plain (FWS) or compressed by zlib (CWS).

        Raises:
            ValueError: it is neither, is damaged, or inflates beyond `limits.swf_size`.
        """
        limits = limits or Limits()
        if file.startswith(b"CWS"):
            file = b"F" + file[1:_HEADER_SIZE] + _inflated(file[_HEADER_SIZE:], limits.swf_size)
        elif not file.startswith(b"FWS"):
            found = ascii(file[:3].decode("latin-1"))
            raise ValueError(f"no SWF file: it begins with {found} (expected 'FWS' or 'CWS')")
        return cls(len(file), hmac.digest(PLAYER_KEY, file, "sha256"))

    def response(self, swf_key: bytes) -> SwfVerificationResponse:
        """The answer of a player that knows this file, on the connection with this `swf_key`."""
        return SwfVerificationResponse(self.size, hmac.digest(swf_key, self.hash, "sha256"))


def identify(
    response: SwfVerificationResponse, swf_key: bytes, allowed: Iterable[Swf]
) -> Swf | None:
    """Which of the allowed files the player knows, by its answer. None: it failed."""
    for swf in allowed:
        expected = swf.response(swf_key)
        if expected.size == response.size and hmac.compare_digest(expected.digest, response.digest):
            return swf
    return None


def _inflated(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, limit)
    except zlib.error as error:
        raise ValueError(f"SWF file: {error}") from error
    if not inflater.eof:
        raise ValueError(f"SWF file: cut short, or larger than {limit} bytes when inflated")
    return body
