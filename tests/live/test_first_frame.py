"""How long a viewer waits for its first frame, and how much it is behind."""

from __future__ import annotations

from tests.support.live import Stage, Viewer, feed, gop, headers, on_air


def waited(viewer: Viewer) -> float | None:
    return viewer.subscriber.meter.first_frame


def test_a_viewer_of_a_stream_on_air_waits_for_nothing() -> None:
    stage, _, _ = on_air()
    assert waited(stage.watch()) == 0.0


def test_a_viewer_who_came_first_waits_for_the_publisher() -> None:
    stage = Stage()
    viewer, other = stage.watch(), stage.watch()
    stage.clock.advance(2)
    inlet = stage.publish()
    feed(inlet, *headers())
    assert waited(viewer) is None
    other.subscriber.close()
    stage.clock.advance(1)
    feed(inlet, *gop(0))
    assert waited(viewer) == 3.0
    stage.clock.advance(1)
    feed(inlet, *gop(120))
    assert waited(viewer) == 3.0
    assert waited(other) is None


def test_what_a_slow_viewer_is_behind() -> None:
    stage, _, inlet = on_air()
    viewer = stage.watch(blocked=True)
    subscriber = viewer.subscriber
    assert subscriber.behind() == (0, 0)
    messages = [*gop(2000), *gop(2120)]
    feed(inlet, *messages)
    assert subscriber.behind() == (sum(len(message.payload) for message in messages), 200)
    viewer.writer.blocked = False
    viewer.writer.drain()
    assert subscriber.behind() == (0, 0)
    subscriber.pause()
    assert subscriber.behind() == (0, 0)
