"""Files as viewers see them, over real sockets: from where, how far, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from rtmptwist.amf import amf0
from rtmptwist.amf.values import Value
from rtmptwist.config.access import LOOPBACK, Access
from rtmptwist.config.schema import App
from rtmptwist.media.flv import AUDIO, VIDEO
from rtmptwist.media.flvhead import metadata_of
from rtmptwist.net.census import measure
from rtmptwist.wire.message import MessageType
from tests.media.test_flvcontainer import AAC, AVC, HEAD, META, gops, key
from tests.support.guests import Guest, Host, eventually, live, refused, serving
from tests.support.live import gop, headers
from tests.support.logs import Logs
from tests.support.reactor import reactor_test

FILE = HEAD + META + AAC + AVC + gops(8)
"Eight seconds."


def vod(folder: Path, **keys: Any) -> App:
    """An application with files, which are sent as fast as it goes."""
    return live(files=folder, files_ahead=3600.0, **keys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file."""
    (tmp_path / "show.flv").write_bytes(FILE)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "two.flv").write_bytes(HEAD + META + AVC + gops(2))
    return tmp_path


@pytest.fixture(params=["rtmp", "rtmpt"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Straight, and through a tunnel."""
    return str(request.param)


async def watch(
    host: Host,
    name: str = "show",
    start: float = -2.0,
    duration: float = -1.0,
    *,
    ahead: int = 60_000,
) -> Guest:
    """A viewer who keeps much, so that nobody has to wait."""
    guest = await host.guest()
    guest.name = name
    guest.stream.keep(ahead)
    await guest.stream.play(name, start, duration)
    return guest


async def whole(guest: Guest) -> list[tuple[int, int, bytes]]:
    """All media until its end."""
    await guest.until_told("Play.Stop")
    return [(message.type, message.timestamp, message.payload) for message in guest.media]


def status_of(guest: Guest) -> list[str]:
    """What onPlayStatus said."""
    found = []
    for message in guest.messages:
        if message.type == MessageType.DATA:
            values = amf0.decode(message.payload)
            if values[0] == "onPlayStatus" and isinstance(values[1], dict):
                found.append(str(values[1]["code"]).removeprefix("NetStream.Play."))
    return found


def film(since: int = 0, until: int = 8000) -> list[int]:
    """The times of frames in `gops`."""
    times = [tenth * 100 for tenth in range(80)]
    found = [time for at in times for time in (at, at, at + 50)]
    return [time for time in found if since <= time < until]


@reactor_test
async def test_a_file_from_its_beginning_to_its_end(folder: Path, scheme: str) -> None:
    async with serving(vod(folder), scheme=scheme) as host:
        viewer = await watch(host)
        heard = await whole(viewer)
        assert [payload for _, _, payload in heard[:2]] == [AAC[11:-4], AVC[11:-4]]
        assert [time for _, time, _ in heard[2:]] == film()
        metadata = metadata_of(viewer.messages[1].payload)
        assert metadata == {"width": 8.0, "duration": 7.95}
        assert status_of(viewer) == ["Complete"]


@reactor_test
async def test_operators_hear_of_it_as_of_what_is_live(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await whole(viewer)
        await viewer.leave()
        await eventually(lambda: not host.connections)
        journal = host.registry.journal
        _, events = journal.since(journal.begin)
        assert [(event.kind.value, event.stream) for event in events] == [
            ("connect", ""),
            ("play", "show"),
            ("stop", "show"),
            ("disconnect", ""),
        ]


@reactor_test
async def test_from_an_offset_for_a_while(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, "flv:show", 3.5, 2.0)
        heard = await whole(viewer)
        # the decoder needs the pictures before, back to the key frame
        assert heard[:2] == [(AUDIO, 0, AAC[11:-4]), (VIDEO, 0, AVC[11:-4])]
        assert heard[2] == (VIDEO, 0, key(0, 30)[11:-4])
        assert [time for _, time, _ in heard[2:]] == [*[0] * 5, *film(0, 2000)]


@reactor_test
async def test_one_picture(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, "show", 5.0, 0.0)
        heard = await whole(viewer)
        assert heard[2:] == [(VIDEO, 0, key(0, 30)[11:-4])]


@reactor_test
async def test_names(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        for name in ("flv:show", "show.flv", "flv:below/two", "below/two", "/show?x=y", "sh%6fw"):
            await whole(await watch(host, name))
        for name in ("mp4:show", "mp3:show", "Show", "show.txt", "below", "../show", "a/../show"):
            assert (await refused(watch(host, name, 0.0))).code.endswith("Play.StreamNotFound")


@reactor_test
async def test_live_goes_first(folder: Path) -> None:
    async with serving(vod(folder, wait=0)) as host:
        publisher = await host.publish("show")
        await publisher.feed(*headers(), *gop(0))
        for start in (-2.0, -1.0):
            viewer = await watch(host, "show", start)
            await viewer.settle()
            assert len(viewer.media) >= 4
            assert host.stream("show").audience.subscribers
            await viewer.leave()
        recorded = await watch(host, "show", 0.0)
        assert len(await whole(recorded)) == len(film()) + 2
        # whoever wants a recording where there is none gets what there is
        other = await host.publish("other")
        await other.feed(*headers(), *gop(0))
        viewer = await watch(host, "other", 0.0)
        await viewer.until(lambda: len(viewer.media) >= 4)
        assert (await refused(watch(host, "show2", -1.0))).code.endswith("StreamNotFound")
        await publisher.leave()
        await other.leave()


@reactor_test
async def test_only_live_is_live_only(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, "show", -1.0)
        await viewer.settle()
        assert viewer.media == []
        publisher = await host.publish("show")
        await publisher.feed(*headers(), *gop(0))
        await viewer.until(lambda: len(viewer.media) >= 4)
        await publisher.leave()


@reactor_test
async def test_what_cannot_be_played(folder: Path, logs: Logs) -> None:
    (folder / "bad.flv").write_bytes(b"RIFF" * 100)
    (folder / "empty.flv").write_bytes(b"")
    (folder / "link.flv").symlink_to(folder / "show.flv")
    (folder / "folder.flv").mkdir()
    async with serving(vod(folder)) as host:
        for name in ("bad", "empty"):
            refusal = await refused(watch(host, name))
            assert refusal.code.endswith("Play.Failed")
        for name in ("link", "folder"):
            refusal = await refused(watch(host, name, 0.0))
            assert refusal.code.endswith("Play.StreamNotFound")
            assert refusal.description == f"There is no {name}."
        assert host.application().film_viewers == 0
    assert logs.about("bad cannot be played: b'RIFF'")


@reactor_test
async def test_a_file_that_is_broken_amid(folder: Path, logs: Logs) -> None:
    """What is there is played, and both its viewer and the operator hear of the rest."""
    garbage = HEAD + META + AVC + gops(10) + bytes(1000) + gops(10, 10_000)
    (folder / "broken.flv").write_bytes(garbage)
    words = "the file is cut or broken after 9.9 s of 19.9 s"
    async with serving(vod(folder)) as host:
        viewer = await watch(host, "broken")
        info = await viewer.until_told("Play.Stop")
        assert info["description"] == f"All that is there was played: {words}."
        assert viewer.times[-1] == 9950
        viewer = await watch(host, "show")
        info = await viewer.until_told("Play.Stop")
        assert info["description"] == "All was played."
    (line,) = [line for line in logs.lines("warn") if "cut or broken" in line]
    assert line.endswith(f"plays live/broken: {words}")


@reactor_test
async def test_seeking_back_and_forth_and_after_the_end(folder: Path, scheme: str) -> None:
    async with serving(vod(folder), scheme=scheme) as host:
        viewer = await watch(host)
        await whole(viewer)
        for position, found in ((6400, 6000), (1000, 1000), (99_999, 7000), (-5, 0)):
            viewer.messages.clear()
            told = await viewer.stream.seek(position)
            assert told["code"] == "NetStream.Seek.Notify"
            await viewer.until(lambda: "Play.Start" in viewer.told)
            heard = await whole(viewer)
            assert [payload for _, _, payload in heard[:2]] == [AAC[11:-4], AVC[11:-4]]
            assert {time for _, time, _ in heard[:2]} == {found}
            assert [time for _, time, _ in heard[2:]] == film(found)


@reactor_test
async def test_a_pause_is_no_jump(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=2000)
        await viewer.until(lambda: viewer.times and viewer.times[-1] >= 2000)
        await viewer.stream.pause(True, viewer.times[-1])
        await viewer.settle()
        got = viewer.times[-1]
        viewer.stream.keep(60_000)
        await viewer.settle()
        assert viewer.times[-1] == got
        # it has all that was sent
        await viewer.stream.pause(False, got)
        await whole(viewer)
        assert viewer.times[2:] == film()


@reactor_test
async def test_after_a_pause_it_goes_on_where_the_viewer_is(folder: Path) -> None:
    """What it had beyond that, it has thrown away."""
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await viewer.until(lambda: viewer.times and viewer.times[-1] >= 5000)
        await viewer.stream.pause(True, 2350)
        viewer.messages.clear()
        await viewer.stream.pause(False, 2350)
        await whole(viewer)
        assert viewer.times == film(2351)


@reactor_test
async def test_who_seeks_while_paused_sees_where_it_is(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await viewer.stream.pause(True, 0.0)
        viewer.messages.clear()
        await viewer.stream.seek(4500)
        await viewer.until(lambda: len(viewer.media) == 3)
        assert viewer.payloads == [AAC[11:-4], AVC[11:-4], key(0, 30)[11:-4]]
        await viewer.stream.pause(False, 4500)
        await whole(viewer)
        # what led there is needed, for it had only one picture of it
        assert viewer.times[3:] == film(4000)


@reactor_test
async def test_sound_or_pictures_may_be_left_out_and_taken_back(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=1000)
        viewer.stream.receive(audio=False)
        await viewer.settle()
        viewer.messages.clear()
        viewer.stream.keep(60_000)
        await whole(viewer)
        assert {message.type for message in viewer.media} == {MessageType.VIDEO}
        await viewer.stream.seek(3000)
        viewer.stream.receive(audio=True)
        await viewer.until(lambda: viewer.messages and viewer.media[-1].type == MessageType.AUDIO)
        assert AAC[11:-4] in viewer.payloads


class Slow:
    """Files that take their time to be opened."""

    def __init__(self, films: Any) -> None:
        self.films = films
        self.opened: list[Deferred[None]] = []
        self.fail: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.films, name)

    def open(self, *name: str) -> Deferred[Any]:
        """Not before it is let."""
        if self.fail is not None:
            raise self.fail
        gate: Deferred[None] = Deferred()
        self.opened.append(gate)
        return gate.addCallback(lambda _: self.films.open(*name))


@reactor_test
async def test_who_leaves_before_it_is_open_has_never_been_there(folder: Path) -> None:
    async with serving(vod(folder, max_viewers=1)) as host:
        application = host.application()
        slow = Slow(application.films)
        application.films = slow
        guest = await host.guest()
        guest.stream.play("show").addErrback(lambda _: None)
        await eventually(lambda: slow.opened)
        guest.vanish()
        await eventually(lambda: not host.connections)
        slow.opened[0].callback(None)
        application.films = slow.films
        await whole(await watch(host))  # there is room for one


@reactor_test
async def test_a_reload_may_take_all_files_away_while_one_is_opened(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        application = host.application()
        slow = Slow(application.films)
        application.films = slow
        guest = await host.guest()
        playing = guest.stream.play("show")
        await eventually(lambda: slow.opened)
        application.films = None
        slow.opened[0].callback(None)
        await playing
        await guest.until(lambda: guest.media)
        assert application.film_viewers == 1


@reactor_test
async def test_a_session_has_its_end(folder: Path, logs: Logs, monkeypatch: Any) -> None:
    monkeypatch.setattr("rtmptwist.service.SWEEP_INTERVAL", 0.05)
    async with serving(vod(folder, max_session=0.2)) as host:
        viewer = await watch(host)
        await viewer.until_told("Play.Failed")
        await viewer.connection.when_closed()
    assert logs.about("no longer plays live/show")


@reactor_test
async def test_who_plays_a_file_has_nothing_to_send(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        viewer.send(*gop(0))
        await whole(viewer)
        await viewer.settle()
        (connection,) = host.connections
        assert connection.strays == len(gop(0))
        assert connection.accounts == {"anyone"}


@reactor_test
async def test_several_files_on_one_connection(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        one = await watch(host)
        two = Guest(await one.connection.create_stream())
        two.stream.keep(60_000)
        await two.stream.play("below/two")
        assert len(await whole(two)) == len(film(0, 2000)) + 1
        assert len(await whole(one)) == len(film()) + 2


@reactor_test
async def test_lengths(folder: Path) -> None:
    some = vod(folder, name="some", play=Access(networks=LOOPBACK))
    async with serving(vod(folder), some) as host:
        connection = await host.connect()

        async def length(*arguments: Value) -> Value:
            return (await connection.call("getStreamLength", *arguments))[0]

        assert await length("show") == 7.95
        assert await length("flv:below/two") == 1.95
        for arguments in ((), (5.0,), ("no",), ("..",), ("",)):
            assert await length(*arguments) == 0.0
        publisher = await host.publish("show")
        assert await length("show") == 0.0
        # who is not for everybody is not told of to anybody who has not been let in
        connection = await host.connect("some")
        assert await length("show") == 0.0
        await publisher.leave()


@reactor_test
async def test_a_viewer_is_sent_what_it_keeps_and_no_more(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=3000)
        await viewer.until(lambda: viewer.times and viewer.times[-1] >= 2900)
        assert viewer.times[-1] < 6000


@reactor_test
async def test_who_plays_is_counted_shown_and_sent_away(folder: Path, logs: Logs) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=1000)
        await viewer.until(lambda: viewer.media)
        application = host.application()
        assert application.film_viewers == 1
        (connection,) = host.connections
        sent = application.meter.bytes_out
        assert sent > 0
        (use,) = measure(connection).uses
        assert use.viewer is not None
        assert (use.viewer.state, use.shown, use.account) == ("playing", "live/show", "anyone")
        assert use.bytes == sent
        assert use.viewer.first_frame is not None
        host.site.kick(connection.id, "It is late.")
        await viewer.until_told("Play.Failed")
        assert application.film_viewers == 0
        assert application.meter.bytes_out >= sent
    assert logs.about("no longer plays live/show: It is late, after")


@reactor_test
async def test_a_file_that_vanishes_or_shrinks_ends(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=500)
        await viewer.until(lambda: viewer.media)
        (folder / "show.flv").unlink()
        with (folder / "below" / "two.flv").open("r+b") as file:
            other = await watch(host, "below/two", ahead=500)
            await other.until(lambda: other.media)
            file.truncate(500)
        other.stream.keep(60_000)
        assert max(time for _, time, _ in await whole(other)) < 2000
        viewer.stream.keep(60_000)
        assert len(await whole(viewer)) == len(film()) + 2


@reactor_test
async def test_a_file_that_cannot_be_read_any_more(
    folder: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=500)
        await viewer.until(lambda: viewer.media)
        (open_film,) = host.site.library._films.values()
        monkeypatch.setattr(open_film._container, "read", _broken)
        viewer.stream.keep(60_000)
        info = await viewer.until_told("Play.Failed")
        assert "cannot be read any more" in str(info["description"])
    assert logs.about("plays live/show: The file cannot be read any more: [Errno 5]")


def _broken(*_: object) -> Any:
    raise OSError(5, "Input/output error")


@reactor_test
async def test_players_hear_that_the_server_stops(folder: Path) -> None:
    async with serving(vod(folder)) as host:
        viewer = await watch(host, ahead=500)
        await viewer.until(lambda: viewer.media)
        stopping = host.stop()
        await viewer.until_told("Play.Stop")
        await viewer.leave()
        await stopping


@reactor_test
async def test_a_file_is_closed_when_nobody_wants_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmptwist.vod.library.LINGER", 0.01)
    async with serving(vod(folder)) as host:
        viewer = await watch(host)
        await whole(viewer)
        assert host.site.library.store.size
        await viewer.leave()
        await eventually(lambda: not host.site.library._films)
        assert not host.site.library.store.size
