"""FLV files as containers: what is played from which time on, however odd the file."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray, Value
from rtmptwist.media import flvcontainer, flvheaders, flvtags
from rtmptwist.media.container import Fill, Point
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag, flv_header, flv_tag
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.media.flvindex import BLOCK
from rtmptwist.media.tag import audio_tag, video_tag
from tests.media.samples import FOLDER, Facts, facts, tags


class Memory:
    """A file that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.taken = 0
        self.reads = 0

    def read(self, position: int, size: int) -> bytes:
        self.reads += 1
        self.file.seek(position)
        data = self.file.read(size)
        self.taken += len(data)
        return data

    @property
    def size(self) -> int:
        return self.file.getbuffer().nbytes


def container(data: bytes) -> FlvContainer:
    return FlvContainer(Memory(data))


def played(film: FlvContainer, point: Point, size: int = 1 << 17) -> list[FlvTag]:
    """Everything from a point on."""
    found = list(point.headers)
    place = point.place
    while True:
        block = film.read(place, size)
        if not block.tags:
            return found
        found += block.tags
        place = block.next


def is_header(tag: FlvTag) -> bool:
    what = video_tag(tag.payload) if tag.type == VIDEO else audio_tag(tag.payload)
    return tag.type in (AUDIO, VIDEO) and what.header


HEAD = flv_header(audio=True, video=True)
META = flv_tag(
    SCRIPT,
    0,
    amf0.encode("onMetaData", EcmaArray({"width": 8.0, "keyframes": {"times": [0.0]}})),
)
AAC = flv_tag(AUDIO, 0, b"\xaf\x00\x12\x10")
AVC = flv_tag(VIDEO, 0, b"\x17\x00\0\0\0" + bytes(20))
AVC2 = flv_tag(VIDEO, 0, b"\x17\x00\0\0\0" + bytes(21))


def key(time: int, size: int = 50) -> bytes:
    return flv_tag(VIDEO, time, b"\x17\x01\0\0\0" + bytes(size))


def inter(time: int, size: int = 30) -> bytes:
    return flv_tag(VIDEO, time, b"\x27\x01\0\0\0" + bytes(size))


def sound(time: int, size: int = 20) -> bytes:
    return flv_tag(AUDIO, time, b"\xaf\x01" + bytes(size))


def gops(count: int, start: int = 0, pad: int = 30) -> bytes:
    """So many seconds with a key frame each, 10 pictures and 20 sounds."""
    found = []
    for second in range(count):
        for tenth in range(10):
            time = start + second * 1000 + tenth * 100
            found += [
                key(time, pad) if tenth == 0 else inter(time, pad),
                sound(time),
                sound(time + 50),
            ]
    return b"".join(found)


WHOLE = HEAD + META + AAC + AVC + gops(5)


@pytest.mark.parametrize("sample", facts(), ids=lambda sample: sample.name)
@pytest.mark.parametrize("size", [1, 1 << 17])
def test_samples_from_the_beginning(sample: Facts, size: int) -> None:
    film = container((FOLDER / f"{sample.name}.flv").read_bytes())
    wanted = tags(sample.name)
    meta, wanted = wanted[0], wanted[1:]
    assert meta.type == SCRIPT
    base = 16773933 if "24bit" in sample.name else 0
    got = played(film, film.seek(0), size)
    assert [(tag.type, tag.payload) for tag in got] == [(tag.type, tag.payload) for tag in wanted]
    assert [tag.timestamp for tag in got] == [max(0, tag.timestamp - base) for tag in wanted]
    assert film.duration == sample.last - base
    assert film.metadata["duration"] == film.duration / 1000
    assert "keyframes" not in film.metadata


@pytest.mark.parametrize("sample", facts(), ids=lambda sample: sample.name)
def test_samples_from_every_second(sample: Facts) -> None:
    film = container((FOLDER / f"{sample.name}.flv").read_bytes())
    everything = played(film, film.seek(0))
    headers = [tag for tag in everything if is_header(tag)]
    base = 16773933 if "24bit" in sample.name else 0
    keys = [time - base for time in sample.key_frames]
    sounds = [tag.timestamp for tag in everything if tag.type == AUDIO]
    for time in range(0, sample.last - base + 1500, 500):
        point = film.seek(time)
        places = keys or sounds
        assert point.time == max((at for at in places if at <= time), default=0)
        got = played(film, point)
        rest = [tag for tag in got if not is_header(tag)]
        assert rest == [tag for tag in everything if not is_header(tag)][-len(rest) :]
        before = {tag.payload for tag in got if is_header(tag)}
        assert before >= {tag.payload for tag in headers if tag.timestamp <= time}


def test_metadata_and_beginning() -> None:
    film = container(WHOLE)
    assert dict(film.metadata) == {"width": 8.0, "duration": 4.95}
    assert film.seek(-5) == film.seek(0) == Point(len(HEAD + META), 0)
    film.close()


@pytest.mark.parametrize("base", [0, 5000, (1 << 32) - 2500])
def test_time_begins_at_0_and_may_wrap(base: int) -> None:
    data = b"".join(
        flv_tag(tag[0], (int.from_bytes(tag[4:7]) + base) & 0xFFFFFFFF, tag[11:-4])
        for tag in [AAC, AVC, key(0), sound(0), key(1000), sound(1000), key(3000), sound(3010)]
    )
    film = container(HEAD + data)
    assert film.duration == 3010
    times = [tag.timestamp for tag in played(film, film.seek(0))]
    assert times == [0, 0, 0, 0, 1000, 1000, 3000, 3010]
    assert film.seek(2999).time == 1000


def test_sound_before_the_first_picture_begins_it() -> None:
    film = container(HEAD + key(40) + sound(20) + sound(60))
    assert [tag.timestamp for tag in played(film, film.seek(0))] == [20, 0, 40]


def test_a_time_is_found_by_reading_little() -> None:
    memory = Memory(HEAD + META + AAC + AVC + gops(3000, pad=1000))
    film = FlvContainer(memory)
    for time in (1, 1_234_567, 2_999_950, 9_999_999):
        memory.taken = 0
        assert film.seek(time).time == min(time // 1000 * 1000, 2_999_000)
        assert memory.taken < 2_500_000 + flvheaders.BACK + BLOCK


def test_headers_in_force() -> None:
    """A publisher who came back with another encoder."""
    film = container(HEAD + AAC + AVC + gops(3) + AVC2 + gops(3, 3000) + gops(200, 6000))
    # right behind the change it stands among what follows
    block = film.read(film.seek(3500).place)
    assert block.tags[0].payload == AVC2[11:-4]
    # and everywhere it is known once somebody has played it
    played(film, film.seek(0))
    played(film, film.seek(0))
    assert [tag.payload for tag in film.seek(2500).headers] == [AAC[11:-4], AVC[11:-4]]
    assert [tag.payload for tag in film.seek(99_500).headers] == [AAC[11:-4], AVC2[11:-4]]
    assert {tag.timestamp for tag in film.seek(99_500).headers} == {99_000}


def test_changes_of_headers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flvheaders, "MOST_HEADERS", 2)
    film = container(HEAD + AVC + key(0) + (AVC + key(1) + AVC2 + key(2)) * 3)
    played(film, film.seek(0))
    assert len(film._headers._changes) == 2


def script(values: dict[str, Value]) -> bytes:
    return flv_tag(SCRIPT, 0, amf0.encode("onMetaData", EcmaArray(values)))


def changing(pad: int = 30) -> bytes:
    """Whose pictures change after three seconds, and again after 200."""
    return (
        (AAC + AVC + gops(3, pad=pad))
        + (AVC2 + gops(197, 3000, pad=pad))
        + (AVC + gops(100, 200_000, pad=pad))
    )


def test_headers_that_nobody_has_read_are_found_near_a_place() -> None:
    # at 180 s the change is out of reach
    for time, wanted in ((20_500, AVC2), (180_500, AVC), (220_500, AVC), (2500, AVC)):
        film = container(HEAD + changing(pad=2000))
        assert film.seek(time).headers[-1].payload == wanted[11:-4], time


def test_headers_of_little_pieces_are_looked_for_in_bounded_time() -> None:
    sounds = b"".join(map(sound, range(40_000)))
    memory = Memory(HEAD + AVC + key(0) + AVC2 + key(1) + sounds + key(40_000))
    film = FlvContainer(memory)
    memory.reads = 0
    assert film.seek(40_000).headers[-1].payload == AVC[11:-4]
    assert memory.reads < 3 * flvheaders.MOST_BACK


def test_headers_where_they_are_told_to_be() -> None:
    """As our recorder does."""
    body = changing(pad=1000)
    data = HEAD + script({"duration": 300.0, "sequenceheaders": [0.0] * 3}) + body
    start = len(data) - len(body)
    places = [float(data.index(AVC2, start)), float(data.rindex(AVC))]
    wrong: list[Value] = [9e9, -1.0, float("nan"), 0.5, "none", float(start + 5)]
    meta = script({"duration": 300.0, "sequenceheaders": [*places, 1e300]})
    assert len(meta) == len(script({"duration": 300.0, "sequenceheaders": [0.0] * 3}))
    film = container(HEAD + meta + body)
    assert "sequenceheaders" not in film.metadata
    for time, wanted in ((2500, AVC), (150_500, AVC2), (250_500, AVC)):
        assert [tag.payload for tag in film.seek(time).headers] == [AAC[11:-4], wanted[11:-4]]
    told = FlvContainer(Memory(data), headers=[int(place) for place in places])
    assert told.seek(150_500).headers[-1].payload == AVC2[11:-4]
    lying = container(HEAD + script({"sequenceheaders": wrong}) + body)
    assert lying.seek(150_500).headers[-1].payload == AVC[11:-4]


def test_headers_in_a_file_without_sizes_behind_tags() -> None:
    film = container(unlinked(HEAD + changing()))
    assert film.seek(150_500).headers[-1].payload == AVC2[11:-4]


def test_a_header_that_is_none_is_not_kept() -> None:
    huge = flv_tag(VIDEO, 3000, AVC[11:-4] + bytes(flvheaders.LARGEST))
    film = container(HEAD + AVC + gops(3) + huge + gops(3, 3000))
    assert film.seek(5500).headers[-1].payload == AVC[11:-4]


def test_where_a_file_begins_may_be_known() -> None:
    film = FlvContainer(Memory(HEAD + AVC + gops(3, 5000)), origin=4000)
    assert film.duration == 3950
    assert [film.seek(time).time for time in (0, 2500, 3500)] == [0, 2000, 3000]
    assert played(film, film.seek(0))[1].timestamp == 1000


def test_headers_that_are_said_again_are_no_changes() -> None:
    again = b"".join(AVC + AAC + gops(1, second * 1000) for second in range(300))
    film = container(HEAD + again + AVC2 + gops(10, 300_000))
    played(film, film.seek(0))
    (change,) = film._headers._changes
    assert change.tag.payload == AVC2[11:-4]
    assert [tag.payload for tag in film.seek(305_000).headers] == [AVC2[11:-4], AAC[11:-4]]
    assert [tag.payload for tag in film.seek(290_000).headers] == [AVC[11:-4], AAC[11:-4]]


def test_sound_alone_is_sought_to_the_nearest_tag() -> None:
    film = container(HEAD + AAC + b"".join(sound(time) for time in range(0, 60_000, 21)))
    assert film.seek(30_000).time == 30_000 // 21 * 21
    assert [tag.payload for tag in film.seek(30_000).headers] == [AAC[11:-4]]


def test_sound_alone_with_nothing_but_headers_near() -> None:
    film = container(HEAD + AAC + sound(0) + (AAC * 9000) + sound(9000))
    assert film.seek(1000) == Point(len(HEAD), 0)


def test_long_distances_between_key_frames() -> None:
    frames = b"".join(inter(time, 5000) for time in range(40, 8000, 40))
    film = container(HEAD + AVC + key(0) + key(20) + frames + key(8000))
    assert film.seek(7999).time == 20


def test_no_key_frame_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flvcontainer, "BACK", 20_000)
    frames = b"".join(inter(time, 5000) for time in range(40, 8000, 40))
    film = container(HEAD + AVC + key(0) + frames)
    assert film.seek(7999) == Point(len(HEAD), 0)


def unlinked(data: bytes, start: int = 13) -> bytes:
    """As some write it: without the sizes behind tags."""
    found = bytearray(data)
    while start < len(data):
        start += 15 + int.from_bytes(data[start + 1 : start + 4])
        found[start - 4 : start] = bytes(4)
    return bytes(found)


def test_files_without_sizes_behind_tags() -> None:
    film = container(unlinked(WHOLE))
    assert film.duration == 0
    assert played(film, film.seek(0)) == played(container(WHOLE), Point(len(HEAD + META), 0))
    assert film.seek(3500).time == 3000
    assert film.seek(1).time == 0
    assert container(unlinked(HEAD + script({"duration": 4.95}) + gops(5))).duration == 4950
    assert container(unlinked(HEAD + inter(0) + inter(9))).seek(5) == Point(13, 0)


@pytest.mark.parametrize("cut", [1, 4, 5, 40, 100, 1000])
def test_a_cut_file_plays_to_its_last_whole_tag(cut: int) -> None:
    film = container(WHOLE[:-cut])
    got = played(film, film.seek(0))
    # one without its size behind it is played, although it is not counted
    last = max(tag.timestamp for tag in got)
    assert last - 50 <= film.duration <= last
    assert last >= 4950 - 50 - cut
    assert film.seek(10_000).time == 4000


def test_a_large_tag_that_was_cut() -> None:
    film = container(HEAD + AVC + gops(5) + key(5000, 3_000_000)[:-9])
    assert film.duration == 4950
    assert film.seek(10_000).time == 4000


def test_what_looks_like_a_tag_amid_others() -> None:
    """Payloads may have anything in them, as these headers without sizes behind them."""
    lie = (b"\x09\0\0\x01" + bytes(7)) * 3000
    frames = b"".join(
        flv_tag(VIDEO, time, (b"\x17" if time % 1000 == 0 else b"\x27") + b"\x01\0\0\0" + lie)
        for time in range(0, 9000, 200)
    )
    film = container(HEAD + frames)
    assert film.seek(4900).time == 4000


def small(time: int) -> bytes:
    """A picture of one byte."""
    return flv_tag(VIDEO, time, b"\x27")


LIE = b"\x27\x01\0\0\0" + b"\x08\x08\0\0\0\0" * 50_000
"Every third byte looks like the beginning of a tag."


@pytest.mark.parametrize(
    "rest",
    [
        b"".join(small(time // 20) for time in range(60_000)),
        b"".join(flv_tag(VIDEO, time, LIE) for time in range(1500, 4000, 500)),
        # what halves the file finds later times than there are
        b"".join(flv_tag(VIDEO, 1000, b"\x27" + small(9000)) for _ in range(40_000)),
    ],
    ids=["tiny", "seeming", "later"],
)
def test_a_hostile_file_takes_little_of_our_time(rest: bytes) -> None:
    memory = Memory(HEAD + AVC + key(0) + rest)
    film = FlvContainer(memory)
    memory.reads = 0
    assert film.seek(2500).time == 0
    assert memory.reads < 5 * max(flvcontainer.MOST_BACK, flvtags.MOST_SEEMING)
    assert memory.taken < 32 << 20


def test_nothing_but_one_tag_that_was_cut() -> None:
    film = container(HEAD + AVC + key(0, 100)[:-50])
    assert (film.duration, film.metadata) == (0, {})
    assert [tag.payload for tag in played(film, film.seek(0))] == [AVC[11:-4]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"FLV\x01\x05\0\0", "7 bytes"),
        (b"RIFF" + bytes(100), "expected FLV"),
        (b"FLV\x01\x05\xff\xff\xff\xff" + bytes(100), "FLV header of 4294967295 bytes"),
        (HEAD, "without tags"),
        (HEAD + META, "without tags"),
        (HEAD + bytes(5000), "without tags"),
        (HEAD + b"\x09\xff\xff\xff\0\0\0\0\0\0\0" + bytes(500), "without tags"),
        (HEAD + b"\x09\0\0\x01\0\0\0\0\0\0\x07" + bytes(500), "without tags"),
    ],
)
def test_what_is_no_film(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        container(data)


def test_encrypted_and_empty_tags_are_left_out() -> None:
    secret = bytes([VIDEO | 0x20]) + key(0)[1:]
    film = container(HEAD + key(0) + secret + sound(10) + flv_tag(AUDIO, 20, b"") + sound(30))
    assert [tag.timestamp for tag in played(film, film.seek(0))] == [0, 10, 30]


def test_garbage_amid_a_file_ends_it() -> None:
    film = container(HEAD + gops(2) + b"\x55" * 500 + gops(2, 2000))
    assert len(played(film, film.seek(0))) == 60


def test_metadata_that_is_too_long_or_something_else() -> None:
    other = flv_tag(SCRIPT, 0, amf0.encode("onCuePoint", 1.0))
    film = container(HEAD + other + META + key(0))
    assert film.metadata["width"] == 8.0
    long = flv_tag(SCRIPT, 0, amf0.encode("onMetaData", EcmaArray({"a": "b" * 65_000})) * 5)
    film = container(HEAD + long + key(0) + key(9))
    assert film.metadata == {"duration": 0.009}
    assert len(played(film, film.seek(0))) == 2


@given(data=st.binary(max_size=300), where=st.integers(0, len(WHOLE)))
def test_garbage_in_a_file_is_harmless(data: bytes, where: int) -> None:
    try:
        film = container(WHOLE[:where] + data + WHOLE[where:])
    except MediaError:
        return
    for time in (0, 1500, 4900, 10_000):
        played(film, film.seek(time))


def test_a_file_that_shrinks_and_grows() -> None:
    memory = Memory(WHOLE)
    film = FlvContainer(memory)
    memory.file.truncate(2000)
    got = played(film, film.seek(0))
    assert got
    assert film.seek(4000).time < 4000
    memory.file.truncate(0)
    assert film.seek(4000) == film.seek(0)
    assert played(film, film.seek(0)) == []
    memory.file.seek(0)
    memory.file.write(WHOLE + gops(5, 5000))
    assert film.seek(8888).time == 8000
    assert got == played(film, film.seek(0))[: len(got)]


def test_a_file_that_is_cut_while_it_is_opened() -> None:
    class Cut(Memory):
        size = len(WHOLE) + 500

    assert FlvContainer(Cut(WHOLE)).duration == 4950


def test_data_amid_sound_and_pictures_stays_there() -> None:
    cue = flv_tag(SCRIPT, 0, amf0.encode("onCuePoint", 1.0))
    film = container(HEAD + META + AVC + cue + key(0) + sound(0))
    assert [tag.type for tag in played(film, film.seek(0))] == [VIDEO, SCRIPT, VIDEO, AUDIO]


def test_blocks_end_at_times_and_sizes() -> None:
    film = container(WHOLE)
    block = film.read(film.seek(1000).place)
    assert {tag.timestamp // 1000 for tag in block.tags} == {1}
    # whoever began elsewhere goes on with the same ones
    first = film.read(film.seek(0).place)
    assert film.read(first.next) == block
    small = film.read(first.next, 100)
    assert small.tags == block.tags[:3]
    fill = Fill(10, 1000)
    assert [fill.full(*tag) for tag in [(1999, 6), (900, 6), (0, 1)]] == [False, False, True]
