"""What a connection remembers of itself: enough to see why it broke, nothing that is secret."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.live.names import redacted
from rtmptwist.net.trail import KEPT, Step, longer, steps
from rtmptwist.wire import control
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import SetBufferLength, SetChunkSize, UnknownUserControl
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.session import Said, State
from rtmptwist.wire.status import Status, StatusCode
from tests.support.logs import Logs
from tests.support.memory import serve_in_memory

KEY = "key_2wzA9bC8dE7fG6hI5jK4"


def words(*events: Said | str) -> list[str]:
    return [f"{step.way} {step.words}" for step in steps(longer(b"", 0.0, events))]


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (
            Command("connect", 1.0, {"app": "live", "flashVer": "FMLE/3.0"}),
            "< connect live by FMLE/3.0",
        ),
        (
            Command("connect", 1.0, {"app": f"live/{KEY}?token=x"}),
            f"< connect live/{redacted(KEY)}?…",
        ),
        (Command("connect", 1.0), "< connect nothing"),
        (Command("publish", 4.0, None, (KEY, "live")), f"< publish {redacted(KEY)}"),
        (Command("play", 4.0, None, ("show?sig=secret",)), "< play show?…"),
        (Command("deleteStream", 4.0, None, (1.0,)), "< deleteStream 1"),
        (Command("login", 4.0, None, ("anna", "secret")), "< login with 2 values"),
        (Command("login", 4.0, None, ("secret",)), "< login with 1 value"),
        (Command(KEY, 4.0), f"< {redacted(KEY)}"),
        (Command(f"{KEY}?token=x", 4.0, None, (1.0,)), f"< {redacted(KEY)}?… with 1 value"),
        (Command("FCUnsubscribe", 4.0, None, (KEY,)), f"< FCUnsubscribe {redacted(KEY)}"),
        (Command("receiveAudio", 4.0, None, (True,)), "< receiveAudio with 1 value"),
        (Command("a\nb", 4.0), "< a\N{REPLACEMENT CHARACTER}b"),
        (Status(StatusCode.PUBLISH_START, KEY), "> NetStream.Publish.Start"),
        (
            Status(StatusCode.PUBLISH_DENIED, "Why? Go to rtmp://a/b?token=secret"),
            "> NetStream.Publish.Denied: Why? Go to rtmp://a/b?…",
        ),
        (Status(StatusCode.FAILED, "a\nb"), "> NetStream.Failed: a\N{REPLACEMENT CHARACTER}b"),
        (SetChunkSize(4096), "< set chunk size 4096"),
        (control.Abort(5), "< abort of chunk stream 5"),
        (control.WindowAcknowledgementSize(9), "< window acknowledgement size 9"),
        (control.SetPeerBandwidth(9), "< set peer bandwidth 9 dynamic"),
        (SetBufferLength(1, 300), "< set buffer length 300 ms"),
        (control.StreamBegin(1), "< stream begin"),
        (control.StreamIsRecorded(1), "< stream is recorded"),
        (control.SwfVerificationResponse(7, bytes(32)), "< swf verification response for 7 bytes"),
        (UnknownUserControl(77, b"12"), "< user control 77 of 2 bytes"),
        ("no connect within 20 s", "= no connect within 20 s"),
        ("x" * 200, "= " + "x" * 119 + "…"),
    ],
)
def test_events_in_words(event: Any, shown: str) -> None:
    assert words(event) == [shown]


def test_only_the_newest_are_kept_and_numbers_go_on() -> None:
    trail = b""
    for number in range(100):
        trail = longer(trail, number / 10, [SetChunkSize(number + 1)])
    found = steps(trail)
    assert len(found) == KEPT
    assert found[-1] == Step(100, 9.9, "<", "set chunk size 100")
    assert [step.number for step in found] == list(range(69, 101))
    assert len(steps(longer(b"", 0.0, ["x"] * 100))) == KEPT
    assert steps(b"") == []


@given(st.lists(st.text(), max_size=40), st.floats(0, 1e7))
def test_any_words_are_one_line_each(texts: list[str], seconds: float) -> None:
    events = [Command(text, 0.0, None, (text,)) for text in texts]
    found = steps(longer(b"", seconds, events))
    assert len(found) == min(len(texts), KEPT)


def test_a_protocol_error_is_told_with_what_came_before(logs: Logs) -> None:
    site = serve_in_memory()
    publisher = site.publish("secret-stream-key")
    (connection,) = site.connections
    publisher.connection.transport.write(b"\xff" * 20)  # type: ignore[union-attr]
    site.pump()
    (line,) = logs.lines("warn")
    assert line.startswith(
        "#1 192.0.2.1:50000: chunk stream 63 begins with type 3 (expected 0 or 1); before that: "
    )
    assert line.endswith("publish sec…3288, sent NetStream.Publish.Start")
    found = steps(connection.trail)
    assert (found[0].way, found[0].words) == ("=", "handshake digest")
    assert found[2].words == "connect live by FMLE/3.0 (compatible; rtmptwist)"
    assert found[-1].words == "chunk stream 63 begins with type 3 (expected 0 or 1)"
    assert "secret" not in line + str(found)


@pytest.mark.parametrize("connected", [True, False])
def test_a_key_that_a_client_calls_a_command_is_no_less_a_secret(
    logs: Logs, connected: bool
) -> None:
    """It stands in the wrong field of somebody's program."""
    site = serve_in_memory()
    client = site.client()
    (connection,) = site.connections
    if not connected:
        connection.session.state = State.HANDSHAKEN
    called = Command(KEY, 5.0).message()
    client.transport.write(encode_full(called, 3, 65536))  # type: ignore[union-attr]
    site.pump()
    told = [step.words for step in steps(connection.trail)]
    last = f"Method not found ({redacted(KEY)})." if connected else "before a connect was accepted"
    assert last in told[-1]
    assert redacted(KEY) in told[-2]
    connection.finish("that is all")
    assert KEY not in str(told) + str(logs.about(""))


def test_media_acknowledgements_and_pings_leave_no_trail() -> None:
    site = serve_in_memory()
    stream = site.publish()
    (connection,) = site.connections
    before = connection.trail
    transport: Any = stream.connection.transport
    for message in (
        control.message(control.Acknowledgement(1)),
        control.message(control.PingRequest(1)),
        Message(MessageType.AUDIO, 0, 1, b"\xaf\x01abc"),
    ):
        transport.write(encode_full(message, 2, 65536))
    site.pump()
    assert connection.trail == before


def test_a_flood_of_control_messages_costs_no_memory() -> None:
    site = serve_in_memory()
    stream = site.stream()
    (connection,) = site.connections
    one = encode_full(control.message(SetBufferLength(1, 100)), 2, 65536)
    transport: Any = stream.connection.transport
    transport.write(one * 4000)
    site.pump()
    assert len(steps(connection.trail)) == KEPT
    assert connection.session.said is None
