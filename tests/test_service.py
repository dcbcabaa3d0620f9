"""From a configuration to a server that runs, looks after itself, and stops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionClosed,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.task import Clock

from rtmptwist.amf.values import UNDEFINED, Date, Value
from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key
from rtmptwist.config.load import load
from rtmptwist.live.stream import LiveStream
from rtmptwist.net.client import NetConnection, Refusal
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.frontdoor import Speech
from rtmptwist.net.listen import ListenerService
from rtmptwist.plan import SiteError, check
from rtmptwist.service import Sweeper, make_service
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import SetChunkSize, message
from rtmptwist.wire.message import Message, MessageType
from tests.support.disks import StillDisk
from tests.support.live import gop, headers, payloads, video
from tests.support.logins import password_file, user
from tests.support.logs import Logs
from tests.support.memory import MemorySite, Spectator, result_of
from tests.support.recordings import metadata_of
from tests.support.swf import COMPRESSED, SWF
from tests.support.threads import ImpatientReactor

pytestmark = pytest.mark.usefixtures("logs")

FILE = """
[server]
drain = 3s
chunk_size = 4K

[limits]
connections = 50
waiting = 1M
waiting_per_viewer = 64K
handshake_timeout = 2s
connect_timeout = 4s
ping_interval = 7s
ping_timeout = 8s
video_size = 1M
commands_per_second = 20

[listener main]
endpoint = tcp:1935:interface=127.0.0.1
    tcp:1936:interface=127.0.0.1

[listener other]
endpoint = tcp:1937:interface=127.0.0.1

[app live]
publish = anyone
grace = 0s

[app watch]
play = 198.51.100.0/24

[app members]
logins = memory:alice:geheim
publish = users, 198.51.100.0/24
play = users

[vhost a.example]
aliases = b.example

[vhost a.example / app live]
publish = 192.0.2.0/24
"""


class House:
    """A service over memory: its listeners' factory serves clients without sockets."""

    def __init__(self, folder: Path, text: str = FILE) -> None:
        path = folder / "site.ini"
        path.write_text(text)
        self.reactor = ImpatientReactor()
        self.service = make_service(load(path), self.reactor)
        (sweeper,) = (child for child in self.service if isinstance(child, Sweeper))
        self.listeners = [c for c in self.service if isinstance(c, ListenerService)]
        self.whole = sweeper._site
        self.care = sweeper._site.care
        self.rates = sweeper._site.rates
        self.gate = sweeper._site.gate
        clock: Clock = self.reactor
        self.site = MemorySite(sweeper._site.registry, self.listeners[0].factory, clock)

    def start(self) -> House:
        self.service.privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's
        self.service.startService()
        return self

    def pass_time(self, seconds: int) -> None:
        """The service looks after everything; nobody else does."""
        for _ in range(seconds):
            self.reactor.advance(1)
            self.site.pump()

    def stop(self) -> Deferred[Any]:
        stopping: Deferred[Any] = self.service.stopService()
        self.site.pump()
        return stopping


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path).start()
    yield house
    if house.service.running:
        house.stop()
        house.pass_time(10)
    assert house.reactor.calls == []


def server_of(house: House, client: NetConnection) -> ServerConnection:
    """The other end, whatever door it came through."""
    transport: Any = client.transport
    (found,) = (c for c in house.site.connections if c.transport is transport.other)
    return found


# -------------------------------------------------------------------- what it is


def test_that_it_stops_is_an_event(tmp_path: Path) -> None:
    house = House(tmp_path).start()
    house.site.client()
    house.stop()
    _, events = house.site.registry.journal.since(0)
    assert [event.kind.value for event in events] == ["connect", "drain", "disconnect"]
    house.pass_time(10)


def test_every_endpoint_is_listened_on_after_everything_else_is_ready(tmp_path: Path) -> None:
    house = House(tmp_path)
    kinds = [type(child).__name__ for child in house.service]
    ready = ["DiskWork", "Sweeper", "Keeping", "TimerService", "TimerService"]
    assert kinds == [*ready, *["ListenerService"] * 3, "Welcome"]
    house.start()
    assert [server[0] for server in house.reactor.tcpServers] == [1935, 1936, 1937]
    house.stop()


def test_what_the_file_says_is_what_connections_get(house: House) -> None:
    care = house.care
    limits = care.limits
    assert (limits.handshake_timeout, limits.connect_timeout) == (2.0, 4.0)
    assert (limits.video_size, limits.commands_per_second) == (1 << 20, 20)
    assert (care.ping_interval, care.ping_timeout) == (7.0, 8.0)
    assert (care.chunk_size, care.waiting_size) == (4096, 65536)
    assert house.site.registry.limits.connections == 50
    client = house.site.client()
    assert server_of(house, client).session.chunk_size == 4096


def test_applications_by_host(house: House) -> None:
    registry = house.site.registry
    here, _ = registry.application("anything", "live")
    there, _ = registry.application("a.example", "live")
    alias, rest = registry.application("b.example", "live/x")
    assert (here.host, there.host) == ("", "a.example")
    assert here is not there
    assert (alias, rest) == (there, "x")
    assert registry.application("a.example", "watch")[0].settings is not None
    assert here.settings.grace == 0.0


@pytest.mark.parametrize(
    ("url", "address", "use", "code"),
    [
        ("rtmp://h/live", "203.0.113.1", "publish", None),
        ("rtmp://a.example/live", "203.0.113.1", "publish", "NetStream.Publish.Denied"),
        ("rtmp://b.example/live", "192.0.2.9", "publish", None),
        ("rtmp://h/watch", "203.0.113.1", "publish", "NetStream.Publish.Denied"),
        ("rtmp://h/watch", "203.0.113.1", "play", "NetStream.Play.Failed"),
        ("rtmp://h/watch", "198.51.100.4", "play", None),
        ("rtmp://a.example/live", "203.0.113.1", "play", None),
        ("rtmp://h/members?user=alice&password=geheim", "203.0.113.1", "publish", None),
        ("rtmp://h/members?user=alice&password=geheim", "203.0.113.1", "play", None),
        ("rtmp://h/members", "198.51.100.4", "publish", None),
        ("rtmp://h/members", "198.51.100.4", "play", "NetStream.Play.Failed"),
    ],
)
def test_rules_by_application_and_host(
    house: House, url: str, address: str, use: str, code: str | None
) -> None:
    site = house.site
    stream = site.stream(site.client(url, address))
    asking = stream.publish("show") if use == "publish" else stream.play("show")
    if code is None:
        site.result(asking)
    else:
        error = site.failure(asking)
        assert isinstance(error, Refusal)
        assert error.code == code


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("rtmp://h/members", "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "),
        ("rtmp://h/members?user=alice&password=Geheim", "The login is wrong."),
    ],
)
def test_who_has_to_log_in(house: House, url: str, code: str) -> None:
    error = house.site.failure(house.site.connect(url, "203.0.113.1"))
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == ("NetConnection.Connect.Rejected", code)


def test_threads_and_files_of_logins_belong_to_the_service(tmp_path: Path) -> None:
    password_file(tmp_path / "passwd", user("alice"))
    text = FILE.replace("memory:alice:geheim", "file:passwd")
    house = House(tmp_path, text).start()
    kinds = [type(child).__name__ for child in house.service]
    assert kinds[kinds.index("Hashing") + 1] == "TimerService"
    secret = tmp_path / "var" / "challenges.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    house.stop()
    house.pass_time(5)


def test_handshakes_have_a_rate_of_the_file_and_are_forgotten_in_time(
    tmp_path: Path, logs: Logs
) -> None:
    text = FILE.replace("[limits]", "[limits]\nrtmpe_handshakes = 2\ntls_handshakes = 3")
    house = House(tmp_path, text.replace("[listener other]", "[listener other]\nserve = rtmpe"))
    rates = house.rates
    assert [rates[speech].per_second for speech in (Speech.RTMPE, Speech.TLS)] == [2, 3]
    house.start()
    house.site.factory = house.listeners[-1].factory
    for _ in range(8):
        house.site.client("rtmpe://example.org/live")
    error = house.site.failure(house.site.connect("rtmpe://example.org/live"))
    assert isinstance(error, ConnectionClosed)
    assert len(logs.about("192.0.2.1 refused: more than 2 RTMPE handshakes a second")) == 1
    assert len(rates[Speech.RTMPE]) == 1
    house.pass_time(5)
    assert len(rates[Speech.RTMPE]) == 0
    house.site.client("rtmpe://example.org/live")
    house.stop()
    house.pass_time(5)


# ------------------------------------------------------------------- once a second


def test_time_limits_are_kept(house: House, logs: Logs) -> None:
    class Mute:
        def makeConnection(self, transport: Any) -> None:
            transport.write(b"\x03")

        def dataReceived(self, data: bytes) -> None: ...
        def connectionLost(self, reason: object) -> None: ...

    class Factory:
        def buildProtocol(self, addr: object) -> Mute:
            return Mute()

    house.site.endpoint().connect(Factory())  # type: ignore[arg-type]
    viewer = house.site.play("nobody")
    house.pass_time(4)
    assert len(logs.about("left: no handshake within 2 s")) == 1
    assert len(house.site.connections) == 1
    house.pass_time(60)
    assert viewer.told[-1] == "Play.StreamNotFound"


def test_the_sweeper_survives(house: House, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken connection does not end the care for others, nor does anything else."""
    site = house.site
    first, second = site.client(), site.client()
    swept: list[float] = []
    server_of(house, second).sweep = swept.append  # type: ignore[assignment, method-assign]
    server_of(house, first).sweep = None  # type: ignore[assignment, method-assign]
    house.pass_time(2)
    assert swept == [1.0, 2.0]
    assert len(logs.about("sweep of #")) == 2
    del server_of(house, first).sweep
    monkeypatch.setattr(site.registry, "sweeping", None)
    house.pass_time(2)
    assert swept == [1.0, 2.0, 3.0, 4.0]
    assert logs.lines("critical")[2:] == ["sweep failed"] * 2
    assert {type(bug) for bug in logs.forgive()} == {TypeError}


def test_a_sweep_over_many_has_breaks(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are heard between; who leaves then is not looked at any more."""
    monkeypatch.setattr("rtmptwist.service.SLICE", 2)
    for _ in range(5):
        house.site.client()
    swept: list[str] = []
    left = house.site.connections[:]

    def interrupt() -> None:
        swept.append("a break")
        connection = left.pop()
        transport: Any = connection.transport
        transport.lose(ConnectionLost())
        transport.other.lose(ConnectionLost())

    def watch(connection: ServerConnection) -> None:
        def sweep(now: float) -> None:
            swept.append(f"at {now:g}")
            left.remove(connection)
            if len(swept) == 1:
                house.reactor.callLater(0, interrupt)

        connection.sweep = sweep  # type: ignore[method-assign]

    for connection in left[:]:
        watch(connection)
    house.reactor.advance(1)
    assert swept == ["at 1", "at 1", "a break", "at 1", "at 1"]
    assert left == []


def test_a_sweep_over_many_streams_has_breaks(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmptwist.service.SLICE", 2)
    swept: list[str] = []
    for name in "abcde":
        house.site.publish(name)

    def watch(stream: LiveStream) -> None:
        def sweep(now: float) -> None:
            swept.append(stream.name)
            if len(swept) == 1:
                house.reactor.callLater(0, swept.append, "a break")
                house.reactor.callLater(0, house.site.application.streams.pop, "e")

        stream.sweep = sweep  # type: ignore[method-assign]

    for stream in house.site.application.streams.values():
        watch(stream)
    monkeypatch.setattr(ServerConnection, "sweep", lambda *_: None)
    house.reactor.advance(1)
    assert swept == ["a", "b", "a break", "c", "d"]


def test_a_sweep_may_be_the_last(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may stop in a break."""
    (sweeper,) = (child for child in house.service if isinstance(child, Sweeper))
    monkeypatch.setattr("rtmptwist.service.SLICE", 1)
    house.site.client(), house.site.client()
    swept: list[float] = []

    def sweep(now: float) -> None:
        swept.append(now)
        house.reactor.callLater(0, sweeper.disownServiceParent)

    for connection in house.site.connections:
        connection.sweep = sweep  # type: ignore[method-assign]
    house.reactor.advance(1)
    assert swept == [1.0]


def test_when_memory_runs_short_those_go_for_whom_most_is_waiting(
    tmp_path: Path, logs: Logs
) -> None:
    text = FILE.replace("waiting_per_viewer = 64K", "waiting_per_viewer = 4M")
    house = House(tmp_path, text).start()
    clients = [house.site.client(address=f"192.0.2.{n}") for n in range(1, 5)]
    for writes, client in zip((1, 1, 2, 4), clients, strict=True):
        transport: Any = client.transport
        transport.reading = False
        for _ in range(writes):
            server_of(house, client).writer.write(bytes(150_000))
    house.pass_time(1)
    assert [client.closed for client in clients] == [False, False, False, True]
    (line,) = logs.about(" bytes waited for it, and more than 1048576 for all")
    assert line.startswith("#4 192.0.2.4:")
    house.pass_time(1)
    assert [client.closed for client in clients] == [False, False, False, True]
    house.stop()
    house.pass_time(5)


def test_when_memory_runs_very_short_several_go(tmp_path: Path) -> None:
    house = House(tmp_path, FILE.replace("64K", "4M")).start()
    clients = [house.site.client(address=f"192.0.2.{n}") for n in range(1, 5)]
    for client in clients:
        transport: Any = client.transport
        transport.reading = False
        for _ in range(6):
            server_of(house, client).writer.write(bytes(150_000))
    house.pass_time(1)
    assert sum(client.closed for client in clients) == 3
    house.stop()
    house.pass_time(5)


def test_those_who_never_finish_their_messages_do_not_fill_the_memory(
    tmp_path: Path, logs: Logs
) -> None:
    """Nobody has to be allowed anything for that, and 32 MB were free for each connection."""
    house = House(tmp_path).start()
    clients = [house.site.client(address=f"192.0.2.{n}") for n in range(1, 4)]
    begun = encode_full(Message(MessageType.VIDEO, 0, 1, bytes(900_000)), 4, 1_000_000)
    for size, client in zip((300_000, 800_000, 400_000), clients, strict=True):
        server = server_of(house, client)
        server.dataReceived(encode_full(message(SetChunkSize(1_000_000)), 2, 128) + begun[:size])
    house.pass_time(1)
    assert [client.closed for client in clients] == [False, True, False]
    (line,) = logs.about(" bytes waited for it, and more than 1048576 for all")
    assert line.startswith("#2 192.0.2.2:")
    house.stop()
    house.pass_time(5)


# ---------------------------------------------------------------------- stopping


def test_a_server_that_stops_says_so_and_waits_for_nobody_else(house: House) -> None:
    site = house.site
    publisher, viewer = Spectator(site.publish()), site.play()
    for frame in [*headers(), *gop(0)]:
        publisher.stream.send(frame)
    site.pump()
    codes: list[str] = []
    viewer.connection.on_status = lambda info: codes.append(str(info["code"]))
    stopping = house.stop()
    house.reactor.advance(2)  # no key frame comes until then
    site.pump()
    house.reactor.advance(0.1)
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert viewer.told[-2:] == ["Play.UnpublishNotify", "Play.Stop"]
    assert codes == ["NetConnection.Connect.AppShutdown"]
    assert publisher.connection.closed
    assert site.connections == []
    result_of(stopping)
    assert house.reactor.calls == []
    assert site.registry.applications()[0].streams == {}


def test_who_does_not_read_gets_as_long_as_drain_says(tmp_path: Path) -> None:
    house = House(tmp_path, FILE.replace("64K", "4M")).start()
    site = house.site
    viewer = site.play()
    publisher = site.publish()
    transport: Any = viewer.connection.transport
    transport.reading = False
    publisher.send(video(0, key=True, size=200_000))
    site.pump()
    stopping = house.stop()
    house.reactor.advance(2.9)
    site.pump()
    assert not stopping.called
    house.reactor.advance(0.2)
    site.pump()
    result_of(stopping)
    assert viewer.connection.closed


def test_a_transport_that_never_tells_of_its_end_does_not_keep_us(house: House) -> None:
    viewer = house.site.play()
    connection = server_of(house, viewer.connection)
    transport: Any = connection.transport
    transport.step = lambda _: False
    stopping = house.stop()
    house.pass_time(3)
    assert not stopping.called
    house.pass_time(2)
    result_of(stopping)
    transport.lose(ConnectionDone())
    viewer.connection.abort()
    house.site.pump()


def test_who_has_the_server_stopped_does_it_once(
    house: House, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a signal, or by the API: load balancers hear of it at once."""
    stopped: list[bool] = []
    monkeypatch.setattr(house.reactor, "stop", lambda: stopped.append(house.whole.ready))
    assert house.whole.ready
    house.whole.drain("SIGTERM")
    house.whole.drain("an operator")
    assert stopped == [False]
    assert logs.about("SIGTERM: the server stops")


def test_a_server_without_guests_stops_at_once(house: House) -> None:
    result_of(house.stop())


def test_a_stopped_server_can_be_started_again(house: House) -> None:
    result_of(house.stop())
    house.start()
    house.site.client()
    assert len(house.site.connections) == 1


# ----------------------------------------------------------------------- welcome


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("", "", "rtmp://localhost/live"),
        ("tcp:1935:", "tcp:1938:", "rtmp://localhost:1938/live"),
    ],
)
def test_a_newcomer_is_told_what_to_type(
    tmp_path: Path, old: str, new: str, where: str, logs: Logs
) -> None:
    house = House(tmp_path, FILE.replace(old, new) if old else FILE).start()
    assert len(logs.about(f"Server: {where}, Stream Key: test")) == 1
    assert len(logs.about(f"watch: ffplay {where}/test")) == 1
    house.stop()


def test_a_newcomer_is_told_the_port_of_plain_rtmp(tmp_path: Path, logs: Logs) -> None:
    text = FILE.replace("interface=127.0.0.1\n    tcp", "interface=127.0.0.1\nserve = rtmpe\n;", 1)
    house = House(tmp_path, text).start()
    assert len(logs.about("watch: ffplay rtmp://localhost:1937/live/test")) == 1
    house.stop()


def test_where_nobody_may_publish_a_newcomer_is_told_nothing(tmp_path: Path, logs: Logs) -> None:
    house = House(tmp_path, re.sub("publish = .*", "publish = nobody", FILE)).start()
    assert logs.about("ffplay") == []
    house.stop()


# -------------------------------------------------------------------- files with secrets


KEYS = """
[app live]
publish = keys
keys = show.keys
"""


def with_keys(folder: Path, *secrets: str) -> str:
    """A configuration, and its file with keys for `show`."""
    file = folder / "show.keys"
    file.write_text("".join(f"{StreamKey('show', hash_of(secret)).line()}\n" for secret in secrets))
    file.chmod(0o600)
    return FILE.partition("[app live]")[0] + KEYS


def test_a_key_that_is_revoked_ends_what_is_sent_with_it(tmp_path: Path, logs: Logs) -> None:
    old, new = new_key(), new_key()
    house = House(tmp_path, with_keys(tmp_path, old, new)).start()
    publisher = Spectator(house.site.publish(old))
    viewer = house.site.play("show")
    for frame in (*headers(), *gop(0)):
        publisher.stream.send(frame)
    house.pass_time(3)
    assert len(viewer.payloads) > 5
    with_keys(tmp_path, new)
    house.pass_time(4)
    assert publisher.infos[-1]["description"] == "This stream key was revoked: ask for a new one."
    assert publisher.connection.closed
    assert not viewer.connection.closed
    again = house.site.stream()
    assert isinstance(house.site.failure(again.publish(old)), Refusal)
    house.site.publish(new)
    assert logs.about(f"key {hash_of(old)[:8]}")
    assert old not in repr([app.meter for app in house.site.registry.applications()])
    assert not [line for level in ("info", "warn") for line in logs.lines(level) if old in line]
    house.stop()
    house.pass_time(5)


@pytest.mark.parametrize("use", ["publish", "play"])
@pytest.mark.parametrize(
    "name",
    [
        *(None, UNDEFINED, True, 0.0, float("nan"), {"key": "key_a"}, ["key_a"], Date(0.0)),
        *("", "\0", "key_\0", "key_" + "x" * 60_000, "key_\u202e", "show?key=\0", "show?key"),
        *("show?key=" + "x" * 60_000, "show?sig=\0&exp=0", "show?" + "sig=1&" * 600, "?key=key_a"),
    ],
    ids=lambda name: repr(name)[:20],
)
def test_names_that_are_none(tmp_path: Path, name: Value, use: str) -> None:
    """They end nothing but themselves."""
    secret = new_key()
    text = with_keys(tmp_path, secret).replace("keys\n", "keys, signed\n", 1)
    (tmp_path / "signing").write_text(f"a1 {'x' * 32}")
    (tmp_path / "signing").chmod(0o600)
    house = House(tmp_path, f"{text}play = signed\nsigning = signing\n").start()
    publisher = house.site.publish(secret)
    client = house.site.client()
    stream = Spectator(house.site.stream(client))
    client.session.send(Command(use, 0.0, None, (name,), 1).message(), 8)
    client.send()
    house.pass_time(1)
    assert stream.told[-1].endswith((".Denied", ".BadName", ".Failed", ".StreamNotFound"))
    streams = house.site.registry.applications()[0].streams
    assert list(streams) == ["show"]
    assert not publisher.connection.closed
    house.stop()
    house.pass_time(5)


def test_files_that_cannot_be_used_are_all_told(tmp_path: Path) -> None:
    text = with_keys(tmp_path) + "[vhost h / app live]\nkeys = other.keys\n"
    (tmp_path / "show.keys").write_text("\ngarbage\n")
    at = rf"{tmp_path}/site.ini:\d+:"
    words = (
        rf"^{at} \[app live\] keys: {tmp_path}/show.keys:2: expected NAME sha256:HASH[^\n]*\n"
        rf"{at} \[vhost h / app live\] keys: {tmp_path}/other.keys: is not there; [^\n]*$"
    )
    with pytest.raises(SiteError, match=words):
        House(tmp_path, text)
    with pytest.raises(SiteError, match=words):
        check(load(tmp_path / "site.ini"))


@pytest.mark.parametrize("swf", ["player.swf", ".", f"9:{'00' * 32}\n  player.swf"])
def test_players_must_know_the_files_that_an_application_names(tmp_path: Path, swf: str) -> None:
    (tmp_path / "player.swf").write_bytes(COMPRESSED)
    house = House(tmp_path, f"{FILE}\n[app flash]\npublish = anyone\nswf = {swf}\n").start()
    url = "rtmp://h/flash"
    house.site.publish("show", house.site.client(url))
    house.site.play("show", house.site.client(url, swf=SWF))
    playing = house.site.stream(house.site.client(url)).play("show")
    house.pass_time(6)
    assert playing.called
    assert isinstance(house.site.failure(playing), ConnectionClosed)
    house.stop()
    house.pass_time(5)


def test_swf_files_that_cannot_be_used_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "a.swf").write_text("<html>")
    text = (
        f"{FILE}\n[app flash]\nswf = a.swf\n  b.swf\n[vhost a.example / app flash]\nswf = c.swf\n"
    )
    at = rf"{tmp_path}/site.ini:\d+:"
    words = (
        rf"^{at} \[app flash\] swf: {tmp_path}/a.swf: no SWF file: it begins with '<ht' .*\n"
        rf"{at} \[app flash\] swf: {tmp_path}/b.swf: No such file or directory\n"
        rf"{at} \[vhost a.example / app flash\] swf: {tmp_path}/c.swf: No such [^\n]*$"
    )
    with pytest.raises(SiteError, match=words):
        House(tmp_path, text)
    with pytest.raises(SiteError, match=words):
        check(load(tmp_path / "site.ini"))


def test_with_keys_a_newcomer_is_told_how_to_make_one(tmp_path: Path, logs: Logs) -> None:
    house = House(tmp_path, with_keys(tmp_path)).start()
    key = f"Stream Key: from `rtmptwist keys make {tmp_path}/show.keys test`"
    assert len(logs.about(key)) == 1
    house.stop()


# ----------------------------------------------------------------------- tunnels


@pytest.mark.parametrize("scheme", ["rtmpt", "rtmpte"])
def test_a_publisher_in_a_tunnel_who_vanishes_frees_its_name_in_time(
    tmp_path: Path, scheme: str, logs: Logs
) -> None:
    """Nobody is told of its end: it may come back by another connection, as phones do."""
    text = FILE.replace("[listener other]", f"serve = {scheme}\n[listener other]")
    text = text.replace("ping_interval = 7s", "").replace("0s", "0s\ntakeover = reject")
    house = House(tmp_path, text).start()
    site = house.site.speak(scheme)
    publisher = site.publish()
    publisher.send(video(0, key=True))
    site.pump()
    for transport in site.transports:
        transport.vanish()
    tunnel: Any = publisher.connection.transport
    tunnel._leave(ConnectionAborted(), None)
    house.pass_time(28)
    assert site.application.is_live("show")
    assert isinstance(site.failure(site.stream().publish("show")), Refusal)
    house.pass_time(3)
    assert not site.application.is_live("show")
    (line,) = logs.about("no longer publishes live/show: ")
    assert "no request for 30 s" in line
    site.publish()
    house.stop()
    house.pass_time(10)


# ------------------------------------------------------------------------------ outlets


RECORDED = "[listener main]\nendpoint = tcp:1935\n[app live]\npublish = anyone\ngrace = 0\n"


def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[House, StillDisk]:
    """A house that records, with a disk that does nothing by itself."""
    monkeypatch.setattr("rtmptwist.site.Disk", StillDisk)
    text = "[server]\nstate = state\n" + RECORDED + "outlets = record:rec/{app}/{name}.flv\n"
    house = House(tmp_path, text).start()
    disk: Any = house.whole.disk
    disk.pump()
    publisher = house.site.publish("show")
    for each in [*headers(), *gop(0)]:
        publisher.send(each)
    house.site.pump()
    return house, disk


def test_a_server_that_stops_completes_its_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, disk = recording(tmp_path, monkeypatch)
    stopped: list[object] = []
    house.stop().addCallback(stopped.append)
    house.pass_time(5)
    assert stopped == []
    disk.pump()
    assert len(stopped) == 1
    (file,) = (path for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert file == tmp_path / "state" / "rec" / "live" / "show.flv"
    assert metadata_of(file)["duration"] == 0.08


def test_a_server_that_stops_waits_for_a_disk_that_hangs_no_longer_than_for_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    house, _ = recording(tmp_path, monkeypatch)
    stopped: list[object] = []
    house.stop().addCallback(stopped.append)
    house.pass_time(5)
    assert stopped == []
    house.pass_time(2)
    assert len(stopped) == 1
    assert logs.about("files were not complete within 1 s: 110 bytes are lost")
    assert house.reactor.getDelayedCalls() == []


@pytest.mark.parametrize("look", [check, lambda config: make_service(config, ImpatientReactor())])
def test_what_is_wrong_with_outlets(tmp_path: Path, look: Any) -> None:
    path = tmp_path / "site.ini"
    path.write_text(
        RECORDED
        + "outlets = record:rec/{name}.mkv\n    recrod:x\n    record:{name}.flv\n"
        + "[vhost a.example / app live]\noutlets = record:x.flv:keep=1\n"
    )
    with pytest.raises(SiteError) as caught:
        look(load(path))
    lines = str(caught.value).split("\n")
    assert [": ".join(line.split(": ")[:2]) for line in lines] == [
        f"{path}:6: [app live] outlets",
        f"{path}:7: [app live] outlets",
        f"{path}:10: [vhost a.example / app live] outlets",
    ]
    assert "expected a path that ends in .flv" in lines[0]
    assert '"recrod"; expected record' in lines[1]
    assert "keep: '1'; expected a duration" in lines[2]
