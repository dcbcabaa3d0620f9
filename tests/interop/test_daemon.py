"""The ways to run the server that `conf` has, and where its log goes."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import Programs, serve_file

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


def test_json_in_a_file_that_is_begun_anew(started: Programs) -> None:
    folder = started.folder()
    log = folder / "server.log"
    twistd = Path(sys.executable).with_name("twistd")
    run = started.start(
        *(twistd, "--nodaemon", "--pidfile=", f"--logfile={log}", "rtmp"),
        *("--config", written(folder)),
    )

    def wait_for(path: Path, words: str) -> None:
        deadline = time.monotonic() + 30
        while not path.exists() or words not in path.read_text():
            assert time.monotonic() < deadline, run.words()
            assert run.process.poll() is None, run.words()
            time.sleep(0.02)

    wait_for(log, "watch: ffplay")
    run.process.send_signal(signal.SIGUSR1)
    wait_for(log.with_name("server.log.1"), "watch: ffplay")
    assert run.stop() == 0
    assert "Server Shut Down." in [json.loads(x)["message"] for x in log.read_text().splitlines()]


def test_systemd_may_open_the_port(started: Programs) -> None:
    """What `conf/rtmptwist.socket` does, without systemd: a socket, and how it is called."""
    folder = started.folder()
    config = written(folder, "[listener main]\nendpoint = systemd:domain=INET6:name=rtmp\n", "text")
    units = configparser.RawConfigParser(strict=False)
    units.read(CONF / "rtmptwist.socket")
    name = units["Socket"]["FileDescriptorName"]
    assert f"name={name}" in config.read_text()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as port:
        number = port.getsockname()[1]
        # as systemd: descriptor 3, and the number of the process that it is for
        code = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1',"
            f"LISTEN_FDNAMES='{name}');"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        twistd = Path(sys.executable).with_name("twistd")
        run = subprocess.Popen(
            [
                *(sys.executable, "-c", code, str(port.fileno())),
                *(twistd, "--nodaemon", "--pidfile=", "rtmp", "--config", config),
            ],
            pass_fds=[port.fileno()],
            stdout=(folder / "out").open("wb"),
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            deadline = time.monotonic() + 30
            while f"listener main: [::1]:{number}" not in (folder / "out").read_text():
                assert time.monotonic() < deadline
                assert run.poll() is None, (folder / "out").read_text()
                time.sleep(0.02)
            greet(("::1", number))
        finally:
            run.terminate()
            assert run.wait(30) == 0


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
