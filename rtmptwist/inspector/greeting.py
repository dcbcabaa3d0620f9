"""One side's half of a handshake, in words: which kind and version, and if it fits the other's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from rtmptwist.wire.digest import PLAYER_KEY, SERVER_KEY, find_digest, sign
from rtmptwist.wire.handshake import PACKET_SIZE, RTMP_VERSION, RTMPE_VERSIONS, describe_first

SIZE: Final = 1 + 2 * PACKET_SIZE
"Bytes of one side's handshake."


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to be told about a handshake."""

    offset: int
    words: str
    facts: dict[str, Any] = field(default_factory=dict)


class Greeting:
    """Takes the first bytes of one side."""

    def __init__(self, *, client: bool) -> None:
        self._client = client
        self._held = bytearray()
        self.version = 0
        "The first byte, as soon as it is here."
        self.packet = b""
        "Packet 1, as soon as it is here,"
        self.digest = b""
        "and the digest in it."
        self.done = False
        self.bad = False
        "It is no handshake, and nothing more is read."

    @property
    def encrypted(self) -> bool:
        """Whether nothing that follows can be read."""
        return self.version in RTMPE_VERSIONS

    @property
    def missing(self) -> int:
        """Bytes to come."""
        return SIZE - len(self._held)

    def feed(self, data: bytes, other: Greeting) -> list[Remark]:
        """Take no more than `missing` bytes; `other` is what the other side sent so far."""
        held, before = self._held, len(self._held)
        held += data
        remarks = []
        if not before and held:
            self.version = held[0]
            if self.version != RTMP_VERSION and not self.encrypted:
                self.bad = True
                words = describe_first(self.version, client=self._client)
                return [Remark(0, f"{words} (expected 03 for RTMP, 06, 08 or 09 for RTMPE)")]
        if before <= PACKET_SIZE < len(held):
            self.packet = bytes(held[1 : 1 + PACKET_SIZE])
            remarks.append(self._first())
        if len(held) == SIZE:
            self.done = True
            remarks.append(self._second(bytes(held[1 + PACKET_SIZE :]), other))
        return remarks

    def _first(self) -> Remark:
        letter, packet = self._letter, self.packet
        found = find_digest(packet, PLAYER_KEY if self._client else SERVER_KEY)
        program = ".".join(map(str, packet[4:8]))
        facts: dict[str, Any] = {
            "version": self.version,
            "time": int.from_bytes(packet[:4]),
            "program": program,
        }
        if found is not None:
            layout, self.digest = found
            facts |= {"handshake": "digest", "layout": layout.name}
            words = f"digest in layout {layout.name}, {self._program} {program}"
        elif self.encrypted:
            facts["handshake"] = "rtmpe"
            words = f"no valid digest, without which RTMPE is refused, {self._program} {program}"
        else:
            facts["handshake"] = "plain"
            version = f", {self._program} {program}" if any(packet[4:8]) else ""
            words = f"plain{version}"
        if self.encrypted:
            facts["handshake"] = "rtmpe"
            words = f"RTMPE type {self.version}, {words}"
        return Remark(0, f"{letter}0 {letter}1: {words}, time {facts['time']} ms", facts)

    def _second(self, packet: bytes, other: Greeting) -> Remark:
        letter, theirs = self._letter, "S" if self._client else "C"
        if not other.packet:
            answer, words = "unknown", f"{theirs}1 is not in the capture"
        elif packet == other.packet or packet[8:] == other.packet[8:]:
            answer, words = "echo", f"an echo of {theirs}1"
        elif other.digest and packet == sign(
            packet, PLAYER_KEY if self._client else SERVER_KEY, other.digest, self.version
        ):
            answer, words = "signed", f"signed, and the signature answers {theirs}1"
        else:
            answer = "other"
            words = f"neither an echo of {theirs}1 nor its signature, which nobody minds"
        return Remark(1 + PACKET_SIZE, f"{letter}2: {words}", {"answer": answer})

    @property
    def _letter(self) -> str:
        return "C" if self._client else "S"

    @property
    def _program(self) -> str:
        return "Flash version" if self._client else "server version"
