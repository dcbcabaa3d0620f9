"""What takes the streams of an application besides viewers, and that it loses nothing."""

from __future__ import annotations

from rtmptwist.live.inlet import Phase
from rtmptwist.live.stream import LiveStream
from rtmptwist.live.window import MAX_COUNT, Window
from rtmptwist.wire.message import Message
from tests.support.live import (
    FakePublisher,
    Settings,
    Stage,
    audio,
    feed,
    gop,
    headers,
    metadata,
    payloads,
    stored,
    video,
)
from tests.support.logs import Logs


class Tape:
    """A taker that keeps everything."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.cursor = window.head
        self.messages: list[Message] = []
        window.takers.append(self)

    def take(self) -> None:
        self.messages += self.window.since(self.cursor, self.window.head)
        self.cursor = self.window.head

    @property
    def payloads(self) -> list[bytes]:
        return payloads(self.messages)

    @property
    def times(self) -> list[int]:
        return [message.timestamp for message in self.messages]


class Recorder:
    """An outlet that takes every publication, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tapes: list[Tape] = []
        self.kinds: list[str] = []

    def published(self, stream: LiveStream, *, begins: bool) -> None:
        self.told.append("published" if begins else "goes on")
        assert stream.inlet is not None
        self.kinds.append(stream.inlet.publisher.kind)
        if not stream.window.takers:
            self.tapes.append(Tape(stream.window))

    def ended(self, stream: LiveStream) -> None:
        self.told.append("ended")
        (tape,) = stream.window.takers
        tape.take()
        stream.window.takers.clear()


def stage(settings: Settings | None = None) -> tuple[Stage, Recorder]:
    result, recorder = Stage(settings), Recorder()
    result.application.outlets.append(recorder)
    return result, recorder


FIRST = [stored(metadata()), *payloads(headers()[1:])]


# ------------------------------------------------------------------- publications


def test_an_outlet_gets_everything_from_the_first_message() -> None:
    st, recorder = stage()
    inlet = st.publish(publisher=FakePublisher("record"))
    feed(inlet, *headers(), *gop(0))
    inlet.end(release=True)
    assert recorder.told == ["published", "ended"]
    assert recorder.kinds == ["record"]
    assert recorder.tapes[0].payloads == FIRST + payloads(gop(0))
    assert st.application.streams == {}


def test_grace_is_one_publication_on_one_timeline() -> None:
    """Although nobody watches, and so nobody else would notice."""
    st, recorder = stage()
    inlet = st.publish()
    feed(inlet, *headers(), *gop(0))
    inlet.end()
    st.sweep(4)
    assert st.stream.meter.state == "grace"
    again = st.publish()
    assert again.phase is Phase.HELD
    feed(again, *headers(), video(9000), *gop(9040))
    again.end()
    st.sweep(4)
    st.sweep(2)
    assert recorder.told == ["published", "goes on", "ended"]
    (tape,) = recorder.tapes
    assert tape.payloads == FIRST + payloads([*gop(0), *gop(9040)])
    assert tape.times[3:] == [0, 0, 40, 40, 80, 80, 120, 120, 160, 160, 200, 200]
    assert st.application.streams == {}


def test_a_takeover_is_one_publication() -> None:
    st, recorder = stage(Settings(takeover="any"))
    feed(st.publish("first"), *headers(), *gop(0))
    feed(st.publish("second"), *headers(), *gop(0, name="other"))
    st.application.close("enough")
    assert recorder.told == ["published", "goes on", "ended"]
    (tape,) = recorder.tapes
    assert tape.payloads == FIRST + payloads([*gop(0), *gop(0, name="other")])
    assert tape.times == sorted(tape.times)


def test_who_says_goodbye_has_ended_even_if_it_is_recorded() -> None:
    """The file is there at once, not after the grace time."""
    st, recorder = stage()
    inlet = st.publish()
    feed(inlet, *gop(0))
    inlet.end(release=True)
    assert recorder.told == ["published", "ended"]


def test_viewers_may_stay_from_one_publication_to_the_next() -> None:
    st, recorder = stage(Settings(grace=0))
    viewer = st.watch()
    for text in "one", "two":
        inlet = st.publish()
        feed(inlet, *gop(0, name=text))
        inlet.end()
    assert recorder.told == ["published", "ended"] * 2
    assert [tape.payloads for tape in recorder.tapes] == [
        payloads(gop(0, name=text)) for text in ("one", "two")
    ]
    assert viewer.payloads == [part for tape in recorder.tapes for part in tape.payloads]


def test_nothing_ends_that_did_not_begin() -> None:
    st, recorder = stage()
    st.watch()
    st.application.close("enough")
    assert recorder.told == []


def test_what_is_wrong_with_an_outlet_is_not_the_stream_s_affair(logs: Logs) -> None:
    class Broken(Recorder):
        def published(self, stream: LiveStream, *, begins: bool) -> None:
            raise ValueError("published")

        def ended(self, stream: LiveStream) -> None:
            raise ValueError("ended")

    st, recorder = stage()
    st.application.outlets.insert(0, Broken())
    inlet = st.publish()
    viewer = st.watch()
    feed(inlet, *headers(), *gop(0))
    inlet.end(release=True)
    st.sweep(6)
    assert viewer.payloads == recorder.tapes[0].payloads == FIRST + payloads(gop(0))
    assert [str(failure) for failure in logs.forgive()] == ["published", "ended"]
    assert len(logs.about("an outlet of show failed")) == 2


# ------------------------------------------------------------ what leaves the window


def test_takers_are_asked_before_something_goes() -> None:
    """By time."""
    window = Window(1000, 1 << 20, 500)
    tape = Tape(window)
    sent = []
    for number in range(100):
        message = audio(number * 100, str(number))
        window.append(message)
        window.edge = window.head
        sent.append(message)
        assert tape.cursor >= window.first
    assert 50 < tape.cursor < 100
    window.clear()
    assert tape.messages == sent


def test_takers_are_asked_before_something_goes_by_size() -> None:
    window = Window(100_000, 10_000, 500)
    tape = Tape(window)
    sent = [video(number, str(number), size=600, key=number % 7 == 0) for number in range(100)]
    for message in sent:
        window.append(message)
        assert tape.cursor >= window.first
    tape.take()
    assert tape.messages == sent


def test_takers_are_asked_before_something_goes_by_count() -> None:
    window = Window(100_000, 1 << 30, 500)
    tape = Tape(window)
    for _ in range(MAX_COUNT + 10):
        window.append(audio(0))
    tape.take()
    assert len(tape.messages) == MAX_COUNT + 10


def test_takers_that_have_seen_what_goes_are_left_in_peace() -> None:
    window = Window(1000, 1 << 20, 500)
    tape = Tape(window)
    for number in range(100):
        window.append(audio(number * 100))
        window.edge = window.head
        tape.take()
    seen = len(tape.messages)
    window.end()
    window.clear()
    assert len(tape.messages) == seen == 100


def test_a_taker_may_leave_when_it_is_asked() -> None:
    window = Window(1000, 1 << 20, 500)

    class Leaving(Tape):
        def take(self) -> None:
            super().take()
            self.window.takers.remove(self)

    first, second = Leaving(window), Leaving(window)
    window.append(audio(0))
    window.clear()
    window.append(audio(40))
    window.clear()
    assert len(first.messages) == len(second.messages) == 1
    assert window.takers == []
