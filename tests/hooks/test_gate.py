"""A gate with hooks, and behind it a whole server in memory."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from rtmptwist.auth.gate import GUEST
from rtmptwist.hooks.answer import Answer, NoAnswer
from rtmptwist.hooks.chain import Chain
from rtmptwist.hooks.events import Event
from rtmptwist.hooks.gate import HookedGate
from rtmptwist.hooks.hook import Hook, Hooks
from rtmptwist.hooks.question import Question
from rtmptwist.live.access import Account, Grant, Request, Terms, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.net.client import NetConnection, Refusal
from rtmptwist.wire.status import StatusCode
from tests.net.test_connection import publishes, sends, wire_of
from tests.support.live import Settings, gop, headers
from tests.support.logs import Logs
from tests.support.memory import (
    MemorySite,
    OpenGate,
    Spectator,
    StrictGate,
    failure_of,
    host,
    result_of,
)
from tests.support.memory import serve_in_memory as serve
from tests.support.questions import FakeCarrier, settings

pytestmark = pytest.mark.usefixtures("logs")

BEGINNINGS = "connect publish play"


class House:
    """A server whose application has hooks: `hooks` are their settings, `carriers` they."""

    def __init__(
        self, *hooks: Any, inner: OpenGate | None = None, streams: Settings | None = None
    ) -> None:
        self.inner = inner or OpenGate()
        self.site: MemorySite = serve(streams or Settings(grace=0), gate=self.inner)
        self.carriers = [FakeCarrier() for _ in hooks]
        self.now = 1_800_000_000.0
        clock = self.site.clock
        self.hooks = [
            Hook(hook, carrier, clock) for hook, carrier in zip(hooks, self.carriers, strict=True)
        ]
        self.secrets: dict[Application, frozenset[str]] = {}
        chain = Chain(self.hooks, lambda: self.now)
        factory: Any = self.site.factory
        factory.gate = HookedGate(
            self.inner, {self.site.application: chain}, clock, lambda: self.now, self.secrets
        )

    def answer(self, *answers: Answer | None) -> None:
        """Answers of the only hook, one after the other."""
        (carrier,) = self.carriers
        for answer in answers:
            carrier.answer(answer)
            self.site.pump()

    @property
    def asked(self) -> list[Question]:
        """What the only hook heard."""
        (carrier,) = self.carriers
        return carrier.asked

    @property
    def events(self) -> list[str]:
        return [str(asked.event) for asked in self.asked]

    def client(self) -> NetConnection:
        """Somebody who has come in."""
        connecting = self.site.connect()
        self.answer(None)
        return result_of(connecting)


def shown(viewer: Spectator) -> list[bytes]:
    """What was published, without what each viewer gets."""
    return viewer.payloads[1:]


def asks(name: str = "backend", on: str = BEGINNINGS, **keys: Any) -> Any:
    return settings(name, on=on, **keys)


def refusal(house: House, publishing: Any) -> Refusal:
    error = house.site.failure(publishing)
    assert isinstance(error, Refusal)
    return error


def test_all_is_asked() -> None:
    house = House(asks())
    client = house.client()
    stream = house.site.stream(client)
    publishing = stream.publish("show?token=1")
    house.site.pump()
    assert not publishing.called
    house.answer(None)
    result_of(publishing)
    viewing = house.site.stream(client).play("show")
    house.site.pump()
    house.answer(None)
    result_of(viewing)
    assert house.events == ["connect", "publish", "play"]
    connect, publish, play = house.asked
    assert (connect.account, connect.app, connect.time) == ("guest", "live", 1_800_000_000.0)
    assert connect.client.address == "192.0.2.1"
    assert connect.client.tc_url == "rtmp://example.org:1935/live"
    assert (publish.name, publish.query) == ("show", {"token": "1"})
    assert (play.name, play.query) == ("show", {})
    assert connect.client == publish.client == play.client
    assert len({asked.id for asked in house.asked}) == 3


@pytest.mark.parametrize("mode", ["ask", "tell"])
@pytest.mark.parametrize(("credentials", "query"), [("no", {"a": "1"}), ("yes", None)])
def test_secrets_are_for_those_who_are_to_have_them(
    mode: str, credentials: str, query: dict[str, str] | None
) -> None:
    house = House(asks(on=f"{BEGINNINGS} done", mode=mode, credentials=credentials))
    (carrier,) = house.carriers
    carrier.at_once = lambda _: Answer()
    house.secrets[house.site.application] = frozenset({"key", "password"})
    url = "rtmp://example.org/live?password=geheim"
    stream = house.site.publish("show?a=1&key=geheim", house.site.client(url))
    stream.connection.abort()
    house.site.pump()
    assert house.events == ["connect", "publish", "publish_done", "disconnect"]
    for asked in house.asked[1:3]:
        assert asked.query == (query or {"a": "1", "key": "geheim", "password": "geheim"})
    shown = b"".join(asked.json() for asked in house.asked)
    assert (b"geheim" in shown) is (credentials == "yes")


def test_what_was_shown_to_another_application_is_as_secret() -> None:
    """The name of a stream leads elsewhere, and the query of the connection with it."""
    house = elsewhere("connect publish")
    house.carriers[0].at_once = lambda _: Answer()
    house.secrets[house.site.application] = frozenset({"password"})
    client = house.site.client("rtmp://example.org/live?password=geheim&a=1")
    house.site.publish("eu/show", client)
    assert [asked.query for asked in house.asked] == [{"a": "1"}] * 2


def elsewhere(on: str) -> House:
    """The hook is that of an application into which the names of streams may lead."""
    house = House(asks(on=on))
    house.site = serve(
        gate=house.inner,
        hosts=lambda clock: [host("", "live", "live/eu", clock=clock, settings=Settings(grace=0))],
    )
    (inside,) = (app for app in house.site.registry.applications() if app.name == "live/eu")
    clock = house.site.clock
    house.hooks = [Hook(asks(on=on), house.carriers[0], clock)]
    chain = Chain(house.hooks, lambda: house.now)
    factory: Any = house.site.factory
    factory.gate = HookedGate(house.inner, {inside: chain}, clock, lambda: house.now, house.secrets)
    return house


def test_who_comes_by_the_name_of_a_stream_is_asked_for_once() -> None:
    house = elsewhere("connect disconnect publish")
    client = house.site.client()
    assert house.asked == []
    first = house.site.stream(client).publish("eu/show?token=1")
    house.site.pump()
    house.answer(None, None)
    result_of(first)
    second = house.site.stream(client).publish("eu/other")
    house.site.pump()
    house.answer(None)
    result_of(second)
    assert house.events == ["connect", "publish", "publish"]
    connect = house.asked[0]
    assert (connect.app, connect.account, connect.query) == ("live/eu", GUEST, {"token": "1"})
    client.abort()
    house.site.pump()
    assert house.events == ["connect", "publish", "publish", "disconnect"]


def test_who_comes_twice_at_once_is_told_of_twice() -> None:
    house = elsewhere("connect disconnect")
    client = house.site.client()
    (inside,) = (app for app in house.site.registry.applications() if app.name == "live/eu")
    account: Any = house.site.connections[0].account
    coming = [Deferred.fromCoroutine(account.come(inside, {}, GUEST)) for _ in range(2)]
    house.answer(None, None)
    assert [result_of(each) for each in coming] == [None, None]
    client.abort()
    house.site.pump()
    assert house.events == ["connect", "connect", "disconnect", "disconnect"]


def test_who_may_not_connect_comes_by_no_name_either() -> None:
    house = elsewhere("connect")
    playing = house.site.stream().play("eu/show")
    house.site.pump()
    house.answer(Answer(allowed=False, reason="Ask Anna."))
    refused = refusal(house, playing)
    assert (refused.code, refused.description) == ("NetStream.Play.Failed", "Ask Anna.")
    assert house.inner.questions == ["login live"]


def test_only_what_it_wants_to_hear() -> None:
    house = House(asks(on="play"))
    house.site.publish()
    assert house.asked == []


@pytest.mark.parametrize(
    ("reason", "text"), [("Ask Anna.", "Ask Anna."), ("", "You may not publish this stream.")]
)
def test_no_publisher(reason: str, text: str, logs: Logs) -> None:
    house = House(asks(on="publish"))
    publishing = house.site.stream().publish("show")
    house.site.pump()
    house.answer(Answer(allowed=False, reason=reason))
    refused = refusal(house, publishing)
    assert (refused.code, refused.description) == ("NetStream.Publish.Denied", text)
    assert house.site.application.streams == {}
    assert [usage.reason for usage in house.inner.ended] == [text]
    assert any(text.rstrip(".") in line for line in logs.lines())


def test_no_viewer() -> None:
    house = House(asks(on="play"))
    viewing = house.site.stream().play("show")
    house.site.pump()
    house.answer(Answer(allowed=False))
    refused = refusal(house, viewing)
    assert refused.code == "NetStream.Play.Failed"
    assert refused.description == "You may not watch this stream."


def test_no_connection() -> None:
    house = House(asks(on="connect"))
    connecting = house.site.connect()
    house.answer(Answer(allowed=False, reason="Ask Anna."))
    refused = refusal(house, connecting)
    assert (refused.code, refused.description) == ("NetConnection.Connect.Rejected", "Ask Anna.")
    assert house.inner.left == 1


def test_another_name(logs: Logs) -> None:
    house = House(asks(on="publish"))
    publishing = house.site.stream().publish("key-8f2a91c0")
    house.site.pump()
    house.answer(Answer(name="show"))
    result_of(publishing)
    assert list(house.site.application.streams) == ["show"]
    assert house.site.play("show").told[-1] == "Play.Start"
    (line,) = logs.about("hook backend")
    assert line.endswith(" of 192.0.2.1 is show")
    assert "8f2a91c0" not in "".join(logs.lines())


def test_the_same_name_is_no_news(logs: Logs) -> None:
    house = House(asks(on="publish"))
    publishing = house.site.stream().publish("show")
    house.site.pump()
    house.answer(Answer(name="show"))
    result_of(publishing)
    assert logs.about("hook") == []


def test_limits_become_narrower() -> None:
    limits = Terms(bitrate=5, width=640, codecs=frozenset({"avc1"}))
    own = Terms(bitrate=9, width=320, duration=60.0)
    grants: list[Grant] = []

    class Strict(OpenGate):
        async def login(self, visitor: Visitor) -> Account:
            account = await super().login(visitor)

            class Member:
                name = "member"
                left = account.left
                objection = account.objection

                async def authorize(self, request: Request) -> Grant:
                    return Grant(request.path, "me", "alice", own)

            return Member()

    house = House(asks(on="publish"), inner=Strict())
    gate: Any = house.site.factory
    inner = gate.gate

    class Watching:
        async def login(self, visitor: Visitor) -> Account:
            account = await inner.login(visitor)

            class Watched:
                name = account.name
                left = account.left
                objection = account.objection

                async def authorize(self, request: Request) -> Grant:
                    grants.append(await account.authorize(request))
                    return grants[-1]

            return Watched()

    gate.gate = Watching()
    publishing = house.site.stream().publish("show")
    house.site.pump()
    house.answer(Answer(limits=limits))
    result_of(publishing)
    assert grants[0].terms == own.narrowed(limits)
    assert (grants[0].terms.bitrate, grants[0].terms.width) == (5, 320)
    assert grants[0].account == house.asked[0].account == "alice"


@pytest.mark.parametrize(
    ("url", "ex"),
    [
        (
            "rtmp://b.example/live/other?token=geheim",
            {
                "redirect": "rtmp://b.example/live",
                "redirect2": "rtmp://b.example/live/other?token=geheim",
            },
        ),
        (
            "rtmp://b.example/live?token=geheim",
            {
                "redirect": "rtmp://b.example/live?token=geheim",
                "redirect2": "rtmp://b.example/live/show?token=geheim",
            },
        ),
    ],
)
@pytest.mark.parametrize("verb", ["publish", "play"])
def test_elsewhere(url: str, ex: dict[str, str], verb: str, logs: Logs) -> None:
    house = House(asks(on=verb))
    stream = house.site.stream()
    asking = stream.publish("show") if verb == "publish" else stream.play("show")
    house.site.pump()
    house.answer(Answer(allowed=False, redirect=url))
    refused = refusal(house, asking)
    assert refused.info["ex"] == {"code": 302.0, **ex}
    assert refused.description.startswith("Please go to rtmp://b.example/live")
    assert "geheim" not in refused.description + "".join(logs.lines())


def test_elsewhere_at_once() -> None:
    house = House(asks(on="connect"))
    connecting = house.site.connect()
    house.answer(Answer(allowed=False, redirect="rtmp://b.example/live"))
    refused = refusal(house, connecting)
    assert refused.code == "NetConnection.Connect.Rejected"
    assert refused.info["ex"] == {"code": 302.0, "redirect": "rtmp://b.example/live"}


def test_whom_the_site_refuses_the_hooks_need_not() -> None:
    no = Refused(StatusCode.PUBLISH_DENIED, "Not you.")
    house = House(asks(on="publish publish_done"), inner=StrictGate(publish=no))
    refusal(house, house.site.stream().publish("show"))
    assert house.asked == []


def test_an_application_without_hooks(logs: Logs) -> None:
    house = House()
    factory: Any = house.site.factory
    factory.gate = HookedGate(house.inner, {}, house.site.clock, lambda: 0.0)
    publisher = house.site.publish()
    publisher.connection.close()
    house.site.pump()
    assert len(house.inner.ended) == 1
    assert house.inner.left == 1


# ---- one after the other


def test_the_second_hears_what_the_first_decided() -> None:
    house = House(asks("first", "publish"), asks("second", "publish"))
    first, second = house.carriers
    publishing = house.site.stream().publish("secret")
    house.site.pump()
    assert second.asked == []
    first.answer(Answer(name="show"))
    assert second.asked[0].name == "show"
    second.answer(Answer(name="shown"))
    house.site.pump()
    result_of(publishing)
    assert list(house.site.application.streams) == ["shown"]


def test_who_said_yes_hears_of_a_later_no() -> None:
    house = House(asks("first", "publish done"), asks("second", "publish done"))
    first, second = house.carriers
    publishing = house.site.stream().publish("show")
    house.site.pump()
    first.answer()
    second.answer(Answer(allowed=False, reason="Ask Anna."))
    refusal(house, publishing)
    end = first.asked[1]
    assert (end.event, end.name, end.outcome["reason"]) == (
        Event.PUBLISH_DONE,
        "show",
        "Ask Anna.",
    )
    assert [asked.event for asked in second.asked] == [Event.PUBLISH, Event.DISCONNECT]


# ---- the end


def test_of_a_publication() -> None:
    house = House(asks(on="publish done"))
    publishing = house.site.stream()
    started = publishing.publish("show")
    house.site.pump()
    house.now += 1
    house.answer(Answer(name="public"))
    result_of(started)
    for message in (*headers(), *gop(0)):
        publishing.send(message)
    house.site.pump()
    house.site.clock.advance(2)
    house.now += 2
    publishing.connection.close()
    house.site.pump()
    _, done, left = house.asked
    assert (done.event, done.name, done.time) == (Event.PUBLISH_DONE, "public", 1_800_000_003.0)
    assert (done.outcome["seconds"], done.outcome["messages"]) == (2.0, 9)
    assert done.outcome["bytes"] == house.site.application.meter.bytes_in
    assert done.client == house.asked[0].client
    assert done.id != house.asked[0].id
    assert (left.event, left.outcome["seconds"]) == (Event.DISCONNECT, 2.0)
    assert house.inner.left == 1
    assert len(house.inner.ended) == 1


def test_of_a_viewing() -> None:
    house = House(asks(on="play play_done"))
    stream = house.site.stream()
    viewing = stream.play("show")
    house.site.pump()
    house.answer(None)
    result_of(viewing)
    stream.close()
    house.site.pump()
    assert house.events == ["play", "play_done"]


def test_of_what_never_began() -> None:
    """The hook said yes, but the name was not free: whoever counts has to know."""
    house = House(asks(on="publish publish_done"), streams=Settings(takeover="reject"))
    for _ in range(2):
        publishing = house.site.stream().publish("show")
        house.site.pump()
        house.answer(None)
    refused = refusal(house, publishing)
    assert house.events == ["publish", "publish", "publish_done"]
    assert house.asked[-1].outcome["reason"] == refused.description


def test_only_the_end() -> None:
    house = House(asks(on="done"))
    publisher = house.site.publish()
    publisher.close()
    house.site.pump()
    assert house.events == ["publish_done"]


def test_of_a_decision_that_nobody_waits_for() -> None:
    """The client leaves while the second hook thinks: the first had counted it."""
    house = House(asks("first", "publish publish_done"), asks("second", "publish publish_done"))
    first, second = house.carriers
    stream = house.site.stream()
    sends(stream.connection, publishes())
    house.site.pump()
    first.answer()
    wire_of(stream.connection).abortConnection()
    house.site.pump()
    assert second.given_up == 1
    assert first.asked[1].outcome["reason"] == "The connection ended before it was decided."
    assert [usage.reason for usage in house.inner.ended] == [first.asked[1].outcome["reason"]]
    assert len(second.asked) == 1


def test_of_a_login_that_nobody_waits_for() -> None:
    house = House(asks("first", "connect done"), asks("second", "connect done"))
    first, second = house.carriers
    connecting = house.site.connect()
    first.answer()
    house.site.transports[1].abortConnection()
    house.site.pump()
    failure_of(connecting)
    assert [asked.event for asked in first.asked] == [Event.CONNECT, Event.DISCONNECT]
    assert [asked.event for asked in second.asked] == [Event.CONNECT]
    assert house.inner.left == 1


# ---- telling without waiting


def test_nobody_waits_for_who_is_only_told() -> None:
    house = House(asks(on="connect publish done", mode="tell"))
    publisher = house.site.publish()
    publisher.connection.close()
    house.site.pump()
    assert house.events == ["connect", "publish", "publish_done", "disconnect"]


def test_what_was_refused_is_not_told() -> None:
    house = House(asks("log", "publish done", mode="tell"), asks("backend", "publish"))
    log, backend = house.carriers
    publishing = house.site.stream().publish("show")
    house.site.pump()
    backend.answer(Answer(allowed=False))
    refusal(house, publishing)
    assert [asked.event for asked in log.asked] == [Event.DISCONNECT]


# ---- while it waits


def test_a_slow_hook_holds_nobody_else_up(logs: Logs) -> None:
    house = House(asks(on="publish"))
    others = [house.site.play("other") for _ in range(3)]
    slow = house.site.stream()
    publishing = slow.publish("show")
    house.site.pump()
    fast = house.site.stream()
    started = fast.publish("other")
    house.site.pump()
    house.carriers[0].waiting.pop().callback(Answer())
    house.site.pump()
    result_of(started)
    for message in (*headers(), *gop(0)):
        fast.send(message)
    house.site.pump()
    assert [len(shown(viewer)) for viewer in others] == [9, 9, 9]
    assert not publishing.called
    house.answer(None)
    result_of(publishing)


def test_media_of_a_publisher_who_does_not_wait_is_neither_lost_nor_early() -> None:
    """It stays where it is, at the client and in the kernel, until the hook has said yes."""
    house = House(asks(on="publish"))
    viewer = house.site.play("show")
    stream = house.site.stream()
    stream.publish("show")
    sent = [*headers(), *gop(0), *gop(120)]
    for message in sent:
        stream.send(message)
    house.site.pump()
    house.site.clock.advance(1)
    house.site.pump()
    assert shown(viewer) == []
    assert house.site.application.meter.bytes_in == 0
    house.answer(None)
    assert len(shown(viewer)) == len(sent)
    assert viewer.payloads[-1] == sent[-1].payload


def test_nor_is_it_shown_when_the_hook_says_no() -> None:
    house = House(asks(on="publish"))
    viewer = house.site.play("show")
    stream = house.site.stream()
    publishing = stream.publish("show")
    for message in (*headers(), *gop(0)):
        stream.send(message)
    house.site.pump()
    house.answer(Answer(allowed=False))
    refusal(house, publishing)
    assert shown(viewer) == []


# ---- the end of all


def test_what_is_still_to_be_told_is_told() -> None:
    house = House(asks(on="done"))
    house.site.publish().connection.close()
    house.site.pump()
    closing = Hooks(house.hooks).close(5)
    house.answer(None)
    assert [carrier.closed for carrier in house.carriers] == [False]
    house.answer(None)
    assert [carrier.closed for carrier in house.carriers] == [True]
    result_of(closing)


def test_a_hook_that_cannot_be_closed_leaves_the_others(logs: Logs) -> None:
    house = House(asks("bad"), asks("good"))
    bad, good = house.carriers

    async def fail(patience: float) -> None:
        raise NoAnswer("a bug")

    bad.close = fail  # type: ignore[method-assign]
    result_of(Hooks(house.hooks).close(5))
    assert good.closed
    assert len(logs.forgive()) == 1
    assert logs.about("hook bad could not be closed")
