"""Streams that somebody watches and nobody publishes, and what stands in for a publisher."""

from __future__ import annotations

import pytest

from rtmptwist.live.errors import Refused
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.stream import LiveStream
from tests.live.test_outlets import Recorder
from tests.support.live import (
    FakePublisher,
    Settings,
    Stage,
    feed,
    gop,
    headers,
    metadata,
    payloads,
    stored,
    video,
)
from tests.support.logs import Logs

HEADERS = [stored(metadata()), *payloads(headers()[1:])]


class Slate:
    """A supplier that feeds every stream, or one less, and remembers what it was told."""

    def __init__(self, *, but: str = "") -> None:
        self.publishers: list[FakePublisher] = []
        self.inlets: list[Inlet] = []
        self._but = but

    def supply(self, stream: LiveStream) -> bool:
        if stream.name == self._but:
            return False
        self.publishers.append(FakePublisher(stands_in=True))
        self.inlets.append(stream.publish(self.publishers[-1], self))
        return True

    @property
    def inlet(self) -> Inlet:
        return self.inlets[-1]


def stage(settings: Settings | None = None, *, but: str = "") -> tuple[Stage, Slate]:
    result, slate = Stage(settings), Slate(but=but)
    result.application.suppliers.append(slate)
    return result, slate


def test_who_watches_what_nobody_publishes_gets_something_else() -> None:
    st, slate = stage()
    viewer = st.watch(wait=False)
    assert st.stream.state == "supplied"
    assert st.stream.live
    feed(slate.inlet, *headers(), *gop(0))
    assert viewer.told == ["published"]
    assert viewer.payloads == HEADERS + payloads([*gop(0)])


def test_a_second_viewer_gets_the_same() -> None:
    st, slate = stage()
    st.watch()
    feed(slate.inlet, *headers(), *gop(0))
    viewer = st.watch()
    assert len(slate.inlets) == 1
    assert viewer.payloads == HEADERS + payloads([*gop(0)])


def test_it_ends_with_its_last_viewer() -> None:
    st, slate = stage()
    one, two = st.watch(), st.watch()
    one.subscriber.close()
    assert slate.publishers[0].reason == ""
    two.subscriber.close()
    assert slate.publishers[0].reason == "nobody watches it"
    assert st.application.streams == {}


def test_where_there_is_nothing_for_a_stream_it_is_not_found() -> None:
    st, _ = stage(but=Stage.NAME)
    with pytest.raises(Refused, match="Nobody publishes show now"):
        st.watch(wait=False)
    assert st.application.streams == {}
    waiting = st.watch()
    assert st.stream.state == "idle"
    st.sweep(st.settings.wait)
    assert waiting.told == [EndReason.NOT_FOUND]


def test_a_supplier_that_fails_is_as_good_as_none(logs: Logs) -> None:
    class Broken:
        def supply(self, stream: LiveStream) -> bool:
            raise RuntimeError(stream.name)

    st = Stage()
    slate = Slate()
    st.application.suppliers += [Broken(), slate]
    st.watch()
    assert st.stream.supplied
    assert [str(error) for error in logs.forgive()] == [st.NAME]


def test_a_publisher_takes_its_place_and_viewers_stay_on_one_timeline() -> None:
    st, slate = stage(Settings(takeover="reject"))
    viewer = st.watch()
    feed(slate.inlet, *headers(), *gop(0, name="slate"))
    inlet = st.publish()
    assert "taken over" in slate.publishers[0].reason
    assert st.stream.state == "live"
    feed(inlet, video(9000), *headers(), *gop(9040))
    assert viewer.payloads == HEADERS + payloads([*gop(0, name="slate"), *gop(9040)])
    assert viewer.times[3:] == sorted(viewer.times[3:])
    assert viewer.times[-1] == 200


def test_it_takes_over_when_the_publisher_leaves() -> None:
    st, slate = stage(Settings(grace=5.0))
    feed(st.publish(), *headers(), *gop(0))
    viewer = st.watch()
    assert not slate.inlets
    inlet = st.stream.inlet
    assert inlet is not None
    inlet.end(release=True)
    assert st.stream.state == "supplied"
    feed(slate.inlet, *headers(), *gop(0, name="slate"))
    st.sweep(6)
    assert st.stream.state == "supplied"
    assert viewer.payloads == HEADERS + payloads([*gop(0), *gop(0, name="slate")])
    assert "unpublished" not in viewer.told


def test_a_name_is_kept_for_its_publisher_meanwhile() -> None:
    st, slate = stage(Settings(grace=5.0))
    inlet = st.publish("owner")
    feed(inlet, *headers(), *gop(0))
    st.watch()
    inlet.end()
    feed(slate.inlet, *headers(), *gop(0, name="slate"))
    with pytest.raises(Refused, match="kept for its publisher"):
        st.publish("other")
    assert st.stream.state == "supplied"
    st.sweep(6)
    assert st.stream.state == "supplied"
    st.publish("other")
    assert st.stream.state == "live"


def test_the_owner_returns_within_the_grace_time() -> None:
    st, slate = stage(Settings(grace=5.0))
    inlet = st.publish("owner")
    feed(inlet, *headers(), *gop(0))
    st.watch()
    inlet.end()
    again = st.publish("owner")
    assert "taken over" in slate.publishers[0].reason
    st.sweep(6)
    assert st.stream.inlet is again


def test_without_viewers_nothing_stands_in() -> None:
    st, slate = stage(Settings(grace=5.0))
    inlet = st.publish()
    feed(inlet, *headers(), *gop(0))
    inlet.end()
    assert st.stream.state == "grace"
    assert not slate.inlets
    st.watch()
    assert st.stream.state == "supplied"


def test_when_it_fails_viewers_wait_out_the_grace_time() -> None:
    st, slate = stage(Settings(grace=5.0))
    inlet = st.publish("owner")
    feed(inlet, *headers(), *gop(0))
    viewer = st.watch()
    inlet.end()
    slate.inlet.end(release=True)
    assert st.stream.state == "grace"
    assert "unpublished" not in viewer.told
    st.sweep(6)
    assert viewer.told[-1] == "unpublished"


def test_when_it_fails_and_nobody_may_return_the_stream_is_over() -> None:
    st, slate = stage()
    viewer = st.watch()
    feed(slate.inlet, *headers(), *gop(0))
    slate.inlet.end(release=True)
    assert st.stream.state == "idle"
    assert viewer.told == ["published", "unpublished"]
    assert len(slate.inlets) == 1


def test_what_fails_before_it_begins_is_not_over_for_those_who_wait() -> None:
    st, slate = stage()
    viewer = st.watch()
    slate.inlet.end(release=True)
    assert st.stream.state == "idle"
    assert viewer.told == []
    st.sweep(st.settings.wait)
    assert viewer.told == [EndReason.NOT_FOUND]
    assert st.application.streams == {}


def test_outlets_take_publications_only() -> None:
    st, slate = stage()
    recorder = Recorder()
    st.application.outlets.append(recorder)
    st.watch()
    feed(slate.inlet, *headers(), *gop(0, name="slate"))
    assert recorder.told == []
    inlet = st.publish()
    feed(inlet, *headers(), *gop(0))
    inlet.end(release=True)
    assert recorder.told == ["published", "ended"]
    feed(slate.inlet, *headers(), *gop(0, name="slate"))
    assert recorder.tapes[0].payloads[-6:] == payloads(gop(0))
    st.stream.close("enough")
    assert recorder.told == ["published", "ended"]


def test_an_operator_closes_it_for_all() -> None:
    st, slate = stage()
    viewer = st.watch()
    st.stream.close("enough")
    assert slate.publishers[0].reason == "enough"
    assert viewer.told == [EndReason.CLOSED]
    assert st.application.streams == {}


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_nothing_stands_in_for_what_is_concluded(grace: float) -> None:
    st, slate = stage(Settings(grace=grace))
    inlet = st.publish()
    viewer = st.watch()
    feed(inlet, *headers(), *gop(0))
    st.stream.conclude(now=True)
    assert not slate.inlets
    assert st.stream.state == "idle"
    assert viewer.told[-1] == "unpublished"


def test_what_stands_in_is_concluded_at_once() -> None:
    st, slate = stage(Settings(grace=5.0))
    inlet = st.publish("owner")
    viewer = st.watch()
    feed(inlet, *headers(), *gop(0))
    inlet.end()
    assert st.stream.state == "supplied"
    feed(slate.inlet, *headers(), *gop(0))
    st.stream.conclude()
    assert slate.publishers[0].reason == "nothing is supplied any more"
    assert st.stream.state == "idle"
    assert viewer.told[-1] == "unpublished"
    assert st.clock.getDelayedCalls() == []


def test_so_is_what_nobody_ever_published() -> None:
    st, slate = stage()
    viewer = st.watch()
    feed(slate.inlet, *headers(), *gop(0))
    st.stream.conclude()
    assert slate.publishers[0].reason == "nothing is supplied any more"
    assert viewer.told == ["published", "unpublished"]
