"""
What peers do wrong in RTMPE's handshake, directly and in tunnels, to a real server in its own
process, while streams run through it: they stay exact.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from typing import Final

import pytest

from rtmptwist.wire.digest import Layout
from rtmptwist.wire.handshake import PACKET_SIZE, ClientHandshake, HandshakeKind
from rtmptwist.wire.rtmpe import _PRIME, KEY_SIZE, KeyPair
from tests.support.guests import eventually
from tests.support.programs import Site, programs, serve
from tests.support.reactor import reactor_test
from tests.support.rogue import HANDSHAKE, rogue
from tests.support.steady import steady, steady_ffmpeg
from tests.support.web import request

SETTINGS = "grace = 0\n[limits]\nhandshake_timeout = 500ms\n"

LISTENER = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpe, rtmpt, rtmpte
"""

TYPES: Final = (6, 8, 9)

BAD_KEYS: Final = {
    "0": 0,
    "1": 1,
    "p - 1": _PRIME - 1,
    "p": _PRIME,
    "p + 1": _PRIME + 1,
    "the largest number": (1 << 8 * KEY_SIZE) - 1,
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The server, and a stream of FFmpeg through it."""
    with programs() as started:
        server = serve(started, SETTINGS, LISTENER)
        with steady_ffmpeg(started, server):
            yield server
        assert "Traceback" not in server.log()


def client(kind: int, public: int | None = None, layout: Layout = Layout.KD) -> ClientHandshake:
    """A handshake of this type, perhaps with this key in it, and a digest that is right."""
    pair = None if public is None else KeyPair(7, public.to_bytes(KEY_SIZE, "big"))
    return ClientHandshake(
        HandshakeKind.RTMPE,
        random=os.urandom,
        layout=layout,
        rtmpe_type=kind,
        key_pair=(lambda: pair) if pair is not None else None,
    )


async def refused(site: Site, data: bytes, words: str) -> None:
    """Whoever says this is refused for this reason, directly and through a tunnel."""
    peer = await rogue(site.ports["main"], data)
    await peer.gone()
    await eventually(lambda: re.search(rf"{peer.name}: {words}", site.log()))
    before = len(re.findall(words, site.log()))
    session_id = await opened(site)
    peer = await rogue(site.ports["main"], request(f"/send/{session_id}/0", data))
    await eventually(lambda: len(re.findall(words, site.log())) > before)
    await peer.leave()


async def opened(site: Site) -> str:
    """A new tunnel."""
    peer = await rogue(site.ports["main"], request("/open/1"))
    heard = await peer.hear(b"\n", 8)
    await peer.leave()
    return heard.rpartition(b"\r\n\r\n")[2].decode().strip()


@pytest.mark.parametrize("kind", TYPES)
@reactor_test
async def test_keys_that_give_the_secret_away(site: Site, kind: int) -> None:
    async with steady(site, "rtmpe"):
        for number in BAD_KEYS.values():
            for layout in Layout:
                data = client(kind, number, layout).start()
                await refused(site, data, "RTMPE: public key out of range")


@pytest.mark.parametrize("kind", TYPES)
@reactor_test
async def test_digests_that_are_wrong(site: Site, kind: int) -> None:
    """One bit anywhere; none at all; and what is no packet of RTMPE's."""
    async with steady(site, "rtmpe"):
        dice = random.Random(kind)
        for _ in range(4):
            broken = bytearray(client(kind).start())
            broken[dice.randrange(1 + 8, len(broken))] ^= 1 << dice.randrange(8)
            await refused(site, bytes(broken), "RTMPE .*C1 without a valid digest")
        for packet in bytes(PACKET_SIZE), b"\xff" * PACKET_SIZE, dice.randbytes(PACKET_SIZE):
            await refused(site, bytes([kind]) + packet, "RTMPE .*C1 without a valid digest")


@pytest.mark.parametrize("kind", TYPES)
@reactor_test
async def test_noise_after_a_good_handshake(site: Site, kind: int) -> None:
    """So does a client look that does not encrypt, and a recorded session that is played again."""
    async with steady(site, "rtmpte"):
        dice = random.Random(kind)
        for data in HANDSHAKE[-PACKET_SIZE:], dice.randbytes(PACKET_SIZE):
            peer = await rogue(site.ports["main"], client(kind).start())
            await eventually(lambda peer=peer: len(peer.heard) == 1 + 2 * PACKET_SIZE)  # type: ignore[misc]
            peer.say(data)
            for _ in range(30):
                peer.say(dice.randbytes(10_000))
            await peer.gone()
            await eventually(lambda peer=peer: f"{peer.name} left: " in site.log())  # type: ignore[misc]


@reactor_test
async def test_half_handshakes_do_not_stay(site: Site) -> None:
    async with steady(site, "rtmpe"):
        whole = client(6).start() + bytes(PACKET_SIZE)
        peers = [
            await rogue(site.ports["main"], whole[:size])
            for size in (1, 100, PACKET_SIZE, PACKET_SIZE + 1, len(whole) - 1)
        ]
        for peer in peers:
            await peer.gone()
        assert "no handshake within 0.5 s" in site.log()


@reactor_test
async def test_other_versions(site: Site) -> None:
    """Before and after those that there are; nothing is guessed."""
    async with steady(site, "rtmpe"):
        for version in 0, 1, 2, 4, 5, 7, 10, 31, 0x80, 0xFF:
            peer = await rogue(site.ports["main"], bytes([version]) + bytes(PACKET_SIZE))
            await peer.gone()
            assert peer.heard == b""
