"""Whoever must leave leaves, hears why, and does not come back for as long as that was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionClosed

from rtmptwist.auth.bans import Ban, Kind
from rtmptwist.auth.keyfile import new_key
from rtmptwist.auth.limits import LimitedGate
from rtmptwist.live.refusals import Reason
from rtmptwist.site import Site
from tests.support.logs import Logs
from tests.support.memory import Spectator
from tests.test_service import FILE, House, with_keys

pytestmark = pytest.mark.usefixtures("logs")

ADDRESS, ACCOUNT = Kind.ADDRESS, Kind.ACCOUNT


class Guarded(House):
    """A server with its state in a folder of its own, and an operator."""

    def __init__(self, folder: Path, text: str = FILE) -> None:
        super().__init__(folder, text.replace("[server]\n", f"[server]\nstate = {folder}/state\n"))
        self.start()
        self.file = folder / "state" / "bans"

    @property
    def operator(self) -> Site:
        return self.whole

    def ban(self, kind: Kind, who: str, seconds: float | None = None, note: str = "") -> None:
        now = self.reactor.seconds()
        until = None if seconds is None else now + seconds
        self.operator.bans.ban(Ban.of(kind, who, now, until, note))
        self.site.pump()

    def shut(self) -> None:
        self.stop()
        self.pass_time(5)


def closed(house: House, address: str = "192.0.2.1") -> bool:
    """Whether nobody gets in from there, not even to say hello."""
    return isinstance(house.site.failure(house.site.connect(address=address)), ConnectionClosed)


def test_a_connection_is_kicked_by_its_number(tmp_path: Path, logs: Logs) -> None:
    house = Guarded(tmp_path)
    publisher, viewer = Spectator(house.site.publish()), house.site.play()
    (line,) = logs.about("publishes live/show")
    number = int(line.split()[0].removeprefix("#"))
    assert house.operator.kick(number, "Please use another name.")
    house.site.pump()
    assert publisher.infos[-1]["description"] == "Please use another name."
    assert publisher.connection.closed
    assert not viewer.connection.closed
    assert len(logs.about(f"#{number} 192.0.2.1:50000 left: Please use another name, after")) == 1
    assert not house.operator.kick(number, "Again.")
    house.site.publish()  # it may come back
    house.shut()


def test_an_address_is_banned_for_a_while(tmp_path: Path, logs: Logs) -> None:
    house = Guarded(tmp_path)
    publisher = Spectator(house.site.publish())
    other = house.site.client(address="192.0.2.2")
    house.ban(ADDRESS, "192.0.2.1", 60, "floods us")
    words = "192.0.2.1 is banned until 1970-01-01T00:01:00Z: floods us."
    assert publisher.infos[-1]["description"] == words
    assert publisher.connection.closed
    assert not other.closed
    assert closed(house)
    assert len(logs.about(f"192.0.2.1 refused: {words}")) == 1
    for _ in range(20):
        closed(house)
    house.pass_time(1)
    assert len(logs.about("20 more refused, from 192.0.2.1: banned addresses")) == 1
    assert house.site.registry.meter.refusals[Reason.BANNED] == 21
    house.pass_time(60)
    house.site.publish()
    house.shut()


def test_who_is_still_at_the_door_leaves_as_well(tmp_path: Path) -> None:
    house = Guarded(tmp_path)

    class Silent:
        def makeConnection(self, transport: Any) -> None:
            self.transport = transport

        def dataReceived(self, data: bytes) -> None: ...
        def connectionLost(self, reason: object) -> None: ...

    class Factory:
        def buildProtocol(self, addr: object) -> Silent:
            return Silent()

    for address in ("192.0.2.1", "192.0.2.2"):
        house.site.endpoint(address).connect(Factory())  # type: ignore[arg-type]
    house.ban(ADDRESS, "192.0.2.1")
    assert [visitor.address for visitor in house.operator.visitors()] == ["192.0.2.2"]
    house.shut()


def test_a_key_is_banned_with_what_is_sent_by_it(tmp_path: Path) -> None:
    key, other = new_key(), new_key()
    house = Guarded(tmp_path, with_keys(tmp_path, key, other))
    site = house.site
    publisher = Spectator(site.publish(key))
    name = site.connections[0].uses[1].account
    assert name.startswith("key ")
    house.ban(ACCOUNT, name, note="leaked")
    words = f"{name} is banned for good: leaked."
    assert publisher.infos[-1]["description"] == words
    assert publisher.connection.closed
    again: Any = site.failure(site.stream().publish(key))
    assert (again.code, again.description) == ("NetStream.Publish.Denied", words)
    site.publish(other)  # neither the name nor the address is banned
    assert house.operator.bans.unban(ACCOUNT, name)
    site.publish(key)
    house.shut()


def test_a_user_is_banned(tmp_path: Path) -> None:
    house = Guarded(tmp_path)
    url = "rtmp://h/members?user=alice&password=geheim"
    alice = house.site.client(url)
    house.ban(ACCOUNT, "alice")
    assert alice.closed
    refusal: Any = house.site.failure(house.site.connect(url, "192.0.2.9"))
    assert (refusal.code, refusal.description) == (
        "NetConnection.Connect.Rejected",
        "alice is banned for good.",
    )
    assert isinstance(house.gate, LimitedGate)
    assert len(house.gate.places) == 0
    house.shut()


def test_the_file_is_the_operator_s_too(tmp_path: Path) -> None:
    house = Guarded(tmp_path)
    client = house.site.client()
    house.file.parent.mkdir(exist_ok=True)
    house.file.write_text("address 192.0.2.0/24 note=see you in court\n")
    house.pass_time(3)
    assert client.closed
    assert closed(house)
    house.file.write_text("")
    house.pass_time(3)
    house.site.client()
    house.shut()


def test_a_ban_outlives_the_server(tmp_path: Path) -> None:
    first = Guarded(tmp_path)
    first.ban(ADDRESS, "192.0.2.1")
    first.shut()
    second = Guarded(tmp_path)
    assert closed(second)
    second.site.client(address="192.0.2.2")
    second.shut()
