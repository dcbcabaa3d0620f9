"""Streams by name."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs

from rtmptwist.live.errors import Refused
from rtmptwist.wire.status import StatusCode
from tests.support.live import FakePublisher, Settings, Stage, Viewer, feed, gop, payloads


def test_streams_have_their_own_viewers() -> None:
    stage = Stage()
    a = stage.application.publish("a", FakePublisher(), 1)
    viewer = Viewer()
    viewer.subscriber = stage.application.subscribe("b", viewer.form, viewer.writer, viewer)
    viewer.resume()
    feed(a, *gop(0))
    assert viewer.messages == []
    feed(stage.application.publish("b", FakePublisher(), 1), *gop(100))
    assert viewer.payloads == payloads(gop(100))
    assert set(stage.application.streams) == {"a", "b"}


def test_who_will_not_wait_is_refused() -> None:
    stage = Stage()
    with pytest.raises(Refused, match="Nobody publishes show now") as refused:
        stage.watch(wait=False)
    assert refused.value.status.code is StatusCode.PLAY_STREAM_NOT_FOUND
    assert stage.application.streams == {}


def test_nobody_waits_where_waiting_is_switched_off() -> None:
    stage = Stage(Settings(wait=0))
    with pytest.raises(Refused):
        stage.watch()
    inlet = stage.publish()
    stage.watch()
    inlet.end()
    stage.watch()
    stage.clock.advance(5)
    with pytest.raises(Refused):
        stage.watch()


def test_who_will_not_wait_is_refused_where_others_wait() -> None:
    stage = Stage()
    stage.watch()
    assert not stage.application.is_live(stage.NAME)
    with pytest.raises(Refused):
        stage.watch(wait=False)


def test_a_stream_needs_a_name() -> None:
    stage = Stage()
    viewer = Viewer()
    with pytest.raises(Refused, match="no name") as refused:
        stage.application.publish("", FakePublisher(), 1)
    assert refused.value.status.code is StatusCode.PUBLISH_BAD_NAME
    with pytest.raises(Refused, match="no name") as refused:
        stage.application.subscribe("", viewer.form, viewer.writer, viewer)
    assert refused.value.status.code is StatusCode.PLAY_STREAM_NOT_FOUND


def test_nothing_is_sent_before_the_first_resume() -> None:
    """So that the client has its answer before."""
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *gop(0))
    viewer = Viewer()
    viewer.subscriber = stage.application.subscribe(stage.NAME, viewer.form, viewer.writer, viewer)
    feed(inlet, *gop(120))
    assert viewer.writer.parts == []
    viewer.resume()
    assert viewer.payloads == payloads(gop(120))


def test_totals_outlive_their_streams() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *gop(0))
    viewer.subscriber.close()
    inlet.end(release=True)
    meter = stage.application.meter
    assert meter.streams == ()
    assert meter.bytes_in == sum(map(len, payloads(gop(0))))
    assert meter.bytes_out == viewer.writer.size
    assert meter.skipped == 0


def test_thousands_of_comings_and_goings_leave_nothing_behind() -> None:
    stage = Stage()
    for number in range(500):
        name = f"stream {number}"
        inlet = stage.application.publish(name, FakePublisher(), number)
        viewer = Viewer()
        viewer.subscriber = stage.application.subscribe(name, viewer.form, viewer.writer, viewer)
        viewer.resume()
        feed(inlet, *gop(0))
        for leave in (inlet.end, viewer.subscriber.close)[:: 1 if number % 2 else -1]:
            leave()
    stage.clock.advance(5)
    assert stage.application.streams == {}
    assert stage.clock.getDelayedCalls() == []


def test_a_broken_stream_does_not_end_the_care_for_others() -> None:
    stage = Stage()
    for name in ("broken", "other"):
        stage.application.publish(name, FakePublisher(), 1)
    swept: list[float] = []
    stage.application.streams["broken"].sweep = None  # type: ignore[assignment, method-assign]
    stage.application.streams["other"].sweep = swept.append  # type: ignore[assignment, method-assign]
    with capturedLogs() as events:
        stage.sweep()
    assert swept == [1.0]
    (event,) = events
    assert event["log_failure"].check(TypeError)
    assert event["name"] == "broken"
