"""wire/swf.py: what players answered, and files compressed or not."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.wire.control import SwfVerificationResponse
from rtmptwist.wire.handshake import HandshakeKind, ServerHandshake
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.swf import Swf, identify

FILE = Path(__file__).parents[1] / "vectors" / "handshake" / "swf-verification.json"
RECORDED: dict[str, dict[str, Any]] = json.loads(FILE.read_text())

BODY = b"tags of a small film" * 20
PLAIN = b"FWS\x0a" + (8 + len(BODY)).to_bytes(4, "little") + BODY
COMPRESSED = b"CWS" + PLAIN[3:8] + zlib.compress(BODY)


@pytest.mark.parametrize("client", RECORDED)
def test_real_players_answer_as_we_expect(client: str) -> None:
    facts = RECORDED[client]
    s1 = bytes.fromhex(facts["s0s1s2"])[1:1537]
    server = ServerHandshake(random=lambda size: s1[-size:])
    server.feed(bytes.fromhex(facts["c0c1"]))
    assert server.kind is HandshakeKind.DIGEST
    assert server.swf_key == bytes.fromhex(facts["key_last_32_bytes_of_s1"])
    swf = Swf(facts["swf_size"], bytes.fromhex(facts["swf_hash"]))
    body = bytes.fromhex(facts["response_body"])
    assert swf.response(server.swf_key).pack() == body
    response = SwfVerificationResponse.unpack(body)
    other = Swf(swf.size, bytes(32))
    assert identify(response, server.swf_key, [other, swf]) is swf
    assert identify(response, server.swf_key, [other]) is None
    assert identify(response, server.swf_key, [Swf(swf.size + 1, swf.hash)]) is None
    assert identify(response, bytes(32), [swf]) is None


def test_compression_makes_no_difference() -> None:
    expected = hmac.new(b"Genuine Adobe Flash Player 001", PLAIN, hashlib.sha256).digest()
    assert Swf.of(PLAIN) == Swf.of(COMPRESSED) == Swf(len(PLAIN), expected)


BAD = [
    (b"", "begins with b''"),
    (b"<html>", "begins with b'<ht' (expected b'FWS' or b'CWS')"),
    (b"ZWS\x0d", "begins with b'ZWS'"),
    (b"CWS\x0a\0\0\0\0not zlib", "SWF file: Error"),
    (COMPRESSED[:-9], "cut short"),
]


@pytest.mark.parametrize(("file", "words"), BAD)
def test_what_is_no_swf_file_is_refused(file: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Swf.of(file)
    assert words in str(caught.value)


def test_a_bomb_is_not_inflated() -> None:
    bomb = COMPRESSED[:8] + zlib.compress(bytes(2_000_000))
    with pytest.raises(ValueError, match="larger than 1000000 bytes"):
        Swf.of(bomb, Limits(swf_size=1_000_000))
