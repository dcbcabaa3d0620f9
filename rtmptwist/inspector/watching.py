"""A connection of a running server: what it did, and what it does, by the server's API."""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from rtmptwist.inspector.errors import InspectError
from rtmptwist.inspector.messages import Saying
from rtmptwist.inspector.tally import Tally

PAUSE: Final = 1.0
"Seconds between two questions."

_PATIENCE: Final = 30.0
"Seconds that an answer may take."

_ANSWER: Final = 16 << 20
"Bytes of an answer: 500 lines have less than 1 MB."

_DOES: Final = {"publish": "publishes", "play": "plays"}

_SIDES: Final = {"received": "client", "sent": "server", "here": "      "}


class Gone(Exception):
    """There is no such connection, or no longer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token is for this server alone."""

    def redirect_request(self, *_: Any) -> None:
        """Go nowhere else."""


class Remote:
    """The API of a server."""

    def __init__(
        self, url: str, *, token_file: Path | None = None, ca_file: Path | None = None
    ) -> None:
        self._base = url.rstrip("/").removesuffix("/api/v1") + "/api/v1/"
        self._headers = {"Content-Type": "application/json", "X-Requested-With": "rtmptwist"}
        try:
            if token_file is not None:
                lines = token_file.read_text().split("\n")
                self._headers["Authorization"] = f"Bearer {lines[0].strip()}"
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise InspectError(f"{token_file or ca_file}: {error.strerror}") from error
        # no proxies: the API is on this machine or in this network
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            _NoRedirect(),
        ).open

    def get(self, path: str) -> Any:
        """
        What is there.

        Raises:
            Gone: nothing.
            InspectError: the server does not say.
        """
        return self._ask(urllib.request.Request(self._base + path, headers=self._headers))  # noqa: S310 - http or https, as was typed

    def post(self, path: str, value: object) -> Any:
        """Want something; the rest as `get`."""
        body = json.dumps(value).encode()
        return self._ask(
            urllib.request.Request(  # noqa: S310 - as above
                self._base + path, data=body, headers=self._headers, method="POST"
            )
        )

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with self._open(request, timeout=_PATIENCE) as answer:
                data = answer.read(_ANSWER)
            return json.loads(data)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise Gone from error
            words = _detail(error)
            if error.code == 401 and "Authorization" not in self._headers:
                words += " Show a token with --token-file FILE."
            raise InspectError(f"{self._base}: {words}") from error
        except (OSError, ValueError) as error:
            raise InspectError(f"{self._base}: {_why(error)}") from error


def _detail(error: urllib.error.HTTPError) -> str:
    """In the server's words, if it is this server."""
    try:
        return f"{error.code}: {json.loads(error.read(_ANSWER))['detail']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


def _why(error: OSError | ValueError) -> str:
    """Why no server answered, or not as one does."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"{reason.verify_message}: say with --ca-file FILE whom to trust"
    return getattr(reason, "strerror", None) or str(reason)


class Writer:
    """Writes what the API answers."""

    def __init__(self, out: TextIO, *, as_json: bool = False, media: str = "summary") -> None:
        self._out = out
        self._as_json = as_json
        self._media = media
        self._tallies = {"received": Tally(), "sent": Tally()}
        self._step = 0

    def head(self, view: dict[str, Any]) -> None:
        """Which connection it is."""
        if self._as_json:
            self._out.write(json.dumps({"kind": "connection", **view}, ensure_ascii=False) + "\n")
            return
        uses = ", ".join(f"{_DOES[use['action']]} {use['name']}" for use in view["uses"])
        said = (
            view["peer"],
            view["variant"],
            view["agent"] or "unnamed",
            uses or view["state"],
            f"{view['bytes_in']} bytes received, {view['bytes_out']} sent",
            f"here since {view['since']}",
        )
        self._out.write(", ".join(said) + "\n")

    def steps(self, steps: list[dict[str, Any]]) -> None:
        """What is new of its trail."""
        for step in steps:
            if step["number"] > self._step:
                self._step = step["number"]
                self._line(step["time"], step["way"], "step", step["words"], step)
        self._out.flush()

    def lines(self, lines: list[dict[str, Any]]) -> None:
        """Some messages; frames in sum, as it is wanted."""
        for line in lines:
            if line["frame"] and self._media != "all":
                saying = Saying(line["kind"], "", {}, key=line["key"])
                self._tallies[line["way"]].add(saying, line["timestamp"] or 0, line["size"])
                continue
            self.tell_tallies(line["time"])
            moment = "" if line["timestamp"] is None else f"{line['timestamp']:>8} ms "
            self._line(line["time"], line["way"], line["kind"], moment + line["words"], line)
        self.tell_tallies(lines[-1]["time"])
        self._out.flush()

    def tell_tallies(self, moment: str) -> None:
        """Frames since the last line."""
        for way, tally in self._tallies.items():
            if tally.counts:
                words, facts = tally.take()
                if self._media != "none":
                    self._line(moment, way, "media", words, {"way": way, "words": words, **facts})

    def note(self, words: str) -> None:
        """Of ours."""
        now = datetime.now(UTC).strftime("%FT%T.%f")[:-3] + "Z"
        self._line(now, "here", "note", words, {"words": words})
        self._out.flush()

    def _line(self, moment: str, way: str, kind: str, words: str, value: dict[str, Any]) -> None:
        if self._as_json:
            item = {"kind": kind, **value, "time": moment}
            self._out.write(json.dumps(item, ensure_ascii=False) + "\n")
        else:
            clock = moment.partition("T")[2].rstrip("Z")
            self._out.write(f"{clock} {_SIDES[way]} {words}\n")


def watch(
    remote: Remote,
    number: str,
    writer: Writer,
    *,
    trace: float | None = None,
    once: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """
    Show a connection until it ends, or its trace does.

    Raises:
        InspectError: there is none, or the server does not say.
    """
    if not re.fullmatch("[0-9]{1,15}", number):
        raise InspectError(f"{number!r} is no connection's number: 12 is, of `#12` in the log")
    path = f"connections/{number}"
    try:
        view = remote.get(path)
        writer.head(view)
        writer.steps(view["steps"])
        if trace is not None:
            remote.post(f"{path}/trace", {"seconds": trace})
    except Gone:
        raise InspectError(f"there is no connection {number}, or no longer") from None
    try:
        if trace is not None:
            _follow_trace(remote, f"{path}/trace", writer, pause)
        elif not once:
            while True:
                pause(PAUSE)
                writer.steps(remote.get(path)["steps"])
    except Gone:
        writer.note("the connection has ended; the server's log says why")


def _follow_trace(
    remote: Remote, path: str, writer: Writer, pause: Callable[[float], None]
) -> None:
    after = 0
    while True:
        view = remote.get(f"{path}?after={after}&limit=500")
        lines = view["lines"]
        if lines:
            missing = lines[0]["number"] - after - 1
            if missing > 0:
                writer.note(f"{missing} messages came faster than they were read, and are lost")
            after = lines[-1]["number"]
            writer.lines(lines)
        if after < view["newest"]:
            continue
        if not view["here"]:
            writer.steps(view["steps"])
            writer.note("the connection has ended")
            return
        if not view["running"]:
            writer.note("the trace has ended")
            return
        pause(PAUSE)
