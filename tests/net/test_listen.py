"""Listeners: over real sockets where the system has the last word, with fakes for what fails."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rtmptwist.net import listen
from rtmptwist.net.listen import (
    ListenError,
    ListenerService,
    bound_addresses,
    host_of,
    listener,
    quick_ack,
)
from rtmptwist.net.writer import SocketWriter, writer_for

reactor: Any = global_reactor


class Greeting(Protocol):
    """Says where the client comes from, through our writer, and leaves."""

    def connectionMade(self) -> None:
        self.writer = writer_for(self.transport)

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        kind = type(self.writer).__name__
        self.writer.write(f"{host_of(transport.getPeer())} {kind}".encode())
        self.writer.close()


class Guest(Protocol):
    """Says something, hears something."""

    def __init__(self, words: bytes = b"hello") -> None:
        self.words = words
        self.heard = b""
        self.done: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self.words)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: object = None) -> None:
        self.done.callback(self.heard.decode())


def has_ipv6() -> bool:
    """Whether this machine's loopback has IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Sockets(TestCase):
    """Through the real reactor."""

    timeout = 20

    def served(self, endpoint: str) -> tuple[ListenerService, int]:
        """Start a listener; tell its port."""
        service = listener(reactor, endpoint, Factory.forProtocol(Greeting), "main")
        service.startService()
        self.addCleanup(service.stopService)
        assert service.port is not None
        return service, getattr(service.port.getHost(), "port", 0)

    async def visit(self, endpoint: Any, words: bytes = b"hello") -> str:
        """What a client at this endpoint hears."""
        guest: Guest = await connectProtocol(endpoint, Guest(words))
        return await guest.done

    async def test_tcp(self) -> None:
        """IPv4 only."""
        with capturedLogs() as said:
            service, port = self.served("tcp:0:interface=127.0.0.1")
        assert service.bound_address() == f"127.0.0.1:{port}"
        assert {"where": "listener main", "address": f"127.0.0.1:{port}"}.items() <= said[
            -1
        ].items()
        heard = await self.visit(TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        assert heard == f"127.0.0.1 {SocketWriter.__name__}"

    async def test_tcp6_serves_both_families(self) -> None:
        """The string for a true dual-stack listener."""
        if not has_ipv6():
            self.skipTest("this machine has no IPv6")
        service, port = self.served("tcp6:0")
        if "IPv4 and IPv6" not in service.bound_address():
            self.skipTest("this machine keeps the families apart (net.ipv6.bindv6only)")
        assert service.bound_address() == f"[::]:{port} (IPv4 and IPv6)"
        for client, address in [
            (TCP4ClientEndpoint(reactor, "127.0.0.1", port), "127.0.0.1"),
            (TCP6ClientEndpoint(reactor, "::1", port), "::1"),
        ]:
            assert (await self.visit(client)).split()[0] == address

    async def test_one_ipv6_address(self) -> None:
        if not has_ipv6():
            self.skipTest("this machine has no IPv6")
        service, port = self.served(r"tcp:0:interface=\:\:1")
        assert service.bound_address() == f"[::1]:{port}"
        assert await self.visit(TCP6ClientEndpoint(reactor, "::1", port)) == "::1 SocketWriter"

    async def test_unix(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/rtmp.sock"
        service, _ = self.served(f"unix:{path}")
        assert service.bound_address() == f"unix:{path}"
        assert await self.visit(UNIXClientEndpoint(reactor, path)) == "unix SocketWriter"

    async def test_proxy_protocol(self) -> None:
        """The client's address is the one that the proxy tells; writing stays direct."""
        _, port = self.served("haproxy:tcp:0:interface=127.0.0.1")
        client = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        heard = await self.visit(client, b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1935\r\nhello")
        assert heard == "192.0.2.7 SocketWriter"

    async def test_a_taken_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            service = listener(
                reactor, f"tcp:{port}:interface=127.0.0.1", Factory.forProtocol(Greeting), "main"
            )
            with pytest.raises(ListenError) as caught:
                service.privilegedStartService()
            assert str(caught.value).startswith(
                f"listener main: cannot listen on tcp:{port}:interface=127.0.0.1:"
                " the port is taken. `ss -ltnp` lists who has which"
            )
            assert service.bound_address() == ""
        service.startService()
        assert service.bound_address() == f"127.0.0.1:{port}"
        await service.stopService()

    async def test_stop_closes_the_port_and_start_opens_it_again(self) -> None:
        service, port = self.served("tcp:0:interface=127.0.0.1")
        await service.stopService()
        assert service.bound_address() == ""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        service.startService()
        assert service.bound_address() != ""

    async def test_quick_ack(self) -> None:
        """Linux forgets the option; the function sets it again, and is silent after the end."""
        if not hasattr(socket, "TCP_QUICKACK"):
            self.skipTest("the system does not know the option")
        option = (socket.IPPROTO_TCP, socket.TCP_QUICKACK)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            guest = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Guest())
            transport: Any = guest.transport
            handle: socket.socket = transport.getHandle()
            handle.setsockopt(*option, 0)
            acknowledge = quick_ack(transport)
            assert acknowledge is not None
            acknowledge()
            assert handle.getsockopt(*option) == 1
            transport.abortConnection()
            await guest.done
            acknowledge()


def test_quick_ack_where_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quick_ack(StringTransport()) is None
    monkeypatch.delattr(socket, "TCP_QUICKACK", raising=False)
    monkeypatch.setattr(listen, "tcp_socket", lambda transport: socket.socket())
    assert quick_ack(StringTransport()) is None


# ---- what cannot be opened


class Refusing(MemoryReactor):
    """Opens nothing."""

    def __init__(self, error: Exception) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.error = error

    def listenTCP(self, *arguments: object, **options: object) -> Any:
        raise self.error

    listenUNIX = listenTCP


def tcp_error(number: int) -> CannotListenError:
    return CannotListenError("", 80, OSError(number, "words of the system"))


def unix_error(cause: object) -> CannotListenError:
    return CannotListenError(None, b"/run/rtmp.sock", cause)


REFUSALS = [
    ("tcp:80", tcp_error(errno.EADDRINUSE), "the port is taken"),
    ("tcp:80", tcp_error(errno.EACCES), "ports below 1024 are for root"),
    ("tcp:80", tcp_error(errno.EADDRNOTAVAIL), "no interface of this machine"),
    ("tcp6:80", tcp_error(errno.EAFNOSUPPORT), "this machine has no IPv6; use tcp"),
    ("haproxy:tcp:80", tcp_error(errno.EADDRINUSE), "the port is taken"),
    ("tcp:80:interface=x", tcp_error(socket.EAI_NONAME), "expected an IP address"),
    ("tcp:80", tcp_error(errno.EMFILE), "words of the system"),
    ("tcp:80", ValueError(), "ValueError()"),
    ("tcp:99999", OverflowError("port must be 0-65535."), "port must be 0-65535"),
    ("unix:/run/rtmp.sock", unix_error("Cannot acquire lock"), "another process serves it"),
    ("unix:/run/rtmp.sock", unix_error(OSError(errno.EADDRINUSE, "")), "no socket of ours"),
    ("unix:/run/rtmp.sock", unix_error(OSError(errno.EACCES, "")), "no permission"),
    ("unix:/run/rtmp.sock", FileNotFoundError(errno.ENOENT, ""), "the folder does not exist"),
    ("haproxy:unix:/run/s", unix_error(OSError("AF_UNIX path too long")), "path too long"),
    ("systemd:domain=INET:name=rtmp", None, "systemd passed no such socket"),
    ("systemd:domain=INET:index=7", None, "systemd passed no such socket"),
    ("telepathy:80", None, "Unknown endpoint type: 'telepathy'"),
]


@pytest.mark.parametrize(("endpoint", "error", "words"), REFUSALS)
@pytest.mark.parametrize("start", ["privilegedStartService", "startService"])
def test_a_refusal_says_what_to_do(
    endpoint: str, error: Exception | None, words: str, start: str
) -> None:
    """Which listener, which endpoint, why, and what now; in one sentence without a traceback."""
    fake: Any = Refusing(error or AssertionError("nobody shall get so far"))
    service = listener(fake, endpoint, Factory(), "main")
    with pytest.raises(ListenError) as caught:
        getattr(service, start)()
    text = str(caught.value)
    assert text.startswith(f"listener main: cannot listen on {endpoint}: ")
    assert words in text
    assert "\n" not in text


def test_a_nameless_listener() -> None:
    service = listener(cast("Any", Refusing(tcp_error(errno.EACCES))), "tcp:80", Factory())
    with pytest.raises(ListenError, match="listener: cannot listen on tcp:80: no permission"):
        service.startService()


class SlowEndpoint:
    """Takes its time, as a third party's may."""

    def __init__(self) -> None:
        self.opening: Deferred[Any] = Deferred()

    def listen(self, factory: object) -> Deferred[Any]:
        return self.opening


class ThirdPartyPort:
    """Has an address and can be closed, no more."""

    def __init__(self, address: IAddress) -> None:
        self.address = address
        self.closed = False

    def getHost(self) -> IAddress:
        return self.address

    def stopListening(self) -> None:
        self.closed = True


class StoppableReactor:
    """Counts."""

    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


class Slow(SynchronousTestCase):
    """Endpoints that answer later."""

    def setUp(self) -> None:
        self.endpoint = SlowEndpoint()
        self.reactor = StoppableReactor()
        patched = mock.patch.object(listen, "serverFromString", return_value=self.endpoint)
        patched.start()
        self.addCleanup(patched.stop)
        self.service = listener(cast("Any", self.reactor), "slow:1", Factory(), "main")
        self.service.privilegedStartService()
        self.service.startService()

    def test_opened_later(self) -> None:
        port = ThirdPartyPort(IPv6Address("TCP", "::", 1935))
        assert self.service.bound_address() == ""
        self.endpoint.opening.callback(port)
        assert self.service.bound_address() == "[::]:1935 (IPv4 and IPv6)"
        self.successResultOf(self.service.stopService())
        assert port.closed

    def test_failed_later(self) -> None:
        """Nobody is left to raise to: say it and stop."""
        with capturedLogs() as events:
            self.endpoint.opening.errback(tcp_error(errno.EADDRINUSE))
        assert self.reactor.stops == 1
        assert "listener main: cannot listen on slow:1: the port is taken" in events[-1]["error"]
        assert events[-1]["log_level"].name == "critical"
        self.successResultOf(self.service.stopService())

    def test_stopped_before(self) -> None:
        self.successResultOf(self.service.stopService())
        assert self.reactor.stops == 0
        self.successResultOf(self.service.stopService())


# ---- addresses


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("TCP", "0.0.0.0", 1935), "0.0.0.0:1935 (IPv4)"),
        (IPv4Address("TCP", "192.0.2.1", 1935), "192.0.2.1:1935"),
        (IPv6Address("TCP", "2001:db8::1", 1935), "[2001:db8::1]:1935"),
        (UNIXAddress("/run/rtmp.sock"), "unix:/run/rtmp.sock"),
        (HostnameAddress(b"abc.onion", 80), str(HostnameAddress(b"abc.onion", 80))),
    ],
)
def test_bound_addresses(address: IAddress, text: str) -> None:
    """For the lines that a newcomer reads first."""
    services = [listener(reactor, "tcp:0", Factory()) for _ in range(3)]
    services[0].port = services[2].port = cast("Any", ThirdPartyPort(address))
    assert bound_addresses(services) == f"{text}, {text}"


def test_an_ipv6_listener_that_is_only_that() -> None:
    """`net.ipv6.bindv6only`: said as it is."""
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.socket(socket.AF_INET6) as bound:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        port: Any = ThirdPartyPort(IPv6Address("TCP", "::", 1935))
        port.fileno = bound.fileno
        service = listener(reactor, "tcp6:1935", Factory())
        service.port = port
        assert service.bound_address() == "[::]:1935 (IPv6)"
        assert bound.fileno() >= 0


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.1"),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 1), "192.0.2.1"),
        (IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
        (UNIXAddress(None), "unix"),
    ],
)
def test_host_of(address: IAddress, host: str) -> None:
    """One client has one address, whichever listener it came through."""
    assert host_of(address) == host


# ---- twistd

TAC = """
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from rtmptwist.net.listen import listener

application = Application("test")
listener(reactor, "tcp:{port}:interface=127.0.0.1", Factory(), "main").setServiceParent(application)
"""


@pytest.mark.parametrize("mode", ["--nodaemon", "--logfile=log"])
def test_twistd_ends_with_words(tmp_path: Path, mode: str) -> None:
    """In the foreground and as a daemon: status 1, the sentence, no traceback, no PID file."""
    program = f"import sys; sys.path.insert(0, {str(Path(listen.__file__).parents[2])!r})"
    program += "; from twisted.scripts.twistd import run; run()"
    ended, alive = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as other:
        (tmp_path / "test.tac").write_text(TAC.format(port=other.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-c", program, mode, "--no_save", "--python=test.tac"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            pass_fds=[alive],
        )
        os.close(alive)
        assert select.select([ended], [], [], 30)[0]  # the daemon has the other end until it ends
        os.close(ended)
    log = tmp_path / "log"
    text = done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    assert done.returncode == 1
    assert "listener main: cannot listen on tcp:" in done.stdout + done.stderr
    assert "the port is taken" in text
    assert "Traceback" not in text
    assert not (tmp_path / "twistd.pid").exists()
