"""Logins of a whole server: from its file, and among people who have nothing to do with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.error import ConnectionClosed

from rtmptwist.config.load import load
from rtmptwist.hooks.login import HttpLogin
from rtmptwist.net.client import Refusal
from rtmptwist.plan import SiteError, check
from rtmptwist.site import Site
from tests.support.logins import password_file, user
from tests.support.logs import Logs
from tests.support.memory import Spectator
from tests.support.threads import ImpatientReactor
from tests.test_service import House

pytestmark = pytest.mark.usefixtures("logs")

FILE = """
[listener main]
endpoint = tcp:1935

[app live]
logins = memory:alice:geheim
publish = users
"""

RIGHT = "rtmp://example.org/live?user=alice&password=geheim"
WRONG = "rtmp://example.org/live?user=alice&password=falsch"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FILE).start()


def attempts(house: House, address: str, times: int) -> list[str]:
    """Wrong logins, all at once: what each came to, as far as it did."""
    connecting = [house.site.connect(WRONG, address, timeout=1000) for _ in range(times)]
    outcomes = []
    for each in connecting:
        if not each.called:
            each.addErrback(lambda _: None)
            outcomes.append("waits")
            continue
        error = house.site.failure(each)
        outcomes.append("refused" if isinstance(error, Refusal) else type(error).__name__)
    return outcomes


def test_an_attack_is_nothing_to_others(house: House, logs: Logs) -> None:
    """A publisher and a viewer of other addresses, and those who come while it goes on."""
    publisher = house.site.publish("show", house.site.client(RIGHT, "192.0.2.1"))
    told = Spectator(publisher)
    viewer = house.site.play("show", house.site.client(address="192.0.2.2"))
    outcomes = attempts(house, "198.51.100.66", 100)
    assert outcomes[:5] == ["refused"] * 5
    assert outcomes.count("waits") == 8
    assert outcomes.count("ConnectionDone") > 60
    assert len(house.site.connections) == 2 + 8
    house.site.client(RIGHT, "192.0.2.3")
    house.site.client(RIGHT, "198.51.100.67")
    assert told.told == []
    assert "Play.Start" in viewer.told
    assert len(house.site.connections) == 4 + 8
    assert len(logs.about("refused")) < 60
    house.pass_time(60)
    house.site.client(RIGHT, "198.51.100.66")
    house.stop()
    house.pass_time(10)


def test_an_address_that_guesses_may_not_connect_and_the_log_is_short(
    house: House, logs: Logs
) -> None:
    attempts(house, "198.51.100.66", 60)
    error = house.site.failure(house.site.connect("rtmp://example.org/live", "198.51.100.66"))
    assert isinstance(error, ConnectionClosed)
    words = "too many logins from 198.51.100.66 were wrong; it may not connect for a few seconds"
    assert len(logs.about(words)) == 1
    house.pass_time(6)
    house.site.client(address="198.51.100.66")
    house.pass_time(60)
    house.stop()
    house.pass_time(10)


def test_secrets_are_in_no_line(house: House, logs: Logs) -> None:
    attempts(house, "198.51.100.66", 10)
    house.site.publish("show", house.site.client(RIGHT))
    house.pass_time(60)
    house.stop()
    house.pass_time(10)
    assert [line for word in ("geheim", "falsch") for line in logs.about(word)] == []
    assert logs.about("publishes live/show as alice")


def test_a_newcomer_is_told_to_log_in(house: House, logs: Logs) -> None:
    house.stop()
    house.pass_time(10)
    key = "Stream Key: test, Use authentication: with a user of `logins`"
    assert len(logs.about(key)) == 1


# --------------------------------------------------------------------- what is in the way


def problems(folder: Path, text: str) -> str:
    """What a check says; the same as a start would."""
    path = folder / "site.ini"
    path.write_text(text)
    config = load(path)
    with pytest.raises(SiteError) as checked:
        check(config)
    with pytest.raises(SiteError) as begun:
        Site(config, ImpatientReactor())
    assert str(checked.value) == str(begun.value)
    return str(checked.value).replace(f"{path}:", "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    text = FILE.replace("memory:alice:geheim", "file:passwd\n  token:tokens")
    assert problems(tmp_path, text) == (
        f"6: [app live] logins: {tmp_path}/passwd: is not there;"
        f" `rtmptwist passwd {tmp_path}/passwd USER` makes it"
    )
    password_file(tmp_path / "passwd", user("alice"))
    assert problems(tmp_path, text) == (
        f"7: [app live] logins: {tmp_path}/tokens: is not there;"
        f" `rtmptwist token {tmp_path}/tokens NAME` makes it"
    )


def test_lines_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("# people\nalice:geheim\nbob\n")
    said = problems(tmp_path, FILE.replace("memory:alice:geheim", "file:passwd"))
    assert said == (
        f"6: [app live] logins: {tmp_path}/passwd:2: the password of alice is no scrypt hash"
        " ($scrypt$ln=15,r=8,p=1$salt$hash)\n"
        f"6: [app live] logins: {tmp_path}/passwd:3: expected USER:$scrypt$... as"
        " `rtmptwist passwd` writes it"
    )


def test_a_plugin_that_does_not_understand(tmp_path: Path) -> None:
    assert problems(tmp_path, FILE.replace("alice:geheim", "geheim")) == (
        "5: [app live] memory: InvalidAuthArgumentString; expected A colon-separated list"
        " (name:password:...)"
    )


def test_loose_permissions_are_warned_of(tmp_path: Path, logs: Logs) -> None:
    password_file(tmp_path / "passwd", user("alice"))
    (tmp_path / "passwd").chmod(0o644)
    house = House(tmp_path, FILE.replace("memory:alice:geheim", "file:passwd"))
    assert logs.lines("warn") == [
        f"others may read {tmp_path}/passwd, which holds secrets (its mode is 0644): chmod 640"
    ]
    del house


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "site.ini").write_text(FILE)
    check(load(tmp_path / "site.ini"))
    assert [path.name for path in tmp_path.iterdir()] == ["site.ini"]


def test_a_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    (tmp_path / "site.ini").write_text(FILE)
    with pytest.raises(SiteError, match=r"\[app live\] .*/var: File exists"):
        Site(load(tmp_path / "site.ini"), ImpatientReactor())


def test_a_web_server_is_not_asked_before_somebody_comes(tmp_path: Path) -> None:
    text = FILE.replace("memory:alice:geheim", "http:https://example.org/login")
    (tmp_path / "site.ini").write_text(text)
    check(load(tmp_path / "site.ini"))
    site = Site(load(tmp_path / "site.ini"), ImpatientReactor())
    assert [type(service) for service in site.services] == [HttpLogin]
    assert site.reactor.tcpClients == []


def test_applications_that_describe_a_login_alike_share_it(tmp_path: Path) -> None:
    """A file is read once, and a password that was right is hashed once."""
    password_file(tmp_path / "passwd", user("alice"))
    more = "\n[app other]\nlogins = file:passwd\n[vhost h / app live]\nplay = users\n"
    (tmp_path / "site.ini").write_text(FILE.replace("memory:alice:geheim", "file:passwd") + more)
    site = Site(load(tmp_path / "site.ini"), ImpatientReactor())
    assert len(site.files) == 1
    assert len(site.services) == 1
