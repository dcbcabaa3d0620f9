"""
Publish by each of the six variants, play by each: 36 cells, packet by packet.

FFmpeg 9 speaks all but RTMPTS, where it refuses to use its own connection again ("Cannot reuse HTTP
connection for different protocol https vs http"); there FFmpeg 5.1 stands in. At the end of a
publication through a tunnel, FFmpeg throws away up to ten packets that it has not sent yet
(`rtmp_flush_interval`), so there a publication is a beginning of the file.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    program,
    programs,
    publisher,
    serve,
)

pytestmark = pytest.mark.interop

VARIANTS = ["rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts"]

UNSENT = 10
"Packets that FFmpeg keeps back in a tunnel until it has so many."

LISTENERS = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpe, rtmpt, rtmpte

[listener secure]
endpoint = tcp:0:interface=127.0.0.1:backlog=50
serve = rtmps, rtmpts
"""

SAMPLE = SAMPLES / "h264-base-aac-25.flv"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with programs() as these:
        yield serve(these, listeners=LISTENERS)


def url(site: Site, variant: str, name: str) -> str:
    return site.url(f"live/{name}", variant, "secure" if variant in ("rtmps", "rtmpts") else "main")


def ffmpeg(variant: str) -> str:
    return program("ffmpeg") if variant == "rtmpts" else ffmpeg9()


def unchecked(variant: str) -> list[str]:
    """The certificate is self-signed; FFmpeg 5.1 does not look at it."""
    return ["-tls_verify", "0"] if variant == "rtmps" else []


@pytest.mark.parametrize("watched_by", VARIANTS)
@pytest.mark.parametrize("sent_by", VARIANTS)
def test_publish_by_any_play_by_any(
    started: Programs, site: Site, sent_by: str, watched_by: str
) -> None:
    name = f"{VARIANTS.index(sent_by)}to{VARIANTS.index(watched_by)}"  # short ones logs show whole
    command = list(player(ffmpeg(watched_by), url(site, watched_by, name)))
    command[1:1] = unchecked(watched_by)
    watching = started.start(*command)
    site.wait_for(rf"plays live/{name} ")
    command = list(publisher(ffmpeg(sent_by), SAMPLE, url(site, sent_by, name)))
    command[-1:-1] = unchecked(sent_by)
    sending = started.start(*command)
    assert sending.wait() == 0, sending.words()
    watching.wait()
    sent = streams_of(packets(ffmpeg9(), SAMPLE))
    got = streams_of(parse_packets(watching.output()))
    assert got.keys() == sent.keys(), watching.words()
    missing = {stream: len(sent[stream]) - len(got[stream]) for stream in sent}
    for stream, packets_sent in sent.items():
        assert got[stream] == packets_sent[: len(got[stream])]
    assert sum(missing.values()) <= (UNSENT if "t" in sent_by[4:] else 0)


def streams_of(found: list[tuple[str, ...]]) -> dict[str, list[tuple[str, ...]]]:
    """(dts, pts, size, hash) of every packet, by elementary stream."""
    streams: dict[str, list[tuple[str, ...]]] = {}
    for stream, dts, pts, _, size, digest in found:
        streams.setdefault(stream, []).append((dts, pts, size, digest))
    return streams
