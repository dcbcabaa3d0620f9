"""What a stream consists of, and what is told of its time."""

from __future__ import annotations

from rtmptwist.live.meters import Speed
from rtmptwist.live.window import Window
from rtmptwist.media.flv import SCRIPT
from rtmptwist.media.packet import Kind
from rtmptwist.wire.message import Message, MessageType
from tests.media.samples import tags
from tests.support.live import Stage, aac_header, audio, feed, gop, on_air, video


def test_the_tracks_of_a_real_stream() -> None:
    stage = Stage()
    inlet = stage.publish("first")
    for tag in tags("multitrack-2v2a-ertmp"):
        if tag.type != SCRIPT:
            inlet.push(Message(MessageType(tag.type), tag.timestamp, 1, tag.payload))
    found = stage.stream.programme.tracks()
    assert [(track.kind, track.number) for track in found] == [
        (Kind.VIDEO, 0),
        (Kind.VIDEO, 1),
        (Kind.AUDIO, 0),
        (Kind.AUDIO, 1),
    ]
    assert [(track.width, track.height) for track in found[:2]] == [(320, 180), (160, 90)]


def test_headers_are_read_once() -> None:
    stage, _, inlet = on_air()
    programme = stage.stream.programme
    first = programme.tracks()
    assert [track.codec for track in first] == ["avc1", "mp4a"]
    kept = programme._said
    feed(inlet, *gop(120))
    assert programme.tracks() == first
    assert programme._said is kept
    feed(inlet, aac_header("other"))
    assert [track.codec for track in programme.tracks()] == ["avc1", "mp4a"]
    assert programme._said is not kept


def test_codecs_without_headers_are_found_in_frames() -> None:
    stage = Stage()
    inlet = stage.publish("first")
    assert stage.stream.programme.tracks() == ()
    feed(inlet, Message(MessageType.AUDIO, 0, 1, b"\x2fsound"))
    (track,) = stage.stream.programme.tracks()
    assert (track.codec, track.sample_rate) == (".mp3", 44100)
    feed(inlet, Message(MessageType.AUDIO, 20, 1, b"\x3fsound"))
    assert [track.codec for track in stage.stream.programme.tracks()] == ["pcm-le"]


def test_key_frames_skew_and_duration() -> None:
    window = Window(10_000, 1 << 20, 3000)
    assert (window.gop, window.skew(), window.duration, window.behind(0)) == (None, None, 0, (0, 0))
    window.append_start(video(0, key=True))
    assert (window.gop, window.skew()) == (None, None)
    window.append(audio(30))
    window.append(video(40))
    assert window.skew() == 10
    window.append_start(video(2000, key=True))
    assert (window.gop, window.duration) == (2000, 2000)
    assert window.behind(2)[1] == 1960
    window.lose_pictures()
    assert window.gop is None


def test_a_second_of_a_stream() -> None:
    stage, _, inlet = on_air()
    stream = stage.stream
    stage.clock.advance(1)
    stream.sweep(stage.clock.seconds())
    meter = stream.meter
    assert meter.frames == 3
    assert meter.frame_rate == Speed(3, 3, 3)
    assert meter.bitrate_in.second == 8 * meter.bytes_in > 0
    assert meter.bitrate_out.second == 8 * meter.bytes_out > 0
    assert (meter.keyframe_interval, meter.skew, meter.window_duration) == (None, 0.0, 0.08)
    feed(inlet, *gop(2000))
    stage.clock.advance(1)
    stream.sweep(stage.clock.seconds())
    assert stream.meter.keyframe_interval == 2.0


def test_speeds_add_up() -> None:
    assert Speed(1, 2, 3) * 8 + Speed(1, 1, 1) == Speed(9, 17, 25)
