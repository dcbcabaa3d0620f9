"""What the client of a use is told, and what the log says, while it plays or publishes."""

from __future__ import annotations

from typing import Any

import pytest

from rtmptwist.amf import amf0
from rtmptwist.live.interfaces import Publisher
from rtmptwist.live.stream import LiveStream
from rtmptwist.wire.message import Message
from rtmptwist.wire.status import Status, StatusCode
from tests.support.live import Settings, gop, headers, payloads, video
from tests.support.logs import Logs
from tests.support.memory import MemorySite, Spectator, serve_in_memory

pytestmark = pytest.mark.usefixtures("logs")


def wire_of(viewer: Spectator) -> Any:
    return viewer.connection.transport


def feed(site: MemorySite, publisher: Any, *messages: Message) -> None:
    for message in messages:
        publisher.send(message)
    site.pump()


def test_a_viewer_who_was_there_first_is_told_when_the_publisher_comes() -> None:
    site = serve_in_memory()
    viewer = site.play()
    assert viewer.told == ["Play.Reset", "Play.Start"]
    publisher = site.publish()
    feed(site, publisher, *headers(), *gop(0))
    assert viewer.told == ["Play.Reset", "Play.Start", "Play.PublishNotify"]


def test_a_viewer_is_told_when_the_publisher_has_left_for_good() -> None:
    """StreamEof ends GStreamer, the status FFmpeg and librtmp; others wait for the next one."""
    site = serve_in_memory(Settings(grace=5.0))
    publisher = site.publish()
    feed(site, publisher, *headers(), *gop(0))
    viewer = site.play()
    publisher.connection.abort()
    site.pump()
    site.pass_time(4)
    assert viewer.told[2:] == []
    site.pass_time(2)
    assert viewer.told[2:] == ["Play.UnpublishNotify"]
    again = site.publish()
    feed(site, again, *headers(), *gop(9000))
    assert viewer.told[3:] == ["Play.PublishNotify"]
    assert viewer.payloads[-6:] == payloads(gop(9000))


def test_a_viewer_of_a_stream_that_ended_is_sent_away_where_that_is_wanted(logs: Logs) -> None:
    site = serve_in_memory(Settings(grace=0.0, after_end="close"))
    publisher = site.publish()
    feed(site, publisher, *headers(), *gop(0))
    viewer = site.play()
    publisher.close()
    site.pump()
    assert viewer.told[2:] == ["Play.UnpublishNotify"]
    (line,) = logs.about("no longer plays")
    assert "live/show: The stream is over, after 0.0 s, " in line
    assert not viewer.connection.closed
    viewer.connection.abort()
    site.pump()
    assert len(logs.about("no longer plays")) == 1


def test_nobody_came(logs: Logs) -> None:
    site = serve_in_memory(Settings(wait=30.0))
    viewer = site.play()
    site.pass_time(29)
    assert viewer.told == ["Play.Reset", "Play.Start"]
    site.pass_time(2)
    assert viewer.told[2:] == ["Play.StreamNotFound"]
    assert viewer.infos[-1]["level"] == "error"
    (line,) = logs.about("no longer plays")
    assert "Nobody publishes this stream at present, after 30.0 s" in line
    assert site.application.streams == {}
    viewer.stream.close()  # of something that has ended
    site.pump()
    assert len(logs.about("no longer plays")) == 1


def test_the_duration_is_over(logs: Logs) -> None:
    site = serve_in_memory()
    publisher = site.publish()
    viewer = site.play(duration=0.1)
    feed(site, publisher, *headers(), *gop(0, pictures=5))
    assert viewer.told[-1] == "Play.Stop"
    complete: Any = [amf0.decode(p) for p in viewer.payloads if p.startswith(b"\x02\0\x0conPlay")]
    assert [values[1]["code"] for values in complete] == ["NetStream.Play.Complete"]
    assert len(logs.about("no longer plays live/show: The wanted duration was played,")) == 1


def test_a_viewer_that_reads_nothing_is_closed_at_once_and_nobody_else(logs: Logs) -> None:
    site = serve_in_memory(Settings(stall_timeout=5.0))
    publisher = site.publish()
    slow, other = site.play(), site.play()
    wire_of(slow).reading = False
    feed(site, publisher, *headers())
    for second in range(8):
        feed(site, publisher, *gop(second * 1000), video(second * 1000 + 500, size=200_000))
        site.pass_time(1)
    assert slow.connection.closed
    assert not other.connection.closed
    assert len(logs.about("no longer plays live/show: Closed: nothing was taken for too")) == 1
    assert len(logs.about("left: Closed: nothing was taken for too long,")) == 1
    assert "Play.InsufficientBW" not in other.told


def test_a_slow_viewer_is_told_what_it_missed() -> None:
    site = serve_in_memory(Settings(max_lag=1.0, stall_timeout=100.0))
    publisher = site.publish()
    viewer = site.play()
    feed(site, publisher, *headers())
    wire_of(viewer).reading = False
    for second in range(5):
        feed(site, publisher, *gop(second * 1000), video(second * 1000 + 500, size=100_000))
        site.pass_time(1)
    wire_of(viewer).reading = True
    site.pump()
    assert "Play.InsufficientBW" in viewer.told
    info = viewer.infos[viewer.told.index("Play.InsufficientBW")]
    assert info["level"] == "warning"
    assert info["description"].endswith(" messages were left out.")


def test_the_end_of_a_viewer_tells_what_it_got_and_missed(logs: Logs) -> None:
    site = serve_in_memory()
    publisher = site.publish()
    viewer = site.play()
    feed(site, publisher, *headers(), *gop(0))
    site.clock.advance(1.5)
    viewer.stream.close()
    site.pump()
    (line,) = logs.about("no longer plays")
    sent = sum(map(len, viewer.payloads[1:]))
    assert "closed by the client, after 1.5 s, " in line
    size = int(line.split(" bytes")[0].rpartition(" ")[2])
    assert sent < size < 2 * sent + 200  # with headers
    assert line.endswith(" bytes, 0 skips of 0 messages")
    assert site.application.streams["show"].meter.viewers == 0


def test_a_publisher_that_says_goodbye_gives_its_name_away() -> None:
    site = serve_in_memory()
    publisher = site.publish()
    feed(site, publisher, *headers(), *gop(0))
    publisher.close()
    site.pump()
    site.result(site.stream(site.client(address="203.0.113.7")).publish("show"))


def test_a_publisher_that_vanished_keeps_its_name_for_a_while() -> None:
    site = serve_in_memory(Settings(grace=5.0))
    publisher = site.publish()
    feed(site, publisher, *headers(), *gop(0))
    site.play()
    publisher.connection.abort()
    site.pump()
    stranger = site.stream(site.client(address="203.0.113.7"))
    assert "is kept for its publisher" in str(site.failure(stranger.publish("show")))
    site.publish()


def test_a_stream_closed_by_the_server() -> None:
    site = serve_in_memory()
    publisher, viewer = Spectator(site.publish()), site.play()
    site.application.streams["show"].close("enough")
    site.pump()
    assert publisher.told == ["Publish.BadName"]
    assert publisher.connection.closed
    assert viewer.told[-1] == "Play.Stop"
    assert not viewer.connection.closed


# ----------------------------------------------------------------------- told by outlets


class Herald:
    """An outlet that knows who publishes, and what they asked for."""

    def __init__(self) -> None:
        self.publisher: Publisher | None = None

    def published(self, stream: LiveStream, *, begins: bool) -> None:
        assert stream.inlet is not None
        self.publisher = stream.inlet.publisher

    def ended(self, stream: LiveStream) -> None:
        pass

    def tell(self, code: StatusCode) -> None:
        assert self.publisher is not None
        self.publisher.tell(Status(code, "Something happened."))


def leave(guest: Spectator) -> None:
    """Stop what its stream does, and keep the stream."""
    guest.connection.session.close_stream(guest.stream.stream_id)
    guest.connection.send()


def test_a_publisher_hears_of_its_recording() -> None:
    site = serve_in_memory()
    herald = Herald()
    site.application.outlets.append(herald)
    guest = Spectator(site.stream())
    site.result(guest.stream.publish("show", "append"))
    assert herald.publisher is not None
    assert herald.publisher.kind == "append"
    herald.tell(StatusCode.RECORD_START)
    site.pump()
    assert guest.told == ["Publish.Start", "Record.Start"]
    leave(guest)
    site.pump()
    herald.tell(StatusCode.RECORD_STOP)
    site.pump()
    assert guest.told[2:] == ["Unpublish.Success", "Record.Stop"]


def test_a_publisher_that_does_something_else_by_now_or_has_gone_hears_nothing() -> None:
    site = serve_in_memory()
    herald = Herald()
    site.application.outlets.append(herald)
    guest = Spectator(site.stream())
    site.result(guest.stream.publish("show"))
    leave(guest)
    site.result(guest.stream.play("other"))
    site.pump()
    told = guest.told
    herald.tell(StatusCode.RECORD_STOP)
    site.pump()
    assert guest.told == told
    guest.connection.abort()
    site.pump()
    herald.tell(StatusCode.RECORD_STOP)
