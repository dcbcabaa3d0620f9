"""Hooks, as encoders, players and operators see them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.web.server import NOT_DONE_YET

from rtmptwist.config.load import load
from rtmptwist.config.schema import Hook
from rtmptwist.hooks.asking import NOT_NOW
from tests.support.backend import Backend, Reply, backend, never, raw, says
from tests.support.guests import Host, eventually, live, serving
from tests.support.pki import authority
from tests.support.processes import gone, written
from tests.support.programs import (
    AT_ONCE,
    PATIENCE,
    SAMPLES,
    Programs,
    Run,
    Site,
    ffmpeg9,
    free_port,
    packets,
    parse_packets,
    player,
    program,
    programs,
    publisher,
    publishing,
    serve,
)
from tests.support.reactor import reactor_test

pytestmark = pytest.mark.interop

reactor: Any = _reactor

SAMPLE = SAMPLES / "h264-b-aac.flv"
README = Path(__file__).parents[2] / "README.md"


def hook(web: Backend, on: str, **keys: Any) -> Hook:
    return Hook(name="backend", url=web.url, on=frozenset(on.split()), **{"ca": web.ca, **keys})


async def ended(run: Run) -> int:
    """Its status; the server is in this process, so nobody may block."""
    await eventually(lambda: run.process.poll() is not None, PATIENCE)
    return run.wait()


def url(host: Host, name: str) -> str:
    return f"{host.address}/live/{name}"


def listening(port: int) -> bool:
    """Whether somebody listens on a port of this machine, without coming to see."""
    lines = Path("/proc/net/tcp").read_text().split("\n")
    return any(f":{port:04X} 00000000:0000 0A" in line for line in lines)


# ---- what the encoder shows

LATER = NOT_NOW.rstrip(".")

OUTCOMES: dict[str, tuple[Reply, str]] = {
    "refuse": (says(b"Ask Anna for a token.", 403), "Ask Anna for a token."),
    "refuse by json": (says({"allow": False, "reason": "Ask Anna."}), "Ask Anna."),
    "redirect": (says(b"", 302, Location="rtmp://b.example/live/a"), "rtmp://b.example/live/a"),
    "timeout": (never, LATER),
    "500": (says(b"", 500), LATER),
    "garbage": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), LATER),
    "huge": (says(b"x" * 1_000_000), LATER),
    "self-signed": (says(), LATER),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("on", ["connect", "publish", "play"])
def test_ffmpeg_shows_why_not(on: str, outcome: str, started: Programs, tmp_path: Path) -> None:
    reply, text = OUTCOMES[outcome]
    now = time.time()
    mine = authority(now=now).sign("localhost", now=now) if outcome == "self-signed" else None

    @reactor_test
    async def test() -> None:
        async with backend(tmp_path, signed=mine) as web:
            web.reply = reply
            timeout = 0.3 if outcome == "timeout" else 20.0
            asked = hook(web, on, retries=0, timeout=timeout)
            async with serving(live(hooks=("backend",)), hooks=(asked,)) as host:
                command = (
                    player(ffmpeg9(), url(host, "a"))
                    if on == "play"
                    else publisher(ffmpeg9(), SAMPLE, url(host, "a"))
                )
                run = started.start(*command)
                assert await ended(run) != 0
                assert text in run.words()
                assert host.application().streams == {}

    test()


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_from_ffmpeg_to_ffmpeg_with_hooks_in_between(
    seconds: float, started: Programs, tmp_path: Path
) -> None:
    """Every packet, however long the hook takes, and under the name that it gives."""

    def slowly(request: Any) -> int:
        request.setResponseCode(302)
        request.setHeader("Location", "public")
        reactor.callLater(seconds, request.finish)
        return NOT_DONE_YET

    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web:
            web.replies["publish"] = web.replies["play"] = slowly
            app = live(hooks=("backend",), grace=0, window=60, max_lag=60, after_end="close")
            asked = hook(web, "connect publish play done")
            async with serving(app, hooks=(asked,)) as host:
                watching = started.start(*player(ffmpeg9(), url(host, "whatever")))
                await eventually(lambda: "play" in web.calls())
                await deferLater(reactor, seconds)
                sending = started.start(*publisher(ffmpeg9(), SAMPLE, url(host, "secret")))
                assert await ended(sending) == 0, sending.words()
                assert await ended(watching) == 0, watching.words()
                await eventually(lambda: len(web.heard) == 8)
                assert web.of("publish")[0]["flashver"].startswith("FMLE/3.0 (compatible; Lavf")
                assert web.of("publish_done")[0]["name"] == "public"
                assert web.of("publish_done")[0]["messages"] > 50

    test()
    (watched,) = [run for run in started._runs if "framemd5" in str(run.process.args)]
    assert parse_packets(watched.output()) == packets(ffmpeg9(), SAMPLE)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"codecs": ["hvc1", "mp4a"]}, "avc1 is not allowed here, but hvc1, mp4a."),
        ({"codecs": ["avc1", "mp4a"], "width": 320, "height": 180, "bitrate": 6_000_000}, ""),
    ],
)
def test_limits(limits: dict[str, Any], words: str, started: Programs, tmp_path: Path) -> None:
    """What a hook allows holds for what follows; the encoder shows what was too much."""

    @reactor_test
    async def test() -> None:
        async with backend(tmp_path) as web:
            web.reply = says({"limits": limits})
            asked = hook(web, "publish")
            async with serving(live(hooks=("backend",)), hooks=(asked,)) as host:
                command = publisher(ffmpeg9(), SAMPLE, url(host, "a"), "-readrate", "5")
                run = started.start(*command)
                status = await ended(run)
                assert (status == 0) is not bool(words), run.words()
                assert words in run.words()

    test()


# ---- what was written for nginx-rtmp

NGINX_RTMP = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")

NGINX = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
rtmp {{
    server {{
        listen 127.0.0.1:{port};
        on_connect {url};
        on_disconnect {url};
        application live {{
            live on;
            on_publish {url};
            on_play {url};
            on_publish_done {url};
            on_play_done {url};
        }}
    }}
}}
"""

CALLS = ["connect", "disconnect", "play", "play_done", "publish", "publish_done"]

ONLY_NGINX = {"epoch", "type", "start", "duration", "reset"}
"What it says besides; of what stands in commands, our hooks hear only what they may decide about."


def _more(web: Backend, count: int) -> bool:
    return len(web.heard) >= count


def test_the_form_is_that_of_nginx_rtmp(started: Programs) -> None:
    """FFmpeg publishes and plays at both: the same fields with the same values."""
    server = program("nginx")
    if not NGINX_RTMP.exists():
        pytest.skip(f"{NGINX_RTMP} is not installed")
    heard: dict[str, list[dict[str, Any]]] = {}

    async def come_and_go(web: Backend, address: str) -> None:
        target = f"{address}/live/show?token=a%20b&x="
        for command in (publisher(ffmpeg9(), SAMPLE, target), player(ffmpeg9(), target)):
            calls = len(web.heard)
            run = started.start(*command)
            if "framemd5" in command:
                await eventually(lambda: "play" in web.calls())
                run.process.terminate()
            await ended(run)
            await eventually(partial(_more, web, calls + 4), PATIENCE)
        assert sorted(set(web.calls())) == CALLS

    @reactor_test
    async def test() -> None:
        async with backend() as web:
            port = free_port()
            folder = started.folder()
            config = folder / "nginx.conf"
            config.write_text(
                NGINX.format(module=NGINX_RTMP, folder=folder, port=port, url=web.url)
            )
            nginx = started.start(server, "-c", config, "-e", "stderr")
            await eventually(lambda: listening(port) or nginx.process.poll() is not None)
            await come_and_go(web, f"rtmp://127.0.0.1:{port}")
            heard["nginx"] = [asked.fields for asked in web.heard]
        async with backend() as web:
            asked = hook(web, "connect publish play done", format="form")
            async with serving(live(hooks=("backend",)), hooks=(asked,)) as host:
                await come_and_go(web, host.address)
            heard["we"] = [asked.fields for asked in web.heard]

    test()
    for call in CALLS:
        theirs, ours = (
            next(fields for fields in heard[who] if fields["call"] == call)
            for who in ("nginx", "we")
        )
        for name, value in theirs.items():
            if name == "flashver":
                assert ours[name].startswith(value), "of which nginx-rtmp keeps 31 bytes"
            elif name not in ONLY_NGINX | {"clientid", "tcurl"}:
                assert ours[name] == value, (call, name)
        assert re.sub(r":\d+/", "/", ours["tcurl"]) == re.sub(r":\d+/", "/", theirs["tcurl"])
        assert ours["clientid"].isdigit()


# ---- README


def blocks(kind: str) -> list[str]:
    """The blocks of README's chapter, as they stand."""
    chapter = README.read_text().partition("\n## Hooks\n")[2].partition("\n## ")[0]
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```", chapter)


def test_readme_s_back_end(started: Programs) -> None:
    (code,) = blocks("python")
    server, _ = blocks("ini")
    port = free_port()
    folder = started.file("d")
    folder.mkdir()
    (folder / "backend.py").write_text(code)
    make = re.search(r"; (umask .*)", server)
    assert make
    subprocess.run(["sh", "-c", make[1]], cwd=folder, check=True)
    running = started.start(
        sys.executable, folder / "backend.py", str(port), folder / "hook.secret"
    )
    sections = server.partition("[app live]")[0]
    sections = sections.replace("8000", str(port)).replace(
        "= hook.secret", f"= {folder}/hook.secret"
    )
    site = serve(started, f"{AT_ONCE}hooks = backend\n\n{sections}")
    deadline = time.monotonic() + PATIENCE
    while not listening(port):
        assert time.monotonic() < deadline, running.words()
        time.sleep(0.02)
    for token, allowed in (("open-sesame", True), ("sesame", False)):
        command = publisher(ffmpeg9(), SAMPLE, site.url(f"live/show?token={token}"))
        sending = started.start(*command)
        assert (sending.wait() == 0) is allowed, sending.words()
        assert ("Ask Anna for a token." in sending.words()) is not allowed
    site.run.stop()
    assert "Traceback" not in running.words()
    assert "hook backend" not in site.log()
    said = running.output().decode().split("\n")
    assert said[0] == "publish show None"
    assert said.count("disconnect None None") == 2
    assert any(re.fullmatch(r"publish_done show \d{5,}", line) for line in said)
    assert len([line for line in said if line.startswith("publish ")]) == 2


def test_readme_s_sections(tmp_path: Path) -> None:
    path = tmp_path / "site.ini"
    first, second = blocks("ini")
    listener = "[listener main]\nendpoint = tcp:0\n"
    path.write_text(listener + first.replace("= backend\n", "= backend, thumbnails\n") + second)
    config = load(path)
    assert [hook.name for hook in config.hooks] == ["backend", "thumbnails"]
    run = config.hooks[1].run
    assert run is not None
    assert run[:2] == ("sh", "-c")
    assert '"rtmp://localhost/live/$RTMP_NAME"' in run[2]


# ---- no orphans

KEPT = """
[hook kept]
run = sh -c 'echo $$ > "{file}"; sleep 1000 & wait'
mode = keep
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_program_survives_its_server(number: signal.Signals, started: Programs) -> None:
    file = started.file("pid")
    site: Site = serve(started, AT_ONCE + "hooks = kept\n" + KEPT.format(file=file))
    sending = publishing(started, SAMPLE, site.url("live/show"), 0.2)
    deadline = time.monotonic() + PATIENCE
    while not (pid := written(file)):
        assert time.monotonic() < deadline, site.log()
        time.sleep(0.02)
    os.kill(site.run.process.pid, number)
    while not gone(pid) or _in_group(pid):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.02)
    assert site.run.wait() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    sending.wait()


def _in_group(group: int) -> bool:
    """Whether anybody is left in a process group."""
    ps = shutil.which("ps")
    assert ps
    found = subprocess.run([ps, "-eo", "pgid=,stat="], capture_output=True, text=True, check=True)
    return any(
        line.split()[0] == str(group) and not line.split()[1].startswith("Z")
        for line in found.stdout.splitlines()
    )


COPY = """
[hook copy]
run = sh -c 'exec "{ffmpeg}" -v error -nostdin -y -analyzeduration 1 -i "{url}/$RTMP_NAME" \\
    -c copy -flush_packets 1 -f flv "{file}"'
mode = keep
"""


def test_ffmpeg_keeps_a_stream_company(started: Programs) -> None:
    """It plays what it was started for, and ends its file in good order when that is over."""
    file = started.file("flv")
    port = free_port()
    listener = f"[listener main]\nendpoint = tcp:{port}:interface=127.0.0.1\nserve = rtmp\n"
    section = COPY.format(ffmpeg=ffmpeg9(), url=f"rtmp://127.0.0.1:{port}/live", file=file)
    site = serve(started, f"{AT_ONCE}hooks = copy\n{section}", listener)
    sending = publishing(started, SAMPLE, site.url("live/show"), 0.5)
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.stat().st_size > 2_000):
        assert time.monotonic() < deadline, site.log()
        time.sleep(0.02)
    sending.stop()
    site.wait_for("no longer plays live/show")
    assert site.run.stop() == 0
    copied = [packet[4:] for packet in packets(ffmpeg9(), file)]
    sent = [packet[4:] for packet in packets(ffmpeg9(), SAMPLE)]
    assert len(copied) > 3
    assert set(copied) <= set(sent)


# ---- recordings


def test_recordings_are_told(tmp_path: Path) -> None:
    """When one begins, for each file that is complete, and when it is over."""
    heard, tell = tmp_path / "heard", tmp_path / "tell"
    tell.write_text(
        f'#!/bin/sh\necho "$RTMP_CALL $RTMP_NAME $RTMP_PATH $RTMP_PART" >> {heard}\n'
        f'test "$RTMP_CALL" != record_done || wc -c < "$RTMP_PATH" >> {heard}\n'
        f'test "$RTMP_CALL" != record_done || echo "$RTMP_BYTES" >> {heard}\n'
    )
    tell.chmod(0o755)
    with programs() as started:
        site = serve(
            started,
            f"grace = 0\nhooks = told\noutlets = record:{tmp_path}/{{name}}.flv\n"
            f"[hook told]\nrun = {tell}\nat_once = 1\n"
            "on = record, record_done, record_end\nmode = tell\n",
        )
        assert started.start(*publisher(ffmpeg9(), SAMPLE, site.url("live/show"))).wait() == 0
        deadline = time.monotonic() + PATIENCE
        while "record_end" not in (heard.read_text() if heard.exists() else ""):
            assert time.monotonic() < deadline, site.log()
            time.sleep(0.05)
        file = tmp_path / "show.flv"
        size = str(file.stat().st_size)
        lines = heard.read_text().split("\n")
        assert lines[:2] == [f"record show {file} 1", f"record_done show {file} 1"]
        assert lines[2:4] == [size, size]
        assert lines[4].startswith("record_end show ")
