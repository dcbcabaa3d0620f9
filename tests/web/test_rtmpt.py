"""RTMPT on the wire: every request by both lanes, with the bytes that old clients need."""

from __future__ import annotations

import re
from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address

from rtmptwist.net.tunnel import ClosedByClient, TunnelLimits, Use
from rtmptwist.web.express import ExpressChannel
from tests.support.web import Web, chunked, request

CLIENT_HEADERS = {
    "ffmpeg": (
        "Accept: */*",
        "Connection: keep-alive",
        "Icy-MetaData: 1",
        "Cache-Control: no-cache",
        "Content-type: application/x-fcs",
        "User-Agent: Shockwave Flash",
    ),
    "a browser": ("Content-Type: application/x-www-form-urlencoded", "X-Flash-Version: 10,0"),
    "nothing": (),
    "strange": ("content-TYPE: multipart/form-data", "Unheard-Of: \xa0"),
}


@pytest.fixture(params=["express", "klein"])
def web(request: pytest.FixtureRequest) -> Web:
    """Both lanes must do the same."""
    return Web(express=request.param == "express")


def slow(method: str, target: str, *headers: str, body: bytes = b"\x00") -> bytes:
    """A request that no express lane takes."""
    return request(target, body, "Unusual: yes", *headers, method=method)


# ------------------------------------------------------------------------------- the life


def test_a_session_s_life(web: Web) -> None:
    wire = web.connect()
    opened = wire.ask("/open/1")
    assert re.fullmatch(rb"[\w-]{22}\n", opened.body)  # FFmpeg cuts the last character off
    session_id = opened.body.decode().strip()
    [listener] = web.factory.made
    listener.answer = listener.echo
    assert wire.ask(f"/send/{session_id}/0", b"hello").body == b"\x01HELLO"
    listener.tunnel.write(b"more")
    assert wire.ask(f"/idle/{session_id}/1").body == b"\x01more"
    assert wire.ask(f"/idle/{session_id}/2").body == b"\x01"
    assert wire.ask(f"/send/{session_id}/3", b"bye").body == b"\x01BYE"
    assert wire.ask(f"/close/{session_id}/4").body == b"\x00"
    assert listener.heard == [b"hello", b"bye"]
    assert listener.lost[0].check(ClosedByClient)
    gone = wire.ask(f"/idle/{session_id}/5")
    assert (gone.status, gone.body) == (404, b"")
    assert not wire.closed


@pytest.mark.parametrize("headers", CLIENT_HEADERS.values(), ids=CLIENT_HEADERS)
def test_every_answer_is_as_librtmp_reads_it(web: Web, headers: tuple[str, ...]) -> None:
    """Its parser looks for exactly these; `content-length:` or a chunked answer break it."""
    wire = web.connect()

    def check(target: str, body: bytes = b"\x00") -> bytes:
        wire.say(request(target, body, *headers))
        raw = wire.raw()
        assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
        head, _, answer = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert b"Content-Type: application/x-fcs" in lines
        assert b"Content-Length: %d" % len(answer) in lines
        assert b"Connection: Keep-Alive" in lines
        assert b"Cache-Control: no-cache" in lines
        assert len(answer) >= 1
        return answer

    session_id = check("/open/1").decode().strip()
    assert check(f"/send/{session_id}/0", b"x") == b"\x01"
    assert check(f"/idle/{session_id}/1") == b"\x01"
    assert check(f"/close/{session_id}/2") == b"\x00"


def test_the_address_is_not_told(web: Web) -> None:
    """Shumway goes on only after a 404, the others whatever they get."""
    for path in ("/fcs/ident2", "/fcs/ident"):
        answer = web.connect().ask(path)
        assert (answer.status, answer.body) == (404, b"")


def test_spellings_that_exist(web: Web) -> None:
    wire, session_id, listener = web.open()
    listener.tunnel.write(b"data")
    assert wire.ask(f"/idel/{session_id}/1").body == b"\x01data"  # HaishinKit
    assert wire.ask("/close/2").status == 404  # Shumway, without a session
    assert wire.ask(f"/close/{session_id}").body == b"\x00"  # RootEncoder
    assert len(listener.lost) == 1


def test_the_bodies_of_idle_and_close_are_dropped(web: Web) -> None:
    wire, session_id, listener = web.open()
    wire.ask(f"/idle/{session_id}/0", b"x" * 64)
    wire.ask(f"/idle/{session_id}/1", b"")
    wire.ask(f"/close/{session_id}/2", b"x" * 64)
    assert listener.heard == []


def test_a_session_does_not_belong_to_a_connection(web: Web) -> None:
    """nginx makes a new one for every request, phones change their address."""
    _, session_id, listener = web.open()
    for number in range(5):
        wire = web.connect(IPv4Address("TCP", f"203.0.113.{number}", 1))
        assert wire.ask(f"/send/{session_id}/{number}", b"x").body == b"\x01X"
    assert listener.heard == [b"x"] * 5


# ------------------------------------------------------------------------------- the HTTP


def test_http_1_0_with_a_connection_each(web: Web) -> None:
    """nginx's default towards us."""
    _, session_id, _ = web.open()
    wire = web.connect()
    wire.say(request(f"/send/{session_id}/0", b"hello", version="HTTP/1.0"))
    [answer] = wire.hear()
    assert (answer.status, answer.body) == (200, b"\x01HELLO")
    assert wire.closed
    assert "Connection" not in answer.headers


def test_connection_close(web: Web) -> None:
    wire, session_id, _ = web.open()
    answer = wire.ask(f"/send/{session_id}/0", b"hello", "Connection: close")
    assert (answer.body, answer.headers["Connection"]) == (b"\x01HELLO", "close")
    assert wire.closed


def test_chunked_bodies(web: Web) -> None:
    wire, session_id, listener = web.open()
    head = request(f"/send/{session_id}/0", b"", "Transfer-Encoding: chunked", length=False)
    wire.say(head + chunked(b"some bytes in chunks"))
    assert [a.body for a in wire.hear()] == [b"\x01SOME BYTES IN CHUNKS"]
    assert wire.ask(f"/send/{session_id}/1", b"more").body == b"\x01MORE"
    assert listener.heard == [b"some bytes in chunks", b"more"]


def test_who_asks_whether_to_send_a_body_is_told_to(web: Web) -> None:
    wire, session_id, _ = web.open()
    data = request(f"/send/{session_id}/0", b"hello", "Expect: 100-continue")
    wire.say(data[:-5])
    assert wire.raw() == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.say(data[-5:])
    assert [a.body for a in wire.hear()] == [b"\x01HELLO"]


@given(cuts=st.sets(st.integers(1, 400), max_size=6), express=st.booleans())
def test_requests_may_come_in_any_pieces(cuts: set[int], express: bool) -> None:
    """FFmpeg sends head and body apart; librtmp sends two at once."""
    web = Web(express=express)
    wire, session_id, listener = web.open()
    data = b"".join(
        request(f"/send/{session_id}/{n}", b"<%d>" % n, *CLIENT_HEADERS["ffmpeg"][: n * 3])
        for n in range(3)
    )
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        wire.say(data[start:end])
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01<0>", b"\x01<1>", b"\x01<2>"]
    assert listener.heard == [b"<0>", b"<1>", b"<2>"]


def test_lanes_may_change_from_request_to_request() -> None:
    web = Web()
    wire, session_id, listener = web.open()
    data = [
        slow("POST", f"/send/{session_id}/{n}", body=b"<%d>" % n)
        if n % 3 == 0
        else request(f"/send/{session_id}/{n}", b"<%d>" % n)
        for n in range(12)
    ]
    wire.say(b"".join(data))
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01<%d>" % n for n in range(12)]
    assert listener.heard == [b"<%d>" % n for n in range(12)]


# ------------------------------------------------------------------------------ waiting


def test_a_held_answer_comes_with_the_data(web: Web) -> None:
    wire, session_id, listener = web.open()
    listener.tunnel.use = Use.PLAYING
    wire.say(request(f"/idle/{session_id}/0"))
    web.turn(0.4)
    assert wire.raw() == b""
    listener.tunnel.write(b"frame")
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01frame"]


def test_requests_behind_a_held_one_are_answered_in_order(web: Web) -> None:
    """librtmp does not wait for answers. By the express lane this costs no time."""
    wire, session_id, listener = web.open()
    listener.tunnel.use = Use.PLAYING
    wire.say(request(f"/idle/{session_id}/0"))
    wire.say(
        request(f"/send/{session_id}/1", b"a")
        + slow("POST", f"/send/{session_id}/2", body=b"b")
        + request(f"/send/{session_id}/3", b"c")
    )
    if not isinstance(wire.channel, ExpressChannel):
        assert wire.raw() == b""
        web.turn(0.5)
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01", b"\x01A", b"\x01B", b"\x01C"]


def test_what_a_lost_connection_waited_for_comes_by_the_next(web: Web) -> None:
    wire, session_id, listener = web.open()
    listener.tunnel.use = Use.PLAYING
    wire.say(request(f"/idle/{session_id}/0"))
    wire.lose()
    listener.tunnel.write(b"frame")
    web.turn(1)
    assert web.connect().ask(f"/idle/{session_id}/0").body == b"\x01frame"


def test_two_connections_at_once(web: Web) -> None:
    """One sends while the other is held; the newer releases the older."""
    first, session_id, listener = web.open()
    second = web.connect()
    listener.tunnel.use = Use.PLAYING
    first.say(request(f"/idle/{session_id}/0"))
    assert second.ask(f"/send/{session_id}/1", b"x").body == b"\x01X"
    assert [a.body for a in first.hear()] == [b"\x01"]
    second.say(request(f"/idle/{session_id}/3"))
    first.say(request(f"/idle/{session_id}/2"))
    listener.tunnel.write(b"frame")
    web.turn()
    assert [a.body for a in first.hear()] == [b"\x01"]
    assert [a.body for a in second.hear()] == [b"\x01frame"]


def test_a_request_that_is_missing_ends_the_session(web: Web) -> None:
    wire, session_id, listener = web.open()
    wire.ask(f"/send/{session_id}/0", b"x")
    wire.say(request(f"/send/{session_id}/2", b"y"))
    web.turn(2)
    [answer] = wire.hear()
    assert (answer.status, answer.body) == (400, b"")
    assert len(listener.lost) == 1
    assert wire.ask(f"/send/{session_id}/3", b"z").status == 404


# ----------------------------------------------------------------------------- bad input

BAD_REQUESTS = {
    "GET": (slow("GET", "/open/1"), 405),
    "HEAD": (slow("HEAD", "/send/{id}/0", body=b""), 405),
    "OPTIONS": (slow("OPTIONS", "/idle/{id}/0"), 405),
    "PUT": (slow("PUT", "/close/{id}"), 405),
    "an unknown method": (slow("BREW", "/send/{id}/0"), 405),
    "no number": (slow("POST", "/send/{id}"), 404),
    "a negative number": (slow("POST", "/send/{id}/-1"), 404),
    "a letter": (slow("POST", "/idle/{id}/x"), 404),
    "a number in another script": (slow("POST", "/idle/{id}/%D9%A3"), 404),
    "a number too long": (slow("POST", "/idle/{id}/" + "1" * 11), 404),
    "a number much too long": (slow("POST", "/idle/{id}/" + "1" * 6000), 404),
    "too many parts": (slow("POST", "/idle/{id}/0/0"), 404),
    "an unknown session": (slow("POST", "/idle/AAAAAAAAAAAAAAAAAAAAAA/0"), 404),
    "an unknown session, express": (request("/idle/AAAAAAAAAAAAAAAAAAAAAA/0"), 404),
    "no session": (slow("POST", "/idle//0"), 404),
    "a long session": (slow("POST", "/idle/" + "A" * 5000 + "/0"), 404),
    "an unknown verb": (slow("POST", "/fetch/{id}/0"), 404),
    "the root": (slow("POST", "/"), 404),
    "two slashes": (slow("POST", "/open//1"), 404),
    "dots": (slow("POST", "/x/../open/1"), 404),
    "the whole server": (slow("OPTIONS", "*"), 200),
    "a query": (slow("POST", "/idle/AAAAAAAAAAAAAAAAAAAAAA/0?a=b"), 404),
    "bytes that are no text": (slow("POST", "/idle/%FF/0"), 400),
    "an idle with a long body": (slow("POST", "/idle/{id}/0", body=b"x" * 65), 413),
    "the same, express": (request("/idle/{id}/0", b"x" * 65), 413),
    "a close with a long body": (request("/close/{id}/0", b"x" * 65), 413),
}


@pytest.mark.parametrize(("data", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_bad_requests_touch_nothing(web: Web, data: bytes, status: int) -> None:
    wire, session_id, listener = web.open()
    other, other_id, _ = web.open()
    wire.say(data.replace(b"{id}", session_id.encode()))
    raw = wire.raw()
    assert raw.startswith(b"HTTP/1.1 %d " % status)
    if status == 405:
        assert b"\r\nAllow: POST\r\n" in raw.split(b"\r\n\r\n")[0] + b"\r\n"
    assert listener.heard == []
    assert listener.lost == []
    if not wire.channel.refused:
        assert wire.ask(f"/send/{session_id}/0", b"x").body == b"\x01X"
    assert other.ask(f"/send/{other_id}/0", b"x").body == b"\x01X"


def test_guesses_are_counted(web: Web) -> None:
    wire, _, _ = web.open()
    for guess in ("A" * 22, "B" * 22, "short"):
        answer = wire.ask(f"/idle/{guess}/0")
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (404, b"", "0")
    assert web.tunnels.meter.unknown == 3


# ---------------------------------------------------------------------------------- open


def test_too_many_sessions(web: Web) -> None:
    wire = web.connect()
    for _ in range(16):
        assert wire.ask("/open/1").status == 200
    assert wire.ask("/open/1").status == 429
    assert len(web.factory.made) == 16


def test_a_server_that_is_full() -> None:
    web = Web(limits=TunnelLimits(sessions=1))
    web.open()
    assert web.connect(IPv4Address("TCP", "192.0.2.2", 1)).ask("/open/1").status == 503


def test_proxies_say_whom_they_heard_from() -> None:
    web = Web(proxies=(ip_network("192.0.2.0/24"),))
    web.connect().ask("/open/1", b"\x00", "X-Forwarded-For: 203.0.113.9")
    assert web.factory.made[0].tunnel.getPeer() == IPv4Address("TCP", "203.0.113.9", 0)


def test_others_may_say_what_they_like(web: Web) -> None:
    web.connect().ask("/open/1", b"\x00", "X-Forwarded-For: 203.0.113.9")
    assert web.factory.made[0].tunnel.getPeer() == IPv4Address("TCP", "192.0.2.1", 4711)
