"""Hearing a connection: every message both ways, and nothing of that is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from rtmptwist.net.tap import Tap
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import audio, gop, headers, video
from tests.support.memory import MemorySite, serve_in_memory


class Heard:
    """What a tap hears."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.sent: list[Message] = []

    def __call__(self, message: Message, received: bool) -> None:
        (self.received if received else self.sent).append(message)


def media(messages: list[Message]) -> list[bytes]:
    return [m.payload for m in messages if m.type in (MessageType.AUDIO, MessageType.VIDEO)]


def scene(scheme: str) -> tuple[MemorySite, Any, Any]:
    site = serve_in_memory(versions=frozenset({3, 6, 8, 9})).speak(scheme)
    publisher = site.publish()
    viewer = site.play()
    return site, publisher, viewer


@pytest.mark.parametrize("scheme", ["rtmp", "rtmpe"])
def test_both_ends_of_a_stream_are_heard(scheme: str) -> None:
    site, publisher, viewer = scene(scheme)
    first, second = site.connections
    for message in headers():
        publisher.send(message)
    site.pump()
    ingest, egress = Heard(), Heard()
    taps = Tap(first, ingest), Tap(second, egress)
    pictures = [*gop(0), *gop(200)]
    for message in pictures:
        publisher.send(message)
    site.pump()
    wanted = [message.payload for message in pictures]
    assert media(ingest.received) == wanted
    assert media(egress.sent) == wanted
    assert [p for p in viewer.payloads if p in wanted] == wanted
    for tap in taps:
        tap.remove()
    publisher.send(video(400))
    site.pump()
    assert media(ingest.received) == wanted
    assert viewer.payloads[-1] == video(400).payload
    assert media(egress.sent) == wanted


def test_what_begins_later_is_heard_too_and_goes_on_afterwards() -> None:
    site = serve_in_memory()
    publisher = site.publish()
    client = site.client()
    connection = site.connections[-1]
    heard = Heard()
    tap = Tap(connection, heard)
    viewer = site.play(client=client)
    for message in (*headers(), *gop(0), audio(50)):
        publisher.send(message)
    site.pump()
    assert audio(50).payload in media(heard.sent)
    assert any(
        m.type == MessageType.COMMAND and b"createStream" in m.payload for m in heard.received
    )
    assert any(b"NetStream.Play.Start" in m.payload for m in heard.sent)
    tap.remove()
    publisher.send(audio(70))
    site.pump()
    assert viewer.payloads[-1] == audio(70).payload
    assert connection.session.held == 0
    assert connection.writer.idle


def test_a_publisher_on_the_same_connection_has_no_writer_of_its_own() -> None:
    site = serve_in_memory()
    publisher = site.publish()
    site.play(client=publisher.connection)
    (connection,) = site.connections
    writer = connection.writer
    tap = Tap(connection, Heard())
    connection.writer = writer  # somebody else has put another one there
    tap.remove()
    assert connection.writer is writer


def test_mistakes_of_the_peer_end_it_as_always() -> None:
    site = serve_in_memory()
    client = site.client()
    (connection,) = site.connections
    Tap(connection, Heard())
    client.transport.write(b"\xff" * 10)  # type: ignore[union-attr]
    site.pump()
    assert client.closed


def test_what_we_send_beyond_limits_for_others_is_not_heard_but_sent() -> None:
    site, publisher, viewer = scene("rtmp")
    heard = Heard()
    tap = Tap(site.connections[1], heard)
    tap._decoder.chunk_size = 1  # type: ignore[union-attr]
    for message in (*headers(), *gop(0)):
        publisher.send(message)
    site.pump()
    assert tap._decoder is None
    assert viewer.payloads[-1] == gop(0)[-1].payload


def test_the_decoder_stays_the_same_one() -> None:
    site = serve_in_memory()
    site.client()
    (connection,) = site.connections
    session: Any = connection.session
    decoder = session._decoder
    for _ in range(2):
        session.overhear(lambda messages: None)
    assert session._decoder.decoder is decoder
    assert session._decoder.feed(b"") == []
    assert (session._decoder.chunks, session._decoder.connected) == (decoder.chunks, True)
    session._decoder.connected = False
    assert not decoder.connected
    connection.session.overhear(None)
    assert session._decoder is decoder
