"""Following a connection by the API: what is asked, what is written, and how it ends."""

from __future__ import annotations

import io
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.cli import main
from rtmptwist.inspector.errors import InspectError
from rtmptwist.inspector.watching import Gone, Remote, Writer, watch
from tests.support.tls import ca_file, issue, put

VIEW: dict[str, Any] = {
    "peer": "#7 192.0.2.1:5000",
    "variant": "rtmp",
    "agent": "LNX 9,0",
    "state": "connected",
    "uses": [{"action": "play", "name": "live/show"}],
    "bytes_in": 100,
    "bytes_out": 200,
    "since": "2026-01-01T00:00:00.000Z",
    "steps": [],
}


def step(number: int, words: str = "play show") -> dict[str, Any]:
    time = f"2026-01-01T00:00:{number:02}.000Z"
    return {"number": number, "time": time, "way": "received", "words": words}


def line(number: int, words: str, **more: Any) -> dict[str, Any]:
    common = {"kind": "command", "timestamp": 40, "frame": False, "key": False, "size": 10}
    return {**step(number, words), **common, **more}


class Script:
    """A server that answers as it is told; then nothing is there."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def get(self, path: str) -> Any:
        self.asked.append(path)
        if not self._answers:
            raise Gone
        return self._answers.pop(0)

    def post(self, path: str, value: Any) -> Any:
        self.asked.append(f"{path} {value}")
        return self.get(path)


def followed(script: Any, *, as_json: bool = False, media: str = "summary", **more: Any) -> str:
    out = io.StringIO()
    watch(script, "7", Writer(out, as_json=as_json, media=media), pause=lambda _: None, **more)
    return out.getvalue()


def test_the_trail_is_followed_until_the_end() -> None:
    script = Script(
        {**VIEW, "steps": [step(1), step(2)]},
        {**VIEW, "steps": [step(1), step(2), step(3, "pause")]},
        {**VIEW, "steps": [step(2), step(3, "pause")]},
    )
    *lines, last = followed(script).splitlines()
    assert lines == [
        (
            "#7 192.0.2.1:5000, rtmp, LNX 9,0, plays live/show, 100 bytes received, 200 sent,"
            " here since 2026-01-01T00:00:00.000Z"
        ),
        "00:00:01.000 client play show",
        "00:00:02.000 client play show",
        "00:00:03.000 client pause",
    ]
    assert last.endswith("the connection has ended; the server's log says why")
    assert script.asked == ["connections/7"] * 4


def test_what_is_done_is_said_in_words() -> None:
    uses = [{"action": "publish", "name": "live/a"}, {"action": "play", "name": "live/b"}]
    script = Script({**VIEW, "uses": uses})
    assert ", publishes live/a, plays live/b, 100" in followed(script, once=True)


def test_once() -> None:
    script = Script({**VIEW, "uses": [], "agent": None, "steps": [step(1)]})
    assert ", unnamed, connected, 100" in followed(script, once=True)
    assert len(script.asked) == 1


def trace(*lines: Any, newest: int, running: bool = True, here: bool = True) -> Any:
    return {
        "lines": list(lines),
        "newest": newest,
        "running": running,
        "here": here,
        "steps": [step(9, "left")],
    }


def test_a_trace_is_followed() -> None:
    frame = {"kind": "video", "frame": True}
    script = Script(
        VIEW,
        trace(newest=0),
        trace(line(1, "play"), line(2, "v", **frame, key=True), line(3, "v", **frame), newest=4),
        trace(line(4, "pause", way="sent", timestamp=None), newest=4),
        trace(line(9, "seek"), newest=9, here=False, running=False),
    )
    *lines, last = followed(script, trace=30.0).splitlines()
    assert lines[1:-3] == [
        "00:00:01.000 client       40 ms play",
        "00:00:03.000 client 2 video frames (1 key), 20 bytes, 40 to 40 ms",
        "00:00:04.000 server pause",
    ]
    assert lines[-3].endswith("4 messages came faster than they were read, and are lost")
    assert lines[-2:] == ["00:00:09.000 client       40 ms seek", "00:00:09.000 client left"]
    assert last.endswith("the connection has ended")
    assert script.asked[1] == "connections/7/trace {'seconds': 30.0}"
    assert script.asked[3:] == [f"connections/7/trace?after={n}&limit=500" for n in (0, 3, 4)]
    ended = followed(Script(VIEW, {}, trace(newest=0, running=False)), trace=1.0)
    assert ended.endswith("the trace has ended\n")
    gone = followed(Script(VIEW, {}), trace=1.0)
    assert gone.endswith("the connection has ended; the server's log says why\n")


def test_notes_have_their_time_to_the_millisecond() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    text = followed(Script(VIEW, {}, trace(newest=0, running=False)), as_json=True, trace=1.0)
    note = json.loads(text.splitlines()[-1])
    assert note["words"] == "the trace has ended"
    assert before < datetime.fromisoformat(note["time"]) <= datetime.now(UTC)


def test_media_and_json() -> None:
    frame = line(1, "video key frame", kind="video", frame=True, key=True)

    def lines(**more: Any) -> str:
        return followed(Script(VIEW, {}, trace(frame, newest=1)), trace=1.0, **more)

    assert "video frames" not in lines(media="none")
    assert "40 ms video key frame" in lines(media="all")
    found = [json.loads(each) for each in lines(as_json=True).splitlines()]
    assert [each["kind"] for each in found] == ["connection", "media", "note"]
    assert found[1]["video"]["frames"] == 1


def test_who_is_not_there() -> None:
    with pytest.raises(InspectError, match="there is no connection 7, or no longer"):
        followed(Script())
    with pytest.raises(InspectError, match="'x' is no connection's number"):
        watch(Script(), "x", Writer(io.StringIO()))  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Answers by path, and says what it was shown."""

    def do_GET(self) -> None:
        status, body = {
            "/api/v1/token": (200, json.dumps(self.headers["Authorization"])),
            "/api/v1/none": (404, "{}"),
            "/api/v1/no": (403, json.dumps({"detail": "Not you."})),
            "/api/v1/who": (401, json.dumps({"detail": "Who?"})),
            "/api/v1/other": (500, "<html>"),
            "/api/v1/list": (500, "[]"),
            "/api/v1/bad": (200, "<html>"),
            "/api/v1/away": (302, ""),
        }[self.path]
        self.send_response(status)
        self.send_header("Location", "/api/v1/token")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """In silence."""


@contextmanager
def server(certificate: Path | None = None) -> Iterator[str]:
    found = HTTPServer(("127.0.0.1", 0), Handler)
    beginning = "http://127.0.0.1"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        found.socket = context.wrap_socket(found.socket, server_side=True)
        beginning = "https://localhost"
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{beginning}:{found.server_port}"
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


def test_a_server_and_its_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.write_text("tok-1 \nmore")
    with server() as url:
        assert Remote(url).get("token") is None
        assert Remote(f"{url}/api/v1/", token_file=token).post("token", {}) == "Bearer tok-1"
        with pytest.raises(Gone):
            Remote(url).get("none")
        for path, told in (
            ("no", r"403: Not you\.$"),
            ("who", r"401: Who\? Show a token with --token-file FILE\.$"),
            ("other", "500 Internal Server Error"),
            ("list", "500 Internal Server Error"),
            ("bad", "Expecting value"),
            ("away", "302 Found"),
        ):
            with pytest.raises(InspectError, match=told):
                Remote(url).get(path)
    assert main(["inspect", url, "7"]) == 1
    assert capsys.readouterr().err.endswith("/api/v1/: Connection refused\n")
    assert main(["inspect", url]) == 1
    assert "the number of one connection is expected" in capsys.readouterr().err
    assert main(["inspect", url, "7", "--token-file", "/nowhere/at/all"]) == 1
    assert "rtmptwist: /nowhere/at/all: No such file" in capsys.readouterr().err


def test_a_server_whose_certificate_is_not_trusted(tmp_path: Path) -> None:
    certificate = put(tmp_path, "server", issue("localhost"))
    with server(certificate) as url:
        with pytest.raises(InspectError, match=r": say with --ca-file FILE whom to trust$"):
            Remote(url).get("token")
        assert Remote(url, ca_file=ca_file(tmp_path)).get("token") is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_who_leaves(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("rtmptwist.inspector.command.watch", leave)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert main(["inspect", "http://127.0.0.1:1", "7"]) == 0
