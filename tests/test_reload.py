"""Another configuration for a server that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from rtmptwist.auth.hashing import Hashing
from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key
from rtmptwist.config.load import load
from rtmptwist.live.access import Account, Visitor
from rtmptwist.live.recordings import RecordEvent, RecordTurn
from rtmptwist.net.client import Refusal
from rtmptwist.net.frontdoor import Speech
from rtmptwist.net.listen import ListenerService
from rtmptwist.reload import differences
from rtmptwist.vod.folderfilms import FolderFilms
from rtmptwist.vod.playbacks import FilePlaybacks
from rtmptwist.web.house import ReloadError
from rtmptwist.web.metrics import gather
from tests.support.disks import StillDisk
from tests.support.live import gop, headers, payloads
from tests.support.logins import password_file, user
from tests.support.logs import Logs
from tests.support.memory import Spectator, failure_of, result_of
from tests.test_service import House

pytestmark = pytest.mark.usefixtures("logs")

LISTENERS = """
[listener main]
endpoint = tcp:1935:interface=127.0.0.1

[listener other]
endpoint = tcp:1937:interface=127.0.0.1
"""

APP = """
[app live]
publish = anyone
grace = 0s
"""

MORE = """
[app second]
publish = anyone

[vhost a.example]
aliases = b.example
"""


class Changing(House):
    """A server whose file changes."""

    def __init__(self, folder: Path, text: str = LISTENERS + APP) -> None:
        self.head = f"[server]\nstate = {folder}/state\ndrain = 1s\n"
        self.file = folder / "site.ini"
        super().__init__(folder, self.head + text)
        self.start()

    def reload(self, text: str) -> Sequence[str]:
        """Write it, and have it read."""
        return result_of(self.reloading(text))

    def reloading(self, text: str) -> Deferred[Sequence[str]]:
        self.file.write_text(self.head + text)
        done: Deferred[Sequence[str]] = Deferred.fromCoroutine(self.whole.reload())  # type: ignore[arg-type]
        self.site.pump()
        return done

    def refused(self, text: str) -> list[str]:
        """Why it cannot be had."""
        error = failure_of(self.reloading(text))
        assert isinstance(error, ReloadError)
        return str(error).split("\n")

    def publish_fails(self, name: str = "show", url: str = "", address: str = "192.0.2.1") -> str:
        """The code that a publisher gets, or none."""
        client = self.site.client(url, address)
        error = self.site.failure(self.site.stream(client).publish(name))
        assert isinstance(error, Refusal)
        return error.code

    @property
    def ports(self) -> dict[str, str]:
        """The listeners of endpoints."""
        return {c.endpoint: c.section for c in self.service if isinstance(c, ListenerService)}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Changing]:
    house = Changing(tmp_path)
    yield house
    house.stop()
    house.pass_time(5)


def test_a_file_that_is_the_same_changes_nothing(house: Changing, logs: Logs) -> None:
    publisher, viewer = house.site.publish(), house.site.play()
    for _ in range(3):
        assert house.reload(LISTENERS + APP) == ["nothing has changed in it"]
    for frame in (*headers(), *gop(0)):
        publisher.send(frame)
    house.site.pump()
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert len(house.reactor.tcpServers) == 2
    assert logs.about("the configuration is reloaded: nothing has changed in it")
    _, events = house.site.registry.journal.since(0)
    reloads = [event.words for event in events if event.kind == "reload"]
    assert reloads == ["nothing has changed in it"] * 3
    record = RecordEvent(turn=RecordTurn.START, name="show", path="", part=1)
    for tell in house.site.application.record_listeners:
        tell(record)
    _, (*_, event) = house.site.registry.journal.since(0)
    assert (event.kind, event.stream, event.application) == ("record", "show", "live")


def test_rules_and_limits_hold_for_who_comes_and_asks_from_now_on(house: Changing) -> None:
    site = house.site
    publisher, viewer = site.publish(), site.play()
    early = site.client()
    text = APP.replace("anyone", "198.51.100.0/24\nmax_viewers = 1\nmerge = 1s")
    assert house.reload(LISTENERS + text) == ["[app live] publish, merge, max_viewers"]
    assert house.publish_fails("other") == "NetStream.Publish.Denied"
    assert isinstance(site.failure(site.stream(early).publish("other")), Refusal)
    again = site.failure(site.stream().play("show"))
    assert isinstance(again, Refusal)
    assert "(max_viewers = 1)" in str(again.description)
    for frame in (*headers(), *gop(0)):
        publisher.send(frame)
    house.site.pump()
    assert viewer.payloads[-6:] == payloads(gop(0)), "its stream does not gather"
    other = site.stream(site.client(address="198.51.100.7"))
    site.result(other.publish("new"))
    streams = site.application.streams
    assert (streams["show"].settings.merge, streams["new"].settings.merge) == (0, 1)
    house.reload(LISTENERS + APP)
    site.play()


def test_applications_come(house: Changing) -> None:
    site = house.site
    assert isinstance(site.failure(site.connect("rtmp://h/second")), Refusal)
    changes = house.reload(LISTENERS + APP + MORE)
    assert changes == [
        "[app second] is new",
        "[vhost a.example] is new",
        "[vhost a.example / app live] is new",
        "[vhost a.example / app second] is new",
    ]
    for url in ("rtmp://h/second", "rtmp://a.example/live", "rtmp://b.example/second"):
        site.publish("show", site.client(url))


def test_applications_go_with_words(house: Changing, logs: Logs) -> None:
    """Nobody is left in a stream that cannot be found any more."""
    house.reload(LISTENERS + APP + MORE)
    site = house.site
    url = "rtmp://h/second"
    publisher = Spectator(site.publish("show", site.client(url)))
    viewer = site.play("show", site.client(url))
    neighbour, at_home = site.publish(), site.play()
    gone = site.registry.application("", "second")[0]
    for frame in headers():
        publisher.stream.send(frame)
    site.pump()
    sent = gone.meter.bytes_in
    changes = house.reload(LISTENERS + APP)
    assert "[app second] is gone" in changes
    words = "The application second is served no more."
    assert publisher.infos[-1]["description"] == words
    assert publisher.connection.closed
    assert viewer.connection.closed
    assert viewer.infos[-1]["description"] == words
    assert gone.streams == {}
    assert isinstance(site.failure(site.connect(url)), Refusal)
    for frame in headers():
        neighbour.send(frame)
    site.pump()
    assert at_home.payloads[-2:] == payloads(headers()[1:])
    assert logs.about("no longer publishes second/show: The application second is served no more")
    house.reload(LISTENERS + APP + MORE)
    site.publish("show", site.client(url))
    again = site.registry.application("", "second")[0]
    assert list(again.streams) == ["show"]
    assert again.meter.bytes_in >= sent > 0, "figures do not shrink"


def test_those_who_came_in_by_another_application(house: Changing) -> None:
    """A name may say another host."""
    house.reload(LISTENERS + APP + MORE)
    site = house.site
    client = site.client("rtmp://h/live")
    stream = Spectator(site.stream(client))
    site.result(stream.stream.publish("show?vhost=a.example"))
    assert list(site.registry.application("a.example", "live")[0].streams) == ["show"]
    house.reload(LISTENERS + APP)
    site.pump()
    assert stream.infos[-1]["description"] == "The application live is served no more."


@pytest.mark.parametrize("ask", ["login", "publish"])
def test_an_application_that_goes_while_somebody_waits_at_its_door(
    house: Changing, ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.reload(LISTENERS + APP + MORE)
    site, gate = house.site, house.gate
    waiting: Deferred[None] = Deferred()
    login = gate.login
    left: list[str] = []

    async def slow_login(visitor: Visitor) -> Account:
        account = await login(visitor)
        monkeypatch.setattr(type(account), "left", lambda _: left.append("left"))
        if ask == "login":
            await waiting
        else:
            allow = account.authorize

            async def slow(_: Account, request: Any) -> Any:
                grant = await allow(request)
                await waiting
                return grant

            monkeypatch.setattr(type(account), "authorize", slow)
        return account

    monkeypatch.setattr(gate, "login", slow_login)
    attempt: Deferred[Any]
    if ask == "login":
        attempt = site.connect("rtmp://a.example/live")
    else:
        attempt = site.stream(site.client("rtmp://h/live")).publish("show?vhost=a.example")
        site.pump()
    assert not attempt.called
    gone = site.registry.application("a.example", "live")[0]
    house.reload(LISTENERS + APP)
    waiting.callback(None)
    error = site.failure(attempt)
    assert isinstance(error, Refusal)
    assert error.description == "The application live is served no more."
    assert gone.streams == {}
    site.pump()
    assert left == ["left"]


def test_connections_are_treated_as_the_file_says_when_they_come(house: Changing) -> None:
    before = house.site.client()
    limits = "[limits]\nconnections = 3\nping_interval = 7s\nrtmpe_handshakes = 9\n"
    assert house.reload(LISTENERS + limits + APP) == [
        "[limits] connections, rtmpe_handshakes, ping_interval"
    ]
    after = house.site.client()
    intervals = {c._liveness._interval for c in house.site.connections}
    assert intervals == {30.0, 7.0}
    assert house.whole.rates[Speech.RTMPE].per_second == 9
    assert house.whole.care.ping_interval == 7
    house.site.client()
    house.site.failure(house.site.connect())
    assert not before.closed
    assert not after.closed


# ------------------------------------------------------------------------------ what is wrong


def test_a_wrong_file_changes_nothing_and_says_why(house: Changing, logs: Logs) -> None:
    publisher = house.site.publish()
    lines = house.refused("[listener main]\nendpoint = tcp:1935\nservce = rtmp\n[app x]\nmerge=z")
    assert lines == [
        f'{house.file}:6: [listener main] servce: unknown key; did you mean "serve"?',
        f"{house.file}:8: [app x] merge: 'z'; expected a duration such as 250ms, 10s, 2m, 1h or 0",
    ]
    assert [line for line in logs.lines("error") if line.startswith(str(house.file))] == lines
    assert logs.lines("error")[-1] == "the configuration is not reloaded: all stays as it was"
    assert not publisher.connection.closed
    house.site.play()
    assert set(house.ports) == {
        "tcp:1935:interface=127.0.0.1",
        "tcp:1937:interface=127.0.0.1",
    }
    house.file.unlink()
    error = failure_of(Deferred.fromCoroutine(house.whole.reload()))  # type: ignore[arg-type]
    assert str(error) == f"{house.file}: No such file or directory"
    house.reload(LISTENERS + APP)


def test_files_that_it_names_are_looked_at_too(house: Changing, tmp_path: Path) -> None:
    more = "play = signed\nsigning = k\n[app flash]\nswf = s.swf\n"
    secure = LISTENERS + "serve = rtmps\ncertificate = c.pem\n"
    lines = [line.split(": ", 1) for line in house.refused(secure + APP + more)]
    assert {place.rpartition(":")[0] for place, _ in lines} == {f"{tmp_path}/site.ini"}
    assert [words for _, words in lines] == [
        (
            f"[app live] signing: {tmp_path}/k: is not there;"
            f" `rtmptwist secrets make {tmp_path}/k …` makes it"
        ),
        f"[app flash] swf: {tmp_path}/s.swf: No such file or directory",
        f"[listener other] certificate: {tmp_path}/c.pem: No such file or directory",
    ]
    assert house.site.registry.application("", "live")[0].settings.publish.anyone  # type: ignore[attr-defined]
    house.site.publish()


def test_a_port_that_cannot_be_had_changes_nothing(
    house: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.site.publish()
    listen: Any = house.reactor.listenTCP

    def taken(port: int, *args: Any, **options: Any) -> Any:
        if port == 1940:
            raise CannotListenError("", port, OSError(98, "Address already in use"))
        return listen(port, *args, **options)

    monkeypatch.setattr(house.reactor, "listenTCP", taken)
    before = house.ports
    more = "[listener new]\nendpoint = tcp:1939\n  tcp:1940\n"
    (line,) = house.refused(LISTENERS + more + APP.replace("anyone", "nobody"))
    assert line.startswith("listener new: cannot listen on tcp:1940: the port is taken.")
    assert house.ports == before
    house.refused(LISTENERS.replace("1937", "1940") + APP.replace("anyone", "nobody"))
    assert house.ports == before
    assert all(c.running for c in house.service if isinstance(c, ListenerService))
    house.site.publish("another")


def test_a_port_that_one_leaves_another_may_have(
    house: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tcp` becomes `tcp6`, which is another endpoint at the same port."""
    listen: Any = house.reactor.listenTCP
    open_ports: list[int] = [1935, 1937]

    def taken(port: int, factory: Any, *args: Any, **options: Any) -> Any:
        if port in open_ports:
            raise CannotListenError("", port, OSError(98, "Address already in use"))
        return listen(port, factory, *args, **options)

    monkeypatch.setattr(house.reactor, "listenTCP", taken)
    leaving = next(c for c in house.service if getattr(c, "endpoint", "").startswith("tcp:1937"))
    monkeypatch.setattr(leaving.port, "stopListening", lambda: open_ports.remove(1937))
    house.reload(LISTENERS.replace("tcp:1937:interface=127.0.0.1", "tcp6:1937") + APP)
    assert list(house.ports) == ["tcp:1935:interface=127.0.0.1", "tcp6:1937"]


def test_one_reload_after_the_other(house: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many operators want one at once."""
    read: list[Callable[[], None]] = []
    at_once: Any = house.reactor.callInThreadWithCallback
    monkeypatch.setattr(
        house.reactor,
        "callInThreadWithCallback",
        lambda *work: read.append(lambda: at_once(*work)),
    )
    nobody = LISTENERS + APP.replace("anyone", "nobody")
    first, second = house.reloading(nobody), house.reloading(nobody)
    assert len(read) == 1
    read.pop()()
    assert result_of(first) == ["[app live] publish"]
    house.file.write_text("nonsense")
    assert not second.called
    read.pop()()
    assert isinstance(failure_of(second), ReloadError)


def test_a_server_that_stops_does_not_reload(tmp_path: Path) -> None:
    house = Changing(tmp_path)
    house.stop()
    assert house.refused(LISTENERS + APP) == ["the server is about to stop, or has not started"]
    house.pass_time(5)


class Leaving:
    """A listener that leaves by a reload, which is not done with it."""

    def __init__(self, house: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self.shut: Deferred[None] = Deferred()
        leaving = house.listeners[1].port
        monkeypatch.setattr(leaving, "stopListening", lambda: self.shut)
        self.reloading = house.reloading(LISTENERS.partition("[listener other]")[0] + APP)
        assert not self.reloading.called
        self.stopping = house.stop()

    @property
    def events(self) -> list[str]:
        _, events = self.house.site.registry.journal.since(0)
        return [event.kind.value for event in events]


def test_a_server_stops_after_the_reload_that_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listeners stay open while it drains: none shuts in the middle of that."""
    house = Changing(tmp_path)
    house.site.publish()
    leaving = Leaving(house, monkeypatch)
    assert house.site.registry.leaving is None
    another = house.reloading(LISTENERS + APP)
    assert leaving.events == ["connect", "publish"]
    leaving.shut.callback(None)
    assert str(failure_of(another)) == "the server is about to stop, or has not started"
    assert result_of(leaving.reloading) == ["[listener other] is gone"]
    house.pass_time(5)
    assert leaving.stopping.called
    assert leaving.events[2:4] == ["reload", "drain"]
    assert house.reactor.calls == []


def test_a_port_that_never_shuts_does_not_keep_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    house = Changing(tmp_path)
    leaving = Leaving(house, monkeypatch)
    house.pass_time(8)
    assert leaving.stopping.called
    assert leaving.events == ["drain"]
    assert logs.about("a port has not shut within 2 s")
    assert house.reactor.calls == []
    leaving.shut.callback(None)


def test_what_nobody_thought_of_is_told(
    house: Changing, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Any = house.service
    server.reloading.begin()
    assert len(logs.about("the configuration is reloaded")) == 1
    house.file.write_text("nonsense")
    server.reloading.begin()
    assert logs.lines("critical") == []
    monkeypatch.setattr("rtmptwist.reload.load", None)
    server.reloading.begin()
    assert logs.lines("critical") == ["the configuration could not be read again"]
    assert [type(bug) for bug in logs.forgive()] == [TypeError]


# ------------------------------------------------------------------------------ listeners


def test_listeners_come_and_go_and_change_what_they_serve(house: Changing, logs: Logs) -> None:
    site = house.site
    viewer = site.play("late")
    text = LISTENERS.partition("[listener other]")[0]
    new = "serve = rtmpe\n[listener new]\nendpoint = tcp:1939:interface=127.0.0.1\n"
    assert house.reload(text + new + APP) == [
        "[listener main] serve",
        "[listener new] is new",
        "[listener other] is gone",
    ]
    assert house.ports == {
        "tcp:1935:interface=127.0.0.1": "main",
        "tcp:1939:interface=127.0.0.1": "new",
    }
    assert logs.about("listener other leaves ")
    assert isinstance(site.failure(site.connect()), Exception)
    publisher = site.publish("late", site.client("rtmpe://example.org/live"))
    for frame in headers():
        publisher.send(frame)
    site.pump()
    assert viewer.payloads[-2:] == payloads(headers()[1:])
    site.factory = next(c.factory for c in house.service if getattr(c, "section", "") == "new")
    site.client()


def test_an_endpoint_keeps_its_port_whoever_it_belongs_to(house: Changing) -> None:
    """Its name in the file changes, and with it what is served there."""
    site = house.site
    site.publish()
    renamed = LISTENERS.replace("listener main", "listener front").replace(
        "127.0.0.1\n\n", "127.0.0.1\nserve = rtmpe\n\n", 1
    )
    changes = house.reload(renamed + APP)
    assert changes == ["[listener front] is new", "[listener main] is gone"]
    assert list(house.ports.values()) == ["front", "other"]
    assert len(house.reactor.tcpServers) == 2
    site.play("show", site.client("rtmpe://example.org/live"))


# ------------------------------------------------------------------------------ what stays


def test_some_keys_wait_for_the_next_start(house: Changing, tmp_path: Path) -> None:
    house.head = f"[server]\nstate = {tmp_path}/elsewhere\ngather = 0\ndrain = 2s\n"
    (line,) = house.reload(LISTENERS + APP)
    assert line == "[server] state (at the next start), drain, gather (at the next start)"
    server = house.whole.config.server
    assert (server.state, server.drain) == (tmp_path / "state", 2)


def test_files_that_matter_to_what_runs_are_watched_on(house: Changing, tmp_path: Path) -> None:
    """A key that is revoked ends what is sent with it, whatever the file says meanwhile."""
    secret = new_key()
    keys = tmp_path / "show.keys"
    keys.write_text(f"{StreamKey('show', hash_of(secret)).line()}\n")
    keys.chmod(0o600)
    house.reload(LISTENERS + APP.replace("anyone", "keys\nkeys = show.keys"))
    publisher = Spectator(house.site.publish(secret))
    house.reload(LISTENERS + APP)
    house.pass_time(2)
    assert not publisher.connection.closed
    keys.write_text("# nobody\n")
    house.pass_time(4)
    assert publisher.infos[-1]["description"] == "This stream key was revoked: ask for a new one."


def test_a_key_that_is_not_in_the_file_of_now_ends_what_is_sent_with_it(
    house: Changing, tmp_path: Path
) -> None:
    kept, gone = new_key(), new_key()
    for file, keys in {"old": {"one": kept, "two": gone}, "new": {"one": kept}}.items():
        lines = [StreamKey(name, hash_of(key)).line() for name, key in keys.items()]
        (tmp_path / file).write_text("\n".join(lines))
        (tmp_path / file).chmod(0o600)
    by_keys = APP.replace("anyone", "keys\nkeys = old")
    house.reload(LISTENERS + by_keys)
    one, two = Spectator(house.site.publish(kept)), Spectator(house.site.publish(gone))
    house.reload(LISTENERS + by_keys)
    house.pass_time(2)
    assert not two.connection.closed
    house.reload(LISTENERS + by_keys.replace("old", "new"))
    house.pass_time(2)
    assert two.infos[-1]["description"] == "This stream key was revoked: ask for a new one."
    assert not one.connection.closed


def test_logins_come_with_their_threads(house: Changing, tmp_path: Path) -> None:
    password_file(tmp_path / "passwd", user("alice"))
    members = APP.replace("anyone", "users\nlogins = file:passwd")
    house.reload(LISTENERS + members)
    assert [child.running for child in house.service if isinstance(child, Hashing)] == [1]
    house.reload(LISTENERS + APP)
    house.reload(LISTENERS + members)
    assert [child.running for child in house.service if isinstance(child, Hashing)] == [1]


def test_hooks_stay_as_long_as_somebody_hears_of_an_end(house: Changing) -> None:
    hook = "[hook one]\nurl = http://127.0.0.1:1/\nmode = tell\non = publish_done\n"
    hooked = APP.replace("grace", "hooks = one\ngrace")
    house.reload(LISTENERS + hooked + hook)
    made = dict(house.whole._hooks)
    (first,) = made.values()
    told: list[str] = []
    first.tell = lambda question: told.append(question.event)  # type: ignore[method-assign]
    publisher = house.site.publish()
    assert house.reload(LISTENERS + hooked + hook) == ["nothing has changed in it"]
    assert house.whole._hooks == made
    assert len(house.whole._chains) == 1
    assert house.reload(LISTENERS + APP) == ["[app live] hooks", "[hook one] is gone"]
    assert len(house.whole._chains) == 0
    house.site.publish("other").connection.abort()
    publisher.connection.abort()
    house.site.pump()
    assert told.count("publish_done") == 1


def test_tunnels_lead_to_what_is_served_now(house: Changing) -> None:
    """Their clients come back with every request; those of before go on while they last."""
    house.reload(LISTENERS + "serve = rtmp, rtmpt\nproxies = 10.0.0.0/8\n" + APP)
    (tunnels,) = house.whole.tunnels
    limits = "[limits]\ntunnels_per_address = 3\n"
    assert house.reload(LISTENERS + "serve = rtmp, rtmpt\n" + limits + APP) == [
        "[limits] tunnels_per_address",
        "[listener other] proxies",
    ]
    assert house.whole.tunnels == [tunnels]
    assert tunnels.limits.sessions_per_address == 3
    peer = IPv4Address("TCP", "192.0.2.1", 4711)
    tunnels.open(peer, peer)
    house.reload(LISTENERS + APP)
    assert house.whole.tunnels == [tunnels]
    house.pass_time(60)
    assert house.whole.tunnels == []


def test_differences_are_told_as_the_file_calls_them(tmp_path: Path) -> None:
    files = []
    for name, text in (("a", APP), ("b", MORE.replace("b.example", "c.example"))):
        (tmp_path / name).write_text(f"{LISTENERS}{text}")
        files.append(load(tmp_path / name))
    (tmp_path / "b").write_text(f"{LISTENERS}{MORE}")
    files.append(load(tmp_path / "b"))
    assert differences(*files[:2]) == [
        "[app second] is new",
        "[vhost a.example] is new",
        "[vhost a.example / app second] is new",
        "[app live] is gone",
    ]
    assert differences(*files[1:]) == ["[vhost a.example] aliases"]


# ------------------------------------------------------------------------------ outlets


def test_outlets_hold_for_what_is_published_from_now_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording that has begun goes on to its end."""
    monkeypatch.setattr("rtmptwist.site.Disk", StillDisk)
    house = Changing(
        tmp_path, LISTENERS + APP + "outlets = record:a/{name}.flv\n    record:b.flv\n"
    )
    disk: Any = house.whole.disk
    publishers = []

    def publish(name: str) -> None:
        publisher = house.site.publish(name)
        for frame in (*headers(), *gop(0)):
            publisher.send(frame)
        house.site.pump()
        publishers.append(publisher)

    disk.pump()
    publish("one")
    (line,) = house.refused(LISTENERS + APP + "outlets = record:c.mkv")
    assert line.endswith(
        ": [app live] outlets: record:c.mkv: 'c.mkv' (expected a path that ends in .flv or .mp4)"
    )
    text = "outlets = record:b.flv\n    record:c.flv\n[limits]\ndisk_waiting = 9M\n"
    assert house.reload(LISTENERS + APP + text) == ["[limits] disk_waiting", "[app live] outlets"]
    assert disk.bound == 9 << 20
    disk.pump()
    publish("two")
    for publisher in publishers:
        publisher.close()
    house.site.pump()
    disk.pump()
    state = tmp_path / "state"
    files = [path for path in state.rglob("*.flv*") if path.is_file()]
    assert sorted(str(path.relative_to(state)) for path in files) == [
        "a/one.flv", "b-2.flv", "b.flv", "c.flv",
    ]  # fmt: skip
    (application,) = house.site.registry.applications()
    assert len(application.outlets) == 2
    house.reload(LISTENERS + APP)
    assert application.outlets == []
    house.stop()
    house.pass_time(5)
    assert house.reactor.getDelayedCalls() == []


def test_what_was_recorded_stays_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the outlet, or of its application: counters of metrics never go down."""
    monkeypatch.setattr("rtmptwist.site.Disk", StillDisk)
    recorded = LISTENERS + APP + "outlets = record:{name}.flv\n"
    house = Changing(tmp_path, recorded + MORE)
    disk: Any = house.whole.disk
    disk.pump()

    def publish() -> None:
        publisher = house.site.publish()
        for frame in (*headers(), *gop(0)):
            publisher.send(frame)
        house.site.pump()
        publisher.close()
        house.site.pump()
        disk.pump()

    def files() -> float | None:
        families = result_of(Deferred.fromCoroutine(gather(house.whole)))
        (family,) = [each for each in families if each.name == "rtmptwist_recorded_files"]
        of_app = {tuple(each.labels.values()): each.value for each in family.samples}
        return of_app.get(("", "live"))

    assert files() == 0
    publish()
    assert files() == 1
    house.reload(LISTENERS + APP + MORE)
    assert house.site.application.recorders == []
    assert files() == 1
    house.reload(recorded + MORE)
    disk.pump()
    assert files() == 1
    publish()
    assert files() == 2
    house.reload(LISTENERS + MORE)
    assert files() is None
    house.reload(recorded)
    disk.pump()
    publish()
    assert files() == 3


# ------------------------------------------------------------------------------ files


def test_files_come_and_go_and_change_their_folder(tmp_path: Path) -> None:
    house = Changing(tmp_path)
    application, _ = house.whole.registry.application("", "live")
    assert (application.film_viewers, application.gone) == (0, (0, 0, 0))
    text = LISTENERS + APP + "files = a\n[limits]\nfile_cache = 9M\n"
    assert house.reload(text) == ["[limits] file_cache", "[app live] files"]
    films = application.films
    assert isinstance(films, FolderFilms)
    assert films._folder.root == tmp_path / "a"
    assert films.public
    assert house.whole.library.store.room == 9 << 20
    (tmp_path / "b").mkdir()
    house.reload(LISTENERS + APP + "files = b\nplay = 10.0.0.0/8\nfiles_ahead = 2s\n")
    assert application.films is films
    assert (films._folder.root, films.public) == (tmp_path / "b", False)
    playbacks = application.playbacks
    assert isinstance(playbacks, FilePlaybacks)
    assert playbacks._ahead == 2000
    house.reload(LISTENERS + APP)
    assert application.playbacks is playbacks  # what was sent stays counted
    assert [app.films for app in house.whole.registry.applications()] == [None]
    house.stop()
    house.pass_time(5)
