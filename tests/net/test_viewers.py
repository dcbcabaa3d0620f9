"""Viewers who come early, pause, seek and choose, over real sockets."""

from __future__ import annotations

from itertools import pairwise

import pytest

from rtmptwist.amf import amf0
from rtmptwist.wire.message import Message, MessageType
from tests.support.guests import Serving, eventually, live, reactor, refused
from tests.support.live import (
    aac_header,
    audio,
    avc_header,
    data,
    gop,
    headers,
    metadata,
    payloads,
    stored,
    video,
)
from tests.support.reactor import reactor_test

AUDIO, VIDEO = MessageType.AUDIO, MessageType.VIDEO


@reactor_test
async def test_a_viewer_before_the_publisher_misses_nothing(serving: Serving) -> None:
    async with serving() as host:
        viewer = await host.play()
        await viewer.settle()
        assert viewer.told == []
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0), *gop(120))
        await viewer.until_told("Play.PublishNotify")
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0), *gop(120)])
        texts = [message.payload for message in viewer.messages if message.type == 18]
        assert texts == [amf0.encode("|RtmpSampleAccess", True, True), stored(metadata())]


@reactor_test
async def test_nobody_waits_for_ever(serving: Serving) -> None:
    async with serving(live(wait=0.5)) as host:
        viewer = await host.play()
        began = reactor.seconds()
        info = await viewer.until_told("Play.StreamNotFound")
        assert reactor.seconds() - began > 0.4
        assert info["level"] == "error"
        assert info["description"] == "Nobody publishes this stream at present."
        await host.publish()
        await viewer.stream.play("show")  # the NetStream is as good as new


@pytest.mark.parametrize(("wait", "start"), [(60.0, 0.0), (60.0, 3.5), (0.0, -2.0), (0.0, -1.0)])
@reactor_test
async def test_who_does_not_wait_is_told_at_once(
    serving: Serving, wait: float, start: float
) -> None:
    async with serving(live(wait=wait)) as host:
        viewer = await host.guest()
        refusal = await refused(viewer.stream.play("show", start))
        assert refusal.code == "NetStream.Play.StreamNotFound"
        assert refusal.description == "Nobody publishes show now."
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        await viewer.stream.play("show", start)
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])


@pytest.mark.parametrize("start", [-2.0, -1.0])
@reactor_test
async def test_both_ways_to_ask_for_live_wait(serving: Serving, start: float) -> None:
    async with serving() as host:
        viewer = await host.play(start=start)
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])


@reactor_test
async def test_a_late_viewer_begins_with_the_newest_key_frame(serving: Serving) -> None:
    async with serving() as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0), *gop(120), *gop(240))
        viewer = await host.play()
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(240)])
        assert viewer.times[:2] == [240, 240]
        await publisher.feed(*gop(360))
        await viewer.settle()
        assert viewer.payloads[8:] == payloads(gop(360))


@reactor_test
async def test_what_was_asked_for_in_seconds_is_completed(serving: Serving) -> None:
    async with serving() as host:
        publisher = await host.publish()
        viewer = await host.guest()
        await viewer.stream.play("show", duration=0.08)
        await publisher.feed(*headers(), *gop(0), *gop(120))
        await viewer.until_told("Play.Stop")
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)[:4]])
        complete = amf0.decode(viewer.messages[-1].payload)
        assert complete[0] == "onPlayStatus"
        assert isinstance(complete[1], dict)
        assert complete[1]["code"] == "NetStream.Play.Complete"
        assert not viewer.gone


@pytest.mark.parametrize("after_end", ["stay", "close"])
@reactor_test
async def test_viewers_of_a_stream_that_ended(serving: Serving, after_end: str) -> None:
    """Told either way. Those who may stay see the next publisher, the others ask again."""
    async with serving(live(grace=0.0, after_end=after_end)) as host:
        publisher = await host.publish()
        viewer = await host.play()
        await publisher.feed(*headers(), *gop(0))
        publisher.stream.close()
        await viewer.until_told("Play.UnpublishNotify")
        viewer.messages.clear()
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        await viewer.settle()
        if after_end == "close":
            assert viewer.messages == []
            await viewer.stream.play("show")
            await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])


@reactor_test
async def test_pause(serving: Serving) -> None:
    """Who goes on is where the stream is now, and can decode it."""
    async with serving() as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        await viewer.stream.pause()
        await publisher.feed(*gop(120), *gop(240), avc_header("new"), *gop(360))
        await viewer.settle()
        assert viewer.told == ["Pause.Notify"]
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])
        await viewer.stream.pause(False)
        await viewer.settle()
        assert viewer.told == ["Pause.Notify", "Unpause.Notify"]
        assert viewer.payloads[8:] == payloads([aac_header(), avc_header("new"), *gop(360)])
        await publisher.feed(*gop(480))
        await viewer.settle()
        assert viewer.payloads[16:] == payloads(gop(480))


@reactor_test
async def test_who_paused_before_the_end_of_the_stream_hears_of_it(serving: Serving) -> None:
    async with serving(live(grace=0.0)) as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        await viewer.stream.pause()
        publisher.stream.close()
        await viewer.until_told("Play.UnpublishNotify")


@reactor_test
async def test_sound_switched_off_and_on(serving: Serving) -> None:
    async with serving() as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        viewer.stream.receive(audio=False)
        await viewer.settle()
        viewer.messages.clear()
        await publisher.feed(*gop(120))
        await viewer.settle()
        assert [m.payload for m in viewer.media if m.type == VIDEO][-3:] == payloads(
            m for m in gop(120) if m.type == VIDEO
        )
        assert not [m for m in viewer.media if m.type == AUDIO]
        viewer.stream.receive(audio=True)
        await viewer.settle()
        viewer.messages.clear()
        await publisher.feed(*gop(240))
        await viewer.settle()
        assert viewer.payloads == payloads(gop(240))


@reactor_test
async def test_pictures_switched_off_and_on(serving: Serving) -> None:
    """They come back with a key frame, after their header."""
    async with serving() as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        viewer.stream.receive(video=False)
        await viewer.settle()
        viewer.messages.clear()
        await publisher.feed(*gop(120))
        await viewer.settle()
        assert not [m for m in viewer.media if m.type == VIDEO]
        assert [m.payload for m in viewer.media if m.type == AUDIO][-3:] == payloads(
            m for m in gop(120) if m.type == AUDIO
        )
        viewer.messages.clear()
        viewer.stream.receive(video=True)
        await publisher.feed(video(240), audio(240))
        await publisher.feed(*gop(280))
        await viewer.settle()
        assert viewer.told == ["Seek.Notify", "Play.Start"]
        pictures = [m.payload for m in viewer.media if m.type == VIDEO]
        assert pictures == payloads([avc_header(), *(m for m in gop(280) if m.type == VIDEO)])
        assert payloads([audio(240), *(m for m in gop(280) if m.type == AUDIO)]) == [
            m.payload for m in viewer.media if m.type == AUDIO and m.payload[1]
        ]


@reactor_test
async def test_seek_in_a_live_stream_leads_to_its_present(serving: Serving) -> None:
    """Refused, it would end FFmpeg."""
    async with serving() as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0), *gop(120))
        viewer = await host.play()
        await viewer.settle()
        viewer.messages.clear()
        await viewer.stream.seek(60_000)
        await publisher.feed(video(240))
        await viewer.settle()
        assert viewer.told == ["Seek.Notify", "Play.Start"]
        assert viewer.payloads == payloads([*headers()[1:], *gop(120), video(240)])


@reactor_test
async def test_a_second_play_replaces_the_first(serving: Serving) -> None:
    async with serving() as host:
        one, two = await host.publish("one"), await host.publish("two")
        await one.feed(*headers(), *gop(0, name="one"))
        await two.feed(*headers(), *gop(0, name="two"))
        viewer = await host.play("one")
        await viewer.stream.play("two")
        viewer.messages.clear()
        await one.feed(*gop(120, name="one"))
        await two.feed(*gop(120, name="two"))
        await viewer.settle()
        assert viewer.payloads == payloads(
            [*headers()[1:], *gop(0, name="two"), *gop(120, name="two")]
        )


@reactor_test
async def test_who_stops_playing_gets_nothing_more(serving: Serving) -> None:
    """closeStream keeps the NetStream, deleteStream does not."""
    async with serving() as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        session = viewer.connection.session
        session.close_stream(viewer.stream.stream_id)
        await viewer.settle()
        viewer.messages.clear()
        await publisher.feed(*gop(120))
        await viewer.settle()
        assert viewer.messages == []
        await viewer.stream.play("show")
        session.delete_stream(viewer.stream.stream_id)
        await viewer.settle()
        viewer.messages.clear()
        await publisher.feed(*gop(240))
        await viewer.settle()
        assert viewer.messages == []
        viewer.vanish()
        await eventually(lambda: host.stream("show").meter.viewers == 0)


@reactor_test
async def test_data_of_any_kind_arrives_in_its_place(serving: Serving) -> None:
    async with serving() as host:
        publisher = await host.publish()
        viewer = await host.play()
        sent = [
            *headers(),
            *gop(0)[:2],
            data("onTextData", {"text": "Grüße"}, timestamp=20),
            data("onCuePoint", {"name": "ad", "time": 0.03}, timestamp=30),
            data("anything", 1.0, None, [True], timestamp=35),
            *gop(0)[2:],
        ]
        await publisher.feed(*sent)
        await viewer.settle()
        assert [m.payload for m in viewer.messages[1:]] == [
            stored(metadata()),
            *payloads(sent[1:]),
        ]


# ---- time

START = 1_000
STEP = 20


def frames(start: int, count: int, period: int) -> list[Message]:
    """Pictures and sound around a wrap of timestamps, key frames every tenth."""
    messages = []
    for index in range(count):
        time = (start + index * STEP) % period
        messages.append(video(time, f"{index}", key=index % 10 == 0))
        messages.append(audio(time, f"{index}"))
    return messages


@pytest.mark.parametrize(
    ("border", "period"),
    [(1 << 24, 1 << 32), (1 << 32, 1 << 32), (1 << 31, 1 << 31), (1 << 31, 1 << 32)],
    ids=["24 bits", "32 bits", "31 bits, as FFmpeg", "through 31 bits"],
)
@reactor_test
async def test_time_goes_on_where_timestamps_end(
    serving: Serving, border: int, period: int
) -> None:
    """After 4 h 40 min, 24.8 and 49.7 days; for a viewer of before and for one of after."""
    async with serving() as host:
        publisher = await host.publish()
        early = await host.play()
        sent = frames(border - 25 * STEP - 7, 50, period)
        await publisher.feed(*headers(), *sent[:60])
        late = await host.play()
        await publisher.feed(*sent[60:])
        for viewer, first in (early, 0), (late, 20):
            await viewer.settle()
            assert viewer.payloads == payloads([*headers()[1:], *sent[2 * first :]])
            times = viewer.times[2:]
            assert times[0] == border - 25 * STEP - 7 + first * STEP
            steps = {(later - earlier) % (1 << 32) for earlier, later in pairwise(times)}
            assert steps == {0, STEP}
