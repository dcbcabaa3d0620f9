"""
Any order of publishing, joining, stalling, skipping, taking over and leaving.

What everybody gets is decoded and compared with what the stream took: whole messages, each once, in
order; nothing missing but where a skip was told; no picture without the one before it but a key
frame; the right headers before whatever needs them. A witness who always keeps up gets everything.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from rtmptwist.live import audience, fanout
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.inlet import Inlet, Phase
from rtmptwist.live.subscriber import State
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import (
    Settings,
    Stage,
    Viewer,
    aac_header,
    audio,
    avc_header,
    feed,
    metadata,
    video,
)

TIMES = st.sampled_from([0, 40, 400, 2000])
ADVANCES = st.sampled_from([0.0, 0.05])


class Script:
    """The frames that the stream took."""

    def __init__(self) -> None:
        self.order: dict[bytes, int] = {}
        self.place: dict[bytes, int] = {}
        "Among those of the same type."
        self._counts = {MessageType.AUDIO: 0, MessageType.VIDEO: 0}

    def add(self, message: Message) -> None:
        kind = MessageType(message.type)
        self.order[message.payload] = len(self.order)
        self.place[message.payload] = self._counts[kind]
        self._counts[kind] += 1


class Watcher(Viewer):
    """A viewer that checks what it gets."""

    def __init__(self, stream_id: int, script: Script) -> None:
        super().__init__(stream_id)
        self._script = script
        self._checked = 0
        self._gaps = {MessageType.AUDIO: 0, MessageType.VIDEO: 0}
        "Skips that can be seen in what it got."
        self.choosy = False
        "It has left out sound or pictures."
        self.forget()

    def forget(self) -> None:
        """It joins (again): what it has seen does not count."""
        self._versions: dict[int, bytes] = {}
        "Of the headers in force, by message type."
        self._places: dict[int, int] = {}
        "Of the last frames, by message type."
        self._last = -1
        self._time = 0

    def check(self) -> None:
        """Read on."""
        for message in self.messages[self._checked :]:
            self._check(message)
        self._checked = len(self.messages)

    def _check(self, message: Message) -> None:
        payload = message.payload
        if message.type == MessageType.DATA:
            assert b"onMetaData" in payload
            assert message.timestamp == 0
        elif payload[1] == 0:
            self._versions[message.type] = payload[-8:].rstrip(b".")
        else:
            self._check_frame(message)

    def _check_frame(self, message: Message) -> None:
        payload = message.payload
        order = self._script.order[payload]
        assert order > self._last, "once, and in order"
        self._last = order
        version = payload.split(b"|")[1]
        assert self._versions[message.type] == version, "after the headers that it was made with"
        step = message.timestamp - self._time
        assert step >= 0 or step < -(1 << 31), "time goes on"
        self._time = message.timestamp
        kind = MessageType(message.type)
        place = self._script.place[payload]
        if place != self._places.get(kind, place - 1) + 1 and not self.choosy:
            self._gaps[kind] += 1
            assert self._gaps[kind] <= len(self.skips), "nothing is missing"
        if kind == MessageType.VIDEO and payload[0] != 0x17:
            assert self._places.get(kind) == place - 1, "can be decoded"
        self._places[kind] = place


class Life(RuleBasedStateMachine):
    """One stream and everybody around it."""

    watchers: Bundle[Watcher] = Bundle("watchers")

    @initialize(
        join=st.sampled_from(["instant", "keyframe", "live-edge"]),
        merge=st.sampled_from([0.0, 0.1]),
        window_size=st.sampled_from([700, 100_000]),
        max_lag=st.sampled_from([0.3, 2.0, 100.0]),
        grace=st.sampled_from([0.0, 2.0]),
        burst=st.sampled_from([60, 65536]),
        served=st.sampled_from([1, 2, 256]),
    )
    def build(
        self,
        join: str,
        merge: float,
        window_size: int,
        max_lag: float,
        grace: float,
        burst: int,
        served: int,
    ) -> None:
        settings = Settings(
            join=join,
            merge=merge,
            window_size=window_size,
            max_lag=max_lag,
            grace=grace,
            takeover="any",
            wait=1e9,
            stall_timeout=1e9,
        )
        self.stage = Stage(settings)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(audience, "SLICE", served)
        self.patch.setattr(fanout, "BURST", burst)
        self.script = Script()
        self.everybody: list[Watcher] = []
        self.inlet: Inlet | None = None
        self.number = 0
        "Of the next frame; all are different."
        self.version = 0
        "Of the headers in force."
        self.time = 0
        self.begun = False
        "The inlet has sent a key frame."
        self.witness = Watcher(1, self.script)
        self.stage.watch(self.witness)
        self.publish(0, changed=False)

    # ------------------------------------------------------------- publishers

    @rule(start=st.sampled_from([0, 5, 1 << 31, (1 << 32) - 100]), changed=st.booleans())
    def publish(self, start: int, changed: bool) -> None:
        """Somebody comes, comes back, or takes over."""
        old, self.inlet = self.inlet, self.stage.publish(identity=self.number)
        if old is not None:
            feed(old, audio(0, "from the dead"), video(0, "from the dead", key=True))
            old.end()
        self.time = start
        self.begun = self.inlet.phase is Phase.HELD  # then anything may come
        self.version += changed
        self._headers(self.inlet)

    @precondition(lambda self: self.inlet is not None)
    @rule()
    def change_headers(self) -> None:
        assert self.inlet is not None
        self.version += 1
        self._headers(self.inlet)

    @precondition(lambda self: self.inlet is not None)
    @rule(
        kinds=st.lists(st.sampled_from("kppaa"), min_size=1, max_size=6),
        step=TIMES,
        advance=ADVANCES,
    )
    def send(self, kinds: list[str], step: int, advance: float) -> None:
        """Some frames, each a read of its own."""
        assert self.inlet is not None
        for kind in kinds:
            self._frame(self.inlet, kind, step)
        self.stage.clock.advance(advance)

    @precondition(lambda self: self.inlet is not None)
    @rule()
    def stop(self) -> None:
        assert self.inlet is not None
        self.inlet.end()
        self.inlet = None

    @rule(seconds=st.sampled_from([0.0, 0.0, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.stage.sweep(seconds)

    def _headers(self, inlet: Inlet) -> None:
        version = f"v{self.version}"
        time = self.time % (1 << 32)
        feed(inlet, metadata(self.version), avc_header(version, time), aac_header(version, time))

    def _frame(self, inlet: Inlet, kind: str, step: int) -> None:
        self.time += step
        self.number += 1
        time, text = self.time % (1 << 32), f"{self.number}|v{self.version}"
        if kind == "a":
            message = audio(time, f"{text}|")
        else:
            key = kind == "k" or not self.begun
            self.begun = True
            message = video(time, f"{text}|", key=key)
        window = self.stage.stream.window
        before = window.head
        feed(inlet, message)
        if window.head > before:
            self.script.add(message)

    # ---------------------------------------------------------------- viewers

    @rule(target=watchers, stream_id=st.integers(1, 2), blocked=st.booleans())
    def join(self, stream_id: int, blocked: bool) -> Watcher:
        watcher = Watcher(stream_id, self.script)
        self.stage.watch(watcher, blocked=blocked)
        self.everybody.append(watcher)
        return watcher

    @rule(watcher=watchers)
    def block(self, watcher: Watcher) -> None:
        watcher.writer.blocked = True

    @rule(watcher=watchers, blocked=st.booleans())
    def drain(self, watcher: Watcher, blocked: bool) -> None:
        watcher.writer.blocked = blocked
        watcher.writer.drain()

    @rule(watcher=watchers)
    def pause(self, watcher: Watcher) -> None:
        watcher.subscriber.pause()

    @rule(watcher=watchers)
    def unpause(self, watcher: Watcher) -> None:
        if watcher.subscriber.state is State.PAUSED:
            watcher.check()
            watcher.forget()
            watcher.subscriber.unpause()

    @rule(watcher=watchers, sound=st.booleans(), pictures=st.booleans())
    def receive(self, watcher: Watcher, sound: bool, pictures: bool) -> None:
        watcher.choosy = True
        watcher.subscriber.receive(audio=sound, video=pictures)

    @rule(watcher=consumes(watchers))
    def leave(self, watcher: Watcher) -> None:
        watcher.subscriber.close()

    # ------------------------------------------------------------------ truths

    @invariant()
    def all_is_well(self) -> None:
        self.witness.check()
        for watcher in self.everybody:
            watcher.check()
            assert watcher.subscriber.meter.bytes == watcher.writer.size
            assert watcher.subscriber.skipped == sum(watcher.skips) + watcher.subscriber.unsaid

    def teardown(self) -> None:
        """In the end everybody who reads sees a picture, and hears a sound."""
        self.patch.undo()
        self.publish(7, changed=True)
        assert self.inlet is not None
        for watcher in self.everybody:
            watcher.writer.blocked = False
            watcher.writer.drain()
        for kind in "kpakpa":
            self._frame(self.inlet, kind, 500)
            self.stage.clock.advance(0.1)
        self.all_is_well()
        frames = [payload for payload in self.witness.payloads if payload in self.script.order]
        assert frames == list(self.script.order) or self.witness.skips
        last = frames[-2:]
        for watcher in self.everybody:
            form = watcher.subscriber.format
            if watcher.subscriber.state is not State.FLOWING:
                assert watcher.subscriber.state in (State.PAUSED, State.CLOSED)
            elif isinstance(form, RtmpFormat):
                wanted = last[0 if form.video else 1 : 2 if form.audio else 1]
                assert watcher.payloads[len(watcher.payloads) - len(wanted) :] == wanted
            watcher.subscriber.close()
        self.witness.subscriber.close()
        self.inlet.end(release=True)
        assert self.stage.application.streams == {}
        assert self.stage.clock.getDelayedCalls() == []


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
