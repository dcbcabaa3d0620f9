"""Viewers of a live stream who go back into its recording, over real sockets."""

from __future__ import annotations

from errno import ENOENT
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from rtmptwist.config.schema import App
from rtmptwist.live.playback import Excerpt, Past
from rtmptwist.live.stream import LiveStream
from rtmptwist.media import flvheaders
from rtmptwist.net.playing import Playing
from rtmptwist.outlets.recorder import Recorder
from rtmptwist.vod import library
from rtmptwist.wire.message import Message, MessageType
from tests.support.guests import PATIENCE, Guest, Host, eventually, live, serving
from tests.support.live import aac_header, audio, avc_header, gop, headers
from tests.support.logs import Logs
from tests.support.reactor import reactor_test


def recorded(folder: Path, options: str = "", **keys: Any) -> App:
    """An application that records, and sends what is recorded as fast as it goes."""
    settings = {"window": 6.0, "max_lag": 6.0, "grace": 0.0, **keys}
    return live(outlets=(f"record:{folder}/{{name}}.flv{options}",), files_ahead=3600.0, **settings)


def film(since: int, until: int) -> list[Message]:
    """Seconds of sound and pictures, a GOP each."""
    return [message for second in range(since, until) for message in gop(second * 1000, 25)]


async def on_air(host: Host, seconds: int) -> Guest:
    """A publisher that has sent so much."""
    publisher = await host.publish()
    await publisher.feed(avc_header(), aac_header(), *film(0, seconds))
    return publisher


async def viewer_of(host: Host, keeps: int = 3_600_000) -> Guest:
    viewer = await host.play()
    viewer.stream.keep(keeps)
    await viewer.until(lambda: viewer.media)
    await viewer.settle()
    return viewer


async def written(host: Host, seconds: float) -> None:
    """Until so much of the present file is on the disk."""
    (recorder,) = host.application().recorders
    assert isinstance(recorder, Recorder)

    def there() -> bool:
        (meter,) = recorder.meter.recordings
        return meter.seconds >= seconds and not meter.waiting

    await eventually(there)


async def paused_in_the_past(host: Host) -> tuple[Guest, Guest]:
    """A publisher of 12 seconds, and a viewer who stands where there was 1."""
    publisher = await on_air(host, 12)
    viewer = await viewer_of(host)
    await written(host, 11.9)
    await viewer.stream.seek(1000)
    await viewer.stream.pause(True, 1000)
    return publisher, viewer


def seen(viewer: Guest, begin: int, end: int) -> bool:
    """
    Whether something of both times has come, the end last.

    Headers of the present have its time too, and may come late from a look back that has ended.
    """
    return begin in viewer.times and viewer.times[-1] == end


def frames(viewer: Guest) -> list[tuple[int, bytes]]:
    """What is no header, by when it came."""
    heads = {avc_header().payload, aac_header().payload}
    return [(m.timestamp, m.payload) for m in viewer.media if m.payload not in heads]


def of(messages: list[Message]) -> list[tuple[int, bytes]]:
    return [(m.timestamp, m.payload) for m in messages]


@reactor_test
async def test_who_seeks_on_after_the_end_is_told(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher, viewer = await paused_in_the_past(host)
        viewer.infos.clear()
        await publisher.leave()
        await eventually((tmp_path / "show.flv").exists)
        await viewer.stream.seek(2000)
        await viewer.until_told("Play.UnpublishNotify")
        # and waits for the next one, but not before it wants to
        publisher = await on_air(host, 2)
        await viewer.until_told("Play.PublishNotify")
        viewer.messages.clear()
        await viewer.settle()
        assert viewer.media == []
        await viewer.stream.pause(False, 2000)
        await viewer.until(lambda: viewer.media)


@reactor_test
async def test_whose_past_is_all_that_is_left_waits_for_the_next_one(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher, viewer = await paused_in_the_past(host)
        await publisher.leave()
        await eventually((tmp_path / "show.flv").exists)
        host.stream("show").window.clear()
        viewer.infos.clear()
        await viewer.stream.pause(False, 1000)
        await viewer.until_told("Play.UnpublishNotify")
        viewer.messages.clear()
        publisher = await on_air(host, 2)
        await viewer.until(lambda: len(frames(viewer)) >= len(film(0, 2)))


@reactor_test
async def test_what_follows_begins_when_the_past_was_seen(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher, viewer = await paused_in_the_past(host)
        viewer.stream.receive(audio=False)
        viewer.stream.keep(1_000_000)
        two = await host.publish("two")
        viewer.connection.session.play(viewer.stream.stream_id, "two", reset=False)
        viewer.connection.send()
        await publisher.leave()
        await eventually((tmp_path / "show.flv").exists)
        viewer.infos.clear()
        viewer.messages.clear()
        await viewer.stream.pause(False, 1000)
        await viewer.until_told("Play.Start")
        seen = [message for message in film(1, 12) if message.type == MessageType.VIDEO]
        assert [f for f in frames(viewer) if f[0] >= 1000] == of(seen)
        viewer.messages.clear()
        await two.feed(*headers(), *gop(0))
        await viewer.until(lambda: len(frames(viewer)) >= len(gop(0)))
        assert "NetStream.Play.UnpublishNotify" not in [info["code"] for info in viewer.infos]


@reactor_test
async def test_a_stream_that_goes_while_its_past_is_opened(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path, wait=0.0, after_end="close")) as host:
        publisher, viewer = await paused_in_the_past(host)
        past = host.application().past
        assert past is not None
        look, gate, opened = past.look, Deferred[None](), list[Excerpt]()

        async def slow(stream: LiveStream, time: int) -> Excerpt | None:
            excerpt = await look(stream, time)
            assert excerpt is not None
            opened.append(excerpt)
            await gate
            return excerpt

        host.application().past = cast("Past", SimpleNamespace(look=slow))
        seeking = viewer.stream.seek(2000)
        await eventually(lambda: bool(opened))
        await publisher.leave()
        await eventually(lambda: host.application().find("show") is None)
        gate.callback(None)
        await seeking
        await viewer.until_told("Play.UnpublishNotify")
        assert all(not film.holders for film in host.site.library._films.values())


@reactor_test
async def test_files_that_hang_keep_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = Event()

    def hang(*_: object) -> None:
        released.wait(PATIENCE)
        raise FileNotFoundError(ENOENT, "No such file")

    monkeypatch.setattr("rtmptwist.vod.library._open", hang)
    try:
        async with serving(recorded(tmp_path, files=tmp_path)) as host:
            viewers = [await host.guest() for _ in range(8)]
            for viewer in viewers:
                viewer.connection.session.play(viewer.stream.stream_id, "film")
                viewer.connection.send()
            publisher = await on_air(host, 12)
            await written(host, 11.9)
            await publisher.leave()
            await eventually((tmp_path / "show.flv").exists)
            released.set()
    finally:
        released.set()


@reactor_test
async def test_from_the_past_into_the_present_without_a_gap(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher = await on_air(host, 12)
        viewer = await viewer_of(host)
        assert viewer.times[-1] >= 11_000
        await written(host, 11.9)
        viewer.messages.clear()
        told = await viewer.stream.seek(2500)
        assert told["code"] == "NetStream.Seek.Notify"
        await viewer.until(lambda: len(frames(viewer)) >= len(film(2, 12)))
        assert viewer.payloads[:2] == [avc_header().payload, aac_header().payload]
        await publisher.feed(*film(12, 14))
        await viewer.until(lambda: len(frames(viewer)) >= len(film(2, 14)))
        assert frames(viewer) == of(film(2, 14))
        uses = [use for each in host.site.connections() for use in each.uses.values()]
        (playing,) = (use for use in uses if isinstance(use, Playing))
        assert playing.meter.state == "flowing"


@reactor_test
async def test_through_the_files_of_a_recording(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path, ":segment=4s")) as host:
        publisher = await on_air(host, 4)
        for second in (4, 8, 12):
            await written(host, 3.9)
            await publisher.feed(*film(second, second + 4))
        await written(host, 3.9)
        (recorder,) = host.application().recorders
        assert len(recorder.chapters(host.stream("show"))) >= 3
        viewer = await viewer_of(host)
        viewer.messages.clear()
        await viewer.stream.seek(0)
        await viewer.until(lambda: len(frames(viewer)) >= len(film(0, 16)))
        await publisher.feed(*film(16, 17))
        await viewer.until(lambda: len(frames(viewer)) >= len(film(0, 17)))
        assert frames(viewer) == of(film(0, 17))


@reactor_test
async def test_a_pause_in_the_past(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher = await on_air(host, 12)
        viewer = await viewer_of(host)
        await written(host, 11.9)
        await viewer.stream.pause(True, 11_900)
        viewer.messages.clear()
        await viewer.stream.seek(3000)
        await viewer.until(lambda: len(viewer.media) >= 3)
        await viewer.settle()
        assert len(viewer.media) < 10
        viewer.messages.clear()
        await publisher.feed(*film(12, 13))
        assert viewer.media == []
        await viewer.stream.pause(False, 3000)
        await viewer.until(lambda: len(frames(viewer)) >= len(film(3, 13)))
        assert frames(viewer) == of(film(3, 13))


@reactor_test
async def test_the_end_of_the_stream_is_told_when_it_has_been_seen(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher, viewer = await paused_in_the_past(host)
        viewer.messages.clear()
        viewer.infos.clear()
        await publisher.leave()
        await eventually((tmp_path / "show.flv").exists)
        await viewer.settle()
        assert "Play.UnpublishNotify" not in viewer.told
        await viewer.stream.pause(False, 1000)
        await viewer.until_told("Play.UnpublishNotify")
        assert frames(viewer)[-1] == of(film(11, 12))[-1]


@reactor_test
async def test_back_to_the_present_by_seeking(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        publisher = await on_air(host, 12)
        viewer = await viewer_of(host, 500)
        await written(host, 11.9)
        await viewer.stream.seek(1000)
        await viewer.until(lambda: min(viewer.times[-3:]) < 3000)
        await viewer.stream.seek(99_999)
        viewer.messages.clear()
        await viewer.until(lambda: viewer.media and viewer.times[-1] >= 11_900)
        await publisher.feed(*film(12, 13))
        await viewer.until(lambda: viewer.times[-1] >= 12_900)
        assert frames(viewer)[-len(film(12, 13)) :] == of(film(12, 13))
        assert frames(viewer)[0][0] >= 1000


@reactor_test
async def test_a_recording_that_is_gone(tmp_path: Path, logs: Logs) -> None:
    async with serving(recorded(tmp_path)) as host:
        await on_air(host, 12)
        viewer = await viewer_of(host)
        await written(host, 11.9)
        (tmp_path / "show.flv.part").unlink()
        viewer.messages.clear()
        await viewer.stream.seek(1000)
        await viewer.until(lambda: viewer.media and viewer.times[-1] >= 11_900)
        assert frames(viewer)[0][0] == 11_000
        assert logs.about("cannot be looked back into: No such file")


@reactor_test
async def test_an_operator_closes_what_is_looked_back_into(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        await on_air(host, 12)
        viewer = await viewer_of(host, 500)
        await written(host, 11.9)
        await viewer.stream.seek(1000)
        host.stream("show").close("enough")
        await viewer.until_told("Play.Stop")
        assert host.application().streams == {}


@reactor_test
async def test_sound_is_left_out_of_the_past_too(tmp_path: Path) -> None:
    async with serving(recorded(tmp_path)) as host:
        await on_air(host, 12)
        viewer = await viewer_of(host)
        await written(host, 11.9)
        viewer.stream.receive(audio=False)
        await viewer.settle()
        viewer.messages.clear()
        await viewer.stream.seek(1000)
        await viewer.until(lambda: viewer.times and viewer.times[-1] >= 11_900)
        assert audio(0).payload[:1] not in {payload[:1] for _, payload in frames(viewer)}


@reactor_test
async def test_what_was_there_before_is_not_shown(tmp_path: Path) -> None:
    """Of a file that was gone on with only what belongs to this publication."""
    async with serving(recorded(tmp_path)) as host:
        publisher = await on_air(host, 4)
        await publisher.leave()
        await eventually((tmp_path / "show.flv").exists)
        publisher = await host.guest()
        publisher.name = "show"
        await publisher.stream.publish("show", "append")
        sound = [audio(time, f"early{time}") for time in range(5000, 6000, 40)]
        show = [*sound, *film(6, 17)]
        await publisher.feed(avc_header("other"), aac_header(), *show)
        await written(host, 15.9)
        await eventually(lambda: not (tmp_path / "show.flv").exists())
        viewer = await viewer_of(host)
        heads = {avc_header("other").payload, aac_header().payload}
        for position, begin in ((5000, 5000), (100, 5000), (8500, 8000)):
            await viewer.settle()
            viewer.messages.clear()
            await viewer.stream.seek(position)
            wanted = of([message for message in show if message.timestamp >= begin])
            await viewer.until(partial(seen, viewer, begin, 16_960))
            await viewer.settle()
            got = of(viewer.media)
            first = got.index(wanted[0])
            assert {payload for _, payload in got[:first]} == heads
            assert got[first : first + len(wanted)] == wanted


@reactor_test
async def test_after_fifty_days_on_air(tmp_path: Path) -> None:
    """Clients have clocks of 32 bits, which began anew eight seconds after this stream did."""
    begin = (1 << 32) - 8000

    def show(since: int, until: int) -> list[Message]:
        return [
            Message(m.type, (begin + m.timestamp) & 0xFFFFFFFF, m.stream_id, m.payload)
            for m in film(since, until)
        ]

    async with serving(recorded(tmp_path)) as host:
        publisher = await host.publish()
        await publisher.feed(avc_header(), aac_header(), *show(0, 16))
        await written(host, 15.9)
        viewer = await viewer_of(host)
        for position, second in ((begin + 2500, 2), (1500, 9), (begin + 1000, 1)):
            viewer.messages.clear()
            await viewer.stream.seek(position)
            await viewer.until(partial(seen, viewer, show(second, 16)[0].timestamp, 7960))
            await viewer.settle()
            assert frames(viewer)[: len(film(second, 16))] == of(show(second, 16))
        viewer = await viewer_of(host, 4000)
        viewer.messages.clear()
        await viewer.stream.seek(begin + 6000)
        await viewer.until(lambda: 900 < (viewer.times or [begin])[-1] < begin)
        await viewer.stream.pause(True, 500)  # after the clock began anew
        await viewer.settle()
        viewer.messages.clear()
        await viewer.stream.pause(False, 500)
        await viewer.until(lambda: viewer.media)
        assert viewer.times[0] == 520


@reactor_test
async def test_pictures_that_became_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorder tells where, in a file that it has yet to complete, and that it went on with."""
    monkeypatch.setattr(flvheaders, "MOST_BACK", 0)
    async with serving(recorded(tmp_path)) as host:
        publisher = await on_air(host, 4)
        await publisher.leave()
        await eventually((tmp_path / "show.flv").exists)
        publisher = await host.guest()
        publisher.name = "show"
        await publisher.stream.publish("show", "append")
        await publisher.feed(avc_header("first"), aac_header(), *film(0, 3))
        await publisher.feed(avc_header("second", 3000), *film(3, 16))
        await written(host, 15.9)
        viewer = await viewer_of(host)
        for position, header in ((9000, "second"), (2000, "first")):
            await viewer.settle()
            viewer.messages.clear()
            await viewer.stream.seek(position)
            await viewer.until(partial(seen, viewer, position, 15_960))
            at = viewer.times.index(position)
            heads = {message.payload for message in viewer.media[at : at + 2]}
            assert heads == {avc_header(header).payload, aac_header().payload}


@reactor_test
async def test_pictures_that_become_others_while_somebody_looks_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who look back share one open file, but for what was not known when it was opened."""
    monkeypatch.setattr(flvheaders, "MOST_BACK", 0)
    monkeypatch.setattr(library, "SETTLED", 0)
    async with serving(recorded(tmp_path)) as host:
        publisher = await host.publish()
        await publisher.feed(avc_header("first"), aac_header(), *film(0, 12))
        await written(host, 11.9)
        early = await viewer_of(host, 500)
        await early.stream.seek(1000)
        await early.until(lambda: min(early.times[-3:]) < 3000)
        await publisher.feed(avc_header("second", 12_000), *film(12, 30))
        await written(host, 29.9)
        late = await viewer_of(host)
        await late.settle()
        late.messages.clear()
        await late.stream.seek(20_000)
        await late.until(lambda: late.times[-1:] == [29_960])
        at = late.times.index(20_000)
        heads = {message.payload for message in late.media[at : at + 2]}
        assert heads == {avc_header("second").payload, aac_header().payload}
