"""Which files are open, and what is kept of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import CancelledError

from rtmptwist.amf.values import Value
from rtmptwist.disk.folder import Folder
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.vod import library
from rtmptwist.vod.film import OVERHEAD, Key, OpenFilm, Piece, Store
from rtmptwist.vod.kinds import candidates
from rtmptwist.vod.library import LINGER, MOST_UNUSED
from rtmptwist.wire.status import StatusCode
from tests.media.test_flvcontainer import AAC, AVC, HEAD, META, gops
from tests.vod.cinema import Cinema

FILE = HEAD + META + AAC + AVC + gops(20)


@pytest.fixture
def cinema(tmp_path: Path) -> Cinema:
    """With a film of twenty seconds."""
    (tmp_path / "show.flv").write_bytes(FILE)
    return Cinema(tmp_path)


def test_a_file_is_open_once_for_all(cinema: Cinema) -> None:
    found: list[object] = []
    for _ in range(5):
        cinema.films.open("show", "", "").addCallback(found.append)
    cinema.disk.pump()
    assert len(found) == 5
    assert {*found, cinema.film()} == {found[0]}
    film = found[0]
    assert isinstance(film, OpenFilm)
    assert (film.holders, film.duration) == (6, 19_950)


def test_a_file_that_was_replaced_is_another_one(cinema: Cinema, tmp_path: Path) -> None:
    old = cinema.film()
    (tmp_path / "new").write_bytes(HEAD + AVC + gops(3))
    (tmp_path / "new").replace(tmp_path / "show.flv")
    new = cinema.film()
    assert (old.duration, new.duration) == (19_950, 2950)


def test_a_file_that_grows_is_open_once_for_all(tmp_path: Path) -> None:
    """Or each who looks back would cost an open file, and have it read for him alone."""
    cinema = Cinema(tmp_path, ahead=3600.0)
    path = tmp_path / "show.flv"
    path.write_bytes(HEAD + META + AAC + AVC + gops(20))
    folder, wanted = Folder(tmp_path), candidates("show", "", "")

    def film(grows: int = 1) -> OpenFilm:
        found: list[Any] = []
        cinema.library.open(folder, wanted, grows=grows).addBoth(found.append)
        cinema.disk.pump()
        assert isinstance(found[0], OpenFilm)
        return found[0]

    short = film()
    assert short.duration == 0
    filler = 1000  # of seconds, so that it is long enough
    path.write_bytes(HEAD + META + AAC + AVC + gops(filler))
    assert path.stat().st_size > library.SETTLED
    long = film()
    assert long is not short
    with path.open("ab") as file:
        file.write(gops(5, filler * 1000))
    assert film() is long
    assert film(2) is not long  # its opener was told more
    assert cinema.film() is not long
    point: list[Any] = []
    long.find((filler + 4) * 1000).addCallback(point.append)
    cinema.disk.pump()
    assert point[0].time == (filler + 4) * 1000


def test_what_nobody_holds_stays_open_for_a_while(cinema: Cinema) -> None:
    film = cinema.film()
    film.release()
    cinema.run(LINGER - 0.1)
    assert cinema.film() is film
    cinema.run(LINGER)
    assert cinema.library._films
    film.release()
    cinema.run(LINGER + 0.1)
    assert not cinema.library._films
    assert cinema.film() is not film


def test_few_files_stay_open_for_nobody(cinema: Cinema, tmp_path: Path) -> None:
    """Who asks for the length of everything there is shall not fill the memory."""
    for number in range(MOST_UNUSED + 3):
        (tmp_path / f"{number}.flv").write_bytes(FILE)
        cinema.film(str(number)).release()
    assert len(cinema.library._films) == MOST_UNUSED
    kept = set(cinema.library._films.values())
    assert cinema.film("3") in kept
    assert cinema.film("2") not in kept


def test_only_so_many_wait_for_a_folder_that_hangs(
    cinema: Cinema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Players try again and again, for as long as that lasts."""
    monkeypatch.setattr(library, "MOST_WAITING", 3)
    cinema.disk.pump()
    found: list[Any] = []
    for _ in range(5):
        cinema.films.open("show", "", "").addBoth(found.append)
    refused = [failure.value.status for failure in found]
    assert [status.code for status in refused] == [StatusCode.PLAY_FAILED] * 2
    assert refused[0].description == ("show cannot be played: the disk is too slow: 3 wait for it.")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "show.flv").write_bytes(FILE)
    other = cinema.library.open(Folder(tmp_path / "other"), candidates("show", "", ""))
    other.addCallback(found.append)
    cinema.disk.pump()
    assert len(found) == 6
    assert isinstance(cinema.film(), OpenFilm)


def test_only_so_many_wait_for_a_file_that_hangs(
    cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = cinema.film()
    for time in range(3):
        film.find(time)
    monkeypatch.setattr(library, "MOST_WAITING", 3)
    lane, film.lane = film.lane, cinema.disk.lane(lambda _: None)
    film.lane.jobs.extend(lane.jobs)  # where no thread looks
    found: list[Any] = []
    cinema.films.open("show", "", "").addErrback(lambda failure: found.append(failure.value))
    cinema.disk.pump()
    assert [each.status.code for each in found] == [StatusCode.PLAY_FAILED]
    assert film.holders == 1


def test_files_that_are_played_leave_files_to_connections(
    cinema: Cinema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection can play 64, and each may be another one."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (15, 15))
    for name in "abcd":
        (tmp_path / f"{name}.flv").write_bytes(FILE)
    films = [cinema.film(name) for name in "abc"]
    found: list[Any] = []
    cinema.films.open("d", "", "").addErrback(lambda failure: found.append(failure.value))
    cinema.disk.pump()
    assert [each.status.code for each in found] == [StatusCode.PLAY_FAILED]
    assert "too many files are played" in found[0].status.description
    assert cinema.film("a") is films[0]
    films[1].release()
    assert cinema.film("d")
    assert len(cinema.library._films) == 3
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    assert cinema.film("b") is not films[1]


def test_at_the_end_all_is_closed(cinema: Cinema) -> None:
    held, left = cinema.film(), cinema.film()
    left.release()
    (cinema.films._folder.root / "two.flv").write_bytes(FILE)
    cinema.film("two").release()
    cinema.library.close()
    assert list(cinema.library._films.values()) == [held]
    held.release()
    assert not cinema.library._films
    cinema.disk.pump()
    assert not cinema.library._closing


def test_who_left_before_it_was_open_holds_nothing(cinema: Cinema) -> None:
    opening = cinema.films.open("show", "", "")
    errors: list[Any] = []
    opening.addErrback(lambda failure: errors.append(failure.value))
    opening.cancel()
    cinema.disk.pump()
    missing = cinema.films.open("none", "", "")
    missing.addErrback(lambda failure: errors.append(failure.value))
    missing.cancel()
    cinema.disk.pump()
    assert [type(error) for error in errors] == [CancelledError, CancelledError]
    (film,) = cinema.library._films.values()
    assert film.holders == 0
    cinema.run(LINGER + 0.1)
    assert not cinema.library._films


def test_a_file_is_read_once_for_all_viewers(
    cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = cinema.film()
    reads: list[object] = []
    read = film._container.read

    def counting(place: object, *rest: Any) -> Any:
        reads.append(place)
        return read(place, *rest)

    monkeypatch.setattr(film._container, "read", counting)
    together = [cinema.guest() for _ in range(20)]
    cinema.run()
    later = cinema.guest()
    cinema.run()
    # the end is not kept, for a file may grow: the twenty found it together, the last by itself
    assert len(reads) == len(set(reads)) + 1
    whole = together[0].media
    assert len(whole) == 602
    assert all(guest.media == whole for guest in [*together[1:], later])
    assert not cinema.library._opening
    assert cinema.playbacks.viewers == 21
    size = cinema.playbacks.bytes_out
    for guest in together:
        guest.playback.close()
    assert cinema.playbacks.bytes_out == size
    assert cinema.playbacks.viewers == 1


class Silent:
    """A container that tells what cannot be written."""

    duration = 0

    metadata: ClassVar[dict[str, Value]] = {"it": {"x" * 70_000: 1.0}}


def test_metadata_that_cannot_be_written_are_not_told(cinema: Cinema) -> None:
    container: Any = Silent()
    lane = cinema.disk.lane(lambda _: None)
    film = OpenFilm(container, lane, cinema.library.store, cinema.clock, lambda _: None)
    assert film.metadata is None


def key(place: int, film: object = None) -> Key:
    return Key(film, place, RtmpFormat(128), 0)


def piece(size: int) -> Piece:
    return Piece(bytes(size), 0, 0, 0)


def test_there_is_room_for_what_was_needed_last() -> None:
    store = Store(2 * OVERHEAD + 100)
    store.put(key(1), piece(40))
    store.put(key(2), piece(40))
    assert store.get(key(1)) is not None
    store.put(key(3), piece(40))
    assert [store.get(key(n)) is not None for n in (1, 2, 3)] == [True, False, True]
    store.put(key(3), piece(50))
    assert store.size == 2 * OVERHEAD + 90
    store.put(key(4), piece(2 * OVERHEAD))
    assert (store.size, store.get(key(4))) == (0, None)
    film = object()
    store.put(key(5, film), piece(10))
    store.put(key(6), piece(20))
    store.drop(film)
    assert store.size == OVERHEAD + 20


def test_pieces_of_which_nothing_is_sent_take_room_too() -> None:
    store = Store(10 * OVERHEAD)
    for place in range(100):
        store.put(key(place), piece(0))
    assert [store.get(key(place)) is not None for place in (89, 90)] == [False, True]
