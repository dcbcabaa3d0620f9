"""Whatever strangers send, at whatever times: files are whole, and there is an end of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.live.inlet import Inlet
from rtmptwist.outlets.tape import Take
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import aac_header, audio, avc_header, data, video
from tests.support.recordings import Studio, tags_of

JUMPS = (0, (1 << 24) - 3, 1 << 31, (1 << 32) - 5)


def something(chance: random.Random, time: int) -> Message:
    """Any message of media or data, of which many make no sense."""
    junk = chance.randbytes(chance.randrange(1, 30))
    return chance.choice(
        [
            Message(MessageType.VIDEO, time, 1, junk),
            Message(MessageType.AUDIO, time, 1, junk),
            Message(MessageType.DATA, time, 1, junk),
            Message(MessageType.DATA_AMF3, time, 1, junk),
            data("onMetaData", {"width": chance.random()}, timestamp=time),
            *(avc_header(), aac_header()),
            *[video(time, key=chance.random() < 0.3, size=chance.randrange(10, 3000))] * 4,
            *[audio(time, "x" * chance.randrange(1, 50))] * 3,
        ]
    )


def send(studio: Studio, chance: random.Random) -> None:
    """For a while, with pauses; the publisher may lose its connection and come back."""
    inlet: Inlet = studio.publish()
    time = 0
    for _ in range(chance.randrange(5, 120)):
        match chance.randrange(20):
            case 0:
                time = chance.choice(JUMPS)
            case 1:
                time = max(0, time - chance.randrange(20_000))
            case _:
                time = (time + chance.randrange(500)) % (1 << 32)
        inlet.push(something(chance, time))
        inlet.flush()
        if chance.random() < 0.3:
            studio.pass_time(chance.choice([0.125, 1, 2]))
        if chance.random() < 0.03:
            inlet.end()
            studio.clock.advance(chance.choice([0, 1]))
            inlet = studio.publish()
    inlet.end(release=True)
    studio.pass_time(30)


@pytest.mark.parametrize("seed", range(60))
def test_files_are_whole(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    options: dict[str, Any] = {
        "segment": chance.choice([0.0, 1.0, 5.0]),
        "segment_size": chance.choice([0, 500, 5000]),
        "take": chance.choice(list(Take)),
    }
    studio = Studio(tmp_path, "{name}-{part}.flv", **options)
    send(studio, chance)
    assert [event.error for event in studio.events if event.error] == []
    assert studio.disk.waiting == 0
    for name in studio.files:
        assert name.endswith(".flv")
        metadata = studio.metadata(name)
        times = [tag.timestamp for tag in tags_of(tmp_path / name) if tag.type in (8, 9)]
        assert metadata["filesize"] == (tmp_path / name).stat().st_size
        assert metadata["duration"] == max(times, default=0) / 1000
