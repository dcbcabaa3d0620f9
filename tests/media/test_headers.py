"""Which headers a late viewer gets, and in which order."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis.strategies import binary, lists, sampled_from

from rtmptwist.media.flv import AUDIO, VIDEO, FlvTag
from rtmptwist.media.headers import Headers
from rtmptwist.media.tag import Tag, audio_tag, video_tag
from tests.media.samples import single_tags, tags

AVC = bytes.fromhex("1700000000 0142c00d")
AAC = bytes.fromhex("af00 1210")
MULTICHANNEL = b"\x94mp4a\x01\x06\0\0\0\x3f"
HEVC = b"\x90hvc1\x01\x01"
COLOR = b"\xd4hvc1\x02\x00\x09colorInfo\x03\x00\x07hdrCll\x05\x00\x00\x09"


def tag_of(type: int, payload: bytes) -> Tag:  # noqa: A002
    return audio_tag(payload) if type == AUDIO else video_tag(payload)


def video(payload: bytes) -> FlvTag:
    return FlvTag(VIDEO, 0, payload)


def audio(payload: bytes) -> FlvTag:
    return FlvTag(AUDIO, 0, payload)


def fed(messages: Iterable[FlvTag]) -> Headers[FlvTag]:
    headers = Headers[FlvTag]()
    for message in messages:
        assert headers.keep(tag_of(message.type, message.payload), message)
    return headers


def kept(*messages: FlvTag) -> list[bytes]:
    headers = fed(messages)
    payloads = [message.payload for message in headers]
    assert len(headers) == len(payloads)
    return payloads


def media(name: str) -> list[FlvTag]:
    return [tag for tag in tags(name) if tag.type in (AUDIO, VIDEO)]


def test_the_newest_of_each_kind() -> None:
    newer = AVC[:-1] + b"\x1f"
    assert kept(video(AVC), audio(AAC), video(newer)) == [AAC, newer]


def test_frames_ends_and_commands_are_none() -> None:
    ends = [video(b"\x17\x02\0\0\0"), video(b"\x57\x00"), audio(b""), audio(b"\xaf\x01\x21\x00")]
    assert kept(video(AVC), *ends) == [AVC]


def test_another_codec_replaces_the_header_of_the_track() -> None:
    assert kept(video(AVC), video(HEVC)) == [HEVC]


def test_legacy_aac_keeps_its_enhanced_multichannel_config() -> None:
    headers = fed(media("aac51-ertmp"))
    assert [message.payload[:2] for message in headers] == [b"\xaf\x00", b"\x94m"]


def test_sequence_headers_come_first() -> None:
    """A player that does not know the codec yet could not place the others."""
    newer = HEVC + b"\x02"
    assert kept(video(HEVC), video(COLOR), video(newer)) == [newer, COLOR]


def test_a_multichannel_config_goes_with_its_codec() -> None:
    opus = b"\x90OpusOpusHead"
    assert kept(audio(AAC), audio(MULTICHANNEL), audio(opus)) == [opus]


def test_a_multichannel_config_stays_with_a_new_header_of_its_codec() -> None:
    newer = AAC + b"\x56\xe5\x00"
    assert kept(audio(AAC), audio(MULTICHANNEL), audio(newer)) == [newer, MULTICHANNEL]


def test_a_multichannel_config_may_come_first() -> None:
    """Or stand alone: MP3 has no sequence header at all."""
    assert kept(audio(MULTICHANNEL), audio(AAC)) == [AAC, MULTICHANNEL]
    assert kept(audio(MULTICHANNEL), video(AVC)) == [AVC, MULTICHANNEL]


def test_a_color_info_goes_with_its_codec() -> None:
    assert kept(video(HEVC), video(COLOR), video(AVC)) == [AVC]


def test_a_color_info_without_track_belongs_to_the_track_with_its_codec() -> None:
    """As FFmpeg sends it when track 0 is AVC and track 1 HEVC: a new AVC header is no reason."""
    second = b"\x96\x00hvc1\x01\x01\x01"
    assert kept(video(AVC), video(second), video(COLOR), video(AVC)) == [second, AVC, COLOR]


def test_a_color_info_that_says_nothing_makes_the_last_one_void() -> None:
    undefined = b"\x84hvc1\x02\x00\x09colorInfo\x06"
    assert kept(video(HEVC), video(COLOR), video(undefined)) == [HEVC]
    assert kept(video(HEVC), video(undefined), video(COLOR)) == [HEVC, COLOR]


def test_each_track_has_its_own() -> None:
    headers = fed(media("multitrack-2v2a-ertmp"))
    found = [(tag_of(m.type, m.payload).kind.value, m.payload[:1]) for m in headers]
    assert len(headers) == 5
    assert [kind for kind, _ in found] == ["video", "video", "audio", "audio", "audio"]


def test_a_header_of_many_tracks_is_kept_whole() -> None:
    headers = fed(media("multitrack-manytracks"))
    assert [tag_of(m.type, m.payload).tracks for m in headers] == [(0, 1), (0, 1), (1,)]


MANY = b"\x96\x10avc1" + b"\x00\x00\x00\x01a" + b"\x01\x00\x00\x01b"
TRACK_1 = b"\x96\x00avc1\x01c"


def test_a_header_of_many_tracks_replaces_those_of_each() -> None:
    assert kept(video(AVC), video(TRACK_1), video(MANY)) == [MANY]


def test_a_header_of_one_track_comes_after_that_of_many() -> None:
    """It does not speak for the other tracks, so both are kept and the newer one has its way."""
    assert kept(video(TRACK_1), video(MANY), video(TRACK_1)) == [MANY, TRACK_1]
    assert kept(video(MANY), video(HEVC)) == [MANY, HEVC]


def test_another_publisher() -> None:
    headers = fed([video(AVC), audio(AAC)])
    headers.clear()
    assert list(headers) == []


def test_the_number_is_bounded() -> None:
    headers = Headers[FlvTag](entries=2)
    assert headers.keep(video_tag(AVC), video(AVC))
    assert headers.keep(audio_tag(AAC), audio(AAC))
    assert not headers.keep(video_tag(TRACK_1), video(TRACK_1))
    assert headers.keep(video_tag(AVC), video(AVC))
    assert len(headers) == 2


def test_the_size_is_bounded() -> None:
    """A header that does not fit is not kept, and neither is the one it replaces."""
    headers = Headers[FlvTag](size=20)
    assert headers.keep(video_tag(AVC), video(AVC))
    long = AVC + bytes(12)
    assert not headers.keep(video_tag(long), video(long))
    assert len(headers) == 0
    assert headers.keep(video_tag(long[:-1]), video(long[:-1]))


HEADERS = [
    FlvTag(AUDIO if entry["type"] == "audio" else VIDEO, 0, bytes.fromhex(entry["hex"]))
    for entry in single_tags()
] + [video(AVC), video(TRACK_1), video(MANY), video(COLOR), audio(MULTICHANNEL)]


@given(lists(sampled_from(HEADERS) | binary().map(video)))
def test_whatever_comes_the_last_header_of_a_slot_is_kept(messages: list[FlvTag]) -> None:
    headers = fed(messages)
    last = {}
    for message in messages:
        tag = tag_of(message.type, message.payload)
        if tag.slot is not None:
            last[tag.slot] = message
    for message in headers:
        slot = tag_of(message.type, message.payload).slot
        assert slot is not None
        assert last[slot] == message
