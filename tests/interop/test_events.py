"""Events as real programs cause them, read by curl over a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.test_operation import ADMIN, Desk, forever
from tests.support.eventstreams import Reader, Told
from tests.support.programs import (
    AT_ONCE,
    LISTENER,
    PATIENCE,
    Programs,
    Run,
    Site,
    ffmpeg9,
    player,
    program,
    serve,
)

pytestmark = pytest.mark.interop


class Curl:
    """It reads events, and never ends by itself."""

    def __init__(self, started: Programs, site: Site, query: str = "", *words: str) -> None:
        address = site.url(f"api/v1/events{query}", "http", "admin")
        self.run: Run = started.start(program("curl"), "-sSN", *words, address)

    @property
    def events(self) -> list[Told]:
        reader = Reader()
        reader.feed(self.run.stdout.read_text())
        return reader.events

    def until(self, true: Callable[[list[Told]], Any]) -> list[Told]:
        deadline = time.monotonic() + PATIENCE
        while not true(events := self.events):
            assert time.monotonic() < deadline, (events, self.run.words())
            time.sleep(0.05)
        return events

    def ready(self) -> Curl:
        """It listens by now."""
        deadline = time.monotonic() + PATIENCE
        while not self.run.stdout.read_text():
            assert time.monotonic() < deadline, self.run.words()
            time.sleep(0.02)
        return self


def kinds(events: list[Told]) -> list[tuple[str, int]]:
    return [(event.kind, event.data["connection"]) for event in events]


def test_a_publisher_a_viewer_and_a_kick(started: Programs) -> None:
    recorded = f"outlets = record:{started.folder()}/{{name}}.flv\n"
    site = serve(started, AT_ONCE + recorded, LISTENER + ADMIN)
    desk = Desk(site)
    curl = Curl(started, site, "?kinds=connect,disconnect,publish,unpublish,play,stop").ready()
    glances = Curl(started, site, "?statistics=true&kinds=record").ready()
    started.start(*forever("rtmp", site.url("live/show")))
    site.wait_for("publishes live/show")
    viewer = started.start(*player(ffmpeg9(), site.url("live/show")))
    events = curl.until(lambda events: len(events) >= 4)
    assert kinds(events) == [("connect", 1), ("publish", 1), ("connect", 2), ("play", 2)]
    first, *_, last = (event.number for event in events[:4])
    assert first is not None
    assert last == first + 3
    watched = glances.until(
        lambda told: told and told[-1].data["streams"] and told[-1].data["streams"][0]["width"]
    )[-1].data
    (stream,) = watched["streams"]
    assert (stream["name"], stream["video"], stream["width"], stream["height"]) == (
        "show",
        "H.264 High 1.3",
        320,
        180,
    )
    assert (stream["audio"], stream["viewers"], stream["variant"]) == ("AAC LC", 1, "rtmp")
    assert stream["id"] == desk.api("streams")["items"][0]["id"] == events[1].data["stream"]
    desk.api("connections/2/kick", {"reason": "Enough."})
    viewer.wait()
    events = curl.until(lambda events: len(events) >= 6)
    assert [(each.kind, each.data["words"]) for each in events[4:6]] == [
        ("stop", "Enough."),
        ("disconnect", "Enough."),
    ]
    curl.run.kill()
    # who comes back reads what happened meanwhile, and nothing twice
    desk.api("connections/1/kick", {"reason": "You too."})
    site.wait_for("left: You too")
    query = "?kinds=stop,disconnect,unpublish,drain"
    again = Curl(started, site, query, "-H", f"Last-Event-ID: {events[3].number}")
    rest = again.until(lambda events: len(events) >= 4)
    assert kinds(rest[:4]) == [
        ("stop", 2),
        ("disconnect", 2),
        ("unpublish", 1),
        ("disconnect", 1),
    ]
    records = glances.until(lambda told: [e for e in told if e.data.get("turn") == "end"])
    turns = [each.data["turn"] for each in records if each.kind == "record"]
    assert turns == ["start", "segment", "end"]
    assert site.run.stop() == 0
    assert again.run.wait() == 0
    assert again.events[-1].kind == "drain"
