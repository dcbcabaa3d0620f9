"""Bans: made, shown, lifted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.manned import Manned


def test_a_ban_and_its_end(manned: Manned) -> None:
    client = manned.site.client()
    said = {"kind": "address", "who": "192.0.2.0/24", "seconds": 60, "note": "floods us"}
    status, ban = manned.ask("POST", "bans", said)
    assert status == 201
    assert (ban["who"], ban["note"], ban["until"]) == (
        "192.0.2.0/24",
        "floods us",
        "1970-01-01T00:01:00.000Z",
    )
    manned.site.pump()
    assert client.closed
    assert manned.only("bans") == ban
    assert manned.ask("GET", "server")[1]["bans"] == 1
    assert manned.ask("DELETE", "bans/address/192.0.2.0/24") == (204, None)
    assert manned.ask("DELETE", "bans/address/192.0.2.0/24")[0] == 404
    assert manned.ask("DELETE", "bans/planet/earth")[0] == 404
    assert manned.ask("DELETE", "bans/address/nonsense")[0] == 422
    assert manned.ask("POST", "bans", {"kind": "account", "who": "key 12"})[1]["until"] is None
    assert manned.ask("DELETE", "bans/account/key%2012") == (204, None)
    assert manned.ask("POST", "bans", {"kind": "address", "who": "nonsense"})[0] == 422


def test_there_are_only_so_many_bans(manned: Manned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtmptwist.auth.bans.MOST", 0)
    status, problem = manned.ask("POST", "bans", {"kind": "address", "who": "192.0.2.1"})
    assert (status, problem["title"]) == (409, "Conflict")


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "address"},
        {"kind": "planet", "who": "earth"},
        {"kind": "address", "who": "192.0.2.1", "seconds": "60"},
        {"kind": "address", "who": "192.0.2.1", "seconds": True},
        {"kind": "address", "who": "192.0.2.1", "seconds": -1},
        {"kind": "address", "who": "192.0.2.1", "seconds": 1e300},
        {"kind": ["address"], "who": "192.0.2.1"},
    ],
)
def test_bad_bans(manned: Manned, said: Any) -> None:
    assert manned.ask("POST", "bans", said)[0] == 400
