"""Connections: the truth about each, and their end."""

from __future__ import annotations

import pytest

from tests.support.logs import Logs
from tests.support.manned import Manned
from tests.support.memory import Spectator


def test_what_is_not_known_is_null(manned: Manned) -> None:
    connections = manned.whole.census.connections
    manned.site.client()
    (connection,) = connections()
    connection.visitor = connection.account = connection.handshake = None
    connection.agent = ""
    shown = manned.only("connections")
    for name in ("handshake", "vhost", "application", "account", "agent", "certificate"):
        assert shown[name] is None
    assert shown["round_trip"] is None


def test_a_kick(manned: Manned, logs: Logs) -> None:
    publisher = Spectator(manned.site.publish())
    assert manned.ask("POST", "connections/1/kick", {"reason": "Go."}) == (204, None)
    manned.site.pump()
    assert publisher.infos[-1]["description"] == "Go."
    assert publisher.connection.closed
    assert len(logs.about("operator loopback kicks #1 192.0.2.1:50000: Go.")) == 1
    assert manned.ask("POST", "connections/1/kick", {})[0] == 404


def test_a_reason_is_one_line_whoever_reads_it(manned: Manned, logs: Logs) -> None:
    """Of several, a log would have lines that nobody wrote."""
    first, second = (Spectator(manned.site.publish(name)) for name in ("one", "two"))
    forged, shown = "Bye.\n[forged] \x1b[2J", r"Bye.\n[forged] \x1b[2J"
    assert manned.ask("POST", "connections/1/kick", {"reason": forged})[0] == 204
    stream = manned.only("streams?name=two")["id"]
    assert manned.ask("POST", f"streams/{stream}/close", {"reason": forged})[0] == 204
    manned.site.pump()
    for publisher in (first, second):
        assert publisher.infos[-1]["description"] == shown
    assert all(line.isprintable() for line in logs.lines())
    assert len(logs.about(shown)) >= 4
    _, events = manned.whole.registry.journal.since(0)
    assert [event.words for event in events if event.kind == "unpublish"] == [shown, shown]
    said = {"kind": "address", "who": "198.51.100.1", "note": forged}
    assert manned.ask("POST", "bans", said)[1]["note"] == shown


def test_half_a_character_is_refused_before_anything_is_done(manned: Manned) -> None:
    manned.site.publish()
    stream = manned.only("streams")["id"]
    for path in (f"streams/{stream}/close", "connections/1/kick"):
        status, problem = manned.ask("POST", path, {"reason": "\ud800"})
        assert (status, problem["detail"]) == (400, "'reason': expected whole characters.")
    manned.site.pump()
    assert manned.only("streams")["state"] == "live"


def test_two_kicks_at_once(manned: Manned) -> None:
    """The second may still find it, or not; nothing breaks."""
    manned.site.client()
    assert [manned.ask("POST", "connections/1/kick", {})[0] for _ in range(2)] == [204, 204]


def test_who_leaves_while_it_is_kicked(manned: Manned, monkeypatch: pytest.MonkeyPatch) -> None:
    manned.site.client()
    monkeypatch.setattr(manned.whole, "kick", lambda *_: False)
    assert manned.ask("POST", "connections/1/kick", {})[0] == 404
