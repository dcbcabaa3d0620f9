"""How many may come, and that whoever goes is not counted any more, however it goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.limits import AppLimits, LimitedGate, Scope, What, _Room
from rtmptwist.live.access import Account, Grant, Request, Terms, Visitor
from rtmptwist.live.errors import Refused
from rtmptwist.net.client import NetConnection
from rtmptwist.net.playing import Playing
from rtmptwist.net.publishing import Publishing
from rtmptwist.wire.status import StatusCode
from tests.support.live import Settings, gop, headers
from tests.support.logs import Logs, logs_of_test
from tests.support.memory import (
    Guest,
    MemorySite,
    OpenGate,
    SlowGate,
    Spectator,
    StrictGate,
    host,
    serve_in_memory,
)

pytestmark = pytest.mark.usefixtures("logs")

AS_ALICE = "rtmp://example.org/live?user=alice"
AS_BOB = "rtmp://example.org/live?user=bob"


class Named(Guest):
    """`live.Account`: whoever the query says, or nobody in particular."""

    def __init__(self, gate: OpenGate, visitor: Visitor) -> None:
        user = visitor.query.get("user", "")
        super().__init__(gate, user or visitor.address)
        self.name = user or GUEST


class Inner(SlowGate):
    """A gate that may take its time, and believes everybody."""

    async def login(self, visitor: Visitor) -> Account:
        await self.asked("login")
        return Named(self, visitor)


class House:
    """A server whose gate has limits, such as `viewers_per_stream=2`."""

    def __init__(
        self,
        inner: OpenGate | None = None,
        stream: Settings | None = None,
        terms: Terms | None = None,
        most: Mapping[str, int] | None = None,
        banned: Callable[[str], str] = lambda _: "",
        **more: int,
    ) -> None:
        self.inner = inner or Inner()
        keys = {f"{what}{scope}": (what, scope) for what in What for scope in Scope}
        limits = AppLimits(
            {keys[key]: value for key, value in {**(most or {}), **more}.items()}, terms or Terms()
        )
        self.gate = LimitedGate(
            self.inner, defaultdict(lambda: limits), (ip_network("203.0.113.0/24"),), banned
        )
        self.site = serve_in_memory(
            gate=self.gate,
            hosts=lambda clock: [host("", "live", "live/eu", clock=clock, settings=stream)],
        )

    def refusal(self, attempt: Any) -> tuple[str, str]:
        """Code and words."""
        error: Any = self.site.failure(attempt)
        return error.code, error.description


def guest_of(site: MemorySite, url: str = MemorySite.URL, address: str = "192.0.2.1") -> Any:
    return site.stream(site.client(url, address))


# ------------------------------------------------------------------ connections


def test_connections_in_all() -> None:
    house = House(connections=2)
    first = house.site.client()
    house.site.client()
    assert house.refusal(house.site.connect()) == (
        "NetConnection.Connect.Rejected",
        "live has as many connections as it may have (max_connections = 2).",
    )
    assert len(house.inner.questions) == 2  # who is refused anyway is not asked for a password
    first.abort()
    house.site.client()


def test_strangers_who_never_get_in_keep_nobody_out() -> None:
    house = House(inner=Inner("login"), connections=1)
    site = house.site
    stranger = site.connect(address="192.0.2.66")
    assert isinstance(house.inner, SlowGate)
    house.inner._slow = ()
    site.client(AS_ALICE)
    house.inner.decide()
    assert "(max_connections = 1)" in house.refusal(stranger)[1]
    assert house.inner.left == 1


@pytest.mark.parametrize("scope", ["connections", "connections_per_address"])
def test_who_comes_by_the_name_of_a_stream_is_a_connection_too(scope: str) -> None:
    house = House(most={scope: 1})
    site = house.site
    inside = site.client("rtmp://example.org/live/eu")
    outside = site.client(address="192.0.2.2" if scope == "connections" else "203.0.113.1")
    if scope == "connections_per_address":
        site.play("eu/show", outside)  # not counted by address
        outside = site.client("rtmp://example.org/live", "192.0.2.1")
    code, words = house.refusal(site.stream(outside).play("eu/show"))
    assert code == "NetStream.Play.Failed"
    assert f"(max_{scope} = 1)" in words
    inside.abort()
    site.pump()
    site.play("eu/show", outside)
    site.play("eu/other", outside)  # it is one connection, whatever it does there
    outside.abort()
    site.pump()
    site.client("rtmp://example.org/live/eu")


def test_connections_of_an_account_wherever_it_comes_from() -> None:
    house = House(connections_per_account=1)
    alice = house.site.client(AS_ALICE)
    assert house.refusal(house.site.connect(AS_ALICE, "198.51.100.7")) == (
        "NetConnection.Connect.Rejected",
        "alice has as many connections as it may have (max_connections_per_account = 1).",
    )
    assert house.inner.left == 1  # the login is told that nothing came of it
    house.site.client(AS_BOB)
    house.site.client()
    house.site.client()  # guests are nobody
    alice.abort()
    house.site.client(AS_ALICE)


def test_who_is_removed_while_coming_is_not_let_in() -> None:
    """A hook has been asked meanwhile."""
    house = House()
    house.inner.objection = "Alice was removed."
    assert house.refusal(house.site.connect(AS_ALICE)) == (
        "NetConnection.Connect.Rejected",
        "Alice was removed.",
    )
    assert house.inner.left == 1
    assert len(house.gate.places) == 0


def test_connections_of_an_address() -> None:
    house = House(connections_per_address=1)
    house.site.client()
    house.site.client(address="192.0.2.2")
    assert house.refusal(house.site.connect(AS_ALICE)) == (
        "NetConnection.Connect.Rejected",
        "192.0.2.1 has as many connections as it may have (max_connections_per_address = 1).",
    )
    for _ in range(3):
        house.site.client(address="203.0.113.9")  # trusted


def test_a_customer_with_a_network_of_ipv6_is_one_address() -> None:
    house = House(connections_per_address=1)
    house.site.client(address="2001:db8::1")
    assert (
        "2001:db8::/64 has as many"
        in house.refusal(house.site.connect(address="2001:db8::ffff:1"))[1]
    )
    house.site.client(address="2001:db8:0:1::1")


# ------------------------------------------------------------------- publishers


def test_publishers_in_all() -> None:
    house = House(publishers=1)
    site = house.site
    first = site.publish("one")
    second = site.stream()
    assert house.refusal(second.publish("two")) == (
        "NetStream.Publish.Denied",
        "live has as many publishers as it may have (max_publishers = 1).",
    )
    assert [usage.seconds for usage in house.inner.ended] == [0]  # nothing came of what it allowed
    first.close()
    site.publish("two")


def test_a_takeover_needs_no_second_place() -> None:
    house = House(publishers=1, publishers_per_address=1, publishers_per_account=1)
    site = house.site
    first = Spectator(guest_of(site, AS_ALICE))
    site.result(first.stream.publish("show"))
    second = guest_of(site, AS_ALICE)
    site.result(second.publish("show"))
    assert first.told[-1] == "Publish.BadName"
    assert len(house.gate.places) > 0
    assert "max_publishers" in house.refusal(guest_of(site).publish("other"))[1]
    second.close()
    site.result(guest_of(site).publish("other"))


def test_who_may_not_take_over_is_not_counted() -> None:
    house = House(publishers=1, publishers_per_address=1)
    site = house.site
    site.result(guest_of(site).publish("show"))
    stranger = guest_of(site, address="192.0.2.2")
    assert house.refusal(stranger.publish("show"))[0] == "NetStream.Publish.BadName"
    assert set(counted(house)["publishers"]) == set(counted(house)["publishers_per_address"]) == {1}


def test_publishers_of_an_account_and_of_an_address() -> None:
    house = House(publishers_per_account=1, publishers_per_address=2)
    site = house.site
    site.result(guest_of(site, AS_ALICE).publish("one"))
    assert house.refusal(guest_of(site, AS_ALICE, "198.51.100.7").publish("two"))[1] == (
        "alice has as many publishers as it may have (max_publishers_per_account = 1)."
    )
    site.result(guest_of(site, AS_BOB).publish("two"))
    assert house.refusal(guest_of(site).publish("three"))[1] == (
        "192.0.2.1 has as many publishers as it may have (max_publishers_per_address = 2)."
    )


# ---------------------------------------------------------------------- viewers


def test_viewers_of_a_stream() -> None:
    house = House(viewers_per_stream=2)
    site = house.site
    site.play("one")
    first = site.play("one")
    assert house.refusal(site.stream().play("one")) == (
        "NetStream.Play.Failed",
        "one has as many viewers as it may have (max_viewers_per_stream = 2).",
    )
    site.play("two")
    first.stream.close()
    site.play("one")


def test_viewers_in_all_of_an_account_and_of_an_address() -> None:
    house = House(viewers=3, viewers_per_account=1, viewers_per_address=2)
    site = house.site
    site.result(guest_of(site, AS_ALICE).play("one"))
    assert house.refusal(guest_of(site, AS_ALICE).play("two"))[1] == (
        "alice has as many viewers as it may have (max_viewers_per_account = 1)."
    )
    site.result(guest_of(site).play("one"))
    assert house.refusal(guest_of(site).play("one"))[1] == (
        "192.0.2.1 has as many viewers as it may have (max_viewers_per_address = 2)."
    )
    site.result(guest_of(site, address="192.0.2.2").play("one"))
    assert house.refusal(guest_of(site, address="192.0.2.2").play("one"))[1] == (
        "live has as many viewers as it may have (max_viewers = 3)."
    )


def test_a_stream_key_is_not_shown_to_who_guesses_it() -> None:
    house = House(viewers_per_stream=1)
    site = house.site
    site.play("geheimnisvoll")
    assert "geheimnisvoll" not in house.refusal(site.stream().play("geheimnisvoll"))[1]


def test_counted_is_the_stream_that_the_grant_names() -> None:
    class Renaming(Inner):
        async def login(self, visitor: Visitor) -> Account:
            account = Named(self, visitor)

            class Renamed:
                name = account.name
                left = account.left
                objection = account.objection

                async def authorize(self, request: Request) -> Grant:
                    return Grant("public", "me", "me")

            return Renamed()

    house = House(inner=Renaming(), viewers_per_stream=1)
    house.site.play("one")
    assert "public has as many" in house.refusal(house.site.stream().play("two"))[1]


# ------------------------------------------------------------------------- bans


def test_a_banned_account_comes_in_no_way() -> None:
    def banned(account: str) -> str:
        return "alice is banned." if account == "alice" else ""

    class Keyed(Named):
        """Who shows the key of another account."""

        async def authorize(self, request: Request) -> Grant:
            return replace(await super().authorize(request), account="alice")

    class Keys(Inner):
        async def login(self, visitor: Visitor) -> Account:
            return Keyed(self, visitor)

    house = House(inner=Keys(), banned=banned)
    assert house.refusal(house.site.connect(AS_ALICE)) == (
        "NetConnection.Connect.Rejected",
        "alice is banned.",
    )
    assert house.inner.left == 1
    assert empty(house)
    guest = guest_of(house.site)
    assert house.refusal(guest.publish("show")) == ("NetStream.Publish.Denied", "alice is banned.")
    assert [usage.reason for usage in house.inner.ended] == ["alice is banned."]
    assert empty(house)


# ------------------------------------------------------------------------ terms


def test_what_the_application_allows_narrows_every_grant() -> None:
    house = House(terms=Terms(bitrate=1000, duration=60))
    house.inner.terms = Terms(bitrate=2000, height=1080)
    site = house.site
    site.publish()
    (publishing,) = site.connections[0].uses.values()
    assert isinstance(publishing, Publishing)
    assert publishing._grant.terms == Terms(bitrate=1000, duration=60, height=1080)


# ------------------------------------------------------------ every way to leave


def counted(house: House) -> dict[str, list[int]]:
    """The numbers that are counted, by what would bound them."""
    found: dict[str, list[int]] = defaultdict(list)
    places = house.gate.places
    for room in places._rooms:
        assert isinstance(room, _Room)
        found[f"{room.what}{room.scope}"].append(places.taken(room))
    return found


def empty(house: House) -> bool:
    return len(house.gate.places) == 0


@pytest.mark.parametrize("question", ["login", "publish", "play"])
def test_a_connection_lost_while_it_is_decided(question: str) -> None:
    house = House(inner=Inner(question))
    site = house.site
    stream = None if question == "login" else site.stream()
    if stream is None:
        attempt: Any = site.connect()
    else:
        attempt = stream.publish("show") if question == "publish" else stream.play("show")
    site.pump()
    assert not empty(house)
    for connection in site.connections:
        connection.abort("lost")
    site.failure(attempt)
    assert isinstance(house.inner, SlowGate)
    assert house.inner.cancelled
    assert empty(house)


def test_a_gate_that_says_no() -> None:
    no = Refused(StatusCode.FAILED, "No.")
    house = House(inner=StrictGate(publish=no, play=no))
    site = house.site
    client = site.client()
    assert house.refusal(site.stream(client).publish("show"))[1] == "No."
    assert house.refusal(site.stream().play("show"))[1] == "No."
    site.connections[0].abort("the end")
    site.pump()
    assert empty(house)


def test_a_login_that_says_no() -> None:
    house = House(inner=StrictGate(login=Refused(StatusCode.FAILED, "No.")))
    assert house.refusal(house.site.connect())[1] == "No."
    assert empty(house)


def test_a_gate_with_a_bug(logs: Logs) -> None:
    house = House(inner=StrictGate(login=RuntimeError("bug")))
    house.site.failure(house.site.connect())
    assert [str(failure) for failure in logs.forgive()] == ["bug"]
    assert empty(house)


def test_a_stream_that_live_refuses() -> None:
    house = House(stream=Settings(wait=0, takeover="reject"))
    site = house.site
    viewer = site.stream()
    assert house.refusal(viewer.play("nothing"))[0] == "NetStream.Play.StreamNotFound"
    viewer.connection.abort()
    site.pump()
    assert empty(house)


BOUNDLESS = {(What.CONNECTIONS, Scope.STREAM), (What.PUBLISHERS, Scope.STREAM)}
"No such keys."


class Coming(RuleBasedStateMachine):
    """Clients of all kinds come, wait, are refused, take over, and go in any way."""

    def __init__(self) -> None:
        super().__init__()
        self._logs = logs_of_test()
        self._logs.__enter__()

    @initialize(
        most=st.fixed_dictionaries(
            {},
            optional={
                f"{what}{scope}": st.integers(1, 3)
                for what in What
                for scope in Scope
                if (what, scope) not in BOUNDLESS
            },
        ),
        takeover=st.sampled_from(["same", "any", "reject"]),
        after_end=st.sampled_from(["stay", "close"]),
        grace=st.sampled_from([0.0, 5.0]),
    )
    def open(self, most: dict[str, int], takeover: str, after_end: str, grace: float) -> None:
        self.most = most
        self.house = House(
            stream=Settings(takeover=takeover, after_end=after_end, grace=grace), most=most
        )
        self.inner = self.house.inner
        self.site = self.house.site
        self.clients: list[NetConnection] = []
        self.streams: list[Any] = []
        self.attempts: list[Any] = []

    @rule(slow=st.sets(st.sampled_from(["login", "publish", "play"])))
    def think(self, slow: set[str]) -> None:
        assert isinstance(self.inner, SlowGate)
        self.inner._slow = tuple(slow)

    @rule(
        user=st.sampled_from(["", "alice", "bob"]),
        address=st.sampled_from(["192.0.2.1", "2.2.2.2"]),
    )
    def connect(self, user: str, address: str) -> None:
        attempt = self.site.connect(f"rtmp://example.org/live?user={user}", address)
        attempt.addCallbacks(self.clients.append, lambda _: None)

    def one(self, data: st.DataObject, streams: list[Any]) -> Any:
        """One of these that is still connected."""
        open_ones = [s for s in streams if not getattr(s, "connection", s).closed]
        return data.draw(st.sampled_from(open_ones)) if open_ones else None

    @rule(data=st.data(), name=st.sampled_from("ab"), publish=st.booleans(), new=st.booleans())
    def use(self, data: st.DataObject, name: str, publish: bool, new: bool) -> None:
        client = self.one(data, self.clients) if new else None
        if client is not None:
            client.create_stream().addCallbacks(self.streams.append, lambda _: None)
            self.site.pump()
        stream = self.one(data, self.streams)
        if stream is not None:
            attempt = stream.publish(name) if publish else stream.play(name)
            attempt.addErrback(lambda _: None)
            self.site.pump()

    @rule(data=st.data(), close=st.booleans())
    def go_on(self, data: st.DataObject, close: bool) -> None:
        stream = self.one(data, self.streams)
        if stream is None:
            return
        if close:
            self.streams.remove(stream)
            stream.close()
        else:
            for message in (*headers(), *gop(0)):
                stream.send(message)
        self.site.pump()

    @rule(yes=st.booleans())
    def decide(self, yes: bool) -> None:
        assert isinstance(self.inner, SlowGate)
        # whoever asked may have gone
        self.inner.pending = [asked for asked in self.inner.pending if not asked.called]
        if self.inner.pending:
            self.inner.decide(None if yes else Refused(StatusCode.FAILED, "No."))
            self.site.pump()

    @rule(data=st.data(), how=st.sampled_from(["abort", "lose", "kick"]))
    def end(self, data: st.DataObject, how: str) -> None:
        connections = self.site.connections
        if not connections:
            return
        connection = data.draw(st.sampled_from(connections))
        transport: Any = connection.transport
        if how == "abort":
            connection.abort("gone")
        elif how == "lose":
            transport.other.abortConnection()
        else:
            connection.expel("enough")
        self.site.pump()

    @rule(action=st.sampled_from(["publish", "play"]))
    def revoke(self, action: str) -> None:
        self.inner.doubts[action] = "No more."
        self.site.pass_time(1)
        self.inner.doubts.clear()

    @rule(seconds=st.sampled_from([1.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.site.pass_time(seconds)

    @invariant()
    def never_too_many_and_all_true(self) -> None:
        if not hasattr(self, "house"):
            return
        numbers = counted(self.house)
        assert [key for key, most in self.most.items() if max(numbers[key], default=0) > most] == []
        uses = [use for c in self.site.connections for use in c.uses.values()]
        on_air = {use._path for use in uses if isinstance(use, Publishing)}
        assert sum(numbers["publishers"]) == len(on_air)
        assert sum(numbers["viewers"]) == sum(isinstance(use, Playing) for use in uses)
        inside = sum(c.account is not None for c in self.site.connections)
        logins = sum(c.account is None for c in self.site.connections)
        assert inside <= sum(numbers["connections"]) <= inside + logins

    def teardown(self) -> None:
        if hasattr(self, "house"):
            for connection in self.site.connections:
                connection.abort("the end")
            self.site.pass_time(60)
            assert empty(self.house)
        self._logs.__exit__(None, None, None)


TestComing = Coming.TestCase
TestComing.settings = settings(max_examples=50, stateful_step_count=40)
