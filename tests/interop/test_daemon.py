"""The ways to run the server that `conf` has, and where its log goes."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import Programs, Run, free_port, program, serve_file

pytestmark = pytest.mark.interop

CONF = Path(__file__).parents[2] / "conf"

LISTENER = "[listener main]\nendpoint = tcp:0:interface=127.0.0.1\n"
APP = "[app live]\npublish = anyone\n"


def written(folder: Path, listener: str = LISTENER, log: str = "json") -> Path:
    config = folder / "site.ini"
    config.write_text(f"[server]\nstate = {folder}\nlog = {log}\n{listener}{APP}")
    return config


def greet(address: tuple[str, int]) -> None:
    """Begin a handshake, which is answered."""
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(b"\3" + bytes(1536))
        assert client.recv(1) == b"\3"


def test_a_server_that_logs_json(started: Programs) -> None:
    site = serve_file(started, written(started.folder()))
    greet(("127.0.0.1", site.ports["main"]))
    assert site.run.stop() == 0
    lines = [json.loads(line) for line in site.run.output().decode().splitlines()]
    (bound,) = [line for line in lines if line["message"].startswith("listener main: ")]
    assert bound["parts"]["address"] == f"127.0.0.1:{site.ports['main']}"
    assert lines[-1]["message"] == "Server Shut Down."


def logging(started: Programs, log: Path, form: str) -> Run:
    """A server in the foreground with `--logfile`, which has said that it is there."""
    twistd = Path(sys.executable).with_name("twistd")
    run = started.start(
        *(twistd, "--nodaemon", f"--pidfile={log.with_suffix('.pid')}", f"--logfile={log}", "rtmp"),
        *("--config", written(log.parent, log=form)),
    )
    wait_for(run, log, "watch: ffplay")
    return run


def wait_for(run: Run, path: Path, words: str) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() or words not in path.read_text():
        assert time.monotonic() < deadline, run.words()
        assert run.process.poll() is None, run.words()
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["as it is", "copytruncate"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_logrotate_may_take_the_log_away(started: Programs, form: str, how: str) -> None:
    """By the sample; the log goes on, and nothing of it is missing or zero."""
    folder = started.folder()
    folder.chmod(0o700)  # logrotate refuses others
    log = folder / "server.log"
    run = logging(started, log, form)
    sample = (CONF / "rtmptwist.logrotate").read_text()
    sample = sample.replace("/var/log/rtmptwist.log", str(log))
    sample = sample.replace("/run/rtmptwist.pid", str(folder / "server.pid"))
    if how == "copytruncate":
        assert how in sample
        sample = re.sub("(?s)    postrotate.*", f"    {how}\n}}\n", sample)
    rotation = folder / "logrotate.conf"
    rotation.write_text(sample)
    rotation.chmod(0o600)
    rotate: list[str | Path] = [
        program("logrotate"),
        "--state",
        folder / "state",
        "--force",
        rotation,
    ]
    for turn in range(2):
        done = subprocess.run(rotate, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        run.process.send_signal(signal.SIGHUP)
        wait_for(run, log, "the configuration is reloaded: nothing has changed in it")
        assert "watch: ffplay" not in log.read_text()
        assert b"\0" not in log.read_bytes()
        old = folder / "server.log.1"
        assert ("watch: ffplay" in old.read_text()) is (turn == 0)
    assert (folder / "server.log.2.gz").exists()
    assert run.stop() == 0
    assert "Server Shut Down." in log.read_text()
    if form == "json":
        for line in log.read_text().splitlines():
            json.loads(line)


def test_a_server_without_a_log_file_is_told_to_begin_a_new_one(started: Programs) -> None:
    site = serve_file(started, written(started.folder()))
    site.run.process.send_signal(signal.SIGUSR1)
    site.run.process.send_signal(signal.SIGUSR1)
    greet(("127.0.0.1", site.ports["main"]))
    assert site.run.stop() == 0
    assert b"SIGUSR1: there is no --logfile to begin anew" in site.run.output()


def test_systemd_may_open_the_port(started: Programs) -> None:
    """What `conf/rtmptwist.socket` says, by the program of systemd that shows what it does."""
    units = configparser.RawConfigParser(strict=False)
    units.read(CONF / "rtmptwist.socket")
    name = units["Socket"]["FileDescriptorName"]
    endpoint = re.search(r"endpoint = (systemd:\S+)", (CONF / "rtmptwist.socket").read_text())
    assert endpoint is not None
    assert endpoint[1].endswith(f"name={name}")
    folder = started.folder()
    config = written(folder, f"[listener main]\nendpoint = {endpoint[1]}\n", "text")
    twistd = Path(sys.executable).with_name("twistd")
    port = free_port()
    run = started.start(
        *(program("systemd-socket-activate"), f"--listen=[::1]:{port}", f"--fdname={name}"),
        *(twistd, "--nodaemon", "--pidfile=", f"--logfile={folder / 'server.log'}", "rtmp"),
        *("--config", config),
    )
    wait_for(run, run.stderr, "Listening on")
    greet(("::1", port))  # which starts the server
    wait_for(run, folder / "server.log", f"listener main: [::1]:{port}")
    greet(("::1", port))
    assert run.stop() == 0


def test_the_units_are_what_systemd_understands() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        [program, "verify", CONF / "rtmptwist.service", CONF / "rtmptwist.socket"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # the programs of the unit are not installed here
    said = [
        line
        for line in done.stderr.splitlines()
        if re.search(r"rtmptwist\.(service|socket)", line)
        and "is not executable" not in line
        and "has no ExecStart" not in line
    ]
    assert said == []


def test_the_unit_starts_reloads_and_stops_as_the_server_wants() -> None:
    unit = (CONF / "rtmptwist.service").read_text()
    assert "--nodaemon --pidfile= rtmp --config" in unit
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit
