"""Fragmented MP4: what goes in comes out, and what is there plays before the end is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from rtmptwist.media import mux
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag
from rtmptwist.media.mp4boxes import whole
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.mux import Fragments, Unfit
from rtmptwist.media.packet import KEY_FRAME_TYPES, Content, read_audio, read_video
from rtmptwist.media.payload import video_header
from rtmptwist.media.pyav import Input
from tests.media.films import Film, played
from tests.media.samples import tags

SAMPLES = [
    "aac51-ertmp",
    "audio-only-aac",
    "audio-only-mp3",
    "h264-ac3-ertmp",
    "h264-b-aac",
    "h264-base-aac-25",
    "h264-eac3-ertmp",
    "h264-flac-ertmp",
    "h264-longgop-aac",
    "h264-text",
    "hevc-aac-ertmp",
    "hevc-modex-nano",
    "hevc10-hdr-ertmp",
    "ts-cross-24bit",
    "video-only",
    "vp9-opus-ertmp",
]

UNFIT = {
    "audio-alaw-8k": "alaw",
    "flv1-mp3": "h263",
    "flv1-nelly": "nellymoser",
    "flv1-speex": "speex",
    "screen1-pcm": "screen",
    "screen2-adpcm": "screen2",
    "vvc-aac-ertmp": "vvc1",
}


class Frame(NamedTuple):
    """A frame of a track."""

    time: int
    shift: int
    key: bool
    data: bytes


def frames(some: Sequence[FlvTag]) -> dict[tuple[int, int], list[Frame]]:
    """The frames of each track, however they are wrapped, from time 0 on."""
    found: dict[tuple[int, int], list[Frame]] = {}
    for tag in some:
        if tag.type not in (AUDIO, VIDEO):
            continue
        packet = (read_video if tag.type == VIDEO else read_audio)(tag.payload)
        if packet.content is Content.FRAME:
            key = tag.type == AUDIO or packet.frame_type in KEY_FRAME_TYPES
            for part in packet.parts:
                data = tag.payload[part.start : part.end]
                frame = Frame(tag.timestamp, part.composition_time, key, data)
                found.setdefault((tag.type, part.track), []).append(frame)
    begin = min(track[0].time for track in found.values())
    return {
        key: [frame._replace(time=frame.time - begin) for frame in track]
        for key, track in found.items()
    }


class Sink(bytearray):
    """Where a file goes."""

    def take(self, part: bytes) -> int:
        self.extend(part)
        return len(part)


def written(some: Sequence[FlvTag], batch: int = 60) -> bytes:
    """An MP4 of some tags."""
    data = Sink()
    fragments = Fragments(data.take)
    for start in range(0, len(some), batch):
        fragments.add(some[start : start + batch])
    fragments.finish()
    return bytes(data)


def read(data: bytes) -> dict[tuple[int, int], list[Frame]]:
    film = Mp4Container(Film(data))
    return frames(played(film, film.seek(0)))


@pytest.mark.parametrize("name", SAMPLES)
def test_what_goes_in_comes_out(name: str) -> None:
    data = written(tags(name))
    assert read(data) == frames(tags(name))
    assert whole(Film(data).read, len(data)) == (len(data), True)


def test_of_av1_only_the_delimiters_are_left_out() -> None:
    """AV1 in ISOBMFF, 2.5: temporal delimiters and padding should not be in a file."""
    before, after = frames(tags("av1-opus-ertmp")), read(written(tags("av1-opus-ertmp")))
    assert after[AUDIO, 0] == before[AUDIO, 0]
    assert [frame[:3] for frame in after[VIDEO, 0]] == [frame[:3] for frame in before[VIDEO, 0]]


@pytest.mark.parametrize(
    "name",
    [
        "multitrack-2v2a-ertmp",
        "multitrack-manycodecs",
        "multitrack-manytracks",
        "multitrack-mixed-ertmp",
    ],
)
def test_all_tracks_are_in_it(name: str) -> None:
    """Those too that FFmpeg cannot take out of an FLV."""
    source = Input(Film(written(tags(name))), "mp4")
    streams = source.streams
    found: dict[int, list[bytes]] = {}
    for packet in source.packets(streams):
        found.setdefault(packet.stream_index, []).append(bytes(packet))
    expected = frames(tags(name))
    order = [key for kind in (VIDEO, AUDIO) for key in sorted(expected) if key[0] == kind]
    assert [found[index] for index in sorted(found)] == [
        [frame.data for frame in expected[key]] for key in order
    ]


@pytest.mark.parametrize(("name", "codec"), UNFIT.items())
def test_other_codecs_are_refused(name: str, codec: str) -> None:
    with pytest.raises(Unfit, match=rf"MP4 cannot hold {codec} .*record such streams to \.flv"):
        written(tags(name))


def test_a_codec_that_is_a_command_for_terminals_is_none_in_a_log() -> None:
    sent = FlvTag(VIDEO, 0, b"\x90\x1b[2J" + bytes(20))
    with pytest.raises(Unfit, match=r"^MP4 cannot hold '\\x1b\[2J' \(expected"):
        written([sent])


def test_every_second_a_fragment_is_complete() -> None:
    """However long pictures have no key frame: nothing is older than a second in memory."""
    data = Sink()
    fragments = Fragments(data.take)
    whole_film = frames(tags("h264-longgop-aac"))[VIDEO, 0]
    lengths = []
    for tag in tags("h264-longgop-aac"):
        fragments.add([tag])
        if data and tag.type == VIDEO and tag.timestamp > 3000:
            got = read(bytes(data))[VIDEO, 0]
            assert got == whole_film[: len(got)]
            lengths.append(tag.timestamp - got[-1].time)
            if len(lengths) > 60:
                break
    assert max(lengths) < 1200
    fragments.abandon()


def test_what_is_abandoned_writes_nothing_more() -> None:
    data = Sink()
    fragments = Fragments(data.take)
    fragments.add(tags("h264-b-aac")[:200])
    size = len(data)
    fragments.abandon()
    fragments.abandon()
    assert len(data) == size > 0


def test_an_error_of_the_disk_is_not_hidden() -> None:
    def full(_: bytes) -> int:
        raise OSError(28, "No space left on device")

    fragments = Fragments(full)
    with pytest.raises(OSError, match="No space left"):
        fragments.add(tags("h264-b-aac"))
    fragments.abandon()


def test_nothing_makes_nothing() -> None:
    assert written([]) == b""
    assert written([FlvTag(SCRIPT, 0, b"\x02\0\x01a"), FlvTag(VIDEO, 0, b"\x17\0\0")]) == b""


def test_what_is_short_is_written_at_the_end() -> None:
    some = tags("h264-b-aac")[:8]
    assert read(written(some)) == frames(some)


def test_a_track_may_be_late_by_a_second() -> None:
    some = tags("h264-b-aac")
    late = [tag for tag in some if tag.type != AUDIO or tag.timestamp > 900 or len(tag.payload) < 9]
    assert set(read(written(late))) == {(AUDIO, 0), (VIDEO, 0)}


def test_a_track_of_which_nothing_comes_is_left_out() -> None:
    some = [tag for tag in tags("h264-b-aac") if tag.type != AUDIO or len(tag.payload) < 9]
    later = [tag for tag in tags("h264-b-aac") if tag.type != AUDIO or tag.timestamp > 5000]
    assert set(read(written(some))) == {(VIDEO, 0)}
    assert read(written([*some[:3], *later]))[VIDEO, 0] == frames(some)[VIDEO, 0]


def test_times_that_do_not_grow_are_moved_on() -> None:
    """The format has no place for two pictures at one time, nor for one shown before it comes."""
    header = next(tag for tag in tags("h264-b-aac") if tag.type == VIDEO)
    picture = next(tag for tag in tags("h264-b-aac") if tag.type == VIDEO and tag.payload[1] == 1)
    early = picture.payload[:2] + (-40).to_bytes(3, signed=True) + picture.payload[5:]
    some = [header, *(FlvTag(VIDEO, time, early) for time in (0, 40, 40, 20, 80))]
    assert [frame[:2] for frame in read(written(some))[VIDEO, 0]] == [
        (0, 0), (40, 0), (41, 0), (42, 0), (80, 0),
    ]  # fmt: skip


def test_flac_may_have_a_header_of_its_own() -> None:
    """Enhanced RTMP asks for it, and FFmpeg leaves it out."""
    some = [
        FlvTag(tag.type, tag.timestamp, tag.payload[:5] + b"fLaC\x80\0\0\x22" + tag.payload[5:])
        if tag.payload.startswith(b"\x90fLaC")
        else tag
        for tag in tags("h264-flac-ertmp")
    ]
    assert read(written(some)) == frames(tags("h264-flac-ertmp"))


def test_a_frame_without_its_header_is_refused() -> None:
    some = [tag for tag in tags("h264-b-aac") if tag.payload[:2] != b"\x17\0"]
    with pytest.raises(Unfit, match="avc1 without a sequence header"):
        written(some)


def test_a_header_of_no_sense_is_refused() -> None:
    some = [
        FlvTag(VIDEO, 0, video_header("avc1", b"\x01garbage"))
        if tag.payload[:2] == b"\x17\0"
        else tag
        for tag in tags("video-only")
    ]
    with pytest.raises(MediaError):
        written(some)


def test_tracks_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux, "MOST_TRACKS", 3)
    with pytest.raises(Unfit, match="4 tracks"):
        written(tags("multitrack-2v2a-ertmp"))


def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux, "MOST_WAITING", 5000)
    some = [tag for tag in tags("h264-b-aac") if tag.type != AUDIO or len(tag.payload) < 9]
    assert read(written(some)) == frames(some)
