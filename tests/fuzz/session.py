"""
A coverage-guided fuzz target over the whole core: bytes into a server session.

    python -m tests.fuzz.session -max_total_time=60 [corpus folder]

The verdict: events or RemoteProtocolError, whatever the bytes; nothing else may come out. The
first byte of an input says how far the session is when the rest arrives, and how it is cut.
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["rtmptwist"]):
    from rtmptwist.media.tag import audio_tag, video_tag
    from rtmptwist.wire.chunk import encode_full
    from rtmptwist.wire.command import Command
    from rtmptwist.wire.errors import RemoteProtocolError
    from rtmptwist.wire.events import Decision, Event, Play2
    from rtmptwist.wire.message import Message, MessageType
    from rtmptwist.wire.server import ServerSession
    from rtmptwist.wire.status import Status, StatusCode

_CONNECT = encode_full(Command("connect", 1.0, {"app": "live"}).message(), 3, 128)
_STREAM = encode_full(Command("createStream", 2.0).message(), 3, 128)
_SHAKE = b"\x03" + bytes(3072)


def _decide(server: ServerSession, event: Event, yes: bool) -> None:
    if not isinstance(event, Decision):
        raise AssertionError(f"{event!r} is no decision")
    if yes and not isinstance(event, Play2):
        server.accept(event)
    else:
        server.refuse(event, Status(StatusCode.FAILED, "no"))


def _feed(server: ServerSession, data: bytes, yes: bool) -> None:
    events = server.receive(data)
    while events:
        for event in events:
            if isinstance(event, Message):
                tag = video_tag if event.type == MessageType.VIDEO else audio_tag
                tag(event.payload)
        if server.deciding:
            _decide(server, events[-1], yes)
        events = server.receive(b"") if server.more else []
    server.data_to_send()


def one_input(data: bytes) -> None:
    """Run one input."""
    how, rest = data[:1] or b"\0", data[1:]
    versions = frozenset({3, 6, 8, 9}) if how[0] & 0x80 else frozenset({3})
    server = ServerSession(random=random.Random(1).randbytes, versions=versions)
    prefix = (b"", _SHAKE, _SHAKE + _CONNECT, _SHAKE + _CONNECT + _STREAM)[how[0] & 3]
    cut = (len(rest) or 1, 1, 7, 128)[how[0] >> 2 & 3]
    try:
        _feed(server, prefix, yes=True)
        for start in range(0, len(rest), cut):
            _feed(server, rest[start : start + cut], yes=not how[0] & 0x40)
        server.refill(1.0)
    except RemoteProtocolError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
