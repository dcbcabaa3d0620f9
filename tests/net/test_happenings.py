"""What connections do is noted in the journal: who, where, in order, and why it ended."""

from __future__ import annotations

import pytest

from rtmptwist.net.client import Refusal
from tests.support.live import Settings
from tests.support.memory import MemorySite, serve_in_memory

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


def test_who_was_not_let_in_was_not_here() -> None:
    site = serve_in_memory()
    connecting = site.connect(site.url.replace("live", "dead"))
    assert isinstance(site.failure(connecting), Refusal)
    assert site.connections == []
    assert told(site) == []
