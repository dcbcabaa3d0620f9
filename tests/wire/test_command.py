"""Commands and their bytes."""

from __future__ import annotations

import math

import pytest

from rtmptwist.amf import amf0
from rtmptwist.amf.limits import AmfLimits
from rtmptwist.amf.values import Value
from rtmptwist.wire.command import Command, number, parse, text, truth
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.message import Message, MessageType

LIMITS = AmfLimits()


def test_both_ways() -> None:
    command = Command("publish", 5.0, None, ("name", "live"), stream_id=1)
    message = command.message()
    assert message.type == MessageType.COMMAND
    assert message.stream_id == 1
    assert parse(message, LIMITS) == command


def test_known_bytes() -> None:
    """The answer to createStream as it stands in captures of real servers."""
    payload = Command("_result", 4.0, None, (1.0,)).message().payload
    expected = "02 0007 5f726573756c74 00 4010000000000000 05 00 3ff0000000000000"
    assert payload == bytes.fromhex(expected)


def test_amf3_form_is_a_zero_byte_and_amf0() -> None:
    payload = b"\0" + amf0.encode("connect", 1.0, {"app": "live"})
    command = parse(Message(MessageType.COMMAND_AMF3, 0, 0, payload), LIMITS)
    assert command == Command("connect", 1.0, {"app": "live"})


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (MessageType.COMMAND, b"", "begins with nothing"),
        (MessageType.COMMAND, amf0.encode(1.0), "begins with float"),
        (MessageType.COMMAND, b"\x02\x00\x09abc", "command: "),
        (MessageType.COMMAND_AMF3, b"\x03" + amf0.encode("a"), "begins with 03"),
        (MessageType.COMMAND_AMF3, b"", "begins with nothing"),
    ],
)
def test_bad_payloads_say_what_is_wrong(kind: MessageType, payload: bytes, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        parse(Message(kind, 0, 0, payload), LIMITS)


@pytest.mark.parametrize("transaction", ["one", math.nan, math.inf, None])
def test_impossible_transaction_ids_count_as_none(transaction: Value) -> None:
    """An id of NaN would never be found again in any table."""
    payload = amf0.encode("call", transaction)
    assert parse(Message(MessageType.COMMAND, 0, 0, payload), LIMITS) == Command("call")


def test_missing_arguments_have_defaults() -> None:
    command = Command("play", 0.0, None, ("name",))
    assert command.argument(0) == "name"
    assert command.argument(1, -2.0) == -2.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5.0, 5.0), (True, 1.0), (3, 3.0), ("5", -1.0), (math.nan, -1.0), (None, -1.0)],
)
def test_number(value: Value, expected: float) -> None:
    assert number(value, -1.0) == expected


def test_text() -> None:
    assert text("a") == "a"
    assert text(5.0, "b") == "b"


@pytest.mark.parametrize(("value", "expected"), [(True, True), (0.0, False), ("no", True)])
def test_truth(value: Value, expected: bool) -> None:
    """Some clients send numbers for Booleans."""
    assert truth(value, default=True) is expected
