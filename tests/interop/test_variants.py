"""
Publish by each of the six variants, play by each: 36 cells, packet by packet.

FFmpeg 9 speaks all but RTMPTS, where it refuses to use its own connection again (test_clients.py
shows it); there FFmpeg 5.1 stands in. `test_our_client.py` fills the same cells.
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
from tests.support.tables import Cell
from tests.support.variants import LISTENERS, UNSENT, UNSENT_NOTE, VARIANTS, tunnelled, url
from tests.support.watchers import by_stream

pytestmark = pytest.mark.interop

TITLE = "packet-exact: published by (row), played by (column)"

STAND_IN = "RTMPTS by FFmpeg 5.1, all else by FFmpeg 9"

SAMPLE = SAMPLES / "h264-base-aac-25.flv"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with programs() as these:
        yield serve(these, listeners=LISTENERS)


def ffmpeg(variant: str) -> str:
    return program("ffmpeg") if variant == "rtmpts" else ffmpeg9()


@pytest.mark.parametrize("watched_by", VARIANTS)
@pytest.mark.parametrize("sent_by", VARIANTS)
def test_publish_by_any_play_by_any(
    started: Programs, site: Site, sent_by: str, watched_by: str, path: str, cell: Cell
) -> None:
    cell.at(TITLE, sent_by, watched_by)
    watching = started.start(*player(ffmpeg(watched_by), url(site, watched_by, path)))
    site.wait_for(rf"plays {path} ")
    sending = started.start(*publisher(ffmpeg(sent_by), SAMPLE, url(site, sent_by, path)))
    assert sending.wait() == 0, sending.words()
    watching.wait()
    sent = by_stream(packets(ffmpeg9(), SAMPLE))
    got = by_stream(parse_packets(watching.output()))
    assert got.keys() == sent.keys(), watching.words()
    missing = {stream: len(sent[stream]) - len(got[stream]) for stream in sent}
    for stream, packets_sent in sent.items():
        assert got[stream] == packets_sent[: len(got[stream])]
    assert sum(missing.values()) <= (UNSENT if tunnelled(sent_by) else 0)
    notes = [STAND_IN] if "rtmpts" in (sent_by, watched_by) else []
    notes += [UNSENT_NOTE] if tunnelled(sent_by) else []
    cell.found("FFmpeg", *notes)
