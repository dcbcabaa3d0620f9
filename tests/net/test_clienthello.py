"""What TLS clients say first: real ones, cut ones and nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers

from rtmptwist.net.clienthello import HELLO_SIZE, fails_on_tickets, is_complete

FOLDER = Path(__file__).parent.parent / "vectors" / "clienthello"
VECTORS: dict[str, Any] = {
    file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))
}
LIBRTMP = bytes.fromhex(VECTORS["librtmp-rtmpdump"]["hello"])

ONLY_1_3 = LIBRTMP.replace(bytes.fromhex("002b0009 08 0304 0303 0302 0301"), bytes.fromhex(
    "002b0009 08 0304 7a7a 0302 0301"
))  # fmt: skip
"Librtmp, if it did not offer TLS 1.2."


@pytest.mark.parametrize("vector", VECTORS.values(), ids=list(VECTORS))
def test_real_clients_are_told_apart(vector: dict[str, Any]) -> None:
    assert fails_on_tickets(bytes.fromhex(vector["hello"])) == vector["fails_on_tickets"]


def test_a_client_that_wants_nothing_but_tls_1_3_is_left_alone() -> None:
    assert ONLY_1_3 != LIBRTMP
    assert not fails_on_tickets(ONLY_1_3)


def test_a_record_is_complete_with_its_last_byte() -> None:
    for size in range(len(LIBRTMP)):
        assert not is_complete(LIBRTMP[:size])
    assert is_complete(LIBRTMP)
    assert is_complete(LIBRTMP + b"more")


@pytest.mark.parametrize("data", [b"\x03", b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x01"])
def test_nothing_else_is_waited_for(data: bytes) -> None:
    assert is_complete(data)
    assert not fails_on_tickets(data)


def test_the_longest_record_fits() -> None:
    longest = b"\x16\x03\x01\x40\x00" + bytes(1 << 14)
    assert len(longest) == HELLO_SIZE
    assert is_complete(longest)
    assert not fails_on_tickets(longest)


@given(size=integers(0, len(LIBRTMP)))
def test_a_cut_hello_is_no_error(size: int) -> None:
    assert fails_on_tickets(LIBRTMP[:size]) in (True, False)


@given(at=integers(0, len(LIBRTMP) - 1), value=integers(0, 255))
def test_a_damaged_hello_is_no_error(at: int, value: int) -> None:
    damaged = bytearray(LIBRTMP)
    damaged[at] = value
    assert fails_on_tickets(bytes(damaged)) in (True, False)


@given(data=binary(max_size=200))
def test_nonsense_is_no_error(data: bytes) -> None:
    assert fails_on_tickets(b"\x16\x03\x01" + data[:2] + b"\x01" + data) in (True, False)
