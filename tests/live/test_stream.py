"""From one publisher to the next, and what viewers notice of it."""

from __future__ import annotations

import pytest

from rtmptwist.live.errors import Refused
from rtmptwist.live.inlet import PATIENCE, Phase
from rtmptwist.live.interfaces import EndReason
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.status import StatusCode
from tests.support.live import (
    HEADERS,
    FakePublisher,
    Settings,
    Stage,
    aac_header,
    audio,
    avc_end,
    avc_header,
    data,
    feed,
    gop,
    headers,
    metadata,
    on_air,
    payloads,
    stored,
    video,
)

# ------------------------------------------------------- leaving and returning


def test_a_viewer_does_not_notice_a_short_absence() -> None:
    stage, viewer, inlet = on_air()
    before = len(viewer.messages)
    inlet.end()
    stage.sweep(4)
    again = stage.publish("first")
    feed(again, *headers(), audio(0), video(10), *gop(33))
    assert viewer.payloads[before:] == payloads(gop(33))
    assert viewer.times[before:] == [120, 120, 160, 160, 200, 200]
    assert viewer.told == ["published", "published"]
    assert again.meter.dropped == 2
    assert stage.stream.meter.dropped == 2


def test_headers_that_differ_come_before_the_key_frame() -> None:
    stage, viewer, inlet = on_air()
    before = len(viewer.messages)
    inlet.end()
    again = stage.publish("first")
    feed(again, metadata(1920), avc_header("new"), aac_header(), data("onFI"), avc_end(), *gop(7))
    changed = [stored(metadata(1920)), avc_header("new").payload]
    assert viewer.payloads[before:] == changed + payloads(gop(7))
    assert viewer.times[before : before + 3] == [0, 120, 120]
    assert stage.watch().payloads == [changed[0], HEADERS[2], changed[1], *payloads(gop(7))]


def test_headers_that_the_next_publisher_has_not_are_forgotten() -> None:
    stage, _, inlet = on_air()
    inlet.end()
    feed(stage.publish("first"), avc_header(), video(0, key=True))
    assert stage.watch().payloads == payloads([avc_header(), video(0, key=True)])


def test_viewers_who_come_during_the_absence_see_the_last_pictures() -> None:
    stage, _, inlet = on_air()
    inlet.end()
    late = stage.watch(wait=False)
    feed(stage.publish("first"), *headers(), *gop(0))
    assert late.payloads == HEADERS + payloads(gop(0)) * 2
    assert late.told == ["published"]


def test_after_the_grace_time_viewers_are_told_and_may_stay() -> None:
    stage, viewer, inlet = on_air()
    inlet.end()
    stage.clock.advance(4.9)
    assert viewer.told == ["published"]
    stage.clock.advance(0.1)
    assert viewer.told == ["published", "unpublished"]
    before = len(viewer.messages)
    next_one = stage.publish("another")
    feed(next_one, *headers(), audio(0), *gop(10))
    assert viewer.payloads[before:] == HEADERS + payloads([audio(0), *gop(10)])
    assert viewer.times[before:][:5] == [0, 120, 120, 120, 130]
    assert viewer.told == ["published", "unpublished", "published"]


def test_after_the_grace_time_viewers_may_be_sent_away() -> None:
    stage, viewer, inlet = on_air(Settings(after_end="close"))
    inlet.end()
    stage.clock.advance(5)
    assert viewer.told == ["published", EndReason.UNPUBLISHED]
    assert stage.application.streams == {}


def test_without_grace_the_end_is_the_end() -> None:
    _stage, viewer, inlet = on_air(Settings(grace=0))
    inlet.push(video(120))
    inlet.end()
    assert viewer.payloads[-1] == video(120).payload
    assert viewer.told == ["published", "unpublished"]
    inlet.end()
    inlet.push(video(160))
    inlet.push(data("onTextData"))
    inlet.flush()
    assert viewer.payloads[-1] == video(120).payload


def test_slow_viewers_get_the_rest_before_they_are_told() -> None:
    stage, viewer, inlet = on_air(Settings(grace=0, after_end="close"))
    quick = stage.watch()
    viewer.writer.blocked = True
    feed(inlet, *gop(120))
    feed(inlet, *gop(240))
    inlet.end()
    assert quick.told == [EndReason.UNPUBLISHED]
    assert viewer.told == ["published"]
    stage.sweep()
    viewer.writer.blocked = False
    viewer.writer.drain()
    assert viewer.payloads == HEADERS + payloads(gop(0) + gop(120) + gop(240))
    assert viewer.told == ["published", EndReason.UNPUBLISHED]
    assert stage.application.streams == {}


def test_what_is_over_is_nothing_to_begin_with_and_takes_no_room() -> None:
    stage, _, inlet = on_air(Settings(grace=0))
    inlet.end()
    newcomer = stage.watch()
    assert newcomer.messages == []
    stage.sweep()
    assert stage.stream.window.size == 0
    feed(stage.publish(), *headers(), *gop(0))
    assert newcomer.payloads == HEADERS + payloads(gop(0))


def test_who_waits_for_a_picture_at_the_end_gets_the_next_publication_whole() -> None:
    for join in ("keyframe", "live-edge"):
        stage, _, inlet = on_air(Settings(grace=0, join=join))
        waiting = stage.watch()
        inlet.end()
        before = len(waiting.messages)
        feed(stage.publish(), *headers(), audio(0), *gop(10))
        assert waiting.payloads[before:] == HEADERS + payloads([audio(0), *gop(10)])
        assert waiting.told == ["unpublished", "published"]


def test_a_stream_that_nobody_watches_is_not_continued_but_new() -> None:
    """Its timestamps pass unchanged, and it keeps no memory meanwhile."""
    stage = Stage()
    inlet = stage.publish()
    feed(inlet, *headers(), *gop(5000))
    inlet.end()
    assert stage.stream.window.size == 0
    viewer = stage.watch()
    feed(stage.publish(), audio(7), *gop(10))
    assert viewer.payloads == payloads([audio(7), *gop(10)])
    assert viewer.times[0] == 7


def test_a_stream_that_nobody_needs_disappears() -> None:
    stage = Stage()
    inlet = stage.publish()
    viewer = stage.watch()
    inlet.end()
    viewer.subscriber.close()
    assert stage.application.is_live(stage.NAME)
    stage.clock.advance(5)
    assert stage.application.streams == {}
    assert stage.clock.getDelayedCalls() == []
    other = stage.watch()
    other.subscriber.close()
    other.subscriber.close()
    assert stage.application.streams == {}


# ------------------------------------------------------------------- takeover


def test_the_same_publisher_takes_over_at_once() -> None:
    """Its old connection is dead, only nobody knows yet."""
    stage, viewer, old = on_air()
    publisher = old.publisher
    assert isinstance(publisher, FakePublisher)
    before = len(viewer.messages)
    new = stage.publish("first")
    assert publisher.reason == "show was taken over by the same publisher"
    feed(new, *headers(), audio(700))
    feed(old, *gop(120))
    feed(new, *gop(710))
    old.end()
    assert viewer.payloads[before:] == payloads(gop(710))
    assert viewer.times[before] == 120
    assert viewer.told == ["published", "published"]
    assert (old.meter.messages, new.meter.messages) == (9, 6)
    assert stage.stream.inlet is new


@pytest.mark.parametrize(
    ("takeover", "identity", "words"),
    [
        ("same", "other", "only its own publisher"),
        ("reject", "other", "may not be taken over"),
        ("reject", "first", "may not be taken over"),
    ],
)
def test_a_second_publisher_is_refused_with_words_that_help(
    takeover: str, identity: str, words: str
) -> None:
    stage, viewer, inlet = on_air(Settings(takeover=takeover))
    with pytest.raises(Refused, match=words) as refused:
        stage.publish(identity)
    assert refused.value.status.code is StatusCode.PUBLISH_BAD_NAME
    feed(inlet, *gop(120))
    assert viewer.payloads == HEADERS + payloads(gop(0) + gop(120))


def test_anybody_may_take_over_where_that_is_allowed() -> None:
    stage, viewer, _inlet = on_air(Settings(takeover="any"))
    feed(stage.publish("other"), *headers(), *gop(0))
    assert viewer.payloads == HEADERS + payloads(gop(0) * 2)


@pytest.mark.parametrize("takeover", ["same", "reject"])
def test_the_name_is_kept_for_its_publisher_during_the_grace_time(takeover: str) -> None:
    stage, _, inlet = on_air(Settings(takeover=takeover))
    inlet.end()
    with pytest.raises(Refused, match="kept for its publisher, who may return within 5 s"):
        stage.publish("other")
    stage.publish("first").end()
    stage.clock.advance(5)
    stage.publish("other")


@pytest.mark.parametrize("release", [True, False])
def test_a_name_given_up_is_free_although_viewers_still_wait(release: bool) -> None:
    stage, viewer, inlet = on_air()
    inlet.end(release=release)
    assert stage.application.is_live(stage.NAME)
    if release:
        feed(stage.publish("other"), *headers(), *gop(0))
        assert viewer.payloads == HEADERS + payloads(gop(0) * 2)
    else:
        with pytest.raises(Refused):
            stage.publish("other")


def test_a_name_given_up_that_nobody_watches_is_gone_at_once() -> None:
    stage = Stage()
    stage.publish().end(release=True)
    assert stage.application.streams == {}


def test_a_publisher_without_pictures_takes_a_stream_with_pictures_over() -> None:
    """But only when it is sure that none will come."""
    stage, viewer, _inlet = on_air()
    new = stage.publish("first")
    before = len(viewer.messages)
    feed(new, aac_header())
    for time in range(0, PATIENCE + 200, 100):
        feed(new, audio(time))
    assert viewer.payloads[before:] == payloads([audio(3000), audio(3100)])
    assert viewer.times[before:] == [120, 220]
    late = stage.watch()
    feed(new, audio(3200))
    assert late.payloads == [aac_header().payload, audio(3200).payload]


def test_who_waits_for_a_picture_of_a_stream_that_loses_them_hears_it() -> None:
    stage, _, _ = on_air(Settings(join="keyframe"))
    waiting = stage.watch()
    new = stage.publish("first")
    opaque = [Message(9, time, 1, b"\x9cabcdefghijklm") for time in (0, 2000, 3000)]
    feed(new, *opaque)
    feed(new, audio(3010))
    assert waiting.payloads == payloads([opaque[2], audio(3010)])


def test_a_publisher_whose_key_frame_is_late_is_heard_before() -> None:
    """No picture is shown that cannot be decoded."""
    stage, viewer, _ = on_air()
    new = stage.publish("first")
    before = len(viewer.messages)
    feed(new, *headers(), video(0))
    for time in range(0, PATIENCE + 200, 100):
        feed(new, audio(time))
    feed(new, video(3150))
    late = stage.watch()
    feed(new, *gop(9000))
    assert viewer.payloads[before:] == payloads([audio(3000), audio(3100), *gop(9000)])
    assert viewer.told == ["published", "published"]
    assert late.payloads == HEADERS + payloads(gop(9000))
    assert new.meter.dropped == 1 + 30 + 1


def test_a_publisher_with_pictures_takes_a_stream_without_over() -> None:
    stage = Stage()
    viewer = stage.watch()
    feed(stage.publish(), aac_header(), audio(0), audio(23))
    new = stage.publish()
    feed(new, *headers(), audio(500), *gop(510))
    assert viewer.payloads[3:] == [*HEADERS[:2], *payloads(gop(510))]
    assert viewer.times[3:6] == [0, 46, 46]


def test_sound_taken_over_goes_on_at_once() -> None:
    """And should pictures follow, they begin with a key frame."""
    stage = Stage()
    viewer = stage.watch()
    feed(stage.publish(), aac_header(), audio(0), audio(23))
    new = stage.publish()
    feed(new, aac_header(), audio(500), video(510), audio(523), *gop(530))
    assert viewer.payloads[3:] == payloads([audio(500), audio(523), *gop(530)])
    assert viewer.times[:6] == [0, 0, 23, 46, 69, 76]


def test_a_takeover_before_the_first_frame_is_a_beginning() -> None:
    stage = Stage()
    viewer = stage.watch()
    feed(stage.publish(), *headers())
    feed(stage.publish(), avc_header("new"), *gop(70))
    assert viewer.payloads == HEADERS + payloads([avc_header("new"), *gop(70)])
    assert viewer.times[-6] == 70
    assert stage.watch().payloads == payloads([avc_header("new"), *gop(70)])


# ----------------------------------------------------------------------- ends


def test_a_stream_can_be_closed_from_here() -> None:
    stage, viewer, inlet = on_air()
    stage.application.close("closed for a test")
    assert isinstance(inlet.publisher, FakePublisher)
    assert inlet.publisher.reason == "closed for a test"
    assert viewer.told == ["published", EndReason.CLOSED]
    assert stage.application.streams == {}
    inlet.end()
    assert inlet.phase is Phase.ENDED


def test_a_stream_in_its_grace_time_can_be_closed_too() -> None:
    stage, viewer, inlet = on_air()
    inlet.end()
    stage.stream.close("over")
    assert viewer.told == ["published", EndReason.CLOSED]
    assert stage.clock.getDelayedCalls() == []


def test_a_publisher_that_is_gone_from_inside_a_sweep() -> None:
    """It watches its own stream, and its connection breaks."""
    stage, viewer, inlet = on_air(Settings(grace=0))
    viewer.writer.on_write = inlet.end
    other = stage.watch()
    feed(inlet, *gop(120))
    assert other.payloads == HEADERS + payloads(gop(0) + gop(120))
    assert other.told == []
    stage.clock.advance(0)
    assert other.told == ["unpublished"]


def test_figures() -> None:
    stage, _, inlet = on_air()
    meter = stage.stream.meter
    sizes = sum(map(len, HEADERS + payloads(gop(0))))
    assert (meter.name, meter.state, meter.viewers, meter.lagging) == ("show", "live", 1, 0)
    assert (meter.messages_in, meter.bytes_in, meter.headers) == (9, sizes, 3)
    assert (meter.window_messages, meter.window_bytes) == (9, sizes)
    assert (inlet.meter.messages, inlet.meter.bytes, inlet.meter.dropped) == (9, sizes, 0)
    inlet.end()
    assert stage.stream.meter.state == "grace"
    stage.clock.advance(5)
    assert stage.stream.meter.state == "idle"


# ------------------------------------------------------------------ conclusions


def test_a_publication_is_concluded_before_its_next_key_frame() -> None:
    stage, viewer, inlet = on_air()
    before = len(viewer.messages)
    stage.stream.conclude()
    feed(inlet, video(120), audio(120))
    stage.stream.conclude()
    assert inlet.phase is Phase.LAST
    assert viewer.told == ["published"]
    feed(inlet, avc_header(), *gop(160))
    assert viewer.payloads[before:] == payloads([video(120), audio(120), avc_header()])
    assert viewer.told == ["published", "unpublished"]
    assert (inlet.phase, stage.stream.live) == (Phase.ENDED, False)
    feed(inlet, *gop(280), data("onFI"))
    inlet.end()
    assert len(viewer.payloads) == before + 3


def test_data_and_unknown_pictures_still_go_before_that() -> None:
    stage, viewer, inlet = on_air()
    before = len(viewer.messages)
    stage.stream.conclude()
    unknown = Message(MessageType.VIDEO, 120, 1, b"\x2fwhatever")
    feed(inlet, data("onFI"), unknown)
    assert viewer.payloads[before:] == payloads([data("onFI"), unknown])


@pytest.mark.parametrize("first", [[aac_header(), audio(0)], [*headers()], []])
def test_without_pictures_it_is_concluded_at_once(first: list[Message]) -> None:
    stage = Stage()
    viewer = stage.watch()
    inlet = stage.publish()
    feed(inlet, *first)
    stage.stream.conclude()
    assert inlet.phase is Phase.ENDED
    assert viewer.told[-1] == "unpublished"
    assert len(viewer.payloads) == len(first)


def test_what_nobody_takes_is_concluded_at_once() -> None:
    stage, viewer, inlet = on_air()
    viewer.subscriber.close()
    stage.stream.conclude()
    assert inlet.phase is Phase.ENDED
    assert stage.application.streams == {}


def test_there_may_be_no_time_to_wait_for_a_key_frame() -> None:
    stage, viewer, inlet = on_air()
    stage.stream.conclude()
    stage.stream.conclude(now=True)
    assert inlet.phase is Phase.ENDED
    assert viewer.told == ["published", "unpublished"]
    stage.stream.conclude()


def test_whose_publisher_is_away_is_concluded_as_well() -> None:
    stage, viewer, inlet = on_air()
    inlet.end()
    assert stage.stream.meter.state == "grace"
    stage.stream.conclude()
    assert stage.stream.meter.state == "idle"
    assert viewer.told == ["published", "unpublished"]
    assert stage.clock.getDelayedCalls() == []


def test_who_comes_after_all_may_leave_and_return() -> None:
    stage, viewer, _ = on_air()
    stage.stream.conclude(now=True)
    inlet = stage.publish("first")
    feed(inlet, *headers(), *gop(0))
    inlet.end()
    assert stage.stream.live
    assert viewer.told == ["published", "unpublished", "published"]


def test_who_lags_is_told_when_it_has_got_all() -> None:
    stage, viewer, inlet = on_air()
    slow = stage.watch(blocked=True)
    feed(inlet, *gop(120))
    stage.stream.conclude()
    feed(inlet, video(240, key=True))
    assert viewer.told[-1] == "unpublished"
    assert (slow.told, slow.subscriber.owed) == ([], True)
    while slow.subscriber.owed:
        slow.writer.drain()
    assert slow.told == ["unpublished"]
    assert slow.payloads[-6:] == payloads(gop(120))
