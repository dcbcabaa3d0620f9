"""Whoever gave a yes hears once when it is over, however it ends, even when it never began."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rtmptwist.live.access import Account, Grant, Request, Terms, Usage, Visitor
from rtmptwist.live.errors import Refused
from rtmptwist.wire.status import StatusCode
from tests.net.test_connection import publishes, sends, wire_of
from tests.net.test_deciding import StubbornGate
from tests.support.live import Settings, gop, headers, video
from tests.support.logs import Logs
from tests.support.memory import OpenGate, Spectator, StrictGate, serve_in_memory

pytestmark = pytest.mark.usefixtures("logs")


def test_a_publication_and_a_viewing() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(grace=0), gate=gate)
    publisher = site.publish()
    viewer = site.play()
    for message in (*headers(), *gop(0)):
        publisher.send(message)
    site.pump()
    site.clock.advance(2)
    viewer.connection.close()
    site.pump()
    publisher.connection.close()
    site.pump()
    watched, published = gate.ended
    assert (watched.reason, watched.seconds) == ("Connection was closed cleanly.", 2.0)
    assert watched.bytes > 0
    assert (published.seconds, published.messages, published.dropped) == (2.0, 9, 0)
    assert published.bytes == site.application.meter.bytes_in
    assert gate.left == 2


def test_a_stream_is_left_without_the_connection() -> None:
    gate = OpenGate()
    site = serve_in_memory(gate=gate)
    publisher = site.publish()
    publisher.close()
    site.pump()
    assert len(gate.ended) == 1
    assert gate.left == 0
    publisher.connection.close()
    site.pump()
    assert len(gate.ended) == 1
    assert gate.left == 1


def test_a_name_that_was_taken_over() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(takeover="any"), gate=gate)
    site.publish()
    site.publish()
    assert [usage.reason for usage in gate.ended] == ["show was taken over by the same publisher"]


def test_a_name_that_was_not_free() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(takeover="reject"), gate=gate)
    site.publish()
    site.failure(site.stream().publish("show"))
    assert [usage.messages for usage in gate.ended] == [0]


def test_a_stream_that_is_not_there() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(wait=0), gate=gate)
    site.failure(site.stream().play("show"))
    assert [usage.reason for usage in gate.ended] == ["Nobody publishes show now."]


def test_a_stream_that_ends_for_its_viewers() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(after_end="close", grace=0), gate=gate)
    publisher = site.publish()
    site.play()
    publisher.close()
    site.pump()
    assert len(gate.ended) == 2


@pytest.mark.parametrize(("slow", "ended"), [("login", 0), ("publish", 1)])
def test_a_yes_that_comes_too_late(slow: str, ended: int) -> None:
    """The connection has ended meanwhile: nothing that was given is lost."""
    gate = StubbornGate(slow)
    site = serve_in_memory(gate=gate)
    if slow == "login":
        site.connect().addErrback(lambda _: None)
        transport = site.transports[1]
    else:
        stream = site.stream()
        sends(stream.connection, publishes())
        site.pump()
        transport = wire_of(stream.connection)
    transport.abortConnection()
    site.pump()
    assert len(gate.ended) == ended
    assert gate.left == 1


def test_a_login_that_was_refused_leaves_nothing() -> None:
    gate = StrictGate(login=Refused(StatusCode.CONNECT_REJECTED, "Not you."))
    site = serve_in_memory(gate=gate)
    site.failure(site.connect())
    assert gate.left == 0


def test_a_grant_may_name_another_stream() -> None:
    class Renaming(OpenGate):
        async def login(self, visitor: Visitor) -> Account:
            account = await super().login(visitor)

            class Renamed:
                name = "guest"
                left = account.left
                objection = account.objection

                async def authorize(self, request: Request) -> Grant:
                    return Grant("public", "me", "guest")

            return Renamed()

    site = serve_in_memory(gate=Renaming())
    site.publish("geheimnis")
    assert list(site.application.streams) == ["public"]


def test_a_publication_whose_key_is_revoked(logs: Logs) -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(grace=5), gate=gate)
    publisher = Spectator(site.publish())
    viewer = site.play()
    for message in (*headers(), *gop(0)):
        publisher.stream.send(message)
    site.pass_time(1)
    assert publisher.told == []
    gate.doubts["publish"] = "The key has been revoked."
    site.pass_time(1)
    assert publisher.told[-1] == "Publish.Denied"
    assert publisher.infos[-1]["description"] == "The key has been revoked."
    assert publisher.connection.closed
    assert [usage.reason for usage in gate.ended] == ["The key has been revoked."]
    assert len(logs.about("no longer publishes live/show: The key has been revoked, after")) == 1
    assert not viewer.connection.closed
    gate.doubts.clear()
    stranger = site.stream(site.client(address="192.0.2.9"))
    site.result(stranger.publish("show"))  # the name is not kept for who may not come back


def test_a_viewing_whose_user_is_removed(logs: Logs) -> None:
    gate = OpenGate()
    site = serve_in_memory(gate=gate)
    publisher = site.publish()
    viewer = site.play()
    gate.doubts["play"] = "alice may watch no longer."
    site.pass_time(1)
    assert viewer.told[-1] == "Play.Failed"
    assert viewer.infos[-1]["description"] == "alice may watch no longer."
    assert viewer.connection.closed
    assert not publisher.connection.closed
    assert len(logs.about("no longer plays live/show: alice may watch no longer, after")) == 1


def test_who_does_other_things_too_keeps_the_connection() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(grace=0, after_end="close"), gate=gate)
    client = site.client()
    other = site.publish("other", client)
    site.play("other", client)
    gate.doubts["play"] = "No."
    site.pass_time(1)
    assert not client.closed
    site.publish("third", other.connection)


def test_the_end_of_one_ends_another_on_the_same_connection() -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(grace=0, after_end="close"), gate=gate)
    client = site.client()
    site.publish("show", client)
    site.play("show", client)
    gate.doubts.update(publish="No.", play="No.")
    site.pass_time(1)
    assert client.closed
    assert sorted(usage.reason for usage in gate.ended) == ["No.", "The stream is over."]


def test_a_publisher_that_sends_too_much_is_warned_then_cut(logs: Logs) -> None:
    gate = OpenGate()
    gate.terms = Terms(bitrate=100_000)
    site = serve_in_memory(gate=gate)
    publisher = Spectator(site.publish())
    for second in range(10):
        publisher.stream.send(video(second * 1000, key=True, size=50_000))
        site.pass_time(1)
    assert publisher.told == ["Publish.Warning"]
    (info,) = publisher.infos
    assert info["level"] == "warning"
    (line,) = logs.lines("warn")
    assert line.startswith(
        "#1 192.0.2.1:50000 publishes live/show: 120 kbit/s, and 100 are allowed:"
    )
    for second in range(10, 20):
        publisher.stream.send(video(second * 1000, key=True, size=50_000))
        site.pass_time(1)
    words = "Cut, for it had 400 kbit/s, and 100 are allowed."
    assert publisher.infos[-1]["description"] == words
    assert publisher.told[-1] == "Publish.Denied"
    assert publisher.connection.closed
    assert [usage.reason for usage in gate.ended] == [words]


def test_a_viewing_whose_time_is_over() -> None:
    gate = OpenGate()
    site = serve_in_memory(gate=gate)
    publisher = site.publish()
    gate.terms = Terms(duration=5)
    viewer = site.play()
    site.pass_time(4)
    assert "Play.Failed" not in viewer.told
    site.pass_time(1)
    assert viewer.infos[-1]["description"] == "The 5 seconds that this may last are over."
    assert viewer.connection.closed
    assert not publisher.connection.closed


some = st.none() | st.integers(1, 9)
terms = st.builds(
    Terms,
    bitrate=some,
    codecs=st.none() | st.frozensets(st.sampled_from(["avc1", "hvc1", "mp4a"])),
    width=some,
    height=some,
    duration=some,
    until=some,
)


@given(terms, terms)
def test_narrowed_terms_are_what_both_allow(one: Terms, other: Terms) -> None:
    both = one.narrowed(other)
    assert both == other.narrowed(one)
    assert both.narrowed(one) == both
    assert one.narrowed(Terms()) == one
    for name in ("bitrate", "width", "height", "duration", "until"):
        said = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        assert getattr(both, name) == min(said, default=None)
    if one.codecs is not None and other.codecs is not None:
        assert both.codecs == one.codecs & other.codecs


def test_what_nobody_doubts_holds() -> None:
    assert Grant("show", "me", "me").objection() == ""


def test_usage_of_what_never_began() -> None:
    heard: list[Usage] = []
    Grant("show", "me", "me", ended=(heard.append, heard.append)).end(Usage("no"))
    assert heard == [Usage("no"), Usage("no")]
