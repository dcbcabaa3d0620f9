"""
The handshake (RTMP 1.0, section 5.2), both roles: plain, with digests, and RTMPE's.

Each side sends a version byte and a packet 1 of 1536 bytes (C0, C1; S0, S1) and answers the other's
packet 1 with a packet 2 (C2, S2). Knows who sends what when, and what to make of a first byte that
is not RTMP's; `wire.digest` knows what packets hide, `wire.rtmpe` the ciphers.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from itertools import pairwise
from typing import Final

from rtmptwist.wire.digest import (
    DIGEST_SIZE,
    OFFSET_SIZE,
    PLAYER_KEY,
    SERVER_KEY,
    Layout,
    find_digest,
    insert_digest,
    sign,
)
from rtmptwist.wire.errors import HandshakeError, LocalProtocolError
from rtmptwist.wire.rtmpe import KEY_SIZE, RTMPE_VERSIONS, CipherPair, KeyPair, agree

__all__ = [
    "RTMPE_VERSIONS",
    "RTMP_VERSION",
    "CipherPair",
    "ClientHandshake",
    "HandshakeKind",
    "Layout",
    "ServerHandshake",
]

RTMP_VERSION: Final = 3
"First byte of RTMP without encryption."

PACKET_SIZE: Final = 1536
"Of packets 1 and 2."


class HandshakeKind(Enum):
    """What a handshake is asked to be, and turned out to be."""

    PLAIN = "plain"
    DIGEST = "digest"
    RTMPE = "rtmpe"


class _Handshake(ABC):
    """What both roles share: the peer's version and packet 1, then his packet 2, in any pieces."""

    kind: HandshakeKind
    "Final once the peer's packet 1 is answered."

    version: int
    "RTMP_VERSION or one of RTMPE_VERSIONS. Final with `kind`."

    done: bool
    "The peer's packet 2 is through: no more `feed`."

    rest: bytes
    "What followed the handshake, decrypted if it was encrypted."

    ciphers: CipherPair | None
    "With RTMPE: for all that is sent and received from here on. `rest` has been through it."

    swf_key: bytes | None
    "Last 32 bytes of S1, for SWF verification. None: without digests clients cannot answer one."

    def __init__(self, random: Callable[[int], bytes], time: int) -> None:
        self.kind = HandshakeKind.PLAIN
        self.version = RTMP_VERSION
        self.done = False
        self.rest = b""
        self.ciphers = None
        self.swf_key = None
        self._random = random
        self._time = struct.pack(">I", time & 0xFFFFFFFF)
        self._held = bytearray()
        self._answered = False

    def feed(self, data: bytes) -> bytes:
        """
        Take bytes as they came from the peer; return what to send to him, at once.

        Any split of the same bytes gives the same answer. Never holds more than one packet.

        Raises:
            HandshakeError: it cannot be answered, now or later; close the connection.
            LocalProtocolError: it is `done`, the bytes belong to the chunk decoder.
        """
        if self.done:
            raise LocalProtocolError("handshake fed although it is done")
        reply = b""
        if not self._answered:
            data = self._hold(data, 1 + PACKET_SIZE)
            if self._held:
                self._read_version(self._held[0])
            if len(self._held) < 1 + PACKET_SIZE:
                return reply
            reply = self._answer(bytes(self._held[1:]))
            self._answered = True
            self._held.clear()
        data = self._hold(data, PACKET_SIZE)
        if len(self._held) == PACKET_SIZE:
            self._end(bytes(self._held))
            self._held.clear()
            self.rest = self.ciphers.decrypt(data) if self.ciphers else data
            self.done = True
        return reply

    def _hold(self, data: bytes, size: int) -> bytes:
        """Fill up what is held to `size` bytes; return what is left of the data."""
        missing = size - len(self._held)
        self._held += data[:missing]
        return data[missing:]

    def _packet(self, version: bytes) -> bytearray:
        """A packet 1 of our own, still without digest and key."""
        return bytearray(self._time + version + self._random(PACKET_SIZE - 8))

    @abstractmethod
    def _read_version(self, first: int) -> None:
        """Check the peer's first byte; called with every piece of his packet 1."""

    @abstractmethod
    def _answer(self, packet: bytes) -> bytes:
        """Answer the peer's packet 1."""

    @abstractmethod
    def _end(self, packet: bytes) -> None:
        """Look at the peer's packet 2."""


class ServerHandshake(_Handshake):
    """
    Answers one client in kind: plain, with a digest in his layout, or RTMPE of his type.

    `random(n)` gives n unpredictable bytes, `time` is milliseconds of any clock. `versions` are
    the first bytes that are served. `key_pair` gives one pair for RTMPE, never the same twice.
    """

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        time: int = 0,
        versions: frozenset[int] = frozenset({RTMP_VERSION}),
        key_pair: Callable[[], KeyPair] | None = None,
    ) -> None:
        super().__init__(random, time)
        self._versions = versions
        self._key_pair = key_pair or (lambda: KeyPair.draw(random))

    def _read_version(self, first: int) -> None:
        if first not in self._versions:
            raise HandshakeError(f"{_request(first)} (served here: {_numbers(self._versions)})")
        self.version = first

    def _answer(self, packet: bytes) -> bytes:
        """S0, S1 and S2 in one piece: FFmpeg and GStreamer read them all before they send C2."""
        found = find_digest(packet, PLAYER_KEY) if any(packet[4:8]) else None
        if found is None:
            if self.version != RTMP_VERSION:
                # No falling back: the client would encrypt all the same.
                raise HandshakeError(f"RTMPE (type {self.version}): C1 without a valid digest")
            s1 = self._packet(_NO_VERSION)
            s2 = packet[:4] + self._time + packet[8:]
        else:
            layout, digest = found
            if self.version == RTMP_VERSION:
                self.kind = HandshakeKind.DIGEST
                s1 = self._packet(_SERVER_VERSION)
            else:
                self.kind = HandshakeKind.RTMPE
                s1 = self._keyed_packet(packet, layout)
            insert_digest(s1, layout, SERVER_KEY)
            s2 = sign(packet, SERVER_KEY, digest, self.version)
            self.swf_key = bytes(s1[-DIGEST_SIZE:])
        return b"".join((bytes((self.version,)), s1, s2))

    def _keyed_packet(self, c1: bytes, layout: Layout) -> bytearray:
        """
        Agree on the ciphers; return S1 with our key where either layout puts it.

        FFmpeg as a publisher takes the key from DK's position, wherever the digest stands.
        """
        at = layout.key_position(c1)
        theirs = c1[at : at + KEY_SIZE]
        pair, secret = agree(theirs, self._key_pair)
        self.ciphers = CipherPair.agreed(secret, pair.public, theirs)
        while True:
            s1 = self._packet(_SERVER_VERSION)
            keys = [each.key_position(s1) for each in Layout]
            digest = layout.digest_position(s1)
            offsets = (layout.digest_offset, *(each.key_offset for each in Layout))
            parts = [(start, start + KEY_SIZE) for start in keys]
            parts.append((digest, digest + DIGEST_SIZE))
            parts += [(start, start + OFFSET_SIZE) for start in offsets]
            if all(end <= start for (_, end), (start, _) in pairwise(sorted(parts))):
                break  # nothing overlaps
        for start in keys:
            s1[start : start + KEY_SIZE] = pair.public
        return s1

    def _end(self, packet: bytes) -> None:
        """Any C2 will do: FFmpeg signs it only as a player, GStreamer puts its own time in."""


class ClientHandshake(_Handshake):
    """
    Greets a server as FFmpeg and librtmp do: send `start()`, then `feed`.

    DIGEST falls back to PLAIN when S1 carries no digest; RTMPE has nothing to fall back to.
    `layout` is where our digest stands, the server's is found in either. `rtmpe_type` is what
    we ask for (6, 8 or 9), the server decides. The rest is as for a server.
    """

    verified: bool
    "S2 answers our C1, by signature or as an echo. For the log: nobody closes for want of it."

    def __init__(
        self,
        kind: HandshakeKind = HandshakeKind.DIGEST,
        *,
        random: Callable[[int], bytes],
        time: int = 0,
        layout: Layout | None = None,
        rtmpe_type: int = 6,
        key_pair: Callable[[], KeyPair] | None = None,
    ) -> None:
        super().__init__(random, time)
        self.kind = kind
        self.verified = False
        self._accepted = frozenset({RTMP_VERSION})
        self._digest = b""
        version, usual_layout = _CLIENTS[kind]
        layout = layout or usual_layout
        self._c1 = self._packet(version)
        if kind is HandshakeKind.RTMPE:
            self.version = rtmpe_type
            self._accepted = RTMPE_VERSIONS
            self._pair = key_pair() if key_pair else KeyPair.draw(random)
            at = layout.key_position(self._c1)
            self._c1[at : at + KEY_SIZE] = self._pair.public
        if kind is not HandshakeKind.PLAIN:
            self._digest = insert_digest(self._c1, layout, PLAYER_KEY)

    def start(self) -> bytes:
        """C0 and C1, to be sent before anything comes."""
        return bytes((self.version,)) + self._c1

    def _read_version(self, first: int) -> None:
        if first not in self._accepted:
            raise HandshakeError(f"{_response(first)} (expected {_numbers(self._accepted)})")
        self.version = first

    def _answer(self, packet: bytes) -> bytes:
        """C2, without waiting for S2: a server may want it first."""
        found = None if self.kind is HandshakeKind.PLAIN else find_digest(packet, SERVER_KEY)
        if found is None:
            if self.kind is HandshakeKind.RTMPE:
                raise HandshakeError(f"RTMPE (type {self.version}): S1 without a valid digest")
            self.kind = HandshakeKind.PLAIN
            return packet  # an exact copy, as FFmpeg and librtmp
        layout, digest = found
        if self.kind is HandshakeKind.RTMPE:
            at = layout.key_position(packet)
            theirs = packet[at : at + KEY_SIZE]
            secret = self._pair.secret(theirs)
            self.ciphers = CipherPair.agreed(secret, self._pair.public, theirs)
        self.swf_key = packet[-DIGEST_SIZE:]
        return sign(packet, PLAYER_KEY, digest, self.version)

    def _end(self, packet: bytes) -> None:
        if self.kind is HandshakeKind.PLAIN:
            self.verified = packet[8:] == self._c1[8:]
        else:
            self.verified = packet == sign(packet, SERVER_KEY, self._digest, self.version)


_NO_VERSION: Final = bytes(4)
"In packet 1: there is no digest in it."

_SERVER_VERSION: Final = bytes((5, 0, 12, 1))
"FFmpeg looks for a digest in S1 when the first byte is 3 or more."

_CLIENTS: Final = {
    HandshakeKind.PLAIN: (_NO_VERSION, Layout.DK),
    HandshakeKind.DIGEST: (bytes((10, 0, 45, 2)), Layout.DK),
    HandshakeKind.RTMPE: (bytes((128, 0, 3, 2)), Layout.KD),
}
"Version and layout of C1, as librtmp has them."


def describe_first(first: int, *, client: bool) -> str:
    """What a first byte means that is not a version of RTMP, for people."""
    return _request(first) if client else _response(first)


def _request(first: int) -> str:
    """What a client may want that begins with this byte, for the log."""
    if first == RTMP_VERSION:
        what = "RTMP, which this listener does not serve without encryption"
    elif first in RTMPE_VERSIONS:
        what = "RTMPE, which this listener does not serve; use rtmps, or add rtmpe to serve"
    elif first == 0x16:
        what = "a TLS ClientHello on a plain RTMP port; use rtmp, or add rtmps to serve"
    elif first in b"CDGHOPT":  # CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE
        what = "an HTTP request on an RTMP port; use rtmp, or add rtmpt or http to serve"
    elif first == 0x0D:
        what = "the PROXY protocol? Then the endpoint must begin with haproxy:"
    elif first < RTMP_VERSION:
        what = "a deprecated version of RTMP"
    elif first < 32:
        what = "a reserved version of RTMP"
    else:
        what = "not RTMP"
    return f"first byte 0x{first:02x}: {what}"


def _response(first: int) -> str:
    """What a server may be that answers with this byte, for the log."""
    if first in (0x15, 0x16):
        what = "TLS; use rtmps"
    elif first == ord("H"):
        what = "HTTP; use rtmpt"
    elif first == RTMP_VERSION:
        what = "RTMP without encryption; use rtmp or rtmps"
    elif first in RTMPE_VERSIONS:
        what = "RTMPE, not asked for"
    else:
        what = "not RTMP"
    return f"the server's first byte 0x{first:02x}: {what}"


def _numbers(versions: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(versions)))
