"""The API: the truth, for those who may see it; changes, for those who mean them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress

from rtmptwist.media.flv import SCRIPT
from rtmptwist.wire.message import Message, MessageType
from tests.media.samples import tags
from tests.support.logs import Logs
from tests.support.manned import Manned
from tests.support.memory import Spectator
from tests.support.web import request

STRANGER = IPv4Address("TCP", "192.0.2.9", 1)
JSON = "Content-Type: application/json"
MEANT = "X-Requested-With: test"


@pytest.fixture
def manned(tmp_path: Path, logs: Logs) -> Iterator[Manned]:
    house = Manned(tmp_path)
    yield house
    house.close()


def watched(manned: Manned) -> tuple[Any, Spectator]:
    """A publisher of a real stream and a viewer."""
    publisher = manned.site.publish()
    viewer = manned.site.play()
    for tag in tags("h264-b-aac"):
        if tag.type != SCRIPT:
            publisher.send(Message(MessageType(tag.type), tag.timestamp, 1, tag.payload))
    manned.site.pump()
    manned.pass_time(1)
    return publisher, viewer


def only(manned: Manned, path: str) -> Any:
    status, page = manned.ask("GET", path)
    assert status == 200, page
    (item,) = page["items"]
    assert page["total"] == 1
    return item


def test_a_stream_its_publisher_and_its_viewer(manned: Manned) -> None:
    watched(manned)
    stream = only(manned, "streams")
    assert (stream["application"], stream["name"], stream["state"]) == ("live", "show", "live")
    assert (stream["viewers"], stream["publisher"], stream["variant"]) == (1, 1, "rtmp")
    video, audio = stream["tracks"]
    assert (video["profile"], video["width"], video["height"]) == ("High", 320, 180)
    assert (audio["parameters"], video["sample_rate"]) == ("mp4a.40.2", None)
    assert stream["frame_rate"]["over_1s"] == stream["frames"] > 0
    assert manned.ask("GET", f"streams/{stream['id']}") == (200, stream)
    viewer = only(manned, f"streams/{stream['id']}/viewers")
    (use,) = viewer["uses"]
    assert (use["action"], use["stream"], use["name"]) == ("play", stream["id"], "live/show")
    assert (use["state"], use["queue_bytes"], use["skips"]) == ("flowing", 0, 0)
    assert use["first_frame"] is not None
    assert use["bytes"] == stream["bytes_out"]
    status, publisher = manned.ask("GET", f"connections/{stream['publisher']}")
    assert status == 200
    assert (publisher["variant"], publisher["handshake"], publisher["application"]) == (
        "rtmp",
        "digest",
        "live",
    )
    assert publisher["uses"][0]["bytes"] == stream["bytes_in"]
    assert publisher["uses"][0]["state"] is None
    assert publisher["steps"][0] == {
        "number": 1,
        "time": publisher["since"],
        "way": "here",
        "words": "handshake digest",
    }
    assert (publisher["steps"][-1]["way"], publisher["steps"][-1]["words"]) == (
        "sent",
        "NetStream.Publish.Start",
    )
    application = manned.ask("GET", "applications/live")[1]
    for name in ("bytes_in", "bytes_out", "viewers", "bitrate_in"):
        assert application[name] == stream[name]
    server = manned.ask("GET", "server")[1]
    assert (server["connections"], server["by_variant"]) == (2, {"rtmp": 2})
    assert (server["streams"], server["viewers"], server["ready"]) == (1, 1, True)
    assert server["bytes_in"] == viewer["bytes_in"] + publisher["bytes_in"]
    assert server["bytes_out"] == viewer["bytes_out"] + publisher["bytes_out"]


def test_what_is_not_known_is_null(manned: Manned) -> None:
    connections = manned.whole.census.connections
    manned.site.client()
    (connection,) = connections()
    connection.visitor = connection.account = connection.handshake = None
    connection.agent = ""
    shown = only(manned, "connections")
    for name in ("handshake", "vhost", "application", "account", "agent", "certificate"):
        assert shown[name] is None
    assert shown["round_trip"] is None


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


def test_names_that_may_be_secrets_are_cut(manned: Manned) -> None:
    manned.site.publish("a-secret-that-is-a-name")
    for path in ("streams", "connections", "applications", "server"):
        assert "a-secret" not in json.dumps(manned.ask("GET", path))
    assert only(manned, "streams?name=a-secret-that-is-a-name")["name"].startswith("a-s…")


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
    stream = only(manned, "streams?name=two")["id"]
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
    stream = only(manned, "streams")["id"]
    for path in (f"streams/{stream}/close", "connections/1/kick"):
        status, problem = manned.ask("POST", path, {"reason": "\ud800"})
        assert (status, problem["detail"]) == (400, "'reason': expected whole characters.")
    manned.site.pump()
    assert only(manned, "streams")["state"] == "live"


def test_two_kicks_at_once(manned: Manned) -> None:
    """The second may still find it, or not; nothing breaks."""
    manned.site.client()
    assert [manned.ask("POST", "connections/1/kick", {})[0] for _ in range(2)] == [204, 204]


def test_who_leaves_while_it_is_kicked(manned: Manned, monkeypatch: pytest.MonkeyPatch) -> None:
    manned.site.client()
    monkeypatch.setattr(manned.whole, "kick", lambda *_: False)
    assert manned.ask("POST", "connections/1/kick", {})[0] == 404


def test_a_stream_is_closed(manned: Manned) -> None:
    publisher, viewer = watched(manned)
    name = only(manned, "streams")["id"]
    assert manned.ask("POST", f"streams/{name}/close", {}) == (204, None)
    manned.site.pump()
    assert viewer.told[-1] == "Play.Stop"
    assert publisher.connection.closed
    assert manned.ask("POST", f"streams/{name}/close", {})[0] == 404


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
    assert only(manned, "bans") == ban
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


# ----------------------------------------------------------------------------- bad requests


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[]", 400, "no JSON object"),
        (b"null", 400, "no JSON object"),
        (b"[" * 10_000, 400, "nested too deeply"),
        (b'{"reason": NaN}', 400, "NaN is no number"),
        (b'{"reason": 1}', 400, "'reason': expected a text"),
        (b'{"reason": ""}', 400, "'reason': expected 1 to 200 characters"),
        (b'{"reason": "' + b"x" * 201 + b'"}', 400, "'reason': expected 1 to 200 characters"),
        (b'{"raeson": "x"}', 400, "'raeson' is not known here; expected reason."),
        (b'{"reason": "' + b"x" * 20_000 + b'"}', 413, "16384 bytes at most"),
    ],
)
def test_bad_bodies(manned: Manned, body: bytes, status: int, words: str) -> None:
    manned.site.client()
    answer = manned.get("/api/v1/connections/1/kick", JSON, MEANT, method="POST", body=body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert words in problem["detail"]
    assert len(manned.site.connections) == 1


def test_a_body_beyond_all_bounds_is_not_even_read(manned: Manned) -> None:
    wire = manned.wire()
    wire.say(b"POST /api/v1/bans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
    assert wire.raw().startswith(b"HTTP/1.1 413 ")
    wire.lose()


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


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1.5",
        "limit=-1",
        "limit=1&limit=2",
        "offset=99999999999999999999",
        "limits=1",
        "variant=rtmpx",
        "address=%ff",
        "account=" + "x" * 300,
        "&".join(f"x{number}=1" for number in range(40)),
    ],
)
def test_bad_queries(manned: Manned, query: str) -> None:
    status, problem = manned.ask("GET", f"connections?{query}")
    assert (status, problem["title"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing",
        "server/",
        "server/../server",
        "../v1/server",
        "%2e%2e/metrics",
        "//server",
        "connections/0",
        "connections/x",
        "connections/-1",
        "connections/" + "9" * 5000,
        "connections/%31%2f",
        "connections/%0A1",
        "streams/0123456789abcdef",
        "streams/../../etc/passwd",
        "applications/dead",
        "applications/live%00",
        "applications/live?vhost=nowhere.example",
    ],
)
def test_what_is_not_there(manned: Manned, path: str) -> None:
    manned.site.client()
    answer = manned.get(f"/api/v1/{path}")
    assert answer.status == 404
    assert answer.headers["Content-Type"] in (
        "application/problem+json",
        "text/html; charset=utf-8",
    )


def test_a_method_that_is_not_there(manned: Manned) -> None:
    answer = manned.get("/api/v1/connections", JSON, MEANT, method="PUT", body=b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_bug_is_ours(manned: Manned, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inner secrets")

    monkeypatch.setattr("rtmptwist.web.views.server_view", broken)
    status, problem = manned.ask("GET", "server")
    assert status == 500
    assert "inner" not in json.dumps(problem)
    (error,) = logs.forgive()
    assert isinstance(error, ZeroDivisionError)


def test_what_is_no_page_of_the_api(manned: Manned) -> None:
    assert manned.get("/api/v2/server").status == 404
    assert manned.get("/").status == 404


def test_its_document(manned: Manned) -> None:
    status, said = manned.ask("GET", "openapi.json")
    assert (status, said["openapi"]) == (200, "3.1.0")
    assert manned.get("/api/v1/openapi.json", peer=STRANGER).status == 401


# --------------------------------------------------------------------------- who may, and how


@pytest.mark.parametrize(
    "lines",
    [
        (JSON,),
        ("Content-Type: text/plain", MEANT),
        ("Content-Type: application/x-www-form-urlencoded", MEANT),
        (MEANT,),
    ],
)
def test_other_people_s_pages_change_nothing(manned: Manned, lines: tuple[str, ...]) -> None:
    """What a browser sends for a page of another site without asking us before."""
    manned.site.client()
    answer = manned.get("/api/v1/connections/1/kick", *lines, method="POST", body=b"{}")
    assert answer.status in (403, 415)
    assert manned.get("/api/v1/bans/address/192.0.2.1", method="DELETE").status == 403
    manned.site.pump()
    assert len(manned.site.connections) == 1


@pytest.mark.parametrize("host", ["..", "x" * 300, "é" * 100, "xn--é", ":", "[::1", "a:b:c"])
def test_hosts_that_are_none(manned: Manned, host: str) -> None:
    assert manned.get("/api/v1/server", host=host).status == 401
    assert manned.get("/healthz", host=host).status == 200


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("/api/v1/server", b"Authorization", 401),
        ("/api/v1/server", b"Host", 401),
        ("/api/v1/events", b"Last-Event-ID", 400),
        ("/metrics", b"Authorization", 401),
        ("/metrics", b"Accept", 200),
    ],
)
def test_headers_that_are_no_text(manned: Manned, path: str, name: bytes, status: int) -> None:
    """Strangers send them: that is no error of ours, and no matter for the log."""
    wire = manned.wire()
    said = request(path, b"", "X: ?", method="GET")
    if name == b"Host":
        said = said.replace(b"\r\nHost: example.org", b"")
    said = said.replace(b"example.org", b"localhost").replace(b"X: ?", name + b": \xff\xfe")
    wire.say(said)
    manned.reactor.advance(0)
    assert int(wire.raw().split()[1]) == status
    wire.lose()


def test_nobody_is_told_that_other_sites_may_ask(manned: Manned) -> None:
    answer = manned.get("/api/v1/server", "Origin: https://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert manned.get("/api/v1/server", method="OPTIONS").status == 405


def test_only_for_those_on_this_machine(manned: Manned) -> None:
    assert manned.get("/api/v1/server").status == 200
    for answer in (
        manned.get("/api/v1/server", peer=STRANGER),
        manned.get("/api/v1/server", host="rebound.example"),
        manned.get("/api/v1/server", "X-Forwarded-For: 192.0.2.1"),
        manned.get("/api/v1/server", "Authorization: Bearer guess"),
        manned.get("/api/v1/server", "Authorization: a", "Authorization: b"),
    ):
        if answer.status == 200:
            continue
        assert answer.status == 401
        assert "WWW-Authenticate" in answer.headers
    for host in ("localhost", "127.0.0.1", "[::1]", "[::1]:8080"):
        assert manned.get("/api/v1/server", host=host).status == 200


def test_a_local_socket_is_on_this_machine(manned: Manned) -> None:
    """Who may open it, its mode says."""
    assert manned.get("/api/v1/server", peer=UNIXAddress(None)).status == 200


LOGINS = """
[server]
state = {0}/state

[listener main]
endpoint = tcp:1935:interface=127.0.0.1

[listener admin]
endpoint = tcp:8080
serve = http
api = memory:anna:secret

[app live]
publish = anyone
"""


def test_by_login(tmp_path: Path, logs: Logs) -> None:
    house = Manned(tmp_path, LOGINS)
    login = "Authorization: Basic YW5uYTpzZWNyZXQ="
    assert house.get("/api/v1/server").status == 401
    assert house.get("/api/v1/server", login, peer=STRANGER).status == 200
    wrong = house.get("/api/v1/server", "Authorization: Basic YW5uYTp4", peer=STRANGER)
    assert wrong.status == 401
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")
    house.site.client()
    assert house.ask("POST", "connections/1/kick", {}, login) == (204, None)
    assert len(logs.about("operator anna kicks #1")) == 1
    assert logs.about("secret") == []
    house.close()


def test_too_many_guesses_have_to_wait(tmp_path: Path, logs: Logs) -> None:
    house = Manned(tmp_path, LOGINS)
    wires = []
    for _ in range(20):
        wire = house.wire(peer=STRANGER)
        wire.say(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uYTp4\r\n\r\n")
        wires.append(wire)
    answers = [wire.raw() for wire in wires]
    assert answers[0].startswith(b"HTTP/1.1 401 ")
    assert b"" in answers  # some wait
    assert answers[-1].startswith(b"HTTP/1.1 503 ")
    for wire in wires:
        wire.lose()
    house.close()


def test_who_leaves_while_waiting_is_forgotten(tmp_path: Path, logs: Logs) -> None:
    house = Manned(tmp_path, LOGINS)
    wrong = "Authorization: Basic YW5uYTp4"
    for _ in range(6):
        house.get("/api/v1/server", wrong, peer=STRANGER)
    wire = house.wire(peer=STRANGER)
    wire.say(f"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n{wrong}\r\n\r\n".encode())
    assert wire.raw() == b""
    wire.lose()
    house.pass_time(10)
    assert wire.raw() == b""
    house.close()
