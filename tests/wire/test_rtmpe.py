"""wire/rtmpe.py: keys, ciphers and signatures against recorded exchanges and units."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers import algorithms as decrepit
from cryptography.hazmat.primitives import ciphers
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.wire import rtmpe
from rtmptwist.wire.errors import HandshakeError, LocalProtocolError
from rtmptwist.wire.rtmpe import KEY_SIZE, CipherPair, KeyPair, agree, seal

VECTORS = Path(__file__).parents[1] / "vectors" / "rtmpe"
UNITS: dict[str, list[dict[str, Any]]] = json.loads((VECTORS / "cipher-units.json").read_text())
PRIME = int(json.loads((VECTORS / "keys.json").read_text())["dh_prime_hex"], 16)

GOOD = KeyPair.of(int.from_bytes(b"any number that makes no short secret"))


def wire(number: int) -> bytes:
    return number.to_bytes(KEY_SIZE)


def test_both_sides_agree_on_one_secret() -> None:
    one = KeyPair.draw(lambda size: b"\x11" * size)
    other = KeyPair.draw(lambda size: b"\x22" * size)
    assert one.secret(other.public) == other.secret(one.public)
    assert len(one.secret(other.public)) == len(one.public) == KEY_SIZE
    assert one.public != other.public


def test_a_private_key_is_not_shown() -> None:
    assert str(GOOD.private) not in repr(GOOD)


def test_a_drawn_key_uses_all_the_bytes_that_it_asks_for() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return bytes(range(1, size + 1))

    pair = KeyPair.draw(random)
    assert asked == [32]
    assert pair.private == int.from_bytes(bytes(range(1, 33)))
    assert pair.public == wire(pow(2, pair.private, PRIME))


@pytest.mark.parametrize("number", [0, 1, PRIME - 1, PRIME, PRIME + 1, (1 << 1024) - 1])
def test_public_keys_that_give_the_secret_away_are_refused(number: int) -> None:
    with pytest.raises(HandshakeError, match="public key out of range"):
        GOOD.secret(wire(number))


@pytest.mark.parametrize("number", [2, PRIME - 2])
def test_public_keys_at_the_ends_of_the_range_are_taken(number: int) -> None:
    assert GOOD.secret(wire(number)) == wire(pow(number, GOOD.private, PRIME))


def test_the_server_draws_again_until_the_secret_fills_its_bytes() -> None:
    """FFmpeg and librtmp pad a short secret on different sides: nobody must ever see one."""
    pairs = [GOOD, KeyPair.of(3), KeyPair.of(5)]
    client = KeyPair.of(2)
    assert KeyPair.of(3).secret(client.public) == wire(2**6)
    pair, secret = agree(client.public, pairs.pop)
    assert pair is GOOD
    assert secret[0] != 0
    assert not pairs


def test_a_bad_key_does_not_make_the_server_draw_for_ever() -> None:
    with pytest.raises(HandshakeError):
        agree(wire(1), lambda: GOOD)


def test_what_one_side_encrypts_the_other_decrypts() -> None:
    secret = bytes(range(KEY_SIZE))
    server = CipherPair.agreed(secret, b"server", b"client")
    client = CipherPair.agreed(secret, b"client", b"server")
    for data in (b"first", b"", b"second, on the same stream"):
        assert client.decrypt(server.encrypt(data)) == data
        assert server.decrypt(client.encrypt(data)) == data


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_the_keystream_does_not_care_how_bytes_are_split(parts: list[bytes]) -> None:
    pieces, whole = CipherPair(bytes(16), bytes(16)), CipherPair(bytes(16), bytes(16))
    assert b"".join(map(pieces.encrypt, parts)) == whole.encrypt(b"".join(parts))


@pytest.mark.parametrize(("name", "version"), [("xtea", 8), ("blowfish", 9)])
def test_every_key_of_either_cipher(name: str, version: int) -> None:
    indexes = []
    for unit in UNITS[name]:
        digest_key = bytes([unit["key_index"]] * 32)
        block, expected = bytes.fromhex(unit["in_"]), bytes.fromhex(unit["out"])
        assert seal(version, digest_key, block * 4) == expected * 4
        indexes.append(unit["key_index"])
    assert indexes == list(range(15))


@pytest.mark.parametrize("unit", UNITS["signature"])
def test_whole_signatures(unit: dict[str, Any]) -> None:
    digest_key, plain = bytes.fromhex(unit["digest_key"]), bytes.fromhex(unit["plain"])
    assert seal(6, digest_key, plain) == plain
    assert seal(8, digest_key, plain).hex() == unit["type8"]
    assert seal(9, digest_key, plain).hex() == unit["type9"]


def test_here_rtmpe_is_available() -> None:
    assert rtmpe.unavailable() is None


class Fips:
    """An OpenSSL without its legacy provider."""

    def __init__(self, algorithm: object, mode: object) -> None:
        self.algorithm = algorithm

    def encryptor(self) -> object:
        raise UnsupportedAlgorithm(f"cipher {type(self.algorithm).__name__} is not supported")


def test_a_fips_build_is_told_before_a_client_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ciphers, "Cipher", Fips)
    reason = rtmpe.unavailable()
    assert reason is not None
    assert "RTMPE needs ARC4" in reason
    assert "FIPS" in reason
    with pytest.raises(LocalProtocolError, match="needs ARC4"):
        CipherPair(bytes(16), bytes(16))


def test_a_library_without_blowfish_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(decrepit, "Blowfish")
    reason = rtmpe.unavailable()
    assert reason is not None
    assert "RTMPE needs Blowfish" in reason


def test_the_ciphers_are_found_where_older_libraries_keep_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = CipherPair(bytes(16), bytes(16)).encrypt(b"data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("ARC4", "Blowfish"):
            monkeypatch.setattr(ciphers.algorithms, name, getattr(decrepit, name), raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.decrepit.ciphers", None)
    assert CipherPair(bytes(16), bytes(16)).encrypt(b"data") == expected
    assert rtmpe.unavailable() is None


def test_plain_rtmp_does_not_import_cryptography() -> None:
    """It costs a tenth of a second of each start, and is not needed."""
    script = (
        "import os, sys\n"
        "from rtmptwist.wire.handshake import ClientHandshake, ServerHandshake\n"
        "client = ClientHandshake(random=os.urandom)\n"
        "server = ServerHandshake(random=os.urandom)\n"
        "server.feed(client.feed(server.feed(client.start())))\n"
        "assert server.done and client.done\n"
        "assert 'cryptography' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
