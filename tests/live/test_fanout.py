"""What a viewer gets: from the beginning, late, slow, without sound or pictures, for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtmptwist.live import fanout as fanout_module
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.subscriber import State
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import (
    CHUNK_SIZE,
    HEADERS,
    Settings,
    Stage,
    Viewer,
    aac_header,
    audio,
    avc_header,
    feed,
    gop,
    headers,
    metadata,
    payloads,
    stored,
    video,
)


def sounds(messages: list[Message]) -> list[bytes]:
    return payloads(m for m in messages if m.type == MessageType.AUDIO)


# ------------------------------------------------------------------- joining


def test_a_viewer_from_the_beginning_gets_everything() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    everything = [*headers(), audio(0), *gop(10), *gop(130)]
    for message in everything:
        feed(inlet, message)
    assert viewer.payloads == [stored(everything[0]), *payloads(everything[1:])]
    assert viewer.times == [message.timestamp for message in everything]
    assert viewer.told == ["published"]


def test_a_viewer_who_comes_before_the_first_frame_gets_everything_too() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers())
    viewer = stage.watch()
    feed(inlet, audio(0), *gop(10))
    assert viewer.payloads == HEADERS + payloads([audio(0), *gop(10)])


def test_a_late_viewer_gets_headers_and_the_newest_gop_then_what_comes() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0), *gop(5000))
    viewer = stage.watch()
    assert viewer.payloads == HEADERS + payloads(gop(5000))
    assert viewer.times[:4] == [0, 5000, 5000, 5000]
    feed(inlet, *gop(6000))
    assert viewer.payloads == HEADERS + payloads(gop(5000) + gop(6000))
    assert viewer.told == []


def test_a_late_viewer_gets_the_headers_of_its_key_frame_and_then_newer_ones() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0), aac_header("new", 130), audio(140))
    viewer = stage.watch()
    assert viewer.payloads == HEADERS + payloads([*gop(0), aac_header("new"), audio(140)])


def test_headers_and_the_first_burst_leave_in_one_write() -> None:
    stage = Stage()
    feed(stage.publish(), *headers(), *gop(0))
    assert len(stage.watch().writer.parts) == 1


@pytest.mark.parametrize("late", [False, True])
def test_without_pictures_sound_starts_at_once(late: bool) -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, metadata(), aac_header())
    if late:
        feed(inlet, audio(0), audio(23))
    viewer = stage.watch()
    feed(inlet, audio(46))
    assert viewer.payloads == [stored(metadata()), *payloads([aac_header(), audio(46)])]
    assert viewer.times == [0, 23 if late else 0, 46]


def test_a_changed_main_header_makes_older_key_frames_useless() -> None:
    """The viewer waits for the first picture of the new size."""
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0), avc_header("new", 120))
    viewer = stage.watch()
    assert viewer.messages == []
    feed(inlet, audio(130), *gop(140))
    new = avc_header("new").payload
    assert viewer.payloads == [HEADERS[0], HEADERS[2], new, *payloads(gop(140))]


def test_a_repeated_header_changes_nothing() -> None:
    stage = Stage()
    feed(stage.publish(), *headers(), *gop(0), avc_header("avc", 120))
    assert stage.watch().payloads == HEADERS + payloads([*gop(0), avc_header()])


def test_a_gop_beyond_the_size_is_not_sent() -> None:
    stage = Stage(Settings(window_size=10_000))
    inlet = stage.publish()
    feed(inlet, *headers(), video(0, key=True))
    for time in range(40, 4000, 40):
        feed(inlet, video(time, size=300))
    viewer = stage.watch()
    assert viewer.subscriber.meter.state == "waiting"
    feed(inlet, *gop(5000))
    assert viewer.payloads == HEADERS + payloads(gop(5000))
    assert viewer.skips == []


def test_join_at_the_next_key_frame() -> None:
    stage = Stage(Settings(join="keyframe"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch()
    feed(inlet, audio(130), video(140))
    assert viewer.messages == []
    feed(inlet, audio(150), *gop(160))
    assert viewer.payloads == HEADERS + payloads(gop(160))


def test_join_at_the_live_edge_is_sound_now_and_pictures_with_the_next_key_frame() -> None:
    stage = Stage(Settings(join="live-edge"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch()
    assert viewer.payloads == [HEADERS[0], HEADERS[2]]
    feed(inlet, video(120), audio(125))
    feed(inlet, audio(130), video(140), audio(145), *gop(160))
    feed(inlet, video(300))
    sound = payloads([audio(125), audio(130), audio(145)])
    full = payloads([*gop(160), video(300)])
    assert viewer.payloads == [HEADERS[0], HEADERS[2], *sound, *HEADERS, *full]
    assert viewer.skips == []


def test_a_slow_one_at_the_live_edge_skips_to_its_first_picture() -> None:
    stage = Stage(Settings(join="live-edge"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch(blocked=True)
    feed(inlet, audio(125))
    feed(inlet, *gop(160))
    viewer.writer.blocked = False
    viewer.writer.drain()
    assert viewer.payloads == [HEADERS[0], HEADERS[2], *HEADERS, *payloads(gop(160))]
    assert viewer.skips == [1]


def test_live_edge_without_pictures_is_just_sound() -> None:
    stage = Stage(Settings(join="live-edge"))
    inlet = stage.publish()
    feed(inlet, aac_header(), audio(0))
    viewer = stage.watch()
    feed(inlet, audio(23))
    assert viewer.payloads == payloads([aac_header(), audio(23)])


def test_many_who_join_together_share_their_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand viewers in the same second: the GOP is encoded once."""
    monkeypatch.setattr(fanout_module, "BURST", 500)
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *[video(time, key=not time, size=100) for time in range(0, 800, 40)])
    first, second = stage.watch(), stage.watch()
    assert len(first.writer.parts) == 4
    for one, other in zip(first.writer.parts, second.writer.parts, strict=True):
        assert one is other
    feed(inlet, video(800))
    third = stage.watch()
    assert third.writer.parts[2] is first.writer.parts[2]
    assert third.payloads == first.payloads == second.payloads


def test_kept_bursts_are_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "BURST", 500)
    monkeypatch.setattr(fanout_module, "MAX_BURSTS", 1500)
    stage = Stage()
    feed(stage.publish(), *[video(time, key=not time, size=100) for time in range(0, 800, 40)])
    first, second = stage.watch(), stage.watch()
    assert first.payloads == second.payloads
    assert first.writer.parts[0] is not second.writer.parts[0]
    stage.sweep()
    third = stage.watch()
    assert third.payloads == first.payloads


# ------------------------------------------------------------------- slowness


def test_a_slow_viewer_catches_up_from_where_it_stopped() -> None:
    stage = Stage()
    slow, quick = stage.watch(), stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    slow.writer.blocked = True
    for message in gop(120) + gop(240):
        feed(inlet, message)
    assert len(slow.writer.parts) == 2  # what was sent when it blocked is on its way
    slow.writer.blocked = False
    slow.writer.drain()
    feed(inlet, *gop(360))
    assert slow.payloads == quick.payloads
    assert slow.skips == []
    assert slow.subscriber.meter.state == "flowing"


def test_a_viewer_that_is_slow_from_the_beginning_misses_nothing() -> None:
    """The headers before the first frame are not far behind, whatever their timestamps."""
    stage = Stage()
    viewer = stage.watch(blocked=True)
    inlet = stage.publish()
    feed(inlet, metadata())
    feed(inlet, avc_header(), aac_header())
    feed(inlet, *gop(5_000_000), *gop(5_000_120))
    viewer.writer.blocked = False
    viewer.writer.drain()
    assert viewer.payloads == HEADERS + payloads(gop(5_000_000) + gop(5_000_120))
    assert viewer.skips == []


def test_a_very_slow_viewer_skips_onto_the_newest_key_frame() -> None:
    stage = Stage(Settings(max_lag=1.0))
    slow = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    slow.writer.blocked = True
    for time in range(1000, 5000, 500):
        feed(inlet, *gop(time))
    slow.writer.blocked = False
    slow.writer.drain()
    assert slow.payloads == HEADERS + payloads(gop(0) + gop(1000) + gop(4500))
    assert slow.skips == [6 * 6]
    meter = slow.subscriber.meter
    assert (meter.skips, meter.skipped) == (1, 36)
    assert stage.application.meter.skipped == 36


def test_headers_that_changed_during_a_skip_come_before_the_key_frame() -> None:
    """And those that did not, do not."""
    stage = Stage(Settings(max_lag=1.0))
    slow = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    slow.writer.blocked = True
    feed(inlet, *gop(1000))
    feed(inlet, metadata(1920), avc_header("new", 2000), *gop(2000), *gop(5000))
    slow.writer.blocked = False
    slow.writer.drain()
    skipped = [stored(metadata(1920)), avc_header("new").payload]
    assert slow.payloads == HEADERS + payloads(gop(0) + gop(1000)) + skipped + payloads(gop(5000))
    assert slow.times[-8:-5] == [0, 5000, 5000]


def test_a_viewer_in_a_long_gop_is_not_moved_back_or_forth() -> None:
    """There is no key frame to skip to: what it wants is still there, so it gets it."""
    stage = Stage(Settings(max_lag=1.0))
    slow, quick = stage.watch(), stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    slow.writer.blocked = True
    for time in range(200, 9000, 200):
        feed(inlet, video(time))
    slow.writer.blocked = False
    slow.writer.drain()
    assert slow.payloads == quick.payloads
    late = stage.watch()
    assert late.payloads == quick.payloads


def test_a_viewer_whose_messages_are_gone_waits_for_a_key_frame() -> None:
    stage = Stage(Settings(window_size=10_000))
    slow = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    slow.writer.blocked = True
    for time in range(200, 9000, 40):
        feed(inlet, video(time, size=300))
    slow.writer.blocked = False
    slow.writer.drain()
    assert slow.subscriber.meter.state == "waiting"
    before = len(slow.messages)
    feed(inlet, avc_header("new", 9000), *gop(9000))
    assert slow.payloads[before:] == payloads([avc_header("new"), *gop(9000)])
    assert slow.skips == [220 - 1 + 1]


def test_a_slow_viewer_does_not_overtake_what_waits_for_the_merge_time() -> None:
    """Its key frame comes with the next batch, for it as for the others."""
    stage = Stage(Settings(merge=1.0, max_lag=0.5))
    slow = stage.watch()
    inlet = stage.publish()
    slow.writer.blocked = True
    for time in (0, 1000, 2000):
        feed(inlet, *gop(time))
        stage.clock.advance(1.0)
    feed(inlet, *gop(3000))
    feed(inlet, video(8990), video(9000, key=True))
    slow.writer.blocked = False
    slow.writer.drain()
    assert slow.payloads == payloads(gop(0) + gop(1000) + gop(2000) + gop(3000))
    stage.clock.advance(1.0)
    assert slow.payloads[-1] == video(9000, key=True).payload
    assert slow.skips == []


def test_slow_sound_skips_to_what_is_live() -> None:
    stage = Stage(Settings(max_lag=1.0))
    slow = stage.watch()
    inlet = stage.publish()
    feed(inlet, aac_header(), audio(0))
    slow.writer.blocked = True
    for time in range(500, 5000, 500):
        feed(inlet, audio(time))
    slow.writer.blocked = False
    slow.writer.drain()
    feed(inlet, audio(5000))
    assert slow.payloads == payloads([aac_header(), audio(0), audio(500), audio(5000)])
    assert slow.skips == [8]


@pytest.mark.parametrize("sound", [True, False])
def test_who_joins_when_more_waits_than_one_may_lag_is_not_slow(sound: bool) -> None:
    stage = Stage(Settings(merge=1.0, max_lag=0.1))
    stage.watch()
    inlet = stage.publish()
    first = [aac_header(), audio(0)] if sound else [avc_header(), video(0, key=True)]
    rest = [(audio if sound else video)(time) for time in range(500, 3000, 500)]
    feed(inlet, *first)
    stage.clock.advance(0.5)
    feed(inlet, *rest)
    late = stage.watch()
    stage.clock.advance(0.5)
    assert late.payloads == payloads((first[:1] if sound else first) + rest)
    assert late.skips == []


def test_a_viewer_that_leaves_when_told_of_its_skip_gets_nothing_more() -> None:
    stage = Stage(Settings(max_lag=1.0))
    slow = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    slow.writer.blocked = True
    for time in range(1000, 5000, 500):
        feed(inlet, *gop(time))
    slow.on_told = slow.subscriber.close
    before = len(slow.writer.parts)
    slow.writer.drain()
    assert len(slow.writer.parts) == before


def test_a_viewer_catches_up_in_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little waits in memory, however much it has missed."""
    monkeypatch.setattr(fanout_module, "BURST", 500)
    stage = Stage()
    slow, quick = stage.watch(), stage.watch()
    inlet = stage.publish()
    slow.writer.blocked = True
    for time in range(0, 2000, 40):
        feed(inlet, video(time, key=not time, size=100))
    while slow.subscriber.meter.state == "lagging":
        before = slow.writer.size
        slow.writer.drain()
        assert slow.writer.size - before <= 500 + 12 * 5
    assert slow.payloads == quick.payloads


def test_resuming_at_the_wrong_time_is_harmless() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    viewer.resume()
    feed(inlet, *headers(), *gop(0))
    viewer.resume()
    viewer.writer.blocked = True
    feed(inlet, *gop(120))
    viewer.resume()
    viewer.subscriber.close()
    viewer.resume()
    assert viewer.payloads == HEADERS + payloads(gop(0) + gop(120))


def test_streams_of_one_connection_share_a_writer() -> None:
    """When one stalls it, the others stop too, and all are resumed."""
    stage = Stage()
    one, other = Viewer(1), Viewer(2)
    other.writer = one.writer
    stage.watch(one)
    stage.watch(other)

    def drained() -> None:
        one.resume()
        other.resume()

    one.writer.drained = drained
    inlet = stage.publish()
    one.writer.blocked = True
    for message in gop(0):
        feed(inlet, message)
    one.writer.blocked = False
    one.writer.drain()
    got = [[m.payload for m in one.messages if m.stream_id == n] for n in (1, 2)]
    assert got == [payloads(gop(0))] * 2


def test_more_in_one_turn_than_the_window_holds_is_a_skip_for_all() -> None:
    stage = Stage(Settings(window_size=2000))
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    feed(inlet, *[video(time, size=500) for time in range(200, 1000, 40)])
    assert viewer.subscriber.meter.state == "waiting"
    feed(inlet, *gop(2000))
    assert viewer.payloads == HEADERS + payloads(gop(0) + gop(2000))
    assert viewer.skips == [20]


def test_what_was_missed_is_counted_even_if_it_never_comes_back() -> None:
    stage = Stage(Settings(window_size=2000, grace=0))
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    feed(inlet, *[video(time, size=500) for time in range(200, 1000, 40)])
    inlet.end()
    assert viewer.payloads == HEADERS + payloads(gop(0))
    assert viewer.skips == [20]


# ---------------------------------------------------------- sound and pictures


def test_pictures_can_be_left_out_and_come_back_with_a_key_frame() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    before = len(viewer.messages)
    viewer.subscriber.receive(video=False)
    feed(inlet, *gop(200))
    again = [HEADERS[0], HEADERS[2]]  # harmless, and what is switched on needs them
    assert viewer.payloads[before:] == again + sounds(gop(200))
    before = len(viewer.messages)
    viewer.subscriber.receive(video=True)
    feed(inlet, video(400), audio(410))
    feed(inlet, *gop(420))
    sound = audio(410).payload
    assert viewer.payloads[before:] == [*again, sound, *HEADERS, *payloads(gop(420))]


def test_sound_comes_back_at_once_with_its_header() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer.subscriber.receive(audio=False)
    feed(inlet, video(200), audio(200))
    viewer.subscriber.receive(audio=True)
    before = len(viewer.messages)
    feed(inlet, video(240), audio(240))
    assert aac_header().payload in viewer.payloads[-5:]
    assert viewer.payloads[before:] == payloads([video(240), audio(240)])


def test_what_is_asked_for_twice_changes_nothing() -> None:
    stage = Stage()
    viewer = stage.watch()
    feed(stage.publish(), *headers(), *gop(0))
    before = len(viewer.writer.parts)
    viewer.subscriber.receive(audio=True, video=True)
    viewer.subscriber.receive()
    assert len(viewer.writer.parts) == before


def test_pictures_asked_for_and_not_any_more_before_their_key_frame() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer.subscriber.receive(video=False)
    viewer.subscriber.receive(video=True)
    viewer.subscriber.receive(video=False)
    before = len(viewer.messages)
    feed(inlet, *gop(200))
    assert viewer.payloads[before:] == sounds(gop(200))


def test_sound_switched_while_pictures_are_waited_for() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer.subscriber.receive(video=False)
    viewer.subscriber.receive(video=True)
    viewer.subscriber.receive(audio=False)
    before = len(viewer.messages)
    feed(inlet, audio(200), *gop(210))
    pictures = payloads(m for m in gop(210) if m.type == MessageType.VIDEO)
    assert viewer.payloads[before:] == [*HEADERS[:2], *pictures]


def test_who_waits_for_a_picture_and_wants_none_hears_at_once() -> None:
    stage = Stage(Settings(join="keyframe"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch()
    viewer.subscriber.receive(audio=False)
    assert viewer.messages == []
    viewer.subscriber.receive(audio=True, video=False)
    feed(inlet, audio(200))
    assert viewer.payloads == [HEADERS[0], HEADERS[2], audio(200).payload]


def test_who_waits_for_a_picture_and_wants_no_sound_gets_pictures_only() -> None:
    stage = Stage(Settings(join="keyframe"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch()
    viewer.subscriber.receive(audio=False)
    feed(inlet, *gop(200))
    pictures = payloads(m for m in gop(200) if m.type == MessageType.VIDEO)
    assert viewer.payloads == [*HEADERS[:2], *pictures]


def test_a_choice_before_the_start_or_while_paused_counts_from_there() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = Viewer()
    viewer.subscriber = stage.application.subscribe(stage.NAME, viewer.form, viewer.writer, viewer)
    viewer.subscriber.receive(video=False)
    viewer.resume()
    assert viewer.payloads == [HEADERS[0], HEADERS[2]]
    viewer.subscriber.pause()
    viewer.subscriber.receive(audio=False, video=True)
    before = len(viewer.messages)
    viewer.subscriber.unpause()
    pictures = payloads(m for m in gop(0) if m.type == MessageType.VIDEO)
    assert viewer.payloads[before:] == [*HEADERS[:2], *pictures]


def test_viewers_that_want_the_same_share_one_fanout() -> None:
    stage = Stage()
    one, other, third = stage.watch(), stage.watch(), stage.watch(Viewer(2))
    fanouts = [viewer.subscriber.fanout for viewer in (one, other, third)]
    assert fanouts[0] is fanouts[1]
    assert fanouts[0] is not fanouts[2]
    feed(stage.publish(), *gop(0))
    assert one.writer.parts[0] is other.writer.parts[0]
    assert third.payloads == one.payloads


# ------------------------------------------------------------------- pausing


def test_a_paused_viewer_rejoins_what_is_live() -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer.subscriber.pause()
    before = len(viewer.messages)
    feed(inlet, *gop(200), *gop(400))
    assert len(viewer.messages) == before
    viewer.subscriber.unpause()
    assert viewer.payloads[before:] == HEADERS + payloads(gop(400))
    feed(inlet, *gop(600))
    assert viewer.payloads[before:] == HEADERS + payloads(gop(400) + gop(600))
    assert viewer.skips == []


def test_a_paused_viewer_goes_on_where_it_wants() -> None:
    """It has been told what was before that, by somebody else."""
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch()
    viewer.subscriber.pause()
    before = len(viewer.messages)
    feed(inlet, *gop(200), *gop(400))
    last = gop(200)[2]
    number = stage.stream.window.after(lambda m: m.payload == last.payload)
    assert number is not None
    viewer.subscriber.rejoin(number)
    wanted = payloads([*gop(200)[3:], *gop(400)])
    assert viewer.payloads[before:] == HEADERS + wanted
    viewer.subscriber.rejoin(0)
    feed(inlet, *gop(600))
    assert viewer.payloads[before:] == HEADERS + wanted + payloads(gop(600))
    assert viewer.skips == []
    assert stage.stream.window.after(lambda m: m.payload == b"never") is None


def test_pausing_at_odd_times_is_harmless() -> None:
    stage = Stage()
    viewer = stage.watch()
    viewer.subscriber.unpause()
    viewer.subscriber.pause()
    viewer.subscriber.pause()
    viewer.resume()
    feed(stage.publish(), *gop(0))
    assert viewer.messages == []
    viewer.subscriber.close()
    viewer.subscriber.pause()
    viewer.subscriber.unpause()
    assert viewer.subscriber.meter.state == "closed"


# ------------------------------------------------------------------- duration


def test_a_duration_counts_from_the_first_frame_sent() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(1000))
    viewer = stage.watch(duration=200)
    feed(inlet, audio(1150), video(1190))
    assert viewer.told == []
    feed(inlet, audio(1199), video(1200), audio(1201))
    assert viewer.payloads == HEADERS + payloads(
        [*gop(1000), audio(1150), video(1190), audio(1199)]
    )
    assert viewer.told == [EndReason.DURATION]
    assert not stage.stream.audience.subscribers


def test_a_duration_that_is_over_within_the_first_read() -> None:
    stage = Stage()
    viewer = stage.watch(duration=80)
    feed(stage.publish(), *headers(), *gop(5000), *gop(5120))
    assert viewer.payloads == HEADERS + payloads(gop(5000)[:4])
    assert viewer.told == ["published", EndReason.DURATION]


def test_a_duration_within_the_first_burst() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(1000))
    viewer = stage.watch(duration=40)
    assert viewer.payloads == HEADERS + payloads(gop(1000)[:2])
    assert viewer.told == [EndReason.DURATION]


def test_a_duration_of_somebody_who_was_there_first() -> None:
    stage = Stage()
    viewer = stage.watch(duration=100)
    inlet = stage.publish()
    feed(inlet, *headers())
    feed(inlet, *gop(5000))
    feed(inlet, video(5120))
    assert viewer.payloads == HEADERS + payloads(gop(5000))
    assert viewer.told == ["published", EndReason.DURATION]


def test_a_duration_of_somebody_slow() -> None:
    stage = Stage()
    viewer = stage.watch(duration=100)
    inlet = stage.publish()
    viewer.writer.blocked = True
    feed(inlet, *headers())
    for message in gop(5000, pictures=9):
        feed(inlet, message)
    viewer.writer.drain()
    assert viewer.told == ["published"]
    viewer.writer.drain()
    assert viewer.payloads == HEADERS + payloads(gop(5000))
    assert viewer.told == ["published", EndReason.DURATION]


def test_others_share_bursts_with_somebody_who_wants_less() -> None:
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    full = stage.watch()
    short = stage.watch(duration=40)
    again = stage.watch()
    assert full.payloads == again.payloads
    assert len(short.messages) < len(full.messages)


# ------------------------------------------------- surprises inside of a write


@pytest.mark.parametrize("blocked", [False, True])
def test_a_viewer_may_leave_from_inside_a_write(blocked: bool) -> None:
    stage = Stage()
    one, other = stage.watch(), stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers())
    other.writer.blocked = blocked
    other.writer.on_write = other.subscriber.close
    feed(inlet, *gop(0))
    feed(inlet, *gop(200))
    assert one.payloads == HEADERS + payloads(gop(0) + gop(200))
    assert other.payloads == HEADERS + payloads(gop(0))


def test_a_viewer_may_leave_from_inside_its_first_burst() -> None:
    stage = Stage()
    feed(stage.publish(), *headers(), *gop(0))
    viewer = Viewer()
    viewer.writer.on_write = lambda: viewer.subscriber.close()  # noqa: PLW0108 - there is none yet
    stage.watch(viewer)
    assert viewer.payloads == HEADERS + payloads(gop(0))
    assert viewer.subscriber.state is State.CLOSED


@pytest.mark.parametrize("leave", ["close", "pause"])
def test_a_viewer_may_send_another_one_away_in_a_sweep(leave: str) -> None:
    """Whether it was served already or not: it gets a whole batch or none of it."""
    stage = Stage()
    viewers = [stage.watch() for _ in range(3)]
    inlet = stage.publish()
    feed(inlet, *headers())

    def surprise() -> None:
        for viewer in viewers:
            getattr(viewer.subscriber, leave)()

    viewers[1].writer.on_write = surprise
    feed(inlet, *gop(0))
    for viewer in viewers:
        sent = viewer.subscriber.meter.bytes
        assert sent == viewer.writer.size
        assert viewer.payloads in (HEADERS, HEADERS + payloads(gop(0)))
    assert stage.application.meter.bytes_out == sum(v.writer.size for v in viewers)


def test_a_viewer_may_join_from_inside_a_write() -> None:
    stage = Stage()
    one = stage.watch()
    inlet = stage.publish()
    feed(inlet, *headers())
    newcomer = Viewer()

    def surprise() -> None:
        one.writer.on_write = lambda: None
        stage.watch(newcomer)

    one.writer.on_write = surprise
    feed(inlet, *gop(0))
    feed(inlet, *gop(200))
    assert one.payloads == HEADERS + payloads(gop(0) + gop(200))
    assert newcomer.payloads == one.payloads


def test_a_viewer_may_change_its_mind_in_a_sweep() -> None:
    """Not reached by it yet, it gets the same messages in its new format."""
    stage = Stage()
    viewers = [stage.watch() for _ in range(3)]
    inlet = stage.publish()
    feed(inlet, *headers())

    def surprise() -> None:
        for viewer in viewers:
            viewer.writer.on_write = lambda: None
        for viewer in viewers:
            viewer.subscriber.receive(video=False)

    for viewer in viewers:
        viewer.writer.on_write = surprise
    feed(inlet, *gop(0))
    for viewer in viewers:
        heard = [sound for sound in sounds(viewer.messages) if sound != aac_header().payload]
        assert heard == sounds(gop(0))
    assert [len(viewer.messages) for viewer in viewers].count(3 + 2 + 3) == 2


def test_waiting_viewers_may_leave_as_they_are_served() -> None:
    stage = Stage(Settings(join="live-edge"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = stage.watch()
    feed(inlet, audio(130))
    viewer.writer.on_write = viewer.subscriber.close
    feed(inlet, audio(140), *gop(160))
    assert viewer.payloads[-1] == audio(140).payload


def test_a_viewer_may_leave_from_inside_its_first_sound() -> None:
    stage = Stage(Settings(join="live-edge"))
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewer = Viewer()
    viewer.writer.on_write = lambda: viewer.subscriber.close()  # noqa: PLW0108 - there is none yet
    stage.watch(viewer)
    feed(inlet, *gop(120))
    assert viewer.payloads == [HEADERS[0], HEADERS[2]]


def test_bytes_are_counted_once_for_all() -> None:
    stage = Stage()
    viewers = [stage.watch() for _ in range(3)]
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(0))
    viewers.append(stage.watch())
    feed(inlet, *gop(200))
    viewers[0].subscriber.close()
    feed(inlet, *gop(400))
    for viewer in viewers:
        assert viewer.subscriber.meter.bytes == viewer.writer.size
    assert stage.application.meter.bytes_out == sum(v.writer.size for v in viewers)
    assert stage.application.meter.bytes_in == stage.stream.window.total_size


def test_another_chunk_size_is_another_format() -> None:
    stage = Stage()
    viewer = Viewer()
    viewer.form = replace(viewer.form, chunk_size=128)
    stage.watch(viewer)
    feed(stage.publish(), *gop(0))
    assert viewer.writer.parts == [RtmpFormat(128).encode(gop(0))]
    assert CHUNK_SIZE != 128
