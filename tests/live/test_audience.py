"""When viewers are served, and when they are let go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.logger import capturedLogs

from rtmptwist.live import audience as audience_module
from rtmptwist.live.audience import FEW, SLICE
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.pace import MAX_EASE, MAX_PATIENCE
from tests.support.live import (
    Settings,
    Stage,
    Viewer,
    audio,
    feed,
    gop,
    headers,
    payloads,
    video,
)


def crowd(stage: Stage, count: int, cost: float = 0.0) -> list[Viewer]:
    """So many viewers; to write to one takes `cost` seconds."""
    viewers = []
    for _ in range(count):
        viewer = stage.watch()
        if cost:
            viewer.writer.on_write = lambda: stage.clock.advance(cost)
        viewers.append(viewer)
    return viewers


def count(viewers: list[Viewer]) -> set[int]:
    """How many writes they had."""
    return {len(viewer.writer.parts) for viewer in viewers}


# ------------------------------------------------------------------ gathering


def test_what_one_read_brought_is_one_write() -> None:
    stage = Stage()
    viewers = crowd(stage, FEW + 1)
    feed(stage.publish(), *headers(), *gop(0))
    assert count(viewers) == {1}


def test_a_flush_of_nothing_is_nothing() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    inlet.flush()
    assert viewer.writer.parts == []


@pytest.mark.parametrize("viewers", [1, FEW + 1])
def test_messages_gather_for_the_merge_time(viewers: int) -> None:
    """One timer, from the first of them on."""
    stage = Stage(Settings(merge=0.1))
    all_of_them = crowd(stage, viewers)
    inlet = stage.publish()
    for message in gop(0):
        feed(inlet, message)
        stage.clock.advance(0.01)
    assert count(all_of_them) == {1}
    stage.clock.advance(0.04)
    assert count(all_of_them) == {2}
    stage.clock.advance(1)
    assert count(all_of_them) == {2}
    assert all_of_them[0].payloads == payloads(gop(0))


def test_a_late_viewer_is_not_ahead_of_the_others() -> None:
    """What waits for the merge time comes to all at once, and to nobody twice."""
    stage = Stage(Settings(merge=0.1))
    stage.watch()
    inlet = stage.publish()
    feed(inlet, *gop(0))
    feed(inlet, video(120))
    late = stage.watch()
    assert late.payloads == payloads(gop(0))
    stage.clock.advance(0.1)
    assert late.payloads == payloads([*gop(0), video(120)])


@pytest.mark.parametrize("join", ["keyframe", "instant"])
def test_a_late_viewer_whose_key_frame_waits_gets_it_with_the_others(join: str) -> None:
    stage = Stage(Settings(merge=0.1, join=join))
    stage.watch()
    inlet = stage.publish()
    feed(inlet, *gop(0))
    feed(inlet, video(110), *gop(120))
    late = stage.watch()
    assert late.messages == []
    stage.clock.advance(0.1)
    assert late.payloads == payloads(gop(120))


def test_under_load_sweeps_keep_their_distance() -> None:
    """Ten viewers of 1 ms each: a sweep takes 10 ms, so they start 20 ms apart."""
    stage = Stage()
    viewers = crowd(stage, 10, cost=0.001)
    inlet = stage.publish()
    feed(inlet, video(0, key=True))
    feed(inlet, video(10))
    feed(inlet, video(20))
    assert count(viewers) == {1}
    stage.clock.advance(0.010)
    assert count(viewers) == {2}
    assert stage.stream.meter.sweep_cost == pytest.approx(0.010)


def test_that_distance_has_a_bound() -> None:
    stage = Stage()
    viewers = crowd(stage, 10, cost=0.1)
    inlet = stage.publish()
    feed(inlet, video(0, key=True))
    feed(inlet, video(10))
    assert count(viewers) == {2}
    assert MAX_EASE < 1.0


def test_under_load_sound_waits_for_its_picture() -> None:
    stage = Stage()
    viewers = crowd(stage, 10, cost=0.000_05)
    inlet = stage.publish()
    feed(inlet, video(0, key=True))
    stage.clock.advance(0.1)
    feed(inlet, audio(5))
    assert count(viewers) == {1}
    stage.clock.advance(0.001)
    feed(inlet, video(33))
    assert count(viewers) == {2}
    assert viewers[0].payloads == payloads([video(0, key=True), audio(5), video(33)])


def test_but_not_long() -> None:
    stage = Stage()
    viewers = crowd(stage, 10, cost=0.000_05)
    inlet = stage.publish()
    feed(inlet, video(0, key=True))
    stage.clock.advance(0.1)
    feed(inlet, audio(5))
    stage.clock.advance(MAX_PATIENCE)
    assert count(viewers) == {2}


def test_sound_without_pictures_waits_for_nothing() -> None:
    stage = Stage()
    viewers = crowd(stage, 10, cost=0.000_05)
    inlet = stage.publish()
    feed(inlet, audio(0))
    stage.clock.advance(0.1)
    feed(inlet, audio(23))
    assert count(viewers) == {2}


def test_a_picture_need_not_wait_for_the_patience_of_its_sound() -> None:
    """The timer that was set for the sound is brought forward."""
    stage = Stage()
    viewers = crowd(stage, 10, cost=0.000_5)
    inlet = stage.publish()
    feed(inlet, video(0, key=True))
    stage.clock.advance(0.001)
    feed(inlet, audio(5))
    feed(inlet, video(10))
    assert count(viewers) == {1}
    stage.clock.advance(0.005)
    assert count(viewers) == {2}
    stage.clock.advance(1)
    assert count(viewers) == {2}


def test_few_viewers_are_served_at_once_whatever_it_costs() -> None:
    stage = Stage()
    viewers = crowd(stage, FEW - 1, cost=0.01)
    inlet = stage.publish()
    feed(inlet, video(0, key=True))
    feed(inlet, audio(5))
    assert count(viewers) == {2}


def test_without_viewers_nothing_waits() -> None:
    stage = Stage(Settings(merge=0.1))
    inlet = stage.publish()
    feed(inlet, *gop(0))
    feed(inlet, *gop(120))
    assert stage.clock.getDelayedCalls() == []
    assert stage.watch().payloads == payloads(gop(120))


# --------------------------------------------------------------------- slices


def test_a_large_audience_is_served_in_slices() -> None:
    """Others are heard in between; what comes meanwhile is the next batch."""
    stage = Stage()
    viewers = crowd(stage, SLICE + 10)
    inlet = stage.publish()
    feed(inlet, *gop(0))
    assert sum(len(viewer.writer.parts) for viewer in viewers) == SLICE
    feed(inlet, *gop(120))
    assert sum(len(viewer.writer.parts) for viewer in viewers) == SLICE
    stage.clock.advance(0)
    assert count(viewers) <= {1, 2}
    stage.clock.advance(0)
    assert count(viewers) == {2}
    for viewer in (viewers[0], viewers[-1]):
        assert viewer.payloads == payloads(gop(0) + gop(120))


def halfway(stage: Stage) -> tuple[Viewer, Viewer, Inlet]:
    """In the middle of a sweep: one viewer who was served, one who was not."""
    viewers = crowd(stage, SLICE + 10)
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    stage.clock.advance(0)
    feed(inlet, *gop(120))
    served = next(viewer for viewer in viewers if len(viewer.writer.parts) == 2)
    unserved = next(viewer for viewer in viewers if len(viewer.writer.parts) == 1)
    return served, unserved, inlet


@pytest.mark.parametrize("leave", ["close", "pause"])
def test_viewers_may_leave_between_slices(leave: str) -> None:
    stage = Stage()
    served, unserved, _ = halfway(stage)
    getattr(served.subscriber, leave)()
    getattr(unserved.subscriber, leave)()
    stage.clock.advance(0)
    assert len(served.messages) == len(unserved.messages) + 6
    assert unserved.subscriber.meter.bytes == unserved.writer.size


def test_viewers_may_join_between_slices() -> None:
    stage = Stage()
    served, _, inlet = halfway(stage)
    late = stage.watch()
    feed(inlet, *gop(240))
    stage.clock.advance(0)
    stage.clock.advance(0)
    assert late.messages[3:] == served.messages[3 + 6 :]


def test_viewers_may_stall_and_go_on_between_slices() -> None:
    stage = Stage()
    served, unserved, inlet = halfway(stage)
    served.writer.idle = False
    unserved.writer.idle = False
    stage.clock.advance(0)
    feed(inlet, *gop(240))
    stage.clock.advance(0)
    for viewer in (served, unserved):
        viewer.writer.drain()
        assert viewer.payloads[-6:] == payloads(gop(240))
    assert served.payloads == unserved.payloads


def test_a_viewer_may_rejoin_between_slices_and_gets_nothing_twice() -> None:
    stage = Stage()
    served, unserved, _ = halfway(stage)
    unserved.subscriber.pause()
    unserved.subscriber.unpause()
    stage.clock.advance(0)
    assert unserved.payloads[-9:] == served.payloads[:3] + payloads(gop(120))
    assert len(unserved.messages) == 9 + 9


def test_viewers_who_wait_for_a_picture_are_served_in_slices_too() -> None:
    stage = Stage(Settings(join="keyframe"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewers = crowd(stage, SLICE + 10)
    feed(inlet, *gop(120))
    assert sum(len(viewer.writer.parts) for viewer in viewers) == SLICE
    unserved = next(viewer for viewer in viewers if not viewer.writer.parts)
    unserved.resume()
    assert unserved.messages == []
    stage.clock.advance(0)
    assert count(viewers) == {1}
    assert viewers[0].writer.parts[0] is viewers[-1].writer.parts[0]


def test_the_end_waits_for_no_slice() -> None:
    """Everybody has got everything when they are told that it is over."""
    stage = Stage(Settings(grace=0))
    viewers = crowd(stage, SLICE + 10)
    inlet = stage.publish()
    feed(inlet, *gop(0))
    inlet.push(video(120))
    inlet.end()
    assert {tuple(viewer.payloads) for viewer in (viewers[0], viewers[-1])} == {
        tuple(payloads([*gop(0), video(120)]))
    }
    stage.clock.advance(0)
    assert count(viewers) == {2}


def test_a_stream_closed_between_slices_leaves_no_timer() -> None:
    stage = Stage(Settings(merge=0.1))
    crowd(stage, SLICE + 10)
    inlet = stage.publish()
    feed(inlet, *gop(0))
    feed(inlet, *gop(120))
    stage.application.close("over")
    assert stage.clock.getDelayedCalls() == []


def test_several_formats_are_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience_module, "SLICE", 2)
    stage = Stage()
    viewers = crowd(stage, 3)
    for stream_id in (2, 2, 2):
        viewers.append(stage.watch(Viewer(stream_id)))
    feed(stage.publish(), *gop(0))
    for _ in range(5):
        assert count(viewers) == {0, 1}
        stage.clock.advance(0)
        if count(viewers) == {1}:
            break
    assert count(viewers) == {1}
    assert {tuple(viewer.payloads) for viewer in viewers} == {tuple(payloads(gop(0)))}


def test_a_viewer_with_a_bug_is_no_harm_to_others() -> None:
    stage = Stage()
    viewers = crowd(stage, 3)
    inlet = stage.publish()
    viewers[1].writer.on_write = lambda: 1 // 0
    with capturedLogs() as events:
        feed(inlet, *gop(0))
        feed(inlet, *gop(120))
    assert [event["log_failure"].type for event in events] == [ZeroDivisionError] * 2
    for viewer in viewers:
        assert viewer.payloads == payloads(gop(0) + gop(120))


def test_a_stream_closed_by_viewers_who_send_each_other_away() -> None:
    stage = Stage()
    viewers = crowd(stage, 3)
    for viewer in viewers:
        viewer.on_told = viewers[1].subscriber.close
    stage.application.close("over")
    assert [viewer.told for viewer in viewers] == [[EndReason.CLOSED], [], [EndReason.CLOSED]]


# --------------------------------------------------------------- letting them go


def test_a_viewer_that_takes_nothing_is_let_go() -> None:
    stage = Stage(Settings(stall_timeout=10))
    stuck, other = stage.watch(), stage.watch()
    inlet = stage.publish()
    stuck.writer.blocked = True
    feed(inlet, *gop(0))
    for _ in range(9):
        stage.sweep()
    assert stuck.told == ["published"]
    stage.sweep()
    assert stuck.told == ["published", EndReason.STALLED]
    assert other.told == ["published"]


def test_a_viewer_that_takes_a_little_stays() -> None:
    stage = Stage(Settings(stall_timeout=3, max_lag=100))
    slow = stage.watch()
    inlet = stage.publish()
    slow.writer.blocked = True
    for second in range(20):
        feed(inlet, *gop(second * 1000, name="x" * 40_000))
        stage.sweep()
        if second % 2:
            slow.writer.drain()
    assert slow.told == ["published"]
    assert slow.subscriber.meter.state == "lagging"


def test_who_never_took_anything_is_let_go_as_well() -> None:
    stage = Stage(Settings(stall_timeout=2))
    feed(stage.publish(), *gop(0))
    viewer = Viewer()
    viewer.writer.idle = False
    stage.watch(viewer)
    stage.sweep(3)
    assert viewer.told == [EndReason.STALLED]


@pytest.mark.parametrize("comes", [True, False])
def test_nobody_waits_for_a_publisher_for_ever(comes: bool) -> None:
    stage = Stage(Settings(wait=30))
    viewer = stage.watch()
    stage.sweep(29)
    if comes:
        feed(stage.publish(), *gop(0))
    stage.sweep(1)
    assert viewer.told == (["published"] if comes else [EndReason.NOT_FOUND])
    assert (stage.application.find(stage.NAME) is None) != comes


def test_who_stays_for_the_next_publisher_waits_as_long_from_the_end_on() -> None:
    stage = Stage(Settings(wait=30, grace=0))
    viewer = stage.watch()
    inlet = stage.publish()
    stage.sweep(100)
    inlet.end()
    stage.sweep(29)
    assert viewer.told == ["unpublished"]  # nothing had come of it
    stage.sweep(1)
    assert viewer.told[-1] is EndReason.NOT_FOUND


def test_paused_viewers_hear_of_the_end_too() -> None:
    stage = Stage(Settings(grace=0))
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *gop(0))
    viewer.subscriber.pause()
    inlet.end()
    assert viewer.told == ["published", "unpublished"]


@pytest.mark.parametrize("event", ["published", "over"])
def test_viewers_may_send_each_other_away_when_they_are_told(event: str) -> None:
    stage = Stage(Settings(grace=0))
    viewers = crowd(stage, 3)
    inlet = stage.publish()
    if event == "over":
        feed(inlet, *gop(0))

    def surprise() -> None:
        for viewer in viewers:
            viewer.subscriber.close()

    for viewer in viewers:
        viewer.on_told = surprise
        viewer.told.clear()
    if event == "over":
        inlet.end()
    else:
        feed(inlet, *gop(0))
    assert sum(len(viewer.told) for viewer in viewers) == 1


def test_a_publisher_that_returns_before_the_slow_have_heard_of_the_end() -> None:
    """Then there is nothing to hear."""
    stage = Stage(Settings(grace=0))
    slow = stage.watch()
    inlet = stage.publish()
    slow.writer.blocked = True
    feed(inlet, *gop(0))
    feed(inlet, *gop(120))
    inlet.end()
    feed(stage.publish(), *headers(), *gop(7))
    slow.writer.blocked = False
    slow.writer.drain()
    assert slow.told == ["published", "published"]
    assert slow.payloads[-6:] == payloads(gop(7))


def test_fanouts_that_nobody_needs_are_forgotten_and_their_bytes_are_not() -> None:
    stage = Stage(Settings(join="live-edge"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewers = [stage.watch(Viewer(stream_id)) for stream_id in (1, 2, 3)]
    feed(inlet, *gop(120))
    stage.sweep()
    fanouts = {viewer.subscriber.fanout for viewer in viewers}
    assert fanouts == set(stage.stream.audience._fanouts.values())
    total = stage.stream.meter.bytes_out
    assert total == sum(viewer.writer.size for viewer in viewers)
    for viewer in viewers[1:]:
        viewer.subscriber.close()
    assert len(stage.stream.audience._fanouts) == 1
    assert stage.stream.meter.bytes_out == total


def test_equal_formats_made_apart_are_one_fanout() -> None:
    stage = Stage()
    one, other = stage.watch(), Viewer()
    other.form = replace(other.form)
    stage.watch(other)
    assert one.subscriber.fanout is other.subscriber.fanout
