"""
Capture files of tcpdump, Wireshark and their kin (pcap, pcapng): TCP segments with their times.

Ours, because all that is wanted of such a file is five fixed headers: less than what it takes to
keep a library's exceptions and memory within bounds on files that are damaged or made to harm.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import BinaryIO, Final, NamedTuple

_LONGEST: Final = 1 << 20
"Bytes of one packet or block: captures have 256 KiB at most."

SYN: Final = 2
FIN: Final = 1
RST: Final = 4


class BadCapture(Exception):
    """The file is none, or damaged. Says where, and what was expected."""


class Peer(NamedTuple):
    """One end of a connection."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else ":".join(map(str, self))


@dataclass(slots=True)
class Segment:
    """What one packet carries of a TCP connection."""

    time: float
    source: Peer
    target: Peer
    sequence: int
    flags: int
    data: bytes

    size: int
    "Bytes that were sent; `data` has fewer where the capture cut the packet."


def is_capture(head: bytes) -> bool:
    """Whether a file that begins so is one."""
    return head[:4] in _PCAP or head[:4] == _SECTION


def segments(file: BinaryIO, skipped: Callable[[str], None]) -> Iterator[Segment]:
    """
    All TCP segments of a file in their order; `skipped` hears why others are left out.

    Raises:
        BadCapture: from here on it cannot be read.
    """
    magic = file.read(4)
    frames = _pcapng(file) if magic == _SECTION else _pcap(file, magic)
    for link, time, packet, cut in frames:
        found = _segment(link, time, packet, cut)
        if isinstance(found, str):
            skipped(found)
        else:
            yield found


Frame = tuple[int, float, bytes, int]
"Link type, time, bytes, bytes that the capture left out at the end."

_PCAP: Final = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
"Byte order and unit of fractions, by the first bytes."

_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _SIMPLE, _ENHANCED, _OBSOLETE = 1, 3, 6, 2


def _pcap(file: BinaryIO, magic: bytes) -> Iterator[Frame]:
    if magic not in _PCAP:
        raise BadCapture("no capture: neither pcap nor pcapng")
    order, unit = _PCAP[magic]
    head = _exactly(file, 20, "the header of the file")
    link = struct.unpack(f"{order}I", head[16:])[0] & 0xFFFF
    record = struct.Struct(f"{order}4I")
    while (head := file.read(record.size)) and len(head) == record.size:
        seconds, fraction, size, whole = record.unpack(head)
        packet = _exactly(file, size, "a packet")
        yield link, seconds + fraction * unit, packet, max(0, whole - size)
    if head:
        raise BadCapture("the file ends within the header of a packet")


def _pcapng(file: BinaryIO) -> Iterator[Frame]:
    order = "<"
    interfaces: list[tuple[int, float]] = []
    kind = 0x0A0D0D0A
    while True:
        size_field = _exactly(file, 4, "a block")
        if kind == 0x0A0D0D0A:  # the only block that tells the byte order
            mark = _exactly(file, 4, "a section")
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(mark, "")
            if not order:
                raise BadCapture("a section of pcapng without its byte order mark")
            interfaces = []
            (size,) = struct.unpack(f"{order}I", size_field)
            _exactly(file, size - 12, "a section")
        else:
            (size,) = struct.unpack(f"{order}I", size_field)
            body = _exactly(file, size - 8, "a block")[:-4]
            if kind == _INTERFACE:
                interfaces.append(_interface(order, body))
                if len(interfaces) > _INTERFACES:
                    raise BadCapture(f"more than {_INTERFACES} interfaces")
            elif kind in (_ENHANCED, _OBSOLETE, _SIMPLE):
                yield _packet(order, kind, body, interfaces)
        field = file.read(4)
        if not field:
            return
        if len(field) < 4:
            raise BadCapture("the file ends within a block")
        (kind,) = struct.unpack(f"{order}I", field)


_INTERFACES: Final = 1000


def _interface(order: str, body: bytes) -> tuple[int, float]:
    """Link type and unit of time."""
    if len(body) < 8:
        raise BadCapture("an interface of less than 8 bytes")
    (link,) = struct.unpack_from(f"{order}H", body)
    unit, at = 1e-6, 8
    while at + 4 <= len(body):
        option, size = struct.unpack_from(f"{order}HH", body, at)
        if option == 9 and size == 1 and at + 4 < len(body):  # if_tsresol
            power = body[at + 4]
            unit = 2.0 ** -(power & 0x7F) if power & 0x80 else 10.0**-power
        at += 4 + size + -size % 4
        if not option:
            break
    return link, unit


def _packet(order: str, kind: int, body: bytes, interfaces: list[tuple[int, float]]) -> Frame:
    if kind == _SIMPLE:
        number, high, low = 0, 0, 0
        head, fields = 4, (len(body) - 4, *struct.unpack(f"{order}I", body[:4].ljust(4, b"\0")))
    else:
        head = 20
        if len(body) < head:
            raise BadCapture("a packet of less than 20 bytes")
        number, high, low, *rest = struct.unpack(f"{order}5I", body[:head])
        fields = (rest[0], rest[1])
        if kind == _OBSOLETE:
            number = struct.unpack_from(f"{order}H", body)[0]
    if number >= len(interfaces):
        raise BadCapture(f"a packet of interface {number}, of which nothing was said")
    link, unit = interfaces[number]
    size = max(0, min(fields[0], fields[1], len(body) - head))
    packet = body[head : head + size]
    return link, (high << 32 | low) * unit, packet, max(0, fields[1] - size)


def _exactly(file: BinaryIO, size: int, what: str) -> bytes:
    if not 0 <= size <= _LONGEST:
        raise BadCapture(f"{what} of {size} bytes (expected {_LONGEST} at most): it is damaged")
    data = file.read(size)
    if len(data) < size:
        raise BadCapture(f"the file ends within {what}, {size - len(data)} bytes early")
    return data


# ---- packets

_ETHERNET: Final = 1
_OFFSETS: Final = {0: 4, 108: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0}
"Where IP begins behind other link headers: loopback, raw."

_COOKED: Final = {113: (14, 16), 276: (0, 20)}
"Linux's `any`: where the type of the packet stands, and where it begins."

_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
_IP: Final = frozenset({0x0800, 0x86DD})
_TCP: Final = 6
_EXTENSIONS: Final = frozenset({0, 43, 60, 135})
"Of IPv6, that may stand before TCP."


def _segment(link: int, time: float, packet: bytes, cut: int) -> Segment | str:
    """What is in a packet, or why it is left out."""
    start = _start_of_ip(link, packet)
    if start is None:
        return f"of link type {link}" if link not in _KNOWN else "not of IP"
    try:
        return _tcp(time, packet[start:], cut)
    except (struct.error, IndexError, ValueError):  # the last: of an address
        return "cut before the end of their headers"


_KNOWN: Final = frozenset({_ETHERNET, *_OFFSETS, *_COOKED})


def _start_of_ip(link: int, packet: bytes) -> int | None:
    if link == _ETHERNET:
        at = 12
        while int.from_bytes(packet[at : at + 2]) in _TAGS:
            at += 4
        return at + 2 if int.from_bytes(packet[at : at + 2]) in _IP else None
    if link in _COOKED:
        field, start = _COOKED[link]
        return start if int.from_bytes(packet[field : field + 2]) in _IP else None
    return _OFFSETS.get(link)


def _tcp(time: float, packet: bytes, cut: int) -> Segment | str:
    version = packet[0] >> 4
    if version == 4:
        head = (packet[0] & 0x0F) * 4
        total, fragment, protocol = struct.unpack_from(">2xH2xHxB", packet)
        addresses = packet[12:16], packet[16:20]
        fragmented = bool(fragment & 0x3FFF)
    elif version == 6:
        total, protocol = struct.unpack_from(">4xHB", packet)
        head = 40
        total += head if total else 0
        addresses = packet[8:24], packet[24:40]
        while protocol in _EXTENSIONS:
            protocol, head = packet[head], head + 8 + packet[head + 1] * 8
        fragmented = protocol == 44
    else:
        return "not of IP"
    if fragmented:
        return "fragments of IP"
    if protocol != _TCP:
        return "not of TCP"
    source, target, sequence, offset, flags = struct.unpack_from(">HHI4xBB", packet, head)
    start = head + (offset >> 4) * 4
    # 0: the network card was to cut it up (TSO)
    size = total - start if total else len(packet) + cut - start
    if size < 0 or offset < 0x50:
        return "damaged"
    data = packet[start : start + size]
    return Segment(
        time,
        Peer(str(ip_address(addresses[0])), source),
        Peer(str(ip_address(addresses[1])), target),
        sequence,
        flags,
        data,
        size,
    )
