"""Clients are asked to connect elsewhere, if they can (Enhanced RTMP v2, Reconnect Request)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rtmptwist.live.names import ConnectTarget
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection

_WORDS: Final = "The server is about to stop: please connect anew."
_RECONNECT: Final = 1
"Of capsEx: the client understands such requests."


def ask_to_reconnect(connection: ServerConnection, where: Callable[[ConnectTarget], str]) -> bool:
    """
    Ask a client to connect elsewhere, by a new tcUrl; empty: by the one it knows. False: it did
    not say that it can.
    """
    target, visitor, session = connection.target, connection.visitor, connection.session
    if visitor is None or target is None or session.state is not State.CONNECTED:
        return False
    capabilities = visitor.properties.get("capsEx")
    if not isinstance(capabilities, int | float) or not 0 < capabilities < 1 << 32:
        return False
    if not int(capabilities) & _RECONNECT:
        return False
    url = where(target)
    status = Status(StatusCode.CONNECT_RECONNECT_REQUEST, _WORDS, {"tcUrl": url} if url else {})
    session.status(0, status)
    connection.send()
    return True
