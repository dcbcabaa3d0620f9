"""Recordings: made in memory of time but on a real disk, and read back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rtmptwist.amf import amf0
from rtmptwist.disk.folder import Folder
from rtmptwist.live.recordings import RecordEvent
from rtmptwist.media.flv import SCRIPT, FlvReader, FlvTag
from rtmptwist.outlets.pattern import Pattern
from rtmptwist.outlets.plan import Plan
from rtmptwist.outlets.recorder import Recorder
from rtmptwist.outlets.recording import Recording
from tests.support.disks import StillDisk
from tests.support.live import Settings, Stage

BEGAN = 1_700_000_000.0
"Seconds since the epoch when a test begins: 2023-11-14 22:13:20 UTC."


def plan(root: Path, pattern: str = "{name}.flv", **keys: Any) -> Plan:
    """How to record into a folder."""
    made = Pattern(pattern, "live", "", time.gmtime)
    return Plan(
        description=f"record:{pattern}",
        folder=Folder(root / made.root),
        pattern=made,
        **keys,
    )


class Studio(Stage):
    """An application that is recorded, with a disk that waits for `write`."""

    def __init__(
        self,
        root: Path,
        pattern: str = "{name}.flv",
        *,
        settings: Settings | None = None,
        bound: int = 1 << 30,
        **keys: Any,
    ) -> None:
        super().__init__(settings)
        self.root = root
        self.disk = StillDisk(self.clock, bound=bound)
        self.events: list[RecordEvent] = []
        self.application.record_listeners.append(self.events.append)
        self.recorder = self.record(plan(root, pattern, **keys))

    def record(self, plan: Plan) -> Recorder:
        """Add another recorder."""
        recorder = Recorder(self.application, plan, self.disk, self.clock, self.now)
        self.application.outlets.append(recorder)
        self.application.recorders.append(recorder)
        return recorder

    def now(self) -> float:
        return BEGAN + self.clock.seconds()

    @property
    def recording(self) -> Recording:
        (recording,) = self.recorder.recordings.values()
        return recording

    def pass_time(self, seconds: float = 1.0) -> None:
        """Let rounds be made, and what they bring be written."""
        for _ in range(round(seconds * 8)):
            self.clock.advance(1 / 8)
            self.disk.pump()

    def hang(self, seconds: float = 1.0) -> None:
        """Let rounds be made, while the disk does nothing."""
        for _ in range(round(seconds * 8)):
            self.clock.advance(1 / 8)

    def write(self) -> None:
        """Let everything be written that is on its way."""
        self.disk.pump()

    @property
    def files(self) -> list[str]:
        """What is in the folder."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.root)) for path in found)

    def tags(self, name: str = "show.flv") -> list[FlvTag]:
        return tags_of(self.root / name)

    def metadata(self, name: str = "show.flv") -> dict[str, Any]:
        return metadata_of(self.root / name)

    @property
    def turns(self) -> list[str]:
        """The events so far, in short."""
        return [
            f"{event.turn} {Path(event.path).name}{f': {event.error}' if event.error else ''}"
            for event in self.events
        ]


def tags_of(path: Path) -> list[FlvTag]:
    """What is in a file behind its head."""
    head, *tags = FlvReader().feed(path.read_bytes())
    assert head.type == SCRIPT
    return tags


def metadata_of(path: Path) -> dict[str, Any]:
    """What its head says."""
    head = FlvReader().feed(path.read_bytes())[0]
    name, values, *_ = amf0.decode(head.payload)
    assert name == "onMetaData"
    assert isinstance(values, dict)
    return dict(values)


def raising(error: Exception) -> Callable[..., Any]:
    """A function that fails."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail
