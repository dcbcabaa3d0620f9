"""Lists: pages of them, and what filters leave."""

from __future__ import annotations

import pytest

from tests.support.manned import Manned, watched


def test_pages(manned: Manned) -> None:
    for _ in range(5):
        manned.site.client()
    _, page = manned.ask("GET", "connections?limit=2&offset=1")
    assert [item["id"] for item in page["items"]] == [2, 3]
    assert (page["total"], page["offset"], page["limit"]) == (5, 1, 2)
    assert manned.ask("GET", "connections?offset=9")[1]["items"] == []
    assert manned.ask("GET", "connections?limit=1.0")[1]["limit"] == 1
    assert manned.ask("GET", "connections/4")[1]["id"] == 4
    assert manned.ask("GET", "streams/0123456789abcdef/viewers")[0] == 404


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("connections?application=live", 2),
        ("connections?application=dead", 0),
        ("connections?vhost=", 2),
        ("connections?vhost=a.example", 0),
        ("connections?variant=rtmps", 0),
        ("connections?address=192.0.2.1&account=anyone", 2),
        ("connections?account=nobody", 0),
        ("streams?name=show&state=live&application=live", 1),
        ("streams?name=sho", 0),
        ("streams?state=grace", 0),
        ("streams?state=idle", 0),
        ("streams?vhost=a.example", 0),
        ("applications?vhost=a.example", 1),
        ("applications", 2),
        ("bans", 0),
    ],
)
def test_filters(manned: Manned, path: str, count: int) -> None:
    watched(manned)
    status, page = manned.ask("GET", path)
    assert (status, page["total"]) == (200, count)
    assert len(page["items"]) == count
