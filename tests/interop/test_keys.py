"""Stream keys and signed URLs, with real encoders and players."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtmptwist.auth.keyfile import StreamKey, hash_of
from rtmptwist.auth.signing import Secret, canonical
from rtmptwist.live.access import Terms
from tests.support.programs import (
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    packets,
    program,
    programs,
    publisher,
    publishing,
    serve,
)
from tests.support.watchers import FFMPEG9, RTMPDUMP, Watcher, by_stream, payloads, watch

pytestmark = pytest.mark.interop

SHORT, LONG = SAMPLES / "h264-base-aac-25.flv", SAMPLES / "h264-b-aac.flv"

LISTENER = "[listener main]\nendpoint = tcp:0:interface=127.0.0.1\nserve = rtmp, rtmpt\n"

APPLICATION = """\
publish = keys
keys = {folder}/live.keys
grace = 2s
window = 1m
max_lag = 1m

[app closed]
publish = signed
play = signed
signing = {folder}/signing
grace = 0
window = 1m
max_lag = 1m
"""

TAIL = 10
"Packets that FFmpeg holds back in a tunnel, and forgets when its input ends."

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Given:
    """A name that no other test knows, and what was given out for it."""

    name: str
    key: str
    next_key: str
    old_key: str
    "It has expired."
    small_key: str
    "For small pictures only."


class House:
    """A server with both kinds of files."""

    def __init__(self, site: Site, keys: Path) -> None:
        self.site = site
        self.keys = keys
        self._numbers = itertools.count()
        self._given: list[Given] = []

    def give(self) -> Given:
        """Something new."""
        return _given(next(self._numbers))

    def signed(self, name: str, action: str, scheme: str = "rtmp", lifetime: int = 60) -> str:
        """A URL."""
        exp = int(time.time()) + lifetime
        sig = SECRET.sign(canonical("closed", name, action, exp))
        return self.site.url(f"closed/{name}?exp={exp}&kid={SECRET.id}&sig={sig}", scheme)


SECRET = Secret("a1", "s" * 64)


def _given(number: int) -> Given:
    keys = (f"key_{number}_{which}" for which in ("first", "next", "old", "small"))
    return Given(f"room/k{number}", *keys)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with programs() as these, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = [
            key
            for given in map(_given, range(100))
            for key in (
                StreamKey(given.name, hash_of(given.key)),
                StreamKey(given.name, hash_of(given.next_key)),
                StreamKey(given.name, hash_of(given.old_key), expires=1577836800),
                StreamKey(given.name, hash_of(given.small_key), Terms(width=160, height=120)),
            )
        ]
        (folder / "live.keys").write_text("".join(f"{key.line()}\n" for key in keys))
        (folder / "signing").write_text(SECRET.line())
        site = serve(these, APPLICATION.format(folder=folder), LISTENER)
        yield House(site, folder / "live.keys")


@pytest.fixture
def given(house: House) -> Given:
    """For this test."""
    return house.give()


def ended(run: Run) -> str:
    """The words with which a program failed."""
    assert run.wait() != 0
    return run.words()


def check(watcher: Watcher, source: Path, tail: int = 0) -> None:
    """It saw everything, bit by bit."""
    got, sent = by_stream(watcher.packets()), by_stream(packets(ffmpeg9(), source))
    assert got.keys() == sent.keys()
    for stream, theirs in got.items():
        assert theirs == sent[stream][: len(theirs)]
        assert len(theirs) >= len(sent[stream]) - tail


# ------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("scheme", "said"),
    [("rtmp", "{0.key}"), ("rtmp", "{0.name}?key={0.key}"), ("rtmpt", "room/{0.key}?other=1")],
)
def test_the_key_is_secret_and_the_name_is_public(
    started: Programs, house: House, given: Given, scheme: str, said: str
) -> None:
    watching = [
        watch(started, kind, house.site.url(f"live/{given.name}", scheme))
        for kind in (FFMPEG9, RTMPDUMP)
    ]
    house.site.wait_for(f"plays live/{given.name} ", times=2)
    url = house.site.url(f"live/{said.format(given)}", scheme)
    sending = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert sending.wait() == 0, sending.words()
    house.site.wait_for(f"publishes live/{given.name} as key {hash_of(given.key)[:8]}")
    for watcher in watching:
        check(watcher, SHORT, TAIL if scheme == "rtmpt" else 0)
    assert given.key not in house.site.log()


@pytest.mark.parametrize("version", [9, 5])
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("key_wrong", "This stream key is not known here: copy it again"),
        ("{0.name}?key={0.key}x", "This stream key is not known here: copy it again"),
        ("{0.name}", "127.0.0.1 may not publish in live without a stream key."),
        ("{0.old_key}", "This stream key expired at 2020-01-01T00:00:00Z: ask for a new one."),
    ],
    ids=["unknown", "in the query", "none", "expired"],
)
def test_encoders_show_why_they_may_not(
    started: Programs, house: House, given: Given, version: int, said: str, words: str
) -> None:
    ffmpeg = ffmpeg9() if version == 9 else program("ffmpeg")
    url = house.site.url(f"live/{said.format(given)}")
    assert words in ended(started.start(*publisher(ffmpeg, SHORT, url)))


@pytest.mark.parametrize("sink", ["rtmpsink", "rtmp2sink"])
def test_others_send_keys(started: Programs, house: House, given: Given, sink: str) -> None:
    """librtmp and GStreamer cut the URL each in their way."""
    watcher = watch(started, FFMPEG9, house.site.url(f"live/{given.name}"))
    house.site.wait_for(f"plays live/{given.name} ")
    sending = started.start(
        *(program("gst-launch-1.0"), "-q", "filesrc", f"location={SHORT}", "!", "flvdemux", "!"),
        *("queue", "!", "h264parse", "!", "flvmux", "streamable=true", "!", sink, "sync=false"),
        f"location={house.site.url(f'live/{given.key}')}",
    )
    assert sending.wait() == 0, sending.words()
    house.site.wait_for(f"publishes live/{given.name} as key")
    assert len(watcher.packets()) > 50


def test_a_player_that_is_given_the_key(started: Programs, house: House, given: Given) -> None:
    url = house.site.url(f"live/{given.key}")
    sending = publishing(started, LONG, url, 1.0)
    playing = started.start(ffmpeg9(), "-v", "error", "-nostdin", "-i", url, "-f", "null", "-")
    assert "This is a stream key, which is secret and only for sending" in ended(playing)
    assert sending.process.poll() is None


def test_a_key_that_is_revoked_while_it_is_used(
    started: Programs, house: House, given: Given
) -> None:
    url = house.site.url(f"live/{given.key}")
    watcher = watch(started, FFMPEG9, house.site.url(f"live/{given.name}"))
    house.site.wait_for(f"plays live/{given.name} ")
    sending = publishing(started, LONG, url, 0.5)
    command = (sys.executable, "-m", "rtmptwist", "keys", "revoke", house.keys)
    revoking = started.start(*command, hash_of(given.key)[:8], PYTHONPATH=str(ROOT))
    assert revoking.wait() == 0, revoking.words()
    assert "This stream key was revoked: ask for a new one." in ended(sending)
    again = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert "This stream key is not known here" in ended(again)
    assert watcher.packets()


def test_a_key_has_its_bounds(started: Programs, house: House, given: Given) -> None:
    sending = publishing(started, LONG, house.site.url(f"live/{given.small_key}"), 1.0)
    assert " pixels; 160x120 are allowed." in ended(sending)


def test_nobody_takes_a_name_over_without_its_key(
    started: Programs, house: House, given: Given
) -> None:
    watcher = watch(started, FFMPEG9, house.site.url(f"live/{given.name}"))
    house.site.wait_for(f"plays live/{given.name} ")
    sending = publishing(started, LONG, house.site.url(f"live/{given.key}"), 2.0)
    other = house.give()
    for said, words in [
        (given.name, "without a stream key"),
        (f"{given.name}?key={other.key}", f"is for {other.name}, not for this name."),
    ]:
        command = publisher(ffmpeg9(), SHORT, house.site.url(f"live/{said}"))
        assert words in ended(started.start(*command))
    assert sending.wait() == 0, sending.words()
    check(watcher, LONG)


@pytest.mark.parametrize("rotated", [False, True], ids=["the same key", "the next key"])
def test_who_has_a_key_of_the_name_takes_it_over(
    started: Programs, house: House, given: Given, rotated: bool
) -> None:
    """Viewers see no gap but the wait for a key frame."""
    watcher = watch(started, FFMPEG9, house.site.url(f"live/{given.name}"))
    house.site.wait_for(f"plays live/{given.name} ")
    first = publishing(started, LONG, house.site.url(f"live/{given.key}"), 1.0, until=0.5)
    key = given.next_key if rotated else given.key
    second = started.start(*publisher(ffmpeg9(), SHORT, house.site.url(f"live/{key}")))
    assert f"{given.name} was taken over by the same publisher" in ended(first)
    assert second.wait() == 0, second.words()
    got = payloads(watcher.packets())
    before, again = payloads(packets(ffmpeg9(), LONG)), payloads(packets(ffmpeg9(), SHORT))
    assert got.keys() == again.keys()
    for stream, theirs in got.items():
        # the beginning of the first, and the second, its sound from its key frame on
        pairs = enumerate(zip(theirs, before[stream], strict=False))
        begun = next(number for number, (one, other) in pairs if one != other)
        assert begun > 5
        assert theirs[begun:] == again[stream][begun - len(theirs) :]
        assert stream != "0" or theirs[begun:] == again[stream]


# ------------------------------------------------------------------------------ signed URLs


@pytest.mark.parametrize("scheme", ["rtmp", "rtmpt"])
def test_signed_urls(started: Programs, house: House, given: Given, scheme: str) -> None:
    watching = [
        watch(started, kind, house.signed(given.name, "play", scheme))
        for kind in (FFMPEG9, RTMPDUMP)
    ]
    house.site.wait_for(f"plays closed/{given.name} ", times=2)
    url = house.signed(given.name, "publish", scheme)
    sending = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert sending.wait() == 0, sending.words()
    for watcher in watching:
        check(watcher, SHORT, TAIL if scheme == "rtmpt" else 0)
    assert "sig=" not in house.site.log()


def test_the_query_may_stand_behind_the_application(
    started: Programs, house: House, given: Given
) -> None:
    """As in OBS's field for the server. Of a name with folders, FFmpeg would take a part away."""
    name = given.name.replace("/", "-")
    watcher = watch(started, FFMPEG9, behind_the_application(house.signed(name, "play")))
    house.site.wait_for(f"plays closed/{name} ")
    url = behind_the_application(house.signed(name, "publish"))
    sending = started.start(*publisher(ffmpeg9(), SHORT, url))
    assert sending.wait() == 0, sending.words()
    check(watcher, SHORT)


def behind_the_application(url: str) -> str:
    """The same URL with its query in the middle."""
    path, _, query = url.partition("?")
    return path.replace("/closed/", f"/closed?{query}/")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.partition("?")[0], "may not play in closed without a signed URL."),
        (lambda url: url[:-1], "The signature of this URL does not fit"),
        (lambda url: url.replace("room/", "rooms/"), "The signature of this URL does not fit"),
        (lambda url: f"{url}&exp=1", "This URL says exp twice."),
    ],
    ids=["none", "cut", "of another", "doubled"],
)
def test_players_show_why_they_may_not(
    started: Programs, house: House, given: Given, change: Callable[[str], str], words: str
) -> None:
    url = change(house.signed(given.name, "play"))
    playing = started.start(ffmpeg9(), "-v", "error", "-nostdin", "-i", url, "-f", "null", "-")
    assert words in ended(playing)


@pytest.mark.parametrize(
    ("action", "lifetime", "words"),
    [
        ("play", 60, "The signature of this URL does not fit"),
        ("publish", -1, "This URL expired at 20"),
    ],
)
def test_encoders_show_why_their_url_is_none(
    started: Programs, house: House, given: Given, action: str, lifetime: int, words: str
) -> None:
    url = house.signed(given.name, action, lifetime=lifetime)
    assert words in ended(started.start(*publisher(ffmpeg9(), SHORT, url)))
