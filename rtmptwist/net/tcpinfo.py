"""What the kernel knows of a TCP connection: round trip, losses, what is on its way (Linux)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final, cast

from twisted.internet.interfaces import ISystemHandle

_INFO: Final = struct.Struct("=8B24I")
"struct tcp_info of linux/tcp.h, as far as tcpi_total_retrans, which every kernel since 2.6 has."

_OPTION: Final[int | None] = getattr(socket, "TCP_INFO", None)
_UNACKED, _RTT, _RTTVAR, _WINDOW, _RETRANSMITTED = 8 + 4, 8 + 15, 8 + 16, 8 + 18, 8 + 23
_MSS: Final = 8 + 2


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One connection at one moment."""

    round_trip: float
    "Seconds, smoothed by the kernel."

    variation: float
    "Of it, seconds."

    window: int
    "Bytes that may be on their way at a time (congestion window)."

    unacknowledged: int
    "Segments on their way."

    retransmitted: int
    "Segments that were sent again, since the beginning."


def tcp_info(transport: object) -> TcpInfo | None:
    """
    Ask the kernel, which takes 1 µs. None where there is no TCP socket, or no kernel that tells.

    `transport` may be any: TCP, TLS around it (the socket beneath is asked), a tunnel.
    """
    while not isinstance(handle := _handle(transport), socket.socket):
        transport = getattr(transport, "transport", None)
        if transport is None:
            return None
    try:
        data = handle.getsockopt(socket.IPPROTO_TCP, cast("int", _OPTION), _INFO.size)
        fields = _INFO.unpack(data)
    except (OSError, TypeError, struct.error):  # not TCP, or closed; no such option; another kernel
        return None
    return TcpInfo(
        round_trip=fields[_RTT] / 1e6,
        variation=fields[_RTTVAR] / 1e6,
        window=fields[_WINDOW] * fields[_MSS],
        unacknowledged=fields[_UNACKED],
        retransmitted=fields[_RETRANSMITTED],
    )


def _handle(transport: object) -> object:
    if not ISystemHandle.providedBy(transport):
        return None
    return transport.getHandle()
