"""The process between the server and a program, by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtmptwist.hooks import guardian
from tests.support.processes import gone

PATIENCE = 30.0

STUBBORN = """
trap "" TERM
echo $$
while :; do sleep 0.05; done
"""

GENTLE = """
trap 'echo "done" > gone; exit 5' TERM
echo $$
while :; do sleep 0.05; done
"""


@contextmanager
def guarded(
    folder: Path, *command: str, seconds: float = PATIENCE
) -> Iterator[subprocess.Popen[str]]:
    """A program with its guardian; the lifeline is cut at the end of the block."""
    guarding = subprocess.Popen(
        [sys.executable, "-I", "-S", guardian.__file__, str(seconds), str(folder), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with guarding:
        try:
            yield guarding
        finally:
            assert guarding.stdin is not None
            guarding.stdin.close()
            guarding.wait(PATIENCE)


def line(guarding: subprocess.Popen[str]) -> str:
    """What the program prints next."""
    assert guarding.stdout is not None
    return guarding.stdout.readline().strip()


def everything(guarding: subprocess.Popen[str]) -> str:
    """All that the program prints until it ends."""
    assert guarding.stdout is not None
    return guarding.stdout.read()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("status", [0, 1, 3, 125, 255])
def test_the_status_is_that_of_the_program(status: int, tmp_path: Path) -> None:
    with guarded(tmp_path, "sh", "-c", f"exit {status}") as guarding:
        assert guarding.wait(PATIENCE) == status


def test_killed_by_somebody(tmp_path: Path) -> None:
    with guarded(tmp_path, "sh", "-c", "kill -USR1 $$") as guarding:
        assert guarding.wait(PATIENCE) == 128 + signal.SIGUSR1


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with guarded(tmp_path, "./no-such-program") as guarding:
        assert guarding.wait(PATIENCE) == guardian.NOT_FOUND
        assert guarding.stderr is not None
        assert guarding.stderr.read() == (
            f"cannot start ./no-such-program in {tmp_path}: No such file or directory\n"
        )


def test_a_program_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with guarded(tmp_path, "./text") as guarding:
        assert guarding.wait(PATIENCE) == guardian.NOT_STARTED


def test_folder_input_and_signals(tmp_path: Path) -> None:
    """Python ignores SIGPIPE, and what it starts would, too: `yes | head` would never end."""
    script = "pwd; cat; yes | head -1; trap"
    with guarded(tmp_path, "sh", "-c", script) as guarding:
        assert everything(guarding) == f"{tmp_path.resolve()}\ny\n"


def test_it_gets_no_descriptor_but_three(tmp_path: Path) -> None:
    with guarded(tmp_path, "ls", "/proc/self/fd") as guarding:
        assert set(everything(guarding).split()) - {"3"} == {"0", "1", "2"}, "and one of ls itself"


def test_cutting_the_lifeline_ends_it_gently(tmp_path: Path) -> None:
    with guarded(tmp_path, "sh", "-c", GENTLE) as guarding:
        assert line(guarding)
    assert guarding.returncode == 5
    assert (tmp_path / "gone").read_text() == "done\n"


def test_and_by_force(tmp_path: Path) -> None:
    with guarded(tmp_path, "sh", "-c", STUBBORN, seconds=0.2) as guarding:
        pid = int(line(guarding))
    assert guarding.returncode == 128 + signal.SIGKILL
    assert gone(pid)


@pytest.mark.parametrize("script", ["sleep 1000 & echo $!", "sleep 1000 & echo $!; wait"])
def test_nothing_is_left_behind(script: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "sh", "-c", script) as guarding:
        child = int(line(guarding))
    eventually(lambda: gone(child))
    assert guarding.returncode in (0, 128 + signal.SIGTERM)


def test_nothing_stubborn_is_left_behind(tmp_path: Path) -> None:
    script = f"sh -c '{STUBBORN}' & wait"
    with guarded(tmp_path, "sh", "-c", script, seconds=0.2) as guarding:
        child = int(line(guarding))
    eventually(lambda: gone(child))


def test_the_end_of_its_server_is_that_of_the_program(tmp_path: Path) -> None:
    """SIGKILL leaves a server no time for anything: the lifeline closes all the same."""
    server = (
        "import subprocess, sys; guarding = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE);"
        " guarding.wait()"
    )
    command = [sys.executable, "-I", "-S", guardian.__file__, "5", str(tmp_path), "sh", "-c"]
    with subprocess.Popen(
        [sys.executable, "-c", server, *command, "echo $$; exec sleep 1000"],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        pid = int(line(running))
        assert not gone(pid)
        running.kill()
    eventually(lambda: gone(pid))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_who_ends_all_processes_ends_the_program_in_good_order(
    number: signal.Signals, tmp_path: Path
) -> None:
    """systemd sends SIGTERM to all that belongs to a service."""
    with guarded(tmp_path, "sh", "-c", GENTLE) as guarding:
        assert line(guarding)
        guarding.send_signal(number)
        assert guarding.wait(PATIENCE) == 5


def test_a_session_of_its_own(tmp_path: Path) -> None:
    """Ctrl-C in the server's terminal is for the server, which then decides."""
    with guarded(tmp_path, "sh", "-c", "echo $$; exec sleep 1000") as guarding:
        pid = int(line(guarding))
        assert os.getsid(pid) == os.getpgid(pid) == pid
        assert os.getsid(guarding.pid) == guarding.pid
