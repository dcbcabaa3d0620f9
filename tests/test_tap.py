from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from twisted.application.service import Service
from twisted.python.usage import UsageError

from rtmptwist import tap
from rtmptwist.config.schema import Config

ROOT = Path(__file__).parents[1]
SITE = ROOT / "conf" / "site.ini"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A file with two mistakes."""
    file = tmp_path / "wrong.ini"
    file.write_text("[listener main]\nendpoint = tcp:1935\n[app live]\nmrege = 1\njoin = late\n")
    return file


def twistd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what the `twistd` script runs, in some folder."""
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def test_options_hold_the_configuration() -> None:
    options = tap.Options()
    options.parseOptions(["-c", str(SITE)])
    assert options.config.path == SITE


def test_all_errors_are_one_usage_error(wrong: Path) -> None:
    options = tap.Options()
    options["config"] = str(wrong)
    with pytest.raises(UsageError) as caught:
        options.postOptions()
    assert str(caught.value).split("\n")[1:] == [
        f'{wrong}:4: [app live] mrege: unknown key; did you mean "merge"?',
        f"{wrong}:5: [app live] join: 'late'; expected instant, keyframe or live-edge",
    ]


def test_there_is_no_configuration_by_guess() -> None:
    with pytest.raises(SystemExit, match="twistd rtmp: --config FILE is missing"):
        tap.Options().parseOptions([])


def test_a_wrong_option_is_an_error_as_well() -> None:
    with pytest.raises(SystemExit, match="twistd rtmp: option --chekc not recognized"):
        tap.Options().parseOptions(["--chekc"])


def test_check_prints_ok_and_starts_nothing(tmp_path: Path) -> None:
    done = twistd(tmp_path, "rtmp", "--check", "--config", str(SITE))
    assert (done.returncode, done.stdout) == (0, f"{SITE}: ok\n")
    assert list(tmp_path.iterdir()) == []


def test_check_tells_what_the_log_would_warn_of(tmp_path: Path) -> None:
    keys = tmp_path / "live.keys"
    keys.write_text("# none yet\n")
    keys.chmod(0o644)
    listener, app = "[listener main]\nendpoint = tcp:0\n", "[app live]\npublish = keys\n"
    (tmp_path / "site.ini").write_text(f"{listener}{app}keys = live.keys\n")
    done = twistd(tmp_path, "rtmp", "--check", "--config", "site.ini")
    assert (done.returncode, done.stdout) == (0, "site.ini: ok\n")
    loose = f"others may read {keys}, which holds secrets (its mode is 0644): chmod 640"
    assert done.stderr == f"warning: {loose}\n"


@pytest.mark.parametrize("arguments", [["--check"], []], ids=["check", "start"])
def test_a_wrong_file_ends_with_status_1_and_no_traceback(
    wrong: Path, arguments: list[str]
) -> None:
    done = twistd(wrong.parent, "--nodaemon", "rtmp", "--config", "wrong.ini", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.split("\n") == [
        "twistd rtmp: the configuration cannot be used:",
        'wrong.ini:4: [app live] mrege: unknown key; did you mean "merge"?',
        "wrong.ini:5: [app live] join: 'late'; expected instant, keyframe or live-edge",
        "",
    ]


def test_the_reactor_is_left_to_twistd() -> None:
    """`twistd --reactor` installs one before the service is made; nobody may be faster."""
    code = (
        "import sys, rtmptwist.tap as tap;"
        f"tap.Options().parseOptions(['--config', {str(SITE)!r}]);"
        "sys.exit('twisted.internet.reactor' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_the_service_gets_the_configuration_and_the_reactor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Config, object]] = []

    class Server(Service):
        reloading = SimpleNamespace(begin=None)
        leave = None

    def make_service(config: Config, reactor: object) -> Server:
        made.append((config, reactor))
        return Server()

    service = ModuleType("rtmptwist.service")
    service.__dict__["make_service"] = make_service
    monkeypatch.setitem(sys.modules, "rtmptwist.service", service)
    options = tap.Options()
    options.parseOptions(["--config", str(SITE)])
    assert isinstance(tap.makeService(options), Service)
    from twisted.internet import reactor

    assert made == [(options.config, reactor)]
