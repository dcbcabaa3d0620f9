"""What can go wrong on the wire, by whose fault it is."""

from __future__ import annotations


class ProtocolError(Exception):
    """RTMP was broken, by one side or the other. The message says what and what was expected."""


class RemoteProtocolError(ProtocolError):
    """The peer broke RTMP: log the message, close the connection."""


class HandshakeError(RemoteProtocolError):
    """The peer's handshake cannot be answered."""


class ChunkError(RemoteProtocolError):
    """The peer's bytes are no chunk stream."""


class LimitExceeded(RemoteProtocolError):
    """The peer stayed within RTMP but beyond a bound of ours (`wire.limits`)."""


class LocalProtocolError(ProtocolError):
    """Our own caller asked for something that the session's state forbids: a bug."""
