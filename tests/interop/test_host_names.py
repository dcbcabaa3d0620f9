"""
One port, several host names: everybody is shown the certificate for the name that was asked for,
and FFmpeg believes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.connectproxy import connect_proxy
from tests.support.programs import (
    IN_A_HURRY,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    programs,
    publisher,
    serve,
)
from tests.support.secure import checking, s_client, serial, with_tls
from tests.support.tls import ca_file, issue, put
from tests.support.watchers import FFMPEG5, FFMPEG9, by_stream, ffmpeg_of, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-base-aac-25.flv"

MADE = {
    "a": issue("a.example", "www.a.example"),
    "b": issue("*.b.example"),
    "default": issue("localhost", addresses=["127.0.0.1"]),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What clients trust."""
    return ca_file(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server of all these names."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, signed in MADE.items():
        put(folder, name, signed)
    listener = (
        "[listener main]\nendpoint = tcp:0:interface=127.0.0.1\nserve = rtmp, rtmps\n"
        f"certificate = {folder}\n"
    )
    with programs() as these:
        yield serve(these, IN_A_HURRY, listener)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.example", "a"),
        ("www.a.example", "a"),
        ("tv.b.example", "b"),
        ("b.example", "default"),
        ("c.example", "default"),
        ("localhost", "default"),
        (None, "default"),
    ],
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_is_shown_the_right_one(
    site: Site, authority: Path, name: str | None, shown: str, version: str
) -> None:
    asked = ("-noservername",) if name is None else ("-servername", name)
    trust = ("-CAfile", authority, "-verify_hostname", name or "localhost")
    told = s_client(site.ports["main"], version, *asked, *trust)
    assert told.serial == serial(MADE[shown])
    fits = shown != "default" or name in {"localhost", None}
    assert ("Verify return code: 0 (ok)" in told.text) is fits
    assert ("Verify return code: 62 (hostname mismatch)" in told.text) is not fits


@pytest.mark.parametrize("kind", [FFMPEG9, FFMPEG5])
@pytest.mark.parametrize("name", ["a.example", "tv.b.example"])
def test_ffmpeg_plays_by_any_of_the_names(
    started: Programs, site: Site, authority: Path, path: str, kind: str, name: str
) -> None:
    """The URL has the name; a proxy takes it to the server."""
    with connect_proxy(site.ports["main"]) as proxy:
        url = f"rtmps://{name}:443/{path}"
        watcher = watch(started, kind, url, *checking(authority), "-http_proxy", proxy)
        site.wait_for(f"plays {path} ")
        sending = started.start(*publisher(ffmpeg9(), SAMPLE, site.url(path)))
        assert sending.wait() == 0, sending.words()
        assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))


@pytest.mark.parametrize("kind", [FFMPEG9, FFMPEG5])
@pytest.mark.parametrize(
    ("host", "more"),
    [
        ("localhost", []),
        ("127.0.0.1", []),
        ("localhost", ["-verifyhost", "a.example"]),
        ("localhost", ["-verifyhost", "tv.b.example"]),
    ],
    ids=["localhost", "an address", "a", "b"],
)
def test_ffmpeg_publishes_by_any_of_the_names(
    started: Programs,
    site: Site,
    authority: Path,
    path: str,
    kind: str,
    host: str,
    more: list[str],
) -> None:
    """
    The certificate has to name what the URL names, an address too, or else what `-verifyhost` does.

    (Through an HTTP proxy, as above, FFmpeg hangs when it publishes: it waits for the server.)
    """
    watcher = watch(started, FFMPEG9, site.url(path))
    site.wait_for(f"plays {path} ")
    url = site.url(path, "rtmps").replace("127.0.0.1", host)
    command = with_tls(publisher(ffmpeg_of(kind), SAMPLE, url), *checking(authority), *more)
    sending = started.start(*command)
    assert sending.wait() == 0, sending.words()
    assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (FFMPEG9, "certificate verify failed"),
        (FFMPEG5, "The certificate's owner does not match hostname c.example"),
    ],
)
def test_ffmpeg_does_not_believe_what_is_for_another_name(
    started: Programs, site: Site, authority: Path, path: str, kind: str, words: str
) -> None:
    before = len(site.log())
    url = site.url(path, "rtmps").replace("127.0.0.1", "localhost")
    command = publisher(ffmpeg_of(kind), SAMPLE, url)
    run = started.start(*with_tls(command, *checking(authority), "-verifyhost", "c.example"))
    assert run.wait() != 0
    assert words in run.words()
    assert path not in site.log()[before:]
