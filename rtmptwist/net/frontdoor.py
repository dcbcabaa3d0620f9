"""
One port for all: the first byte of a connection says what it speaks, `serve` says what is welcome.

    3                  RTMP
    6, 8, 9            RTMPE
    0x16               TLS, and inside it this door again
    G P H O D T C      an HTTP method: RTMPT, and what else the web has; inside a tunnel this again

What is not welcome is refused with words that say what would have to change: in the log, and to
HTTP clients in an answer. Until the first byte is there a visitor costs little, and not for long.
What costs much, the handshakes of RTMPE and TLS, one address may not ask for too often.

Behind a `haproxy:` endpoint a visitor counts for the proxy until that byte; then the proxy has said
for whom it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final
from typing import Protocol as Port

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rtmptwist.live.errors import Refused
from rtmptwist.live.networks import within
from rtmptwist.live.refusals import Reason
from rtmptwist.live.registry import Registry
from rtmptwist.net.listen import host_of
from rtmptwist.net.rate import AddressRate
from rtmptwist.net.tls import in_words


class Speech(StrEnum):
    """What a connection speaks, by its first byte."""

    RTMP = "RTMP"
    RTMPE = "RTMPE"
    TLS = "TLS"
    HTTP = "HTTP"


_BY_FIRST_BYTE: Final = {
    3: Speech.RTMP,
    6: Speech.RTMPE,
    8: Speech.RTMPE,
    9: Speech.RTMPE,
    0x16: Speech.TLS,
    **dict.fromkeys(b"GPHODTC", Speech.HTTP),
}

_PROXY: Final = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")
"How version 1 and 2 of the PROXY protocol begin; where it is expected, Twisted takes it off."

_HTTP_REFUSAL: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b"
)


class Maker(Port):
    """What makes the protocol for one speech: a factory, as far as we need one."""

    def buildProtocol(self, addr: IAddress) -> IProtocol | None: ...


class FrontDoor(Factory):
    """The factory of a listener: shows every visitor to the protocol that understands it."""

    noisy = False

    def __init__(
        self,
        rooms: Mapping[Speech, Maker],
        registry: Registry,
        clock: IReactorTime,
        *,
        patience: float,
        name: str = "",
        inside: str = "",
        rates: Mapping[Speech, AddressRate] | None = None,
        proxies: Sequence[IPv4Network | IPv6Network] = (),
    ) -> None:
        """
        `patience`: seconds until the first byte, TLS handshakes included; `name`: the listener's;
        `inside`: what this door is in, `TLS`, `HTTP` or `HTTPS`; `rates`: how often one address may
        come to `Speech.RTMPE` and `Speech.TLS`; `proxies`: who brings others, and may come with any
        number of connections.
        """
        self.rooms = dict(rooms)
        self.registry = registry
        self.clock = clock
        self.patience = patience
        self.name = name
        self.inside = inside
        self.rates = rates or {}
        self.proxies = proxies

    def buildProtocol(self, addr: IAddress | None) -> Visitor | None:
        """
        Somebody is at the door. Whoever may not come is sent away here, where it costs least: in a
        tenth of the time that a refused login takes.
        """
        if addr is not None and not self.inside and self.registry.closed_to(host_of(addr)):
            return None
        return Visitor(self)


@implementer(IHandshakeListener)
class Visitor(Protocol):
    """A connection of which we do not know yet what it speaks; then a mere sign on that door."""

    log = Logger()

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self.address = ""
        self.peer = ""
        "As logs call it."

        self.since = door.clock.seconds()
        self._inner: IProtocol | None = None
        self._shaken = door.inside != "TLS"
        "There is no TLS handshake left to be done."

        self._ended = False
        "By us."

    def connectionMade(self) -> None:
        """Twisted: somebody is there."""
        self._admit()

    def handshakeCompleted(self) -> None:
        """Twisted: that of TLS."""
        self._shaken = True

    def dataReceived(self, data: bytes) -> None:
        """Twisted: the first bytes; the later ones do not come this way."""
        transport: Any = self.transport
        if not data or self._ended:
            return
        door = self._door
        if host_of(transport.getPeer()) != self.address:
            door.registry.leave(self)
            if not self._admit():
                return
        speech = _BY_FIRST_BYTE.get(data[0]) if not data.startswith(_PROXY) else None
        room = door.rooms.get(speech) if speech is not None else None
        if room is None or speech is None:
            self._turn_away(data, speech)
            return
        if self._asks_too_often(speech):
            self._abort()
            return
        inner = room.buildProtocol(transport.getPeer())
        if inner is None:
            self._turn_away(data, speech)
            return
        self._inner = inner
        if speech is not Speech.HTTP:  # RTMP counts itself in, and so does the door inside TLS
            door.registry.leave(self)
        # no detour for what follows: Twisted asks the transport's protocol by these names
        self.dataReceived = inner.dataReceived  # type: ignore[method-assign]
        inner.makeConnection(transport)
        inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: it is gone."""
        door = self._door
        transport: Any = self.transport
        door.registry.leave(self)
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif reason.check(SSL.Error):
            self.log.info(
                "{address} left: {reason}",
                address=self.address,
                reason=in_words(reason, transport),
            )
        elif transport.disconnecting and not self._ended and not door.inside:
            # nobody between the socket and us closes but what reads the PROXY protocol
            door.registry.refusals.note(Reason.NOT_SERVED, self.address, _NO_PROXY)

    def sweep(self, now: float) -> None:
        """Once a second: is it ever going to say something?"""
        if self._inner is None and now - self.since > self._door.patience:
            what = "it said nothing for" if self._shaken else "no TLS handshake within"
            self.log.info(
                "{address} left: {what} {patience:g} s",
                address=self.address,
                what=what,
                patience=self._door.patience,
            )
            self._abort()

    def leave(self) -> None:
        """The server stops: nothing is owed to a visitor."""
        transport: Any = self.transport
        self._ended = True
        if self._inner is not None:
            transport.unregisterProducer()  # an HTTP channel is one, and would keep it open
        transport.loseConnection()

    def _admit(self) -> bool:
        """Count it in, by the address that it has now, unless there are too many."""
        transport: Any = self.transport
        self.address = self.peer = host_of(transport.getPeer())
        try:
            self._door.registry.admit(self, for_others=within(self.address, self._door.proxies))
        except Refused:
            self._abort()
        return not self._ended

    def _abort(self) -> None:
        transport: Any = self.transport
        self._ended = True
        transport.abortConnection()

    def _asks_too_often(self, speech: Speech) -> bool:
        """Whether its address wants more of what costs us much than it may; the log hears of it."""
        rate = self._door.rates.get(speech)
        if rate is None or rate.take(self.address):
            return False
        reason, key = _COSTLY[speech]
        self._door.registry.refusals.note(
            reason,
            self.address,
            f"more than {rate.per_second:g} {speech} handshakes a second ({key} in [limits])",
        )
        return True

    def _turn_away(self, data: bytes, speech: Speech | None) -> None:
        door = self._door
        transport: Any = self.transport
        self._ended = True
        words = _advice(data, speech, door)
        door.registry.refusals.note(Reason.NOT_SERVED, self.address, words)
        if speech is Speech.HTTP:
            body = words.encode()
            transport.write(_HTTP_REFUSAL % (len(body) + 1, body + b"\n"))
        transport.loseConnection()


def _advice(data: bytes, speech: Speech | None, door: FrontDoor) -> str:
    """Why somebody is turned away, and what would have to change."""
    where = f"listener {door.name}".strip()
    inside = f" inside {door.inside}" if door.inside else ""
    if data.startswith(_PROXY):
        return f"the PROXY protocol{inside}, on {where}: let its endpoint begin with haproxy:"
    if speech is None:
        return f"first byte 0x{data[0]:02x}{inside} is neither RTMP nor TLS nor HTTP, on {where}"
    said = f"{speech}{inside} is not served by {where}"
    if not door.inside and set(door.rooms) == {Speech.TLS}:
        return f"{said}, only TLS: use rtmps:// or https:// there"
    keys = _KEYS.get((speech, door.inside))
    return f"{said}: use another port, or add {keys} to its key serve" if keys else said


_KEYS: Final = {
    (Speech.RTMP, ""): "rtmp",
    (Speech.RTMPE, ""): "rtmpe",
    (Speech.TLS, ""): "rtmps, rtmpts or https",
    (Speech.HTTP, ""): "rtmpt or http",
    (Speech.RTMP, "TLS"): "rtmps",
    (Speech.HTTP, "TLS"): "rtmpts or https",
    (Speech.RTMP, "HTTP"): "rtmpt",
    (Speech.RTMPE, "HTTP"): "rtmpte",
}
"What a listener would have to serve, by what is spoken and what that is in."

_NO_PROXY: Final = (
    "no PROXY header came first, which a haproxy: endpoint expects: add send-proxy to the proxy's"
    " configuration, or take haproxy: out of ours"
)

_COSTLY: Final = {
    Speech.RTMPE: (Reason.RTMPE, "rtmpe_handshakes"),
    Speech.TLS: (Reason.TLS, "tls_handshakes"),
}
"How it is called when there is too much of it, and which key bounds it."
