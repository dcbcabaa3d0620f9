"""Whose a name is: of who has the same login or a key of it, not of who has the same address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key
from rtmptwist.net.client import NetStream
from rtmptwist.net.netstream import Refusal
from tests.support.live import gop, headers, payloads
from tests.support.memory import Spectator
from tests.test_service import FILE, House

pytestmark = pytest.mark.usefixtures("logs")

HERE, ELSEWHERE = "198.51.100.4", "203.0.113.7"

ALICE = "rtmp://h/members?user=alice&password=geheim"
BOB = "rtmp://h/members?user=bob&password=secret"
GUEST = "rtmp://h/members"

TEXT = (
    FILE.replace("memory:alice:geheim", "memory:alice:geheim:bob:secret").replace(
        "play = users\n", "play = anyone\ngrace = 10s\n"
    )
    + "\n[app keyed]\npublish = keys\nkeys = keys\ngrace = 10s\n"
)


class Stage:
    """A server whose members may publish by login, and guests from one network without."""

    def __init__(self, folder: Path) -> None:
        self.keys = [new_key(), new_key()]
        lines = [StreamKey("show", hash_of(key)).line() for key in self.keys]
        (folder / "keys").write_text("\n".join(lines))
        (folder / "keys").chmod(0o600)
        self.house = House(folder, TEXT).start()
        self.site = self.house.site

    def stream(self, url: str, address: str = HERE) -> NetStream:
        return self.site.stream(self.site.client(url, address))

    def publish(self, url: str, address: str = HERE, name: str = "show") -> Spectator:
        publisher = Spectator(self.stream(url, address))
        self.site.result(publisher.stream.publish(name))
        return publisher

    def refusal(self, url: str, address: str = HERE, name: str = "show") -> str:
        error = self.site.failure(self.stream(url, address).publish(name))
        assert isinstance(error, Refusal)
        assert error.code == "NetStream.Publish.BadName"
        return error.description

    def feed(self, publisher: Spectator, start: int) -> None:
        for message in (*headers(), *gop(start)):
            publisher.stream.send(message)
        self.site.pump()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.house.stop()
    stage.house.pass_time(10)


TAKEN = "show is live already, and only its own publisher may take it over."
KEPT = "show is kept for its publisher, who may return within 10 s."


@pytest.mark.parametrize("url", [GUEST, BOB])
def test_a_stranger_has_no_claim_whatever_its_address(stage: Stage, url: str) -> None:
    alice = stage.publish(ALICE)
    assert stage.refusal(url) == TAKEN
    assert not alice.connection.closed


def test_a_login_counts_from_everywhere(stage: Stage) -> None:
    alice = stage.publish(ALICE)
    viewer = stage.site.play("show", stage.site.client(GUEST, HERE))
    stage.feed(alice, 0)
    again = stage.publish(ALICE, ELSEWHERE)
    stage.feed(again, 500)
    assert alice.told[-1] == "Publish.BadName"
    assert alice.infos[-1]["description"] == "show was taken over by the same publisher"
    assert viewer.payloads[-6:] == payloads(gop(500))


def test_a_guest_s_stream_is_no_user_s(stage: Stage) -> None:
    stage.publish(GUEST)
    assert stage.refusal(ALICE) == TAKEN
    stage.publish(GUEST)


@pytest.mark.parametrize("url", [GUEST, BOB])
def test_the_name_is_kept_for_the_login(stage: Stage, url: str) -> None:
    alice = stage.publish(ALICE)
    stage.site.play("show", stage.site.client(GUEST, HERE))
    stage.feed(alice, 0)
    alice.connection.abort()
    assert stage.refusal(url) == KEPT
    stage.publish(ALICE, ELSEWHERE)


def test_the_name_is_kept_for_its_keys(stage: Stage) -> None:
    first, second = stage.keys
    url = "rtmp://h/keyed"
    publisher = stage.publish(url, HERE, first)
    stage.site.play("show", stage.site.client(url))
    stage.feed(publisher, 0)
    publisher.connection.abort()
    stage.house.pass_time(3)
    again = stage.publish(url, ELSEWHERE, second)
    stage.feed(again, 500)
    stage.publish(url, HERE, first)
    assert again.told[-1] == "Publish.BadName"


def test_one_who_may_publish_one_stream_comes_back_to_it(tmp_path: Path) -> None:
    """`max_publishers_per_account = 1`: the place of the dead connection is the new one's."""
    limited = "[app members]\nmax_publishers_per_account = 1\nmax_publishers = 1\n"
    house = House(tmp_path, FILE.replace("[app members]\n", limited)).start()
    site = house.site
    site.publish("show", site.client(ALICE, HERE))
    site.publish("show", site.client(ALICE, ELSEWHERE))
    other = site.stream(site.client(ALICE, ELSEWHERE))
    error = site.failure(other.publish("other"))
    assert "alice has as many publishers as it may have" in str(error) or "members has" in str(
        error
    )
    house.stop()
    house.pass_time(10)
