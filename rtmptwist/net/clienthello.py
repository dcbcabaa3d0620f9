"""
The first message of a TLS client, read for one purpose: to know the clients that TLS 1.3 breaks.

librtmp with GnuTLS (Debian's rtmpdump, VLC, GStreamer's rtmpsrc and rtmpsink) takes the session
tickets that follow a TLS 1.3 handshake for the end of the stream. OpenSSL sends tickets, and there
is no way to keep pyOpenSSL from it: `OP_NO_TICKET` with the session cache switched off only makes
them useless (seen with OpenSSL 4.0.3, pyOpenSSL 26.4, cryptography 50.0; later versions of OpenSSL
send none then). So such a client gets TLS 1.2, which is as safe with the ciphers that we allow.
Layout: RFC 8446, section 4.1.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

HELLO_SIZE: Final = 5 + (1 << 14)
"Bytes of the longest first record."

_HANDSHAKE: Final = 0x16
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_APPLICATION_PROTOCOLS: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_TLS_1_2: Final = b"\x03\x03"
_AES_128_CCM: Final = b"\x13\x04"
"TLS_AES_128_CCM_SHA256: offered by GnuTLS, not by OpenSSL, BoringSSL, NSS, Apple, Microsoft."


def is_complete(data: bytes) -> bool:
    """Whether the first record is there; also if it is no handshake, and not worth waiting for."""
    if data and data[0] != _HANDSHAKE:
        return True
    return len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[3:5], "big")


def fails_on_tickets(data: bytes) -> bool:
    """
    Whether this ClientHello looks like librtmp's with GnuTLS, and offers TLS 1.2 as well.

    It names neither the server nor an application protocol, which nearly everything else does.
    Seen with librtmp 2.4+20151223 and GnuTLS 3.7.9; FFmpeg 5.1 with GnuTLS looks the same when it
    is given an IP address, and does not mind.
    """
    try:
        ciphers, extensions = _parts(data)
        versions = extensions[_SUPPORTED_VERSIONS]
    except (struct.error, IndexError, KeyError):
        return False
    return (
        _SERVER_NAME not in extensions
        and _APPLICATION_PROTOCOLS not in extensions
        and _AES_128_CCM in _pairs(ciphers)
        and _TLS_1_2 in _pairs(versions[1:])
    )


def _parts(data: bytes) -> tuple[bytes, dict[int, bytes]]:
    """The cipher suites and the extensions; raises struct.error, IndexError."""
    if data[0] != _HANDSHAKE or data[5] != _CLIENT_HELLO:
        return b"", {}
    at = 5 + 4 + 2 + 32  # record, handshake message, version, random
    at += 1 + data[at]  # session id
    ciphers = _sized(data, at)
    at += 2 + len(ciphers)
    at += 1 + data[at]  # compression methods
    block = _sized(data, at)
    extensions = {}
    at = 0
    while at < len(block):
        (kind,) = struct.unpack_from(">H", block, at)
        extensions[kind] = _sized(block, at + 2)
        at += 4 + len(extensions[kind])
    return ciphers, extensions


def _sized(data: bytes, at: int) -> bytes:
    """What stands behind its size of two bytes; raises struct.error."""
    (size,) = struct.unpack_from(">H", data, at)
    return data[at + 2 : at + 2 + size]


def _pairs(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 2] for at in range(0, len(data), 2))
