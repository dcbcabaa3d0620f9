"""What real encoders and players hear when there are too many, too much, or when they must go."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtmptwist.auth.bans import Ban, Kind
from rtmptwist.auth.keyfile import StreamKey, hash_of
from rtmptwist.live.access import Terms
from tests.support.guests import eventually, live, serving
from tests.support.programs import (
    LISTENER,
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    player,
    program,
    programs,
    publisher,
    publishing,
    serve,
)
from tests.support.publishers import RTMP2SINK, RTMPSINK
from tests.support.reactor import reactor_test

pytestmark = pytest.mark.interop

LONG, HEVC = SAMPLES / "h264-b-aac.flv", SAMPLES / "hevc-aac-ertmp.flv"

APPLICATION = """\
grace = 0

[app one]
publish = anyone
max_publishers = 1

[app shared]
publish = anyone
max_viewers_per_stream = 1

[app short]
publish = anyone
max_session = 2s

[app thin]
publish = anyone
max_bitrate = 8k

[app keyed]
publish = keys
keys = {folder}/keys
"""

TERMS = {
    "plain": Terms(codecs=frozenset({"avc1", "mp4a"})),
    "sound": Terms(codecs=frozenset({"mp4a"})),
    "small": Terms(width=160, height=90),
}
"Of the keys in the file, by the name of stream and key."


@pytest.fixture(scope="module")
def house() -> Iterator[Site]:
    with programs() as these, tempfile.TemporaryDirectory() as folder:
        keys = [StreamKey(name, hash_of(f"key_{name}"), terms) for name, terms in TERMS.items()]
        (Path(folder) / "keys").write_text("".join(f"{key.line()}\n" for key in keys))
        yield serve(these, APPLICATION.format(folder=folder))


def endlessly(started: Programs, ffmpeg: str, url: str, source: Path = LONG) -> Run:
    """Publish a file, at its speed, again and again."""
    return started.start(*publisher(ffmpeg, source, url, "-stream_loop", "-1", "-re"))


def ended(run: Run) -> str:
    """The words with which a program failed."""
    assert run.wait() != 0
    return run.words()


# -------------------------------------------------------------------------------- numbers


def test_publishers(started: Programs, house: Site) -> None:
    first = publishing(started, LONG, house.url("one/a"), 1.0)
    refused = started.start(*publisher(ffmpeg9(), LONG, house.url("one/b")))
    words = "one has as many publishers as it may have (max_publishers = 1)."
    assert f"Server error: {words}" in ended(refused)
    assert first.process.poll() is None
    # whoever takes the stream over needs no place of its own
    second = publishing(started, LONG, house.url("one/a"), 4.0)
    assert "a was taken over by the same publisher" in ended(first)
    assert second.wait() == 0, second.words()
    house.wait_for("no longer publishes one/a: .*", times=2)
    third = started.start(*publisher(ffmpeg9(), LONG, house.url("one/b")))
    assert third.wait() == 0, third.words()


def test_viewers_of_one_stream(started: Programs, house: Site) -> None:
    publishing(started, LONG, house.url("shared/a"), 1.0)
    started.start(*player(ffmpeg9(), house.url("shared/a")))
    house.wait_for("plays shared/a ")
    words = "a has as many viewers as it may have (max_viewers_per_stream = 1)."
    for ffmpeg in (ffmpeg9(), program("ffmpeg")):
        refused = started.start(*player(ffmpeg, house.url("shared/a")))
        refused.wait()
        assert f"Server error: {words}" in refused.words()
    dump = started.start(
        program("rtmpdump"), "-r", house.url("shared/a"), "-o", started.file("flv")
    )
    assert "NetStream.Play.Failed" in ended(dump)


# ------------------------------------------------------------------------------ what is sent


@pytest.mark.parametrize("version", [9, 5])
def test_a_session_is_over(started: Programs, house: Site, version: int) -> None:
    ffmpeg = ffmpeg9() if version == 9 else program("ffmpeg")
    sending = endlessly(started, ffmpeg, house.url(f"short/s{version}"))
    playing = started.start(*player(ffmpeg, house.url(f"short/w{version}")))
    words = "Server error: The 2 seconds that this may last are over."
    assert words in ended(sending)
    playing.wait()
    assert words in playing.words()


def test_too_high_a_bitrate_is_warned_and_cut(started: Programs, house: Site) -> None:
    """The warning harms no encoder, and none shows it; what ends the stream is shown."""
    url = house.url("thin/{}").format
    gstreamer = (
        *(program("gst-launch-1.0"), "-q", "audiotestsrc", "is-live=true", "!"),
        *("audio/x-raw,rate=8000,channels=1", "!", "alawenc", "!", "flvmux", "streamable=true"),
    )
    sending = {
        "ffmpeg9": endlessly(started, ffmpeg9(), url("ffmpeg9")),
        "ffmpeg5": endlessly(started, program("ffmpeg"), url("ffmpeg5")),
        "old": started.start(*gstreamer, "!", RTMPSINK, f"location={url('old')} live=1"),
        "new": started.start(*gstreamer, "!", RTMP2SINK, f"location={url('new')}"),
    }
    for name in sending:
        house.wait_for(rf"publishes thin/{name}: \d+ kbit/s, and 8 are allowed: lower the bitrate")
    for run in sending.values():
        assert run.process.poll() is None, run.words()
    for name in sending:
        house.wait_for(rf"no longer publishes thin/{name}: Cut, for it had \d+ kbit/s", 30.0)
    for name in ("ffmpeg9", "ffmpeg5"):
        words = ended(sending[name])
        assert "Server error: Cut, for it had " in words
        assert "lower the bitrate" not in words
    assert "connection closed remotely" in ended(sending["new"])


@pytest.mark.parametrize(
    ("key", "source", "words"),
    [
        ("plain", HEVC, "hvc1 is not allowed here, but avc1, mp4a."),
        ("sound", LONG, "avc1 is not allowed here, but mp4a."),
        ("small", LONG, "The picture has 320x180 pixels; 160x90 are allowed."),
    ],
)
def test_what_a_key_does_not_allow(
    started: Programs, house: Site, key: str, source: Path, words: str
) -> None:
    sending = endlessly(started, ffmpeg9(), house.url(f"keyed/key_{key}"), source)
    assert f"Server error: {words}" in ended(sending)
    house.wait_for(f"no longer publishes keyed/{key}: {words.rstrip('.')}")


def test_what_a_key_allows(started: Programs, house: Site) -> None:
    sending = started.start(
        *publisher(ffmpeg9(), LONG, house.url("keyed/key_plain"), "-readrate", "5")
    )
    assert sending.wait() == 0, sending.words()


# ---------------------------------------------------------------------------- who must leave


@reactor_test
async def test_encoders_and_players_show_why_they_were_kicked() -> None:
    with programs() as started:
        async with serving(live()) as host:
            url = f"{host.address}/live/show"
            sending = endlessly(started, ffmpeg9(), url)
            await eventually(lambda: host.application().is_live("show"))
            playing = started.start(*player(program("ffmpeg"), url))
            stream = host.stream("show")
            await eventually(lambda: stream.audience.subscribers)
            for connection in sorted(host.site.connections(), key=lambda c: c.id, reverse=True):
                assert host.site.kick(connection.id, f"Kicked, number {connection.id}.")
            await eventually(lambda: sending.process.poll() is not None)
            await eventually(lambda: playing.process.poll() is not None)
        assert "Server error: Kicked, number 1." in sending.words()
        assert "Server error: Kicked, number 2." in playing.words()


def test_who_is_banned_leaves_and_is_not_let_in(started: Programs) -> None:
    """By the file, as long as there is nothing better."""
    site = serve(started, "grace = 0\n", LISTENER)
    url = site.url("live/show")
    sending = endlessly(started, ffmpeg9(), url)
    site.wait_for("publishes live/show ")
    ban = Ban.of(Kind.ADDRESS, "127.0.0.0/8", 0, note="enough")
    (site.state / "bans").write_text(f"{ban.line}\n")
    assert "Server error: 127.0.0.0/8 is banned for good: enough." in ended(sending)
    again = started.start(*publisher(ffmpeg9(), LONG, url))
    ended(again)
    site.wait_for("127.0.0.1 refused: 127.0.0.0/8 is banned for good: enough.")
    (site.state / "bans").write_text("")
    site.wait_for("bans in force: 0")
    allowed = started.start(*publisher(ffmpeg9(), LONG, url))
    assert allowed.wait() == 0, allowed.words()
