"""Control messages: both ways, and what peers send that the specification does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.wire import control
from rtmptwist.wire.control import (
    Abort,
    Acknowledgement,
    BandwidthLimit,
    BufferEmpty,
    BufferReady,
    ControlEvent,
    PingRequest,
    PingResponse,
    SetBufferLength,
    SetChunkSize,
    SetPeerBandwidth,
    StreamBegin,
    StreamDry,
    StreamEof,
    StreamIsRecorded,
    SwfVerificationRequest,
    SwfVerificationResponse,
    UnknownUserControl,
    WindowAcknowledgementSize,
)
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.message import Message

DIGEST = bytes(range(32))

BOTH_WAYS: list[tuple[ControlEvent, int, str]] = [
    # event, message type, payload
    (SetChunkSize(1), 1, "00000001"),
    (SetChunkSize(0x7FFFFFFF), 1, "7fffffff"),
    (Abort(65_599), 2, "0001003f"),
    (Acknowledgement(0xFFFFFFFF), 3, "ffffffff"),
    (WindowAcknowledgementSize(2_500_000), 5, "002625a0"),
    (SetPeerBandwidth(2_500_000, BandwidthLimit.HARD), 6, "002625a0 00"),
    (SetPeerBandwidth(2_500_000, BandwidthLimit.SOFT), 6, "002625a0 01"),
    (SetPeerBandwidth(2_500_000), 6, "002625a0 02"),
    (StreamBegin(1), 4, "0000 00000001"),
    (StreamEof(1), 4, "0001 00000001"),
    (StreamDry(1), 4, "0002 00000001"),
    (SetBufferLength(1, 3000), 4, "0003 00000001 00000bb8"),
    (StreamIsRecorded(1), 4, "0004 00000001"),
    (PingRequest(0x01020304), 4, "0006 01020304"),
    (PingResponse(0x01020304), 4, "0007 01020304"),
    (SwfVerificationRequest(), 4, "001a 01"),
    (SwfVerificationResponse(0x1234, DIGEST), 4, "001b 01 01 00001234 00001234" + DIGEST.hex()),
    (BufferEmpty(1), 4, "001f 00000001"),
    (BufferReady(1), 4, "0020 00000001"),
    (UnknownUserControl(5, b"\0\0\0\1"), 4, "0005 00000001"),
    (UnknownUserControl(99, b""), 4, "0063"),
]

LENIENT: list[tuple[str, int, str, ControlEvent]] = [
    ("bandwidth without a kind", 6, "002625a0", SetPeerBandwidth(2_500_000, BandwidthLimit.HARD)),
    ("bytes behind a number", 5, "002625a0 ff", WindowAcknowledgementSize(2_500_000)),
    ("bytes behind an event", 4, "0000 00000001 ff", StreamBegin(1)),
    ("SWF request without a version", 4, "001a", SwfVerificationRequest(0)),
    ("ping without a time", 4, "0006", UnknownUserControl(6, b"")),
    ("event with half a stream id", 4, "0000 0000", UnknownUserControl(0, b"\0\0")),
    ("buffer length of no stream", 4, "0003 00000bb8", UnknownUserControl(3, b"\0\0\x0b\xb8")),
    ("half an SWF response", 4, "001b 0101", UnknownUserControl(27, b"\1\1")),
]

BROKEN = [
    ("chunk size 0", 1, "00000000", r"chunk size 0 \(expected 1 to 2147483647\)"),
    ("chunk size with top bit", 1, "80000000", "chunk size 2147483648"),
    ("short chunk size", 1, "000080", r"SetChunkSize of 3 bytes \(expected 4\)"),
    ("empty abort", 2, "", "Abort of 0 bytes"),
    ("short acknowledgement", 3, "0000", "Acknowledgement of 2 bytes"),
    ("short window", 5, "00", "WindowAcknowledgementSize of 1 bytes"),
    ("short bandwidth", 6, "000000", "SetPeerBandwidth of 3 bytes"),
    ("unknown kind of bandwidth", 6, "00000001 03", r"3 .*\(expected 0 to 2\)"),
    ("user control without an event", 4, "00", r"UnknownUserControl of 1 bytes \(expected 2\)"),
]


@pytest.mark.parametrize(("event", "kind", "payload"), BOTH_WAYS, ids=repr)
def test_both_ways(event: ControlEvent, kind: int, payload: str) -> None:
    message = Message(kind, 0, 0, bytes.fromhex(payload))
    assert control.message(event) == message
    assert control.parse(message) == event
    assert type(event).unpack(message.payload) == event


@pytest.mark.parametrize(
    ("kind", "payload", "event"), [case[1:] for case in LENIENT], ids=[case[0] for case in LENIENT]
)
def test_what_peers_leave_out_or_add_is_no_error(
    kind: int, payload: str, event: ControlEvent
) -> None:
    assert control.parse(Message(kind, 7, 1, bytes.fromhex(payload))) == event


@pytest.mark.parametrize(
    ("kind", "payload", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_what_makes_no_sense_is_the_peers_error(kind: int, payload: str, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        control.parse(Message(kind, 0, 0, bytes.fromhex(payload)))


def test_events_of_different_kinds_are_never_equal() -> None:
    """Owners tell them apart by class; those about one stream share a base class."""
    events: set[ControlEvent] = {StreamBegin(1), StreamEof(1), PingRequest(1), PingResponse(1)}
    assert len(events) == 4
    assert repr(StreamBegin(1)) == "StreamBegin(stream_id=1)"


@given(st.sampled_from(sorted(control.TYPES)), st.binary(max_size=64))
def test_any_body_is_an_event_or_the_peers_error(kind: int, payload: bytes) -> None:
    """Never anything else, and what was understood is what a peer of ours would send."""
    try:
        event = control.parse(Message(kind, 0, 0, payload))
    except RemoteProtocolError:
        return
    assert control.parse(control.message(event)) == event
