"""Our own client in every cell of the table: publish by each of the six variants, play by each."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import pytest

from rtmptwist.media.flv import FlvReader
from rtmptwist.wire.message import Message
from tests.support.guests import Guest, visiting
from tests.support.programs import SAMPLES, programs, serve
from tests.support.reactor import reactor_test
from tests.support.tables import Cell
from tests.support.variants import LISTENERS, VARIANTS, url

from .test_variants import TITLE

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "multitrack-2v2a-ertmp.flv"


def messages() -> list[Message]:
    """The sound and pictures of a file, as they are published."""
    tags = FlvReader().feed(SAMPLE.read_bytes())
    return [Message(tag.type, tag.timestamp, 0, tag.payload) for tag in tags if tag.type != 18]


def has(viewer: Guest, count: int) -> bool:
    return len(viewer.media) >= count


@pytest.mark.parametrize("sent_by", VARIANTS)
def test_publish_by_one_play_by_all(sent_by: str, cell: Cell) -> None:
    """Bit-exact, timestamps included; six viewers at once."""
    sent = messages()
    with programs() as started:
        site = serve(started, listeners=LISTENERS)

        @reactor_test
        async def relay() -> None:
            async with AsyncExitStack() as stack:
                guests = {
                    variant: await stack.enter_async_context(
                        visiting(url(site, variant, "").rstrip("/"))
                    )
                    for variant in VARIANTS
                }
                viewers = {variant: await guests[variant].play("a") for variant in VARIANTS}
                publisher = await guests[sent_by].publish("a")
                for message in sent:
                    publisher.send(message)
                await publisher.settle()
                for variant, viewer in viewers.items():
                    cell.at(TITLE, sent_by, variant)
                    await viewer.until(partial(has, viewer, len(sent)))
                    got = [(m.type, m.timestamp, m.payload) for m in viewer.media]
                    assert got == [(m.type, m.timestamp, m.payload) for m in sent], variant
                    cell.found("ours")

        relay()
