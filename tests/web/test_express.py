"""The express lane: what it takes, and that it takes it as twisted.web and Klein would."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from twisted.web.http import HTTPChannel

from rtmptwist.net.tunnel import TunnelLimits, Use
from rtmptwist.web.express import ExpressChannel
from tests.support.web import Web, Wire, chunked, request

VECTORS = Path(__file__).parent.parent / "vectors" / "rtmpt"
RECORDED = sorted(VECTORS.glob("*.json"))


@pytest.fixture
def detours(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The paths of requests that twisted.web saw."""
    seen: list[bytes] = []
    through = HTTPChannel.allHeadersReceived

    def see(self: Any) -> None:
        seen.append(self._path)
        through(self)

    monkeypatch.setattr(HTTPChannel, "allHeadersReceived", see)
    return seen


def exchanges(file: Path) -> list[dict[str, Any]]:
    """What a real program said, request by request."""
    recorded: list[dict[str, Any]] = json.loads(file.read_text())["exchanges"]
    return recorded


def as_sent(exchange: dict[str, Any], session_id: str) -> bytes:
    """The bytes of a recorded request, in our session."""
    line = exchange["request_line"].replace("S00000001", session_id)
    head = "\r\n".join([line, *exchange["request_headers"], "", ""])
    return head.encode() + bytes.fromhex(exchange["request_body"])


# ------------------------------------------------------------------------- real programs


@pytest.mark.parametrize("file", RECORDED, ids=[file.stem for file in RECORDED])
@pytest.mark.parametrize("express", [True, False], ids=["express", "klein"])
@pytest.mark.parametrize("apart", [True, False], ids=["head and body apart", "together"])
def test_recorded_programs(file: Path, express: bool, apart: bool) -> None:
    """Each recorded session, answered with the recorded server's words."""
    web = Web(express=express)
    wire, session_id = web.connect(), ""
    for exchange in exchanges(file):
        data = as_sent(exchange, session_id)
        body = bytes.fromhex(exchange["request_body"])
        words = bytes.fromhex(exchange["response_body"])
        kind = exchange["request_line"].split("/")[1]
        if kind != "open":
            listener = web.factory.made[0]
            listener.heard.clear()
            if kind != "close" and len(words) > 1:
                listener.tunnel.write(words[1:])
        cut = len(data) - len(body) if apart else len(data)
        wire.say(data[:cut])
        wire.say(data[cut:])
        [answer] = wire.hear()
        assert answer.status == 200
        if kind == "open":
            session_id = answer.body.decode().strip()
        elif kind == "close":
            assert answer.body == words == b"\x00"
            assert len(listener.lost) == 1
        else:
            assert answer.body == words
            assert listener.heard == ([body] if kind == "send" else [])


@pytest.mark.parametrize("file", RECORDED, ids=[file.stem for file in RECORDED])
def test_recorded_programs_take_the_lane(file: Path, detours: list[bytes]) -> None:
    web = Web()
    wire, session_id, _ = web.open()
    detours.clear()
    for exchange in exchanges(file)[1:]:
        wire.say(as_sent(exchange, session_id))
    assert [path for path in detours if not path.startswith(b"/close/")] == []


# --------------------------------------------------------------------------- what it takes

USUAL = [
    (),
    ("accept: */*", "CONNECTION: Keep-Alive"),
    ("X-Forwarded-For: 203.0.113.9", "Via: 1.1 proxy", "X-Real-IP: 203.0.113.9"),
    ("Cookie: a=b", "Referer: http://example.org/player.swf", "Accept-Language: de"),
]

UNUSUAL = [
    ("Connection: close",),
    ("Connection: upgrade",),
    ("Upgrade: websocket",),
    ("Expect: 100-continue",),
    ("Content-Encoding: gzip",),
    ("Trailer: X",),
    ("TE: trailers",),
    ("Host:example.org",),
    ("Keep-Alive: timeout=5",),
    tuple(f"X-Much: {n}" for n in range(50)),
]


@pytest.mark.parametrize("headers", USUAL)
def test_usual_heads_take_it(headers: tuple[str, ...], detours: list[bytes]) -> None:
    web = Web()
    wire, session_id, _ = web.open()
    detours.clear()
    assert wire.ask(f"/send/{session_id}/0", b"x", *headers).body == b"\x01X"
    assert wire.ask(f"/idle/{session_id}/1", b"\x00", *headers).body == b"\x01"
    assert detours == []


def test_heads_as_haproxy_writes_them_take_it(detours: list[bytes]) -> None:
    """HAProxy 2.6: every name in small letters."""
    web = Web()
    wire, session_id, _ = web.open()
    detours.clear()
    wire.say(
        f"POST /send/{session_id}/0 HTTP/1.1\r\nhost: 127.0.0.1:59241\r\ncontent-length: 1\r\n"
        "user-agent: Shockwave Flash\r\ncontent-type: application/x-fcs\r\n"
        "x-forwarded-for: 203.0.113.9\r\n\r\nx".encode()
    )
    assert [answer.body for answer in wire.hear()] == [b"\x01X"]
    assert detours == []


@pytest.mark.parametrize("headers", UNUSUAL)
def test_unusual_heads_do_not(headers: tuple[str, ...], detours: list[bytes]) -> None:
    web = Web()
    wire, session_id, listener = web.open()
    detours.clear()
    wire.say(request(f"/send/{session_id}/0", b"x", *headers))
    assert len(detours) == 1
    assert listener.heard == [b"x"]
    assert wire.raw().endswith(b"\x01X")


@pytest.mark.parametrize(
    "data",
    [
        request("/send/{id}/0", b"x", version="HTTP/1.0"),
        request("/idel/{id}/0"),
        request("/send/{id}/0?a=b", b"x"),
        request("/send/{id}/%30", b"x"),
        request("/send/{id}/0", b"", "Transfer-Encoding: chunked", length=False) + chunked(b"x"),
        request("/send/{id}/0", b"x", "X-A: \xff"),
        b"\r\n" + request("/send/{id}/0", b"x"),
    ],
)
def test_unusual_requests_do_not(data: bytes, detours: list[bytes]) -> None:
    web = Web()
    wire, session_id, _ = web.open()
    detours.clear()
    wire.say(data.replace(b"{id}", session_id.encode()))
    assert len(detours) == 1
    assert wire.raw().startswith(b"HTTP/1.")


def test_what_was_usual_is_looked_at_again_when_it_changes(detours: list[bytes]) -> None:
    web = Web()
    wire, session_id, _ = web.open()
    detours.clear()
    wire.ask(f"/idle/{session_id}/0", b"\x00", "Accept: */*")
    wire.ask(f"/idle/{session_id}/1", b"\x00", "Accept: */*")
    assert detours == []
    wire.ask(f"/idle/{session_id}/2", b"\x00", "Connection: close")
    assert len(detours) == 1
    assert wire.closed


def test_a_crafted_head_costs_no_more_than_another() -> None:
    """Lengths all over it must not make the expression try every pair."""
    wire = Web().connect()
    line = b"Content-Length: 1\r\n"
    head = b"POST /send/AAAAAAAAAAAAAAAAAAAAAA/0 HTTP/1.1\r\n" + line * (64 * 1024 // len(line))
    for _ in range(20):  # each as large as a read; 0.1 s each, were it quadratic
        wire.channel.dataReceived(head)
    assert wire.raw().count(b"HTTP/1.1 400 Bad Request\r\n") == 1


# -------------------------------------------------------------------------------- waiting


def test_a_body_may_come_in_many_pieces() -> None:
    web = Web()
    wire, session_id, listener = web.open()
    data = request(f"/send/{session_id}/0", bytes(range(256)) * 100)
    start = data.index(b"\r\n\r\n") + 4
    wire.say(data[:start])
    for position in range(start, len(data), 999):
        assert wire.raw() == b""
        wire.say(data[position : position + 999])
    assert listener.heard == [bytes(range(256)) * 100]


def test_a_connection_lost_within_a_body_changes_nothing() -> None:
    web = Web()
    wire, session_id, listener = web.open()
    wire.say(request(f"/send/{session_id}/0", b"half of it")[:-4])
    wire.lose()
    assert listener.heard == []
    assert web.connect().ask(f"/send/{session_id}/0", b"half of it").body == b"\x01HALF OF IT"


def test_a_client_that_stops_reading_is_served_when_it_reads_again() -> None:
    """In the middle of a pipeline, in the middle of a body."""
    web = Web()
    wire, session_id, listener = web.open()
    pipeline = b"".join(request(f"/send/{session_id}/{n}", b"<%d>" % n) for n in range(6))

    def choke(data: bytes) -> None:
        listener.echo(data)
        if data == b"<2>":
            wire.channel.pauseProducing()

    listener.answer = choke
    wire.say(pipeline[:-2])
    assert [a.body for a in wire.hear()] == [b"\x01<0>", b"\x01<1>", b"\x01<2>"]
    wire.say(pipeline[-2:])
    assert wire.raw() == b""
    wire.channel.resumeProducing()
    assert [a.body for a in wire.hear()] == [b"\x01<3>", b"\x01<4>", b"\x01<5>"]


@pytest.mark.parametrize(
    ("behind", "answered"),
    [
        (b"POST /send/", True),
        (b"POST /clo", True),
        (b"GET ", True),
        (b"POST /idle/", False),
        (b"POST /", False),
    ],
)
def test_who_asks_too_often_waits_unless_more_than_asking_is_behind(
    behind: bytes, answered: bool
) -> None:
    """Also when only its first bytes are there."""
    web = Web(limits=TunnelLimits(requests_per_second=1))
    wire, session_id, _ = web.open()
    wire.ask(f"/idle/{session_id}/0")
    wire.say(request(f"/idle/{session_id}/1"))
    assert wire.raw() == b""
    wire.say(behind)
    assert bool(wire.raw()) is answered
    web.turn(0.02)
    assert bool(wire.raw()) is not answered


def test_an_answer_that_comes_while_it_does_not_read() -> None:
    web = Web()
    wire, session_id, listener = web.open()
    listener.tunnel.pauseProducing()
    wire.say(request(f"/send/{session_id}/0", b"a") + request(f"/send/{session_id}/1", b"b"))
    wire.channel.pauseProducing()
    listener.tunnel.resumeProducing()
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01A"]
    wire.channel.resumeProducing()
    assert [a.body for a in wire.hear()] == [b"\x01B"]


def test_resuming_while_an_answer_is_due() -> None:
    web = Web()
    wire, session_id, listener = web.open()
    listener.tunnel.pauseProducing()
    wire.say(request(f"/send/{session_id}/0", b"a") + request(f"/send/{session_id}/1", b"b"))
    wire.channel.pauseProducing()
    wire.channel.resumeProducing()
    assert wire.raw() == b""
    listener.tunnel.resumeProducing()
    web.turn()
    assert [a.body for a in wire.hear()] == [b"\x01A", b"\x01B"]


def test_a_refusal_keeps_the_connection() -> None:
    web = Web()
    wire, session_id, _ = web.open()
    wire.say(request("/idle/AAAAAAAAAAAAAAAAAAAAAA/7"))
    assert wire.raw() == b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    assert wire.ask(f"/send/{session_id}/0", b"x").body == b"\x01X"


# --------------------------------------------------------------------------------- memory


def test_a_waiting_viewer_is_small() -> None:
    """The tunnel and its HTTP connection; 40 KB are allowed with the RTMP connection."""
    web = Web()
    wires: list[Wire] = []
    web.open()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(15):
        wire, session_id, listener = web.open()
        listener.tunnel.use = Use.PLAYING
        wire.say(request(f"/idle/{session_id}/0"))
        wires.append(wire)
    size = (tracemalloc.get_traced_memory()[0] - before) / len(wires)
    tracemalloc.stop()
    assert all(isinstance(wire.channel, ExpressChannel) for wire in wires)
    assert size < 12_000
