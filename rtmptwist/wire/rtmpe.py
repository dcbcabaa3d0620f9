"""
RTMPE: a Diffie-Hellman secret, RC4 over everything, and the signatures of types 8 and 9.

It hides bytes from onlookers and authenticates nobody: RTMPS is what protects. Knows keys and
numbers; where they stand in the packets is `wire.handshake`'s business. `cryptography` is
imported when the first cipher is made, so that plain RTMP does without it.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rtmptwist.wire.errors import HandshakeError, LocalProtocolError

RTMPE_VERSIONS: Final = frozenset({6, 8, 9})
"First bytes: signatures as they are, behind XTEA, behind Blowfish. Otherwise all the same."

KEY_SIZE: Final = 128
"Bytes of a public key and of a secret on the wire, big-endian."

_PRIME: Final = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22"
    "514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6"
    "F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381"
    "FFFFFFFFFFFFFFFF",
    16,
)
"Second Oakley Group (RFC 2409, section 6.2): a safe prime, and 2 generates its large subgroup."

# 256 bits are more than a group of 1024 bits can be worth, and nobody sees how long an exponent
# is: 0.6 + 0.8 ms for the two powers instead of 2.5 + 3.0 with the 1016 bits of FFmpeg.
_PRIVATE_KEY_SIZE: Final = 32

_DISCARDED: Final = bytes(1536)
"The keystream begins as if packet 2 had been encrypted."


@dataclass(frozen=True, slots=True)
class KeyPair:
    """One side's Diffie-Hellman keys. For one handshake only."""

    private: int = field(repr=False)

    public: bytes
    "As on the wire, `KEY_SIZE` bytes; RC4's keys depend on these very bytes."

    @classmethod
    def draw(cls, random: Callable[[int], bytes]) -> KeyPair:
        return cls.of(int.from_bytes(random(_PRIVATE_KEY_SIZE), "big"))

    @classmethod
    def of(cls, private: int) -> KeyPair:
        return cls(private, pow(2, private, _PRIME).to_bytes(KEY_SIZE, "big"))

    def secret(self, peer: bytes) -> bytes:
        """
        What only the two sides know, given the peer's public key: `KEY_SIZE` bytes.

        Raises:
            HandshakeError: the key would give the secret away. In the group of a safe prime
                only 0, 1 and p - 1 do; a test of the subgroup would cost 3 ms and add nothing.
        """
        number = int.from_bytes(peer, "big")
        if not 1 < number < _PRIME - 1:
            raise HandshakeError("RTMPE: public key out of range (expected 2 to p - 2)")
        return pow(number, self.private, _PRIME).to_bytes(KEY_SIZE, "big")


def agree(peer: bytes, draw: Callable[[], KeyPair]) -> tuple[KeyPair, bytes]:
    """
    The server's part, who knows the client's public key before he shows his own.

    Draws key pairs until the secret fills all its bytes. About a shorter one, 1 in 256, clients
    disagree: FFmpeg appends the missing zeros on the right, librtmp puts them on the left.

    Raises:
        HandshakeError: as `KeyPair.secret`.
    """
    while True:
        pair = draw()
        secret = pair.secret(peer)
        if secret[0]:
            return pair, secret


class CipherPair:
    """
    RC4 in both directions, from the first byte after packet 2 to the end of the connection.

    No framing, no integrity: every byte goes through `encrypt` or `decrypt` once, in order.

    Raises:
        LocalProtocolError: there is no RC4 here; `unavailable` would have told.
    """

    __slots__ = ("decrypt", "encrypt")

    encrypt: Callable[[bytes], bytes]
    decrypt: Callable[[bytes], bytes]

    def __init__(self, encrypt_key: bytes, decrypt_key: bytes) -> None:
        self.encrypt = _encryptor("ARC4", encrypt_key)
        self.decrypt = _encryptor("ARC4", decrypt_key)
        self.encrypt(_DISCARDED)
        self.decrypt(_DISCARDED)

    @classmethod
    def agreed(cls, secret: bytes, ours: bytes, theirs: bytes) -> CipherPair:
        """From the secret and both public keys: each side encrypts by the *other's* key."""
        return cls(
            hmac.digest(secret, theirs, "sha256")[:16], hmac.digest(secret, ours, "sha256")[:16]
        )


def seal(version: int, digest_key: bytes, signature: bytes) -> bytes:
    """A signature of 32 bytes as packet 2 carries it in a handshake of this version."""
    if version == 8:
        encrypt = _xtea
    elif version == 9:
        encrypt = _blowfish
    else:
        return signature
    return b"".join(encrypt(digest_key[at], signature[at : at + 8]) for at in range(0, 32, 8))


def unavailable() -> str | None:
    """Why this installation cannot do RTMPE, or None if it can. To be asked before listening."""
    try:
        CipherPair(bytes(16), bytes(16))
        _blowfish(0, bytes(8))
    except LocalProtocolError as error:
        return str(error)
    return None


def _encryptor(algorithm: str, key: bytes) -> Callable[[bytes], bytes]:
    """A new RC4 stream, or Blowfish block by block."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    try:
        from cryptography.hazmat.decrepit.ciphers import algorithms
    except ImportError:  # before cryptography 43
        from cryptography.hazmat.primitives.ciphers import algorithms  # type: ignore[no-redef]
    mode = modes.ECB() if algorithm == "Blowfish" else None  # noqa: S305 - single blocks
    try:
        return Cipher(getattr(algorithms, algorithm)(key), mode).encryptor().update
    except (AttributeError, UnsupportedAlgorithm) as error:
        raise LocalProtocolError(
            f"RTMPE needs {algorithm}, which neither cryptography nor OpenSSL's legacy provider"
            f" has here (a FIPS build?): {error}"
        ) from error


def _xtea(selector: int, block: bytes) -> bytes:
    """32 rounds. Little-endian, unlike XTEA elsewhere."""
    key = _XTEA_KEYS[selector % len(_XTEA_KEYS)]
    left, right = _WORDS.unpack(block)
    total = 0
    for _ in range(32):
        left += ((right << 4 ^ right >> 5) + right) ^ (total + key[total & 3])
        left &= 0xFFFFFFFF
        total = total + 0x9E3779B9 & 0xFFFFFFFF
        right += ((left << 4 ^ left >> 5) + left) ^ (total + key[total >> 11 & 3])
        right &= 0xFFFFFFFF
    return _WORDS.pack(left, right)


def _blowfish(selector: int, block: bytes) -> bytes:
    """Blowfish's two words stand little-endian on the wire, the library takes them big-endian."""
    key = bytes.fromhex(_BLOWFISH_KEYS[selector % len(_BLOWFISH_KEYS)])
    encrypted = _encryptor("Blowfish", key)(struct.pack(">2I", *_WORDS.unpack(block)))
    return _WORDS.pack(*struct.unpack(">2I", encrypted))


_WORDS: Final = struct.Struct("<2I")

# Published constants. Flash has a sixteenth of each, which it never selects.
_XTEA_KEYS: Final = (
    (0xBFF034B2, 0x11D9081F, 0xCCDFB795, 0x748DE732),
    (0x086A5EB6, 0x1743090E, 0x6EF05AB8, 0xFE5A39E2),
    (0x7B10956F, 0x76CE0521, 0x2388A73A, 0x440149A1),
    (0xA943F317, 0xEBF11BB2, 0xA691A5EE, 0x17F36339),
    (0x7A30E00A, 0xB529E22C, 0xA087AEA5, 0xC0CB79AC),
    (0xBDCE0C23, 0x2FEBDEFF, 0x1CFAAE16, 0x1123239D),
    (0x55DD3F7B, 0x77E7E62E, 0x9BB8C499, 0xC9481EE4),
    (0x407BB6B4, 0x71E89136, 0xA7AEBF55, 0xCA33B839),
    (0xFCF6BDC3, 0xB63C3697, 0x7CE4F825, 0x04D959B2),
    (0x28E091FD, 0x41954C4C, 0x7FB7DB00, 0xE3A066F8),
    (0x57845B76, 0x4F251B03, 0x46D45BCD, 0xA2C30D29),
    (0x0ACCEEF8, 0xDA55B546, 0x03473452, 0x5863713B),
    (0xB82075DC, 0xA75F1FEE, 0xD84268E8, 0xA72A44CC),
    (0x07CF6E9E, 0xA16D7B25, 0x9FA7AE6C, 0xD92F5629),
    (0xFEB1EAE4, 0x8C8C3CE1, 0x4E0064A7, 0x6A387C2A),
)
_BLOWFISH_KEYS: Final = (
    "7934774c67d1383adfb356be8b7bd02438e07358415d6967",
    "46f6b4cc0193e3a19e7d3c655586fd098ff7b3c46f41ca5c",
    "1ae7e2f3f9147994c0d39743087bb384432f9d843f21019b",
    "d3e354b0f71df62b5a434d0483643e0d592f61cbb16a590d",
    "c8c1e9b8165699217b5b36b7b59bdf06492c97f59548857e",
    "ebe5e62ea4bad42cf216e08f6623a94341ce381484950053",
    "66db90f03b4ff56fe49c2089355ed2b2c39e9f7f63b22881",
    "bb20aced2a046a1994989bc8ffcd93efc60d56a7eb13d930",
    "bcf2438209408a8725436de6bba4b944583f217c99bb3f24",
    "ec1aaacdcebd5311d2fb83b6c3baab4f6279e865a9922876",
    "c60c300391182d7b79dae1d564779a12c5b1d7914f964ca3",
    "d77c2abfa6e7857c45adff1294d8dea45c3d79a444025d22",
    "16190d816a4cc7f8b8f94ecd2c9e9084b2082560e11eae18",
    "e97c58261b519e49826061fca0a01bcdf505d6a66d0788a3",
    "2b97118bd94ed9df20e39c10e6a1352111f9130d0b2465b2",
)
