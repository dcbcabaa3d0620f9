"""What connections do is noted in the journal: who, where, in order, and why it ended."""

from __future__ import annotations

import pytest

from rtmptwist.net.client import Refusal
from tests.support.live import Settings, audio, video
from tests.support.logs import Logs
from tests.support.memory import MemorySite, Spectator, serve_in_memory

pytestmark = pytest.mark.usefixtures("logs")

GOODBYE = "Connection was closed cleanly."


def told(site: MemorySite) -> list[tuple[int | None, str, str, str]]:
    _, events = site.registry.journal.since(0)
    return [(each.connection, each.kind.value, each.stream, each.words) for each in events]


def test_a_publisher_and_a_viewer() -> None:
    site = serve_in_memory(Settings(grace=0, after_end="close"))
    publisher, viewer = site.publish(), site.play()
    site.result(publisher.connection.close())
    site.result(viewer.connection.close())
    _, (first, *_) = site.registry.journal.since(0)
    assert (first.peer, first.variant) == ("#1 192.0.2.1:50000", "rtmp")
    assert (first.vhost, first.application) == ("", "live")
    assert told(site) == [
        (1, "connect", "", "connected as guest"),
        (1, "publish", "show", "publishes as guest"),
        (2, "connect", "", "connected as guest"),
        (2, "play", "show", "plays as guest"),
        (2, "stop", "show", "The stream is over."),
        (1, "unpublish", "show", GOODBYE),
        (1, "disconnect", "", GOODBYE),
        (2, "disconnect", "", GOODBYE),
    ]


def test_who_is_expelled_leaves_for_that_reason() -> None:
    site = serve_in_memory()
    site.publish()
    site.connections[0].expel("Enough.")
    site.pump()
    assert told(site)[-2:] == [
        (1, "unpublish", "show", "Enough."),
        (1, "disconnect", "", "Enough."),
    ]


def test_what_is_wrong_begins_and_ends(logs: Logs) -> None:
    site = serve_in_memory(Settings(warn_gop=2.0))
    publisher = Spectator(site.publish())
    site.play()

    def send(begin: int, end: int, keys: int) -> None:
        for second in range(begin, end):
            time = second * 1000
            publisher.stream.send(video(time, key=second % keys == 0))
            publisher.stream.send(audio(time))
            site.pump()
            site.clock.advance(1)
            site.registry.sweep()
            site.pump()

    send(0, 5, 10)
    send(5, 20, 1)
    send(20, 25, 10)
    _, events = site.registry.journal.since(0)
    found = [(e.connection, e.code, e.turn) for e in events if e.kind == "warning"]
    assert found == [(1, "long_gop", turn) for turn in ("begin", "end", "begin")]
    assert site.registry.journal.warnings == {"long_gop": 2}
    assert publisher.told == ["Publish.Warning", "Publish.Warning"]
    assert publisher.infos[0]["level"] == "warning"
    assert "without a key frame" in publisher.infos[0]["description"]
    (begin,) = logs.about("#1 192.0.2.1:50000 publishes live/show: 3.0 s without a key frame")
    (end,) = logs.about("#1 192.0.2.1:50000 publishes live/show: over after 1")
    assert begin.endswith("viewers wait that long; set the encoder's interval to 2 s")
    assert end.endswith(
        "without a key frame: viewers wait that long; set the encoder's interval to 2 s"
    )


def test_who_was_not_let_in_was_not_here() -> None:
    site = serve_in_memory()
    connecting = site.connect(site.url.replace("live", "dead"))
    assert isinstance(site.failure(connecting), Refusal)
    assert site.connections == []
    assert told(site) == []
