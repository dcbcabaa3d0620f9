"""Recording by command of an operator: started, seen, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rtmptwist.wire.message import Message
from tests.support.disks import StillDisk
from tests.support.live import gop, headers, payloads
from tests.support.logs import Logs
from tests.support.manned import FILE, Manned
from tests.support.recordings import tags_of

OUTLET = "record:rec/{name}.flv:when=command"
SOUND = "record:sound/{name}.flv:when=command:take=audio"

pytestmark = pytest.mark.usefixtures("disk")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does nothing by itself."""
    monkeypatch.setattr("rtmptwist.site.Disk", StillDisk)


class Studio:
    """A stream that can be recorded."""

    def __init__(self, folder: Path, *outlets: str) -> None:
        escaped = "\n ".join(outlets).replace("{", "{{").replace("}", "}}") or "none"
        text = FILE.replace("grace = 0\n", f"grace = 0\noutlets = {escaped}\n")
        self.folder = folder / "state"
        self.manned = Manned(folder, text)
        whole: Any = self.manned.whole
        self.disk = whole.disk
        self.disk.pump()
        self.publisher = self.manned.site.publish()
        self.send(*headers(), *gop(0))
        self.id = self.manned.ask("GET", "streams")[1]["items"][0]["id"]

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.publisher.send(message)
        self.manned.site.pump()
        self.pass_time()

    def pass_time(self) -> None:
        """Long enough for files to be opened and written to."""
        for _ in range(24):
            self.manned.reactor.advance(1 / 8)
            self.disk.pump()

    def ask(self, method: str, outlet: str = "") -> Any:
        query = f"?outlet={quote(outlet)}" if outlet else ""
        status, answer = self.manned.ask(method, f"streams/{self.id}/recording{query}")
        self.pass_time()
        return status, answer

    @property
    def recordings(self) -> list[Any]:
        found: list[Any] = self.manned.ask("GET", f"streams/{self.id}")[1]["recordings"]
        return found


@pytest.fixture
def made(tmp_path: Path, logs: Logs) -> Iterator[list[Studio]]:
    made: list[Studio] = []
    yield made
    for studio in made:
        studio.manned.stop()
        studio.disk.pump()
        studio.manned.pass_time(5)


def test_a_recording_is_started_and_stopped(tmp_path: Path, made: list[Studio], logs: Logs) -> None:
    studio = Studio(tmp_path, OUTLET)
    made.append(studio)
    assert studio.recordings == []
    status, stream = studio.ask("POST")
    assert status == 201
    assert [each["state"] for each in stream["recordings"]] == ["waiting"]
    studio.send(*gop(120))
    (recording,) = studio.recordings
    path = studio.folder / "rec" / "show.flv"
    assert recording == {
        "outlet": OUTLET,
        "state": "recording",
        "path": str(path),
        "part": 1,
        "seconds": 0.2,
        "bytes": recording["bytes"],
        "waiting_bytes": 0,
        "error": None,
    }
    assert recording["bytes"] > 0
    status, problem = studio.ask("POST")
    assert (status, problem["detail"]) == (409, "It is recorded already.")
    assert studio.ask("DELETE") == (204, None)
    assert studio.recordings == []
    studio.send(*gop(240))
    _, *sent = payloads([*headers(), *gop(0), *gop(120)])  # the first is in the file's head
    assert [tag.payload for tag in tags_of(path)] == sent
    status, problem = studio.ask("DELETE")
    assert (status, problem["detail"]) == (404, "It is not recorded.")
    assert logs.about("has live/show recorded") == [
        "operator loopback has live/show recorded",
        "operator loopback has live/show recorded no more",
    ]
    application = studio.manned.ask("GET", "applications/live")[1]
    assert application["recorders"] == [
        {
            "outlet": OUTLET,
            "recordings": 0,
            "files": 1,
            "bytes": path.stat().st_size,
            "failures": 0,
            "removed": 0,
        }
    ]
    metrics = studio.manned.get("/metrics").body.decode()
    assert 'rtmptwist_recorded_files_total{application="live",vhost=""} 1.0' in metrics


def test_one_of_several_outlets(tmp_path: Path, made: list[Studio]) -> None:
    studio = Studio(tmp_path, OUTLET, SOUND)
    made.append(studio)
    assert studio.ask("POST", SOUND)[0] == 201
    assert [each["outlet"] for each in studio.recordings] == [SOUND]
    assert studio.ask("POST")[0] == 201
    assert [each["outlet"] for each in studio.recordings] == [OUTLET, SOUND]
    assert studio.ask("DELETE", OUTLET)[0] == 204
    assert [each["outlet"] for each in studio.recordings] == [SOUND]


def test_an_application_that_has_nowhere_to_record_to(tmp_path: Path, made: list[Studio]) -> None:
    studio = Studio(tmp_path)
    made.append(studio)
    for method in "POST", "DELETE":
        status, problem = studio.ask(method)
        assert status == 422
        assert "has nowhere to record to: give it a line such as" in problem["detail"]


def test_an_outlet_that_is_not_there(tmp_path: Path, made: list[Studio]) -> None:
    studio = Studio(tmp_path, OUTLET)
    made.append(studio)
    status, problem = studio.ask("POST", SOUND)
    assert status == 422
    assert problem["detail"] == "The application live has no such outlet that records."


def test_nobody_publishes_it(tmp_path: Path, made: list[Studio]) -> None:
    studio = Studio(tmp_path, OUTLET)
    made.append(studio)
    studio.manned.site.play()
    studio.publisher.connection.close()
    studio.manned.site.pump()
    status, problem = studio.ask("POST")
    assert (status, problem["detail"]) == (409, "nobody publishes show.")
