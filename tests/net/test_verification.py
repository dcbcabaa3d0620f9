"""SWF verification: who may play, who has to go, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from rtmptwist.live.application import Application
from rtmptwist.live.registry import VirtualHost
from rtmptwist.net.client import NetConnection, Refusal
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.control import SwfVerificationRequest, SwfVerificationResponse
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from rtmptwist.wire.rtmpe import RTMPE_VERSIONS
from rtmptwist.wire.swf import Swf
from tests.support.live import Settings, gop, headers, payloads
from tests.support.logs import Logs
from tests.support.memory import MemorySite, OpenGate, SlowGate, serve_in_memory
from tests.support.pair import randomness

pytestmark = pytest.mark.usefixtures("logs")

SWF = Swf(1000, bytes(32))
ANOTHER = Swf(2000, bytes(range(32)))
UNKNOWN = Swf(1000, bytes(reversed(range(32))))

OPEN = "rtmp://example.org/open"

REJECTED = "NetConnection.Connect.Rejected"


def applications(clock: Clock) -> Iterable[VirtualHost]:
    """One that demands, one that does not; another host demands something else."""
    live = Application("live", Settings(), clock, swfs=(SWF, ANOTHER))
    yield VirtualHost("", [live, Application("open", Settings(), clock)])
    there = Application("live", Settings(), clock, host="a.example", swfs=(ANOTHER,))
    yield VirtualHost("a.example", [there])


def serve(gate: OpenGate | None = None) -> MemorySite:
    return serve_in_memory(gate=gate, hosts=applications, versions=frozenset({3}) | RTMPE_VERSIONS)


def plain(site: MemorySite) -> NetConnection:
    """A client whose handshake has no digests."""
    random = randomness(5).randbytes
    handshake = ClientHandshake(HandshakeKind.PLAIN, random=random)
    client = NetConnection(site.clock, ClientSession(random=random, handshake=handshake))
    return into(site, client)


def late(site: MemorySite) -> NetConnection:
    """One that answers, if at all, when the test does."""
    return into(site, NetConnection(site.clock))


def into(site: MemorySite, client: NetConnection) -> NetConnection:
    """Let it connect."""
    site.endpoint().connect(Factory.forProtocol(lambda: client))
    site.result(Deferred.fromCoroutine(client.enter("live", site.URL)))
    return client


def answer(client: NetConnection, swf: Swf) -> None:
    key = client.session.swf_key
    assert key is not None
    client.session.send_control(swf.response(key))
    client.send()


def watched(client: NetConnection) -> list[str]:
    """What it is told about the connection, from now on."""
    told: list[str] = []
    client.on_status = lambda info: told.append(f"{info['code']!s}: {info['description']!s}")
    return told


@pytest.mark.parametrize("swf", [SWF, ANOTHER])
@pytest.mark.parametrize("scheme", ["rtmp", "rtmpe"])
def test_who_knows_one_of_the_files_plays(swf: Swf, scheme: str) -> None:
    site = serve()
    publisher = site.publish()
    client = site.client(f"{scheme}://example.org/live", swf=swf)
    viewer = site.play(client=client)
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    assert viewer.payloads[-6:] == payloads(gop(0))
    site.pass_time(20)
    assert not client.closed


def test_who_knows_another_file_is_rejected_at_once(logs: Logs) -> None:
    site = serve()
    client = late(site)
    told = watched(client)
    answer(client, UNKNOWN)
    site.pump()
    assert client.closed
    words = "SWF verification failed: the player has another SWF file than it should have."
    assert told == [f"{REJECTED}: {words}"]
    assert len(logs.about(f"192.0.2.1:50000: rejected: {told[0]}")) == 1
    assert len(logs.about(f"left: {words.rstrip('.')}, after")) == 1


def test_who_does_not_answer_waits_and_is_rejected() -> None:
    gate = OpenGate()
    site = serve(gate)
    client = site.client()
    told = watched(client)
    playing = site.stream(client).play("show")
    site.pass_time(5)
    assert not playing.called
    assert told == []
    site.pass_time(1)
    site.failure(playing)
    assert told == [f"{REJECTED}: SWF verification failed: no answer within 5 s."]
    assert client.closed
    assert gate.questions == ["login live"], "nobody is asked about a play that cannot be"


class Films:
    """One file of nine seconds, whatever it is called, for everybody."""

    public = True
    duration = 9000

    def open(self, *_: str) -> Deferred[Films]:
        return succeed(self)

    def release(self) -> None: ...


def test_lengths_of_files_are_for_those_who_may_play_them() -> None:
    site = serve()
    application, _ = site.registry.application("", "live")
    application.films = cast("Any", Films())
    client = late(site)
    assert site.result(client.call("getStreamLength", "film")) == (0.0,)
    answer(client, SWF)
    assert site.result(client.call("getStreamLength", "film")) == (9.0,)


def test_who_does_nothing_is_rejected_as_well() -> None:
    site = serve()
    client = site.client()
    told = watched(client)
    site.pass_time(6)
    assert client.closed
    assert len(told) == 1


def test_who_has_no_digests_may_not_play_and_is_rejected_in_the_end() -> None:
    """Such a client cannot answer: it is told at once, and GStreamer, too, ends by that."""
    site = serve()
    client = plain(site)
    told = watched(client)
    error = site.failure(site.stream(client).play("show"))
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Play.Failed"
    assert error.description.startswith("Players must pass SWF verification here")
    site.pass_time(6)
    assert client.closed
    assert told == [f"{REJECTED}: {error.description}"]
    assert len(error.description) < 256, "FFmpeg cuts there"


@pytest.mark.parametrize("make", [plain, late])
def test_publishers_need_not_answer(make: Callable[[MemorySite], NetConnection]) -> None:
    """But they may not play either, not even after the time that they had."""
    site = serve()
    client = make(site)
    told = watched(client)
    publisher = site.publish(client=client)
    site.pass_time(6)
    error = site.failure(site.stream(client).play("show"))
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Play.Failed"
    publisher.close()
    site.pass_time(20)
    assert not client.closed
    assert not any(REJECTED in words for words in told)
    if client.session.swf_key is not None:
        answer(client, SWF)
        site.play("show", client)


def test_a_publisher_who_wants_to_play_before_its_time_is_over_hears_so_then() -> None:
    site = serve()
    client = late(site)
    site.publish(client=client)
    playing = site.stream(client).play("show")
    site.pass_time(5)
    assert not playing.called
    site.pass_time(1)
    error = site.failure(playing)
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Play.Failed"
    assert not client.closed


def test_a_play_that_came_before_the_answer_goes_on_with_it() -> None:
    site = serve()
    publisher = site.publish()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    client = late(site)
    stream = site.stream(client)
    playing = stream.play("show")
    stream.receive(video=False)
    site.pass_time(3)
    assert not playing.called
    got: list[int] = []
    stream.on_message = lambda message: got.append(message.type)
    answer(client, SWF)
    site.result(playing)
    got.clear()
    for message in gop(120):
        publisher.send(message)
    site.pump()
    assert set(got) == {8}, "what followed the play follows it still"
    site.pass_time(20)
    assert not client.closed


def test_a_decision_that_takes_long_is_not_the_clients_fault() -> None:
    gate = SlowGate("publish")
    site = serve(gate)
    client = late(site)
    publishing = site.stream(client).publish("show")
    site.pass_time(10)
    assert not client.closed
    gate.decide()
    site.result(publishing)
    site.pass_time(10)
    assert not client.closed


def test_answers_that_nobody_asked_for_mean_nothing() -> None:
    site = serve()
    here = site.client(OPEN)
    answer(here, UNKNOWN)
    anonymous = plain(site)
    anonymous.session.send_control(SwfVerificationResponse(1000, bytes(32)))
    anonymous.send()
    sure = late(site)
    for swf in (SWF, UNKNOWN):
        answer(sure, swf)
        site.pump()
    assert not any(client.closed for client in (here, anonymous, sure))
    site.play(client=sure)


def test_where_nothing_is_demanded_nothing_is_asked() -> None:
    site = serve()
    client = site.client(OPEN, swf=SWF)
    site.play(client=client)
    site.pass_time(20)
    assert not client.closed
    assert SwfVerificationRequest().pack() not in site.transports[0].history[3073:]


def test_what_the_host_of_the_stream_demands_counts() -> None:
    """A name may say another virtual host than that of the connection."""
    site = serve()
    error = site.failure(site.stream(site.client(OPEN)).play("../live/show?vhost=a.example"))
    assert isinstance(error, Refusal)
    for url, swf, allowed in (
        ("rtmp://a.example/live", ANOTHER, True),
        ("rtmp://example.org/live", ANOTHER, True),
        ("rtmp://example.org/live", SWF, False),
    ):
        playing = site.stream(site.client(url, swf=swf)).play("show?vhost=a.example")
        if allowed:
            site.result(playing)
        else:
            assert isinstance(site.failure(playing), Refusal)
