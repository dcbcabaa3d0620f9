r"""
Listeners: an endpoint string and a factory become a service that says what to do when it cannot.

Endpoint strings are Twisted's (`serverFromString`, plugins included):

| string | listens on |
|---|---|
| `tcp6:1935` | IPv6 and IPv4 together, in one socket |
| `tcp:1935` | IPv4 only |
| `tcp:1935:interface=127.0.0.1`, `tcp6:1935:interface=\:\:1` | one address |
| `unix:/run/rtmp.sock:mode=660` | a local socket |
| `haproxy:tcp6:1935` | the same behind a proxy that speaks the PROXY protocol, version 1 or 2 |
| `systemd:domain=INET6:name=rtmp` | a socket that systemd opened |

`tcp6` (or `tcp:1935:interface=\:\:`, which is the same) serves both families because Twisted
leaves IPV6_V6ONLY as the system has it: off on Linux unless `net.ipv6.bindv6only` says otherwise
(seen with Twisted 26.10). `tcp:1935` beside it would find its port taken. IPv4 clients then come
from addresses such as `::ffff:192.0.2.1`; `host_of` gives them their usual form. All of `tcp` and
`tcp6` take `backlog=1024`; Twisted's 50 is little for viewers who come all at once.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterable
from typing import Final

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    ITransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.net.writer import tcp_socket


class ListenError(SystemExit, Exception):
    """
    A port cannot be opened; the text says which, why, and what to do about it.

    Also a SystemExit, so that twistd ends with the text and status 1 instead of a traceback; also
    an Exception, without which twistd as a daemon would neither tell its parent (which then waits
    for ever) nor remove its PID file.
    """

    def __str__(self) -> str:
        return str(self.code)


class ListenerService(Service):
    """
    Serves a factory at an endpoint while it runs.

    Opens the port in `privilegedStartService`, as twistd wants it, or in `startService`.

    Raises (from both):
        ListenError: not opened.
    """

    log = Logger()

    def __init__(
        self, reactor: IReactorCore, endpoint: str, factory: IProtocolFactory, section: str = ""
    ) -> None:
        """`section` is the name of the `[listener]` where `endpoint` stands, for messages."""
        self.endpoint = endpoint
        self.factory = factory
        self.section = section
        self.port: IListeningPort | None = None
        "Once it is open."

        self._reactor = reactor
        self._opening: Deferred[None] | None = None
        self._error: ListenError | None = None

    def privilegedStartService(self) -> None:
        """Twisted: open ports before root is given up."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's
        self._open()

    def startService(self) -> None:
        """Twisted: run; open the port if nobody has yet."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        if self._opening is None:
            self._open()

    def stopService(self) -> Deferred[None]:
        """Twisted: close the port; connections live on. Fires when it is closed."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        port, self.port = self.port, None
        return (port and port.stopListening()) or succeed(None)

    def bound_address(self) -> str:
        """Where it listens, for people: `[::]:1935 (IPv4 and IPv6)`; empty when it does not."""
        return _bound(self.port) if self.port is not None else ""

    def _open(self) -> None:
        self._error = None
        try:
            # no earlier: systemd's sockets and certificates are looked for here
            opening = serverFromString(self._reactor, self.endpoint).listen(self.factory)
        except Exception as error:  # endpoints are plugins and may raise anything
            raise self._explained(error) from error
        opening.addCallbacks(self._opened, self._failed)
        if self._error is not None:
            raise self._error
        self._opening = opening

    def _opened(self, port: IListeningPort) -> None:
        self.port = port
        self.log.info("{where}: {address}", where=self._where, address=self.bound_address())

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._error = self._explained(failure.value)
        if self._opening is not None:  # too late to raise it; no endpoint of Twisted's own is
            self.log.critical("{error}", error=str(self._error))
            self._reactor.stop()

    @property
    def _where(self) -> str:
        return f"listener {self.section}".rstrip()

    def _explained(self, error: BaseException | None) -> ListenError:
        advice = _advice(self.endpoint, error)
        return ListenError(f"{self._where}: cannot listen on {self.endpoint}: {advice}")


def listener(
    reactor: IReactorCore, endpoint: str, factory: IProtocolFactory, section: str = ""
) -> ListenerService:
    """Make a listener; see `ListenerService`."""
    return ListenerService(reactor, endpoint, factory, section)


def bound_addresses(listeners: Iterable[ListenerService]) -> str:
    """Tell where these listeners listen, in one line."""
    return ", ".join(filter(None, (listener.bound_address() for listener in listeners)))


def host_of(address: IAddress) -> str:
    """Tell a peer's IP address, IPv4 in its usual form whatever the listener; else `unix`."""
    host: str = getattr(address, "host", "unix")
    return host.removeprefix("::ffff:") if "." in host else host


def name_of(peer: IAddress) -> str:
    """A peer, for logs. Proxies do not tell the port, or 0."""
    address, port = host_of(peer), getattr(peer, "port", None)
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def quick_ack(transport: ITransport) -> Callable[[], None] | None:
    """
    Make a function that has what was received acknowledged at once; None where that is not known.

    Encoders leave Nagle's algorithm on and send commands in small pieces, each of which waits for
    the acknowledgement of the one before, which Linux delays by 40 ms: FFmpeg's start is 135 ms
    shorter with it. The option does not stick: call it after every read of handshake and commands
    (1 µs each), not while media flows.
    """
    tcp = tcp_socket(transport)
    option: int | None = getattr(socket, "TCP_QUICKACK", None)
    if tcp is None or option is None:
        return None
    set_option = tcp.setsockopt

    def acknowledge() -> None:
        try:  # noqa: SIM105 - which would double the price
            set_option(socket.IPPROTO_TCP, option, 1)
        except OSError:  # closed meanwhile
            pass

    return acknowledge


def _bound(port: IListeningPort) -> str:
    address = port.getHost()
    match address:
        case IPv4Address(host=host, port=number):
            all_of_it = host == "0.0.0.0"  # noqa: S104  # told, not bound
            return f"{host}:{number}" + (" (IPv4)" if all_of_it else "")
        case IPv6Address(host="::", port=number):
            return f"[::]:{number} ({'IPv6' if _only_ipv6(port) else 'IPv4 and IPv6'})"
        case IPv6Address(host=host, port=number):
            return f"[{host}]:{number}"
        case UNIXAddress(name=bytes(name)):
            return f"unix:{os.fsdecode(name)}"
    return str(address)


def _only_ipv6(port: IListeningPort) -> bool:
    fileno: Callable[[], int] | None = getattr(port, "fileno", None)
    if fileno is None:  # a third party's port
        return False
    with socket.socket(fileno=os.dup(fileno())) as same:
        return bool(same.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


_LOCAL: Final = {
    errno.EADDRINUSE: "something of this name exists and is no socket of ours; remove or rename it",
    errno.EACCES: "no permission to make a file there",
    errno.EPERM: "no permission to make a file there",
    errno.ENOENT: "the folder does not exist",
}
_INTERNET: Final = {
    errno.EADDRINUSE: (
        "the port is taken. `ss -ltnp` lists who has which; stop that program or choose another"
        " port. (tcp6 includes IPv4: a line with tcp and the same port is one too many.)"
    ),
    errno.EACCES: (
        "no permission: ports below 1024 are for root. Start as root with `twistd --uid USER`, or"
        " give the capability CAP_NET_BIND_SERVICE, or choose a port from 1024 on"
    ),
    errno.EADDRNOTAVAIL: "no interface of this machine has this address (`ip address` lists them)",
    errno.EAFNOSUPPORT: "this machine has no IPv6; use tcp instead of tcp6",
    socket.EAI_NONAME: "the interface is unknown (expected an IP address of this machine)",
}


def _advice(endpoint: str, error: BaseException | None) -> str:
    """Say why something cannot be listened on, and what to do."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    kind = re.sub("^(haproxy:)+", "", endpoint).partition(":")[0]
    if kind == "systemd" and isinstance(cause, LookupError):
        return "systemd passed no such socket; start by its .socket unit (see LISTEN_FDNAMES)"
    if kind == "unix" and "lock" in str(cause):
        return "another process serves it"
    known = _LOCAL if kind == "unix" else _INTERNET
    if isinstance(cause, OSError) and cause.errno in known:
        return known[cause.errno]
    return str(cause) or repr(cause)
