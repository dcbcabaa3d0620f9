"""Real programs, started by the reactor."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from rtmptwist.hooks import execution, program
from rtmptwist.hooks.answer import Answer, NoAnswer
from rtmptwist.hooks.execution import Kept, ProgramCarrier
from rtmptwist.hooks.program import LINE, LINES, SECONDS_PER_LINE, Command, Program, Programs
from tests.support.guests import eventually
from tests.support.logs import Logs
from tests.support.processes import gone, number_in
from tests.support.questions import question
from tests.support.reactor import reactor_test

pytestmark = pytest.mark.usefixtures("logs")

reactor: Any = _reactor

PATIENCE = 30.0


@asynccontextmanager
async def programs(
    folder: Path, *words: str, most: int = 10, kill_after: float = PATIENCE
) -> AsyncIterator[Programs]:
    """What a hook runs; ends with the block."""
    made = Programs("test", Command(words, folder, kill_after), reactor, most)
    try:
        yield made
    finally:
        await made.close(PATIENCE)


def script(text: str) -> tuple[str, ...]:
    return "sh", "-c", text


# ---- asked


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("exit 0", Answer()),
        ("echo whatever; exit 0", Answer()),
        ("echo Ask Anna.; echo Or me.; exit 1", Answer(False, reason="Ask Anna.")),
        ("echo log >&2; echo; echo '  Ask Anna. '; exit 3", Answer(False, reason="Ask Anna.")),
        ("printf Ask; exit 1", Answer(False, reason="Ask")),
        ("exit 1", Answer(False)),
        ('test "$RTMP_CALL $RTMP_NAME $RTMP_ADDR" = "publish show 192.0.2.1"', Answer()),
        ('test "$RTMP_ARGS" = "token=%3B+exit+0"', Answer()),
    ],
)
def test_the_status_is_the_answer(text: str, answer: Answer, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with programs(tmp_path, *script(text)) as running:
            asked = question(query={"token": "; exit 0"})
            assert await ProgramCarrier(running).ask(asked) == answer

    test()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("./nothing",), "its program could not be started"),
        (script("exit 126"), "its program could not be started"),
        (script("kill -KILL $$"), "its program was killed by signal 9"),
    ],
)
def test_no_answer(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with programs(tmp_path, *words) as running:
            with pytest.raises(NoAnswer, match=why):
                await ProgramCarrier(running).ask(question())

    test()


def test_what_strangers_say_is_never_run(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        evil = "$(touch evil); touch evil `touch evil` & touch evil \n touch evil"
        async with programs(tmp_path, *script('echo "$RTMP_NAME" > name')) as running:
            await ProgramCarrier(running).ask(question(name=evil))
        assert (tmp_path / "name").read_text() == f"{evil}\n"
        assert not (tmp_path / "evil").exists()

    test()


def test_nobody_waits_any_more(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with programs(tmp_path, *script("echo $$ > pid; exec sleep 1000")) as running:
            waiting = Deferred.fromCoroutine(ProgramCarrier(running).ask(question()))
            pid = await number_in(tmp_path / "pid")
            waiting.cancel()
            with pytest.raises(CancelledError):
                await waiting
            await eventually(lambda: gone(pid))

    test()


def test_only_so_many(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        async with programs(tmp_path, "sleep", "1000", most=1) as running:
            running.run({}, lambda _: None)
            with pytest.raises(NoAnswer, match="1 of its programs have not ended yet"):
                running.run({}, lambda _: None)

    test()


def test_the_system_has_no_room(tmp_path: Path) -> None:
    class Full(Clock):
        def spawnProcess(self, *arguments: object, **options: object) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

    running = Programs("test", Command(["true"], tmp_path, 1), Full(), 1)
    for _ in range(2):
        with pytest.raises(NoAnswer, match="started: Resource temporarily unavailable"):
            running.run({}, lambda _: None)


def test_what_it_gets_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_MESSAGES", "C")
    monkeypatch.setenv("DATABASE_PASSWORD", "geheim")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")

    @reactor_test
    async def test() -> None:
        async with programs(tmp_path, *script("env > env")) as running:
            await ProgramCarrier(running).ask(question())
        said = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\n")[:-1])
        assert said["PATH"] == os.environ["PATH"]
        assert said["LC_MESSAGES"] == "C"
        assert {"DATABASE_PASSWORD", "NOTIFY_SOCKET"}.isdisjoint(said)

    test()


def test_it_gets_nothing_else_of_ours(tmp_path: Path) -> None:
    """Sockets, files and pipes that are open here, inheritable ones too."""
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)

    @reactor_test
    async def test() -> None:
        async with programs(tmp_path, *script("ls -l /proc/self/fd > open")) as running:
            await ProgramCarrier(running).ask(question())

    try:
        test()
    finally:
        os.close(leak)
    opened = [line.split()[8:] for line in (tmp_path / "open").read_text().split("\n")[1:-1]]
    targets = {number: target for number, _, target in opened}
    assert targets.pop("0") == "/dev/null"
    assert targets.pop("1") == str(tmp_path / "open")
    assert targets.pop("2").startswith("pipe:")
    assert len(targets) == 1, "that of ls itself"


def test_somebody_holds_its_pipes_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has made a session of its own is nobody's business; it must not be waited for."""
    monkeypatch.setattr(program, "LAST_WORDS", 0.1)

    @reactor_test
    async def test() -> None:
        text = (
            "setsid sh -c 'echo $$ > pid; exec sleep 1000' &"
            " while ! test -s pid; do sleep 0.02; done; echo No.; exit 1"
        )
        async with programs(tmp_path, *script(text)) as running:
            answer = await ProgramCarrier(running).ask(question())
            assert answer == Answer(False, reason="No.")
            os.kill(await number_in(tmp_path / "pid"), signal.SIGKILL)

    test()


def test_closing_does_not_wait_for_ever(tmp_path: Path) -> None:
    @reactor_test
    async def test() -> None:
        text = 'trap "" TERM; echo $$ > pid; while :; do sleep 0.05; done'
        async with programs(tmp_path, *script(text), kill_after=0.3) as running:
            running.run({}, lambda _: None)
            pid = await number_in(tmp_path / "pid")
            await running.close(0.05)
            assert not gone(pid)
        assert gone(pid)

    test()


# ---- what it says


class FakeTransport:
    def loseConnection(self) -> None: ...


def talking(clock: Clock) -> Program:
    made = Program("test", clock, lambda _: None)
    made.transport = FakeTransport()  # type: ignore[assignment]
    return made


def test_lines(logs: Logs) -> None:
    talker = talking(Clock())
    for part in (b"one\ntw", b"o\n\n  \nthree\x1b[31m", b"\xff\n"):
        talker.childDataReceived(2, part)
    talker.childDataReceived(1, b"first\nsecond\nrest")
    talker.processEnded(Failure(ProcessDone(0)))
    assert logs.lines() == [
        f"hook test: {line}"
        for line in ("one", "two", "three\ufffd[31m\ufffd", "first", "second", "rest")
    ]
    assert talker.first_line == "first"


def test_no_line_is_too_long(logs: Logs) -> None:
    talker = talking(Clock())
    for _ in range(1000):
        talker.childDataReceived(2, b"x" * 100)
    assert all(line == "hook test: " + "x" * LINE for line in logs.lines())
    assert sum(map(len, talker._said.values())) <= 4 * LINE


def test_the_log_is_not_flooded(logs: Logs) -> None:
    clock = Clock()
    talker = talking(clock)
    talker.childDataReceived(2, b"".join(b"%d\n" % number for number in range(1000)))
    assert len(logs.lines()) == LINES
    clock.advance(SECONDS_PER_LINE)
    talker.childDataReceived(2, b"later\nstill later\n")
    talker.processEnded(Failure(ProcessTerminated(1)))
    assert logs.lines()[LINES:] == [
        "hook test: (980 lines left out) later",
        "hook test: (1 more lines)",
    ]


# ---- kept


class FakePrograms:
    """`Programs` that start when a test wants it."""

    def __init__(self) -> None:
        self.started: list[FakeProgram] = []
        self.full = False

    def run(self, environment: Any, on_end: Any) -> FakeProgram:
        if self.full:
            raise NoAnswer("no room")
        self.started.append(FakeProgram(on_end))
        return self.started[-1]


class FakeProgram:
    def __init__(self, on_end: Any) -> None:
        self.end = on_end
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


def keep(running: Any, clock: Clock, **keys: Any) -> Kept:
    return Kept("test", running, {}, clock, **{"pause": 5.0, "restarts": 2, **keys})


def test_it_runs_until_it_is_over(logs: Logs) -> None:
    running, clock = FakePrograms(), Clock()
    kept = keep(running, clock)
    (only,) = running.started
    kept.stop()
    assert only.stopped
    only.end(143)
    assert clock.calls == []
    assert logs.about("test") == []


def test_it_is_started_again_so_often(logs: Logs) -> None:
    running, clock = FakePrograms(), Clock()
    keep(running, clock)
    for _ in range(2):
        running.started[-1].end(1)
        clock.advance(4.9)
        count = len(running.started)
        clock.advance(0.1)
        assert len(running.started) == count + 1
    clock.advance(2)
    running.started[-1].end(139)
    assert clock.calls == []
    again = "hook test: its program ended with status 1 after 0.0 s; it starts again in 5 s"
    given_up = "hook test: its program was killed by signal 11 after 2.0 s; it is not started again"
    assert logs.lines("warn") == [again, again, given_up]


def test_one_that_ran_well_begins_to_count_anew() -> None:
    running, clock = FakePrograms(), Clock()
    keep(running, clock)
    for _ in range(5):
        clock.advance(execution.STEADY + 1)
        running.started[-1].end(0)
        clock.advance(5)
    assert len(running.started) == 6


def test_no_room_is_like_an_early_end(logs: Logs) -> None:
    running, clock = FakePrograms(), Clock()
    running.full = True
    keep(running, clock)
    running.full = False
    clock.advance(5)
    assert len(running.started) == 1
    assert logs.lines("warn") == ["hook test: no room; it starts again in 5 s"]


def test_it_is_over_before_it_starts_again() -> None:
    running, clock = FakePrograms(), Clock()
    kept = keep(running, clock)
    running.started[-1].end(1)
    kept.stop()
    assert clock.calls == []


def test_it_is_over_after_it_was_given_up() -> None:
    running, clock = FakePrograms(), Clock()
    kept = keep(running, clock, restarts=0)
    running.started[-1].end(1)
    kept.stop()
    assert clock.calls == []
