"""
The digests and signatures that a handshake may carry, and where they stand.

Since Flash Player 9.0.115 a packet 1 may hide a digest, made with a key that everybody knows, and
a Diffie-Hellman key; the packet 2 that answers it then ends with a signature. It proves nothing.
"""

from __future__ import annotations

import hmac
from enum import Enum
from typing import Final

from rtmptwist.wire.rtmpe import seal

PLAYER_KEY: Final = b"Genuine Adobe Flash Player 001"
"What C1's digest is made with."

SERVER_KEY: Final = b"Genuine Adobe Flash Media Server 001"
"What S1's digest is made with."

DIGEST_SIZE: Final = 32
"Of a digest and of a signature."

OFFSET_SIZE: Final = 4
"The bytes whose sum says where a digest or a key begins."

_TAIL: Final = bytes.fromhex("F0EEC24A8068BEE82E00D0D1029E7E576EEC5D2D29806FAB93B8E636CFEB31AE")
"Follows either key where a signature is made."


class Layout(Enum):
    """
    Which half of packet 1 hides what. Other projects number the two, in opposite ways.

    Within one layout nothing overlaps, whatever the offset bytes say.
    """

    DK = (8, 12, 1532, 772)
    "Digest first."

    KD = (772, 776, 768, 8)
    "Key first."

    def __init__(
        self, digest_offset: int, digest_base: int, key_offset: int, key_base: int
    ) -> None:
        self.digest_offset = digest_offset
        "Position of the four bytes whose sum says how far after `digest_base` the digest begins."
        self.digest_base = digest_base
        self.key_offset = key_offset
        "The same for the key."
        self.key_base = key_base

    def digest_position(self, packet: bytes | bytearray) -> int:
        at = self.digest_offset
        return sum(packet[at : at + OFFSET_SIZE]) % 728 + self.digest_base

    def key_position(self, packet: bytes | bytearray) -> int:
        at = self.key_offset
        return sum(packet[at : at + OFFSET_SIZE]) % 632 + self.key_base


def find_digest(packet: bytes, key: bytes) -> tuple[Layout, bytes] | None:
    """The layout and the digest of a packet 1 that carries a valid one."""
    for layout in Layout:
        position = layout.digest_position(packet)
        digest = packet[position : position + DIGEST_SIZE]
        if hmac.compare_digest(_digest(packet, position, key), digest):
            return layout, digest
    return None


def insert_digest(packet: bytearray, layout: Layout, key: bytes) -> bytes:
    """Complete a packet 1 of our own, in place; return its digest."""
    position = layout.digest_position(packet)
    digest = _digest(packet, position, key)
    packet[position : position + DIGEST_SIZE] = digest
    return digest


def sign(packet: bytes, key: bytes, digest: bytes, version: int) -> bytes:
    """
    A packet 2: the given packet, its last 32 bytes replaced by the signature of the others.

    `digest` is that of the packet 1 that is answered, `version` the server's first byte.
    """
    body = packet[:-DIGEST_SIZE]
    digest_key = hmac.digest(key + _TAIL, digest, "sha256")
    return body + seal(version, digest_key, hmac.digest(digest_key, body, "sha256"))


def _digest(packet: bytes | bytearray, position: int, key: bytes) -> bytes:
    """Of everything but the place where it stands."""
    return hmac.digest(key, packet[:position] + packet[position + DIGEST_SIZE :], "sha256")
