"""Whether a publication keeps to its terms: time, bitrate, codecs, size of the picture."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from rtmptwist.amf import amf0, amf3
from rtmptwist.amf.values import EcmaArray
from rtmptwist.live.access import Terms
from rtmptwist.live.conduct import GRACE, WINDOW, Conduct, Finding, overdue
from rtmptwist.media.flv import SCRIPT
from rtmptwist.wire.message import Message, MessageType
from tests.media.samples import tags
from tests.support.live import (
    Settings,
    Stage,
    aac_header,
    audio,
    avc_header,
    data,
    feed,
    gop,
    headers,
    metadata,
    video,
)


class Trial:
    """A publication that is looked at."""

    def __init__(self, settings: Settings | None = None, **terms: Any) -> None:
        self.stage = Stage(settings)
        self.inlet = self.stage.publish()
        self.terms = Terms(**terms)
        self.conduct = Conduct(self.terms, self.inlet, 0.0)
        self.now = 0.0

    def look(self, *messages: Message) -> Finding | None:
        """Publish, and look a second later."""
        feed(self.inlet, *messages)
        self.now += 1
        return self.conduct.look(self.now)

    def words(self, *messages: Message) -> str:
        """What is wrong with these, if anything is."""
        finding = self.look(*messages)
        assert finding is None or finding.final
        return finding.words if finding is not None else ""

    def sample(self, name: str) -> str:
        """What is wrong with a sample file."""
        return self.words(
            *(
                Message(tag.type, tag.timestamp, 1, tag.payload)
                for tag in tags(name)
                if tag.type != SCRIPT
            )
        )


# --------------------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("duration", "until", "now", "words"),
    [
        (None, None, 1e12, ""),
        (60.0, None, 159.9, ""),
        (60.0, None, 160.0, "The 60 seconds that this may last are over."),
        (90.5, None, 500.0, "The 90.5 seconds that this may last are over."),
        (300.0, None, 500.0, "The 5 minutes that this may last are over."),
        (7200.0, None, 9999.0, "The 2 hours that this may last are over."),
        (None, 160.0, 159.0, ""),
        (60.0, 130.0, 130.0, "What allowed this has expired."),
    ],
)
def test_how_long_it_may_last(
    duration: float | None, until: float | None, now: float, words: str
) -> None:
    assert overdue(Terms(duration=duration, until=until), 100.0, now) == words


def test_a_publication_whose_time_is_over() -> None:
    trial = Trial(duration=3)
    assert [trial.words() for _ in range(3)] == [
        "",
        "",
        "The 3 seconds that this may last are over.",
    ]


def test_without_terms_nothing_is_wrong() -> None:
    trial = Trial()
    assert trial.look(*headers(), *gop(0), video(0, size=1_000_000)) is None


# ------------------------------------------------------------------------ bitrate


def piece(bits: int) -> Message:
    return video(0, size=bits // 8)


def test_too_much_is_warned_then_cut() -> None:
    trial = Trial(bitrate=100_000)
    found = [trial.look(piece(200_000)) for _ in range(16)]
    assert found[:5] == [None] * 5  # as much as ten seconds may have
    assert found[5] == Finding(
        "120 kbit/s, and 100 are allowed: lower the bitrate, or the stream is cut in 10 s.",
        final=False,
    )
    assert found[6:15] == [None] * 9
    assert found[15] == Finding("Cut, for it had 200 kbit/s, and 100 are allowed.")


def test_a_key_frame_is_no_excess() -> None:
    """Nor is what an encoder had to keep back while its network was away."""
    trial = Trial(bitrate=100_000)
    for _ in range(5):
        assert trial.look(piece(900_000)) is None
        assert [trial.look(piece(10_000)) for _ in range(9)] == [None] * 9


def test_who_listens_to_the_warning_goes_on() -> None:
    trial = Trial(bitrate=100_000)
    first = [trial.look(piece(200_000)) for _ in range(7)]
    assert sum(finding is not None for finding in first) == 1
    assert [trial.look(piece(50_000)) for _ in range(30)] == [None] * 30
    again = [trial.look(piece(300_000)) for _ in range(5)]
    assert [finding.final for finding in again if finding] == [False]  # warned anew


def test_who_is_too_fast_now_and_then_is_not_warned_each_time_but_cut() -> None:
    trial = Trial(bitrate=100_000)
    found = [trial.look(piece(600_000 if second % 5 == 4 else 0)) for second in range(60)]
    assert [finding.final for finding in found if finding][:2] == [False, True]


@given(lists(integers(0, 100_000), min_size=20, max_size=40))
def test_nobody_is_warned_who_keeps_to_it(sizes: list[int]) -> None:
    trial = Trial(bitrate=100_000)
    assert [trial.look(piece(max(88, bits))) for bits in sizes] == [None] * len(sizes)


@given(lists(integers(0, 400_000), min_size=20, max_size=60))
def test_nobody_is_cut_without_warning(sizes: list[int]) -> None:
    trial = Trial(bitrate=100_000)
    warned = 0.0
    for bits in sizes:
        finding = trial.look(piece(max(88, bits)))
        if finding is not None and finding.final:
            assert warned
            assert trial.now - warned >= GRACE
        elif finding is not None:
            assert trial.now - warned >= WINDOW or not warned
            warned = trial.now


@pytest.mark.parametrize("leap", [-3600.0, 3600.0])
def test_a_clock_that_is_set(leap: float) -> None:
    """Nobody is cut for it, nor does anybody escape for long."""
    trial = Trial(bitrate=100_000)
    assert [trial.look(piece(90_000)) for _ in range(12)] == [None] * 12
    trial.now += leap
    assert [trial.look(piece(90_000)) for _ in range(12)] == [None] * 12
    found = [trial.look(piece(200_000)) for _ in range(30)]
    assert [finding.final for finding in found if finding][:2] == [False, True]


# ------------------------------------------------------------------------- codecs


@pytest.mark.parametrize(
    ("sample", "allowed", "words"),
    [
        ("h264-b-aac", "avc1 mp4a", ""),
        ("h264-b-aac", "mp4a avc1 hvc1 av01", ""),
        ("h264-b-aac", "mp4a", "avc1 is not allowed here, but mp4a."),
        ("h264-b-aac", "avc1", "mp4a is not allowed here, but avc1."),
        ("hevc-aac-ertmp", "avc1 mp4a", "hvc1 is not allowed here, but avc1, mp4a."),
        ("av1-opus-ertmp", "av01 mp4a", "Opus is not allowed here, but av01, mp4a."),
        ("vp9-opus-ertmp", "vp09 Opus", ""),
        (
            "multitrack-mixed-ertmp",
            "avc1 mp4a Opus",
            "hvc1 is not allowed here, but Opus, avc1, mp4a.",
        ),
        (
            "multitrack-manycodecs",
            "avc1 hvc1 mp4a",
            "Opus is not allowed here, but avc1, hvc1, mp4a.",
        ),
        ("flv1-mp3", "h263", "'.mp3' is not allowed here, but h263."),
        ("flv1-speex", "speex", "h263 is not allowed here, but speex."),
        ("screen1-pcm", "screen pcm-le", ""),
        ("audio-only-aac", "", "mp4a is not allowed here, but nothing."),
    ],
)
def test_codecs_of_real_encoders(sample: str, allowed: str, words: str) -> None:
    assert (
        Trial(Settings(window_size=1 << 30), codecs=frozenset(allowed.split())).sample(sample)
        == words
    )


def test_a_codec_without_any_header() -> None:
    """Frames alone tell: nothing makes a publisher send a header first."""
    trial = Trial(codecs=frozenset({"avc1"}))
    assert trial.words(video(0, key=True)) == ""
    assert trial.words(audio(40)) == "mp4a is not allowed here, but avc1."


def test_what_came_before_is_not_looked_at_again() -> None:
    trial = Trial(codecs=frozenset({"avc1", "mp4a"}))
    assert trial.words(*headers(), *gop(0)) == ""
    assert trial.words() == ""


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"\x91xvid" + bytes(12), "xvid"),
        (b"\x91\n{a}" + bytes(12), r"'\n{a}'"),
        (b"\x2c\x01\0\0\0hevc of 2019", "unknown"),
    ],
)
def test_a_codec_that_nobody_knows(payload: bytes, shown: str) -> None:
    trial = Trial(codecs=frozenset({"avc1"}))
    trial.words(avc_header(), video(0, key=True))
    message = Message(MessageType.VIDEO, 40, 1, payload)
    assert trial.words(message) == f"{shown} is not allowed here, but avc1."


def test_texts_and_other_data_have_no_codec() -> None:
    trial = Trial(codecs=frozenset({"avc1", "mp4a"}))
    assert trial.words(*headers(), *gop(0), data("onTextData", {}), data("onCuePoint", {})) == ""


# --------------------------------------------------------------------------- size


@pytest.mark.parametrize(
    ("sample", "width", "height", "words"),
    [
        ("h264-b-aac", 320, 180, ""),
        ("h264-b-aac", 319, None, "The picture has 320x180 pixels; 319xany are allowed."),
        ("hevc-aac-ertmp", None, 179, "The picture has 320x180 pixels; anyx179 are allowed."),
        ("av1-opus-ertmp", 100, 100, "The picture has 320x180 pixels; 100x100 are allowed."),
        ("multitrack-2v2a-ertmp", 160, 90, "The picture has 320x180 pixels; 160x90 are allowed."),
        ("audio-only-aac", 1, 1, ""),
    ],
)
def test_sizes_of_real_encoders(
    sample: str, width: int | None, height: int | None, words: str
) -> None:
    assert Trial(width=width, height=height).sample(sample) == words


@pytest.mark.parametrize(
    "message",
    [
        data("@setDataFrame", "onMetaData", EcmaArray({"width": 640.0, "height": 360.0})),
        Message(
            MessageType.DATA_AMF3,
            0,
            1,
            b"\0"
            + amf0.encode("onMetaData")
            + b"\x11"
            + amf3.encode({"width": 640.0, "height": 360.0}),
        ),
    ],
)
def test_metadata_counts_where_the_header_is_silent(message: Message) -> None:
    trial = Trial(width=320, height=180)
    assert trial.words(message) == "The picture has 640x360 pixels; 320x180 are allowed."


def test_metadata_does_not_count_where_the_header_speaks() -> None:
    trial = Trial(width=320, height=180)
    feed(trial.inlet, data("onMetaData", {"width": 1920.0, "height": 1080.0}))
    assert trial.sample("h264-b-aac") == ""


@pytest.mark.parametrize(
    "values",
    [
        ("onMetaData",),
        ("onMetaData", "width"),
        ("onMetaData", {"width": 640.0}),
        ("onMetaData", {"width": "640", "height": "360"}),
        ("onMetaData", {"width": float("nan"), "height": 1.0}),
        ("onMetaData", {"width": float("inf"), "height": float("inf")}),
        ("onMetaData", {"width": -1.0, "height": 5.0}),
        ("onMetaData", {str(number): 0.0 for number in range(1000)}),
        ("onText", {"width": 640.0, "height": 360.0}),
    ],
)
def test_metadata_that_means_nothing(values: tuple[Any, ...]) -> None:
    assert Trial(width=1, height=1).words(data("@setDataFrame", *values)) == ""


def test_metadata_that_is_no_amf() -> None:
    broken = Message(MessageType.DATA, 0, 1, b"\x02\x00\x0aonMetaData\x08\xff")
    assert Trial(width=1, height=1).words(broken) == ""


def test_headers_are_read_when_they_change() -> None:
    trial = Trial(width=640, height=360)
    assert trial.words(metadata(), avc_header(), aac_header(), *gop(0)) == ""
    larger = data("onMetaData", {"width": 1280.0, "height": 720.0})
    assert trial.words(larger) == "The picture has 1280x720 pixels; 640x360 are allowed."


def test_a_predecessor_is_not_held_against_anybody() -> None:
    """Its headers are kept until the media of the next publisher begins."""
    stage = Stage(Settings(takeover="any"))
    stage.watch()
    feed(stage.publish("first"), data("onMetaData", {"width": 1280.0, "height": 720.0}), *gop(0))
    inlet = stage.publish("second")
    conduct = Conduct(Terms(width=640, height=360), inlet, 0.0)
    feed(inlet, avc_header())
    assert conduct.look(1.0) is None
    # what it says again is its own, although viewers have it
    feed(inlet, data("onMetaData", {"width": 1280.0, "height": 720.0}))
    assert conduct.look(2.0) is not None
