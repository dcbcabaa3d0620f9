"""Signs of trouble: none in streams that are well, the right one in those that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from rtmptwist.amf.values import EcmaArray
from rtmptwist.live.health import Sign
from rtmptwist.live.inlet import Inlet
from rtmptwist.media.flv import SCRIPT
from rtmptwist.wire.message import Message, MessageType
from tests.media.samples import FOLDER, tags
from tests.support.live import (
    FakePublisher,
    Settings,
    Stage,
    aac_header,
    audio,
    avc_header,
    data,
    feed,
    video,
)

WATCHFUL = Settings(
    warn_gop=9.0, warn_skew=1.0, warn_missing=10.0, warn_lag=5.0, window=10, grace=0
)
"As an application is by default."

Signs = list[tuple[Sign, bool]]


class Air:
    """A stream in real time, as far as can be told from here."""

    def __init__(self, settings: Settings = WATCHFUL) -> None:
        self.stage = Stage(settings)
        self.publisher = FakePublisher()
        self.next_sweep = 1.0
        self.inlet: Inlet = self.stage.publish(publisher=self.publisher)

    def play(self, messages: Iterable[Message], at: Callable[[int], float] | None = None) -> None:
        """Each comes when its timestamp says, or `at` says for it; sweeps go on meanwhile."""
        clock = self.stage.clock
        for message in messages:
            due = at(message.timestamp) if at else message.timestamp / 1000
            self.wait(due - clock.seconds())
            feed(self.inlet, message)

    def wait(self, seconds: float) -> None:
        """Time passes; the service sweeps each second."""
        clock = self.stage.clock
        until = clock.seconds() + seconds
        while self.next_sweep <= until:
            clock.advance(self.next_sweep - clock.seconds())
            self.stage.application.sweep(clock.seconds())
            self.next_sweep += 1
        clock.advance(max(until - clock.seconds(), 0))

    @property
    def signs(self) -> Signs:
        return self.publisher.troubles

    @property
    def words(self) -> list[str]:
        return [trouble.words for trouble in self.stage.stream.troubles]


def media(
    start: int,
    end: int,
    *,
    fps: float = 25,
    gop: float = 2.0,
    sound: bool = True,
    pictures: bool = True,
    lip: int = 0,
) -> Iterator[Message]:
    """Pictures and sound from one millisecond to another; `lip`: how much later sound comes."""
    step, each = round(1000 / fps), 20
    for time in range(start, end):
        if pictures and (time - start) % step == 0:
            index = (time - start) // step
            yield video(time, f"v{time}", key=index % round(gop * fps) == 0)
        if sound and (time - start) % each == 0 and time >= lip:
            yield audio(time - lip, f"a{time}")


def headers(**claims: float) -> list[Message]:
    """What comes first."""
    values = EcmaArray({name: float(value) for name, value in claims.items()})
    return [data("@setDataFrame", "onMetaData", values), avc_header(), aac_header()]


# ---------------------------------------------------------------------------------- all is well


NAMES = sorted(path.stem for path in FOLDER.glob("*.flv"))


@pytest.mark.parametrize("name", [name for name in NAMES if "longgop" not in name])
def test_the_samples_are_well(name: str) -> None:
    """Three times over, as FFmpeg's -stream_loop does it."""
    air = Air()
    once = [Message(MessageType(t.type), t.timestamp, 1, t.payload) for t in tags(name)]
    begin = next(m.timestamp for m in once if m.type != SCRIPT and m.timestamp > 0)
    begin = begin if begin > 60_000 else 0
    length = once[-1].timestamp - begin + 40
    for turn in range(3):
        shifted = (
            Message(m.type, max(m.timestamp, begin) + turn * length, 1, m.payload) for m in once
        )
        air.play(shifted, lambda time: (time - begin) / 1000)
    assert air.signs == []


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(lambda time: time / 10_000, id="ten times as fast"),
        pytest.param(lambda time: max(0, time - 5000) / 1000, id="a burst first"),
        pytest.param(lambda time: (time // 6000 + 1) * 6.0, id="in segments"),
        pytest.param(lambda time: time / 1000 * 1.02, id="a clock that is wrong"),
        pytest.param(
            lambda time: time / 1000 if time < 20_000 else max(time / 1000, 24), id="a hiccup"
        ),
    ],
)
def test_networks_are_not_perfect(at: Callable[[int], float]) -> None:
    air = Air()
    air.play([*headers(framerate=25), *media(0, 40_000)], at)
    assert air.signs == []


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(lambda: media(0, 30_000, fps=1), id="slides"),
        pytest.param(lambda: media(0, 30_000, sound=False), id="no sound ever"),
        pytest.param(lambda: media(0, 30_000, pictures=False), id="no pictures ever"),
        pytest.param(lambda: media(0, 30_000, lip=700), id="a little apart"),
        pytest.param(lambda: media(0, 40_000, gop=8.3), id="OBS left alone"),
    ],
)
def test_streams_differ(messages: Callable[[], Iterator[Message]]) -> None:
    air = Air()
    air.play(messages())
    assert air.signs == []


@pytest.mark.parametrize("hour", [3600, -3600])
def test_somebody_sets_the_clock(hour: int, monkeypatch: pytest.MonkeyPatch) -> None:
    air = Air()
    air.play([*headers(framerate=25), *media(0, 20_000)])
    sweep = air.stage.application.sweep
    monkeypatch.setattr(air.stage.application, "sweep", lambda now: sweep(now + hour))
    air.play(media(20_000, 40_000))
    assert air.signs == []


def test_a_publication_after_another_is_judged_by_itself() -> None:
    air = Air()
    air.play([*headers(framerate=25), *media(0, 20_000)])
    air.inlet = air.stage.publish(publisher=air.publisher)
    air.play(media(0, 30_000, sound=False), lambda time: 20 + time / 1000)
    assert air.signs == []


# ------------------------------------------------------------------------------- what is wrong


def test_no_key_frame_for_too_long_and_then_in_time() -> None:
    air = Air()
    air.play(media(0, 11_000, gop=12))
    assert air.signs == [(Sign.LONG_GOP, True)]
    assert air.words == [
        "10.0 s without a key frame: viewers wait that long; set the encoder's interval to 2 s"
    ]
    air.play(media(11_000, 20_000))
    assert len(air.signs) == 1, "perhaps it comes back"
    air.play(media(20_000, 36_000))
    assert air.signs == [(Sign.LONG_GOP, True), (Sign.LONG_GOP, False)]
    assert air.words == []


def test_the_sample_with_a_long_gop() -> None:
    air = Air()
    air.play(
        Message(MessageType(t.type), t.timestamp, 1, t.payload) for t in tags("h264-longgop-aac")
    )
    assert air.signs == [(Sign.LONG_GOP, True)]


@pytest.mark.parametrize(
    ("lip", "words"),
    [
        (3000, "sound comes 3.0 s after the pictures of the same time"),
        (-3000, "pictures come 3.0 s after the sound of the same time"),
    ],
)
def test_sound_and_pictures_apart(lip: int, words: str) -> None:
    air = Air()
    air.play(media(0, 20_000, lip=lip))
    assert air.signs == [(Sign.SKEW, True)]
    assert air.words == [words]
    air.play(media(20_000, 32_000))
    assert (Sign.SKEW, False) in air.signs


@pytest.mark.parametrize(
    ("sign", "lost", "words"),
    [
        (Sign.NO_AUDIO, {"sound": False}, "no sound for 10 s"),
        (Sign.NO_VIDEO, {"pictures": False}, "no pictures for 10 s"),
    ],
)
def test_what_was_there_is_missing(sign: Sign, lost: dict[str, bool], words: str) -> None:
    air = Air()
    air.play(media(0, 5000))
    air.play(media(5000, 15_500, **lost))
    assert air.signs == [(sign, True)]
    assert air.words == [words]
    air.play(media(15_500, 22_000))
    assert air.signs == [(sign, True), (sign, False)]


@pytest.mark.parametrize(
    ("first", "there"),
    [
        ([aac_header()], {"sound": False}),
        (headers(audiocodecid=10)[:1], {"sound": False}),
        (headers(videocodecid=7)[:1], {"pictures": False}),
    ],
)
def test_what_was_announced_is_missing(first: list[Message], there: dict[str, bool]) -> None:
    air = Air()
    air.play([*first, *media(0, 12_000, **there)])
    ((sign, begins),) = air.signs
    assert (sign, begins) == (Sign.NO_VIDEO if "pictures" in there else Sign.NO_AUDIO, True)
    assert air.words[0].endswith("s, although the encoder announced it")


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (40_000, "timestamps have jumped forwards by 30.0 s"),
        (200_000, "timestamps have jumped forwards by 190.0 s"),
        (5000, "timestamps have jumped back by 4.0 s"),
        (70_000, "timestamps have jumped forwards by 60.0 s"),
    ],
)
def test_timestamps_jump(to: int, words: str) -> None:
    """Those further than the timeline lets pass are mended, and told all the same."""
    air = Air()
    air.play(media(0, 10_000))
    off = to / 1000 - 10
    air.play(media(to, to + 30_000), lambda time: time / 1000 - off)
    assert air.signs == [(Sign.TIMESTAMP_JUMP, True)]
    assert air.words[0].rpartition(" by ")[0] == words.rpartition(" by ")[0]
    air.play(media(to + 30_000, to + 80_000), lambda time: time / 1000 - off)
    assert air.signs == [(Sign.TIMESTAMP_JUMP, True), (Sign.TIMESTAMP_JUMP, False)]


def test_a_far_jump_back() -> None:
    air = Air()
    air.play(media(100_000, 120_000), lambda time: time / 1000 - 100)
    air.play(media(0, 10_000), lambda time: time / 1000 + 20)
    assert air.signs == [(Sign.TIMESTAMP_JUMP, True)]
    assert air.words == ["timestamps have jumped back by 120.0 s"]


def test_pictures_collapse_and_recover() -> None:
    air = Air()
    air.play(media(0, 30_000))
    air.play(media(30_000, 50_000, fps=8))
    assert air.signs == [(Sign.LOW_FRAME_RATE, True)]
    assert air.words == ["8.0 pictures per second, where 25.0 are usual"]
    air.play(media(50_000, 70_000))
    assert air.signs == [(Sign.LOW_FRAME_RATE, True), (Sign.LOW_FRAME_RATE, False)]


def test_fewer_pictures_than_announced() -> None:
    air = Air()
    air.play([*headers(framerate=60), *media(0, 20_000)])
    assert air.signs == [(Sign.LOW_FRAME_RATE, True)]
    assert air.words == ["25.0 pictures per second, where 60.0 were announced"]


def test_a_time_base_is_no_frame_rate() -> None:
    air = Air()
    air.play([*headers(framerate=1000), *media(0, 20_000)])
    assert air.signs == []


def test_a_weak_uplink() -> None:
    air = Air()
    air.play(media(0, 40_000), lambda time: time / 1000 * 1.25)
    assert air.signs == [(Sign.SLOW, True)]
    (words,) = air.words
    assert words.endswith("s within a minute: the uplink or the encoder is too slow")
    behind = air.stage.clock.seconds() - 40
    air.play(media(40_000, 140_000), lambda time: time / 1000 + behind)
    assert air.signs == [(Sign.SLOW, True), (Sign.SLOW, False)]


def test_nothing_comes_any_more() -> None:
    air = Air()
    air.play(media(0, 10_000))
    air.wait(10.5)
    assert air.signs == [(Sign.SLOW, True)]
    assert air.words == ["nothing has come for 10 s: the uplink or the encoder is too slow"]


def test_nothing_comes_at_all() -> None:
    air = Air()
    air.wait(10)
    assert air.signs == [(Sign.SLOW, True)]
    assert air.words == ["nothing has come for 10 s"]


def test_what_others_see() -> None:
    air = Air()
    air.stage.stream.see(Sign.BITRATE, "too much")
    air.wait(1)
    assert air.signs == [(Sign.BITRATE, True)]
    air.wait(0.5)
    stream = air.stage.stream
    air.inlet.end(release=True)
    stream.see(Sign.BITRATE, "too late")
    assert stream.troubles == ()


def test_what_nobody_wants_to_know() -> None:
    air = Air(Settings())
    air.play([aac_header(), *media(0, 20_000, gop=30, sound=False)])
    air.wait(20)
    air.play(media(20_000, 30_000, lip=4000), lambda time: 20 + time / 1000)
    assert {sign for sign, _ in air.signs} <= {Sign.TIMESTAMP_JUMP}
