"""What an application's keys allow, put to work by a whole server."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.auth.limits import LimitedGate
from rtmptwist.config.schema import App, keys
from tests.support.live import video
from tests.support.memory import Spectator
from tests.test_service import FILE, House

pytestmark = pytest.mark.usefixtures("logs")

COUNTED = ("max_connections", "max_publishers", "max_viewers")
COUNTS = [name for name in keys(App) if name.startswith(COUNTED)]


def limited(tmp_path: Path, *lines: str) -> House:
    """A server whose application `live` has these keys."""
    at = "[app live]\n"
    return House(tmp_path, FILE.replace(at, at + "".join(f"{line}\n" for line in lines))).start()


def test_every_key_reaches_the_gate_that_counts(tmp_path: Path) -> None:
    house = limited(tmp_path, *(f"{key} = {number}" for number, key in enumerate(COUNTS, 10)))
    registry = house.site.registry
    found = house.gate
    assert isinstance(found, LimitedGate)
    for host in ("", "a.example"):
        application, _ = registry.application(host, "live")
        most = found.limits[application].most
        said = {f"max_{what}{scope}": value for (what, scope), value in most.items()}
        assert said == {key: number for number, key in enumerate(COUNTS, 10)}
    house.stop()


@pytest.mark.parametrize("key", [key for key in COUNTS if "account" not in key])
def test_one_too_many_reads_which_key_says_so(tmp_path: Path, key: str) -> None:
    house = limited(tmp_path, f"{key} = 1")
    site = house.site
    if "connections" in key:
        site.client()
        error = site.failure(site.connect())
    elif "publishers" in key:
        site.publish("one")
        error = site.failure(site.stream().publish("two"))
    else:
        site.play("one")
        error = site.failure(site.stream().play("one"))
    assert f"({key} = 1)." in str(error)
    site.client("rtmp://h/watch")  # other applications are not concerned
    house.stop()
    house.pass_time(5)


def test_what_everybody_is_allowed(tmp_path: Path) -> None:
    house = limited(tmp_path, "max_session = 1m", "max_bitrate = 100k")
    site = house.site
    publisher, viewer = Spectator(site.publish()), site.play()
    for second in range(8):
        publisher.stream.send(video(second * 1000, key=True, size=20_000))
        house.pass_time(1)
    assert publisher.told[-1] == "Publish.Warning"
    house.pass_time(52)
    for client in (publisher, viewer):
        assert client.infos[-1]["description"] == "The 60 seconds that this may last are over."
    house.stop()
    house.pass_time(5)
