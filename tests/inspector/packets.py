"""Captures made of known bytes: pcap and pcapng files, packets of several links, TCP segments."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import ip_address

CLIENT = ("192.0.2.1", 50_000)
SERVER = ("198.51.100.1", 1935)
SYN, FIN, RST, ACK, PUSH = 2, 1, 4, 16, 24


def tcp(
    source: tuple[str, int], target: tuple[str, int], sequence: int, data: bytes, flags: int = PUSH
) -> bytes:
    """An IP packet."""
    segment = struct.pack(
        ">HHIIBBHHH", source[1], target[1], sequence & 0xFFFFFFFF, 0, 0x50, flags, 8192, 0, 0
    )
    addresses = ip_address(source[0]).packed + ip_address(target[0]).packed
    size = len(segment) + len(data)
    if len(addresses) == 8:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 1, 0, 64, 6, 0) + addresses
    else:
        head = struct.pack(">IHBB", 0x60000000, size, 6, 64) + addresses
    return head + segment + data


def ethernet(packet: bytes, *tags: int) -> bytes:
    """The same behind an Ethernet header, perhaps in VLANs."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    inside = b"".join(b"\x81\x00" + struct.pack(">H", tag) for tag in tags)
    return (bytes(12) + inside + kind + packet).ljust(60, b"\0")


def pcap(
    *packets: bytes,
    link: int = 1,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    cut: int = 1 << 20,
    times: float = 1e6,
) -> bytes:
    """A pcap file; packets come a millisecond after each other."""
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)]
    for number, packet in enumerate(packets):
        kept = packet[:cut]
        moment = round(number / 1000 * times)
        parts.append(struct.pack(f"{order}4I", 1000, moment, len(kept), len(packet)) + kept)
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of pcapng."""
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + size + body + size


def pcapng(*packets: bytes, link: int = 1, order: str = "<", kind: int = 6) -> bytes:
    """A pcapng file whose times are in nanoseconds."""
    section = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    options = struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)
    interface = block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order)
    parts = [section, interface]
    for number, packet in enumerate(packets):
        moment = 1_000_000_000_000 + number * 1_000_000
        head = struct.pack(
            f"{order}5I", 0, moment >> 32, moment & 0xFFFFFFFF, len(packet), len(packet)
        )
        if kind == 3:
            head = struct.pack(f"{order}I", len(packet))
        parts.append(block(kind, head + packet, order))
    parts.append(block(5, bytes(12), order))
    return b"".join(parts)


@dataclass
class Wire:
    """A TCP connection that is captured."""

    client: tuple[str, int] = CLIENT
    server: tuple[str, int] = SERVER
    first: int = 0xFFFFFF00
    "The client's sequence number: it wraps soon."
    packets: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sent = {True: self.first, False: 7_000}

    def open(self) -> None:
        """The three steps."""
        for client, flags in ((True, SYN), (False, SYN | ACK), (True, ACK)):
            self.packets.append(self._packet(client, self.sent[client], b"", flags))
            self.sent[client] += bool(flags & SYN)

    def say(self, data: bytes, *, client: bool = True, piece: int = 1000) -> None:
        """In segments."""
        for at in range(0, len(data), piece):
            part = data[at : at + piece]
            self.packets.append(self._packet(client, self.sent[client], part))
            self.sent[client] += len(part)

    def close(self) -> None:
        """Both."""
        for client in (True, False):
            self.packets.append(self._packet(client, self.sent[client], b"", FIN | ACK))

    def _packet(self, client: bool, sequence: int, data: bytes, flags: int = PUSH) -> bytes:
        source, target = (self.client, self.server) if client else (self.server, self.client)
        return tcp(source, target, sequence, data, flags)
