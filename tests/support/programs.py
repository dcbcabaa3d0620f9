"""Real encoders and players, and the real server as its own process."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import pytest

from rtmptwist.net.certificates import SELF_MADE_NAME

SAMPLES = Path(__file__).parent.parent / "media_samples"

PATIENCE = 60.0
"Seconds after which a program that should have ended is killed, and the test fails."


@functools.cache
def ffmpeg9() -> str:
    """The FFmpeg that comes with imageio-ffmpeg: it speaks all variants and Enhanced RTMP."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def program(name: str) -> str:
    """A program of the system; the test is skipped, visibly, without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass
class Run:
    """A program that runs, with its output in files, so that no pipe can stall it."""

    process: subprocess.Popen[bytes]
    name: str
    stdout: Path
    stderr: Path

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit status; fails with its words when it does not end in time."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end in {patience} s: {self.words()}"
            ) from None

    def kill(self) -> None:
        """End it, with everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, patience: float = 10.0) -> int:
        """End it as an operator would."""
        self.process.terminate()
        return self.wait(patience)

    def words(self) -> str:
        """The last of what it said."""
        return self.stderr.read_text(errors="replace")[-2000:]

    def output(self) -> bytes:
        """What it printed."""
        return self.stdout.read_bytes()


class Programs:
    """Starts programs, and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: list[Run] = []
        self._files = 0

    def start(self, *command: str | Path, **environment: str) -> Run:
        """Start a program in a process group of its own."""
        number = len(self._runs)
        stdout, stderr = self._folder / f"{number}.out", self._folder / f"{number}.err"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self._folder,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        run = Run(process, Path(command[0]).name, stdout, stderr)
        self._runs.append(run)
        return run

    def folder(self) -> Path:
        """A folder that vanishes with everything else."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def file(self, extension: str) -> Path:
        """A name for a file that vanishes with everything else."""
        self._files += 1
        return self._folder / f"file{self._files}.{extension}"

    def close(self) -> None:
        """End whatever still runs."""
        for run in reversed(self._runs):
            if run.process.poll() is None:
                run.kill()


@contextlib.contextmanager
def programs() -> Iterator[Programs]:
    """Programs that end, and whose files vanish, with the block."""
    with tempfile.TemporaryDirectory(prefix="rtmptwist-") as folder:
        started = Programs(Path(folder))
        try:
            yield started
        finally:
            started.close()


class Site:
    """The real server, started by twistd from a configuration file."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.state = folder
        "Where it keeps what outlives it."
        self.certificate = folder / SELF_MADE_NAME
        "What it signs for itself when it serves TLS."

        self.ports: dict[str, int] = {}
        "Bound ports by listener name."

    def url(self, path: str, scheme: str = "rtmp", listener: str = "main") -> str:
        """An address on this server."""
        return f"{scheme}://127.0.0.1:{self.ports[listener]}/{path}"

    def log(self) -> str:
        """Everything it said so far."""
        return self.run.stdout.read_text(errors="replace") + self.run.stderr.read_text(
            errors="replace"
        )

    def wait_for(self, words: str, patience: float = 30.0, *, times: int = 1) -> None:
        """Wait until its log contains so many lines that match."""
        deadline = time.monotonic() + patience
        while len(re.findall(words, self.log())) < times:
            if time.monotonic() > deadline or self.run.process.poll() is not None:
                raise AssertionError(f"{words!r} not in the server's log:\n{self.log()[-4000:]}")
            time.sleep(0.02)


LISTENER = "[listener main]\nendpoint = tcp:0:interface=127.0.0.1\nserve = rtmp\n"

AT_ONCE = "grace = 0\n"
"Streams end with their publisher."

IN_A_HURRY = "grace = 0\nwindow = 1m\nmax_lag = 1m\n"
"The same, where files are sent as fast as it goes: seconds of lag are no time at all then."


def serve(
    started: Programs,
    application: str = AT_ONCE,
    listeners: str = LISTENER,
    **environment: str,
) -> Site:
    """
    Start the server with one application `live`; waits until it listens.

    `application` is what stands in its section, and what further sections there are. Unless it
    begins with who may publish, anyone may.
    """
    folder = started.folder()
    config = folder / "site.ini"
    publish = "" if application.startswith("publish") else "publish = anyone\n"
    config.write_text(
        f"[server]\nstate = {folder}\n\n{listeners}\n[app live]\n{publish}{application}"
    )
    return serve_file(started, config, **environment)


def serve_file(started: Programs, config: Path, **environment: str) -> Site:
    """Start the server with a configuration file in its state folder; waits until it listens."""
    site = Site(start_server(started, config, **environment), config.parent)
    for name in re.findall(r"^\[listener (\S+)\]", config.read_text(), re.MULTILINE):
        site.wait_for(rf"listener {name}: .*:\d+")
        found = re.search(rf"listener {name}: .*?:(\d+)\b", site.log())
        assert found is not None
        site.ports[name] = int(found[1])
    return site


def start_server(started: Programs, config: Path, **environment: str) -> Run:
    """Start the server, whatever becomes of it."""
    twistd = Path(sys.executable).with_name("twistd")
    environment["PYTHONUNBUFFERED"] = "1"
    return started.start(
        twistd, "--nodaemon", "--pidfile=", "rtmp", "--config", config, **environment
    )


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Packet = tuple[str, ...]
"One line of FFmpeg's framemd5: stream, dts, pts, duration, size, hash."


def packets(ffmpeg: str, source: str | Path) -> list[Packet]:
    """Every packet of a file as FFmpeg reads it."""
    done = subprocess.run(
        player(ffmpeg, str(source)), capture_output=True, timeout=PATIENCE, check=False
    )
    return parse_packets(done.stdout)


def looped(source: Path, target: Path, times: int) -> Path:
    """Write a longer file: the same so many times, one after the other."""
    command = [
        ffmpeg9(), "-v", "error", "-nostdin", "-stream_loop", str(times - 1),
        "-i", str(source), "-c", "copy", str(target),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=PATIENCE)
    return target


def parse_packets(output: bytes) -> list[Packet]:
    """The lines of FFmpeg's framemd5."""
    lines = output.decode().splitlines()
    return [
        tuple(field.strip() for field in line.split(","))
        for line in lines
        if line and not line.startswith("#")
    ]


def player(ffmpeg: str, url: str, *before: str) -> Sequence[str]:
    """A command that plays to the end and prints every packet's hash."""
    return [
        ffmpeg, "-v", "error", "-nostdin", *_unchecked(url), *before, "-i", url, "-map", "0:v?",
        "-map", "0:a?", "-c", "copy", "-copyts", "-f", "framemd5", "-",
    ]  # fmt: skip


def publisher(ffmpeg: str, source: str | Path, url: str, *before: str) -> Sequence[str]:
    """A command that publishes a file as it is."""
    return [
        ffmpeg, "-v", "error", "-nostdin", *before, "-i", str(source), "-map", "0:v?",
        "-map", "0:a?", "-c", "copy", "-copyts", *_unchecked(url), "-f", "flv", url,
    ]  # fmt: skip


def _unchecked(url: str) -> Sequence[str]:
    """The certificates of tests are signed by themselves."""
    return ["-tls_verify", "0"] if url.startswith("rtmps:") else []


def publishing(
    started: Programs, source: Path, url: str, speed: float, *before: str, until: float = 0.1
) -> Run:
    """Let FFmpeg 9 send a file at so many times its speed; wait for so many seconds of it."""
    command = publisher(ffmpeg9(), source, url, "-readrate", str(speed), *before)
    run = started.start(*command, "-progress", "pipe:1", "-stats_period", "0.05")
    deadline = time.monotonic() + PATIENCE
    while not any(
        int(sent) >= until * 1e6
        for sent in re.findall(rb"^out_time_us=(\d+)", run.output(), re.MULTILINE)
    ):
        if time.monotonic() > deadline or run.process.poll() is not None:
            raise AssertionError(f"{run.name} did not publish {until} s: {run.words()}")
        time.sleep(0.02)
    return run
