"""The server as a whole: another configuration, its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.logs import Logs
from tests.support.manned import Manned


def test_a_reload(manned: Manned, tmp_path: Path, logs: Logs) -> None:
    publisher = manned.site.publish()
    text = (tmp_path / "site.ini").read_text()
    (tmp_path / "site.ini").write_text(text.replace("anyone", "192.0.2.0/24"))
    changes = ["[app live] publish", "[vhost a.example / app live] publish"]
    assert manned.ask("POST", "reload") == (200, {"changes": changes})
    assert manned.ask("POST", "reload") == (200, {"changes": ["nothing has changed in it"]})
    (tmp_path / "site.ini").write_text(text.replace("grace = 0", "grace = ?\nmrege = 1s"))
    status, problem = manned.ask("POST", "reload")
    assert (status, problem["title"]) == (409, "Conflict")
    assert problem["detail"] == "The configuration cannot be used, and all stays as it was."
    assert [line.partition("[app live] ")[2] for line in problem["errors"]] == [
        "grace: '?'; expected a duration such as 250ms, 10s, 2m, 1h or 0",
        'mrege: unknown key; did you mean "merge"?',
    ]
    assert logs.about("operator loopback has the configuration read again")
    assert not publisher.connection.closed


def test_the_server_is_stopped_once(
    manned: Manned, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[bool] = []
    monkeypatch.setattr(manned.reactor, "stop", lambda: stopped.append(manned.whole.draining))
    assert manned.get("/readyz", listener=2).status == 200
    assert manned.ask("POST", "drain") == (202, None)
    assert manned.ask("POST", "drain") == (202, None)
    assert stopped == [True]
    assert logs.about("operator loopback: the server stops")
    assert manned.get("/readyz", listener=2).status == 503
    assert manned.get("/healthz", listener=2).status == 200
    server = manned.ask("GET", "server")[1]
    assert (server["ready"], server["draining"]) == (False, True)


@pytest.mark.parametrize("path", ["reload", "drain"])
def test_no_page_of_another_site_can_want_that(manned: Manned, path: str) -> None:
    assert manned.get(f"/api/v1/{path}", method="POST").status == 403
    assert manned.get(f"/api/v1/{path}").status == 405
    assert manned.whole.ready
