from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RUN = (
    "python3 -m venv .venv && .venv/bin/pip install --quiet --editable ."
    " && .venv/bin/twistd --nodaemon rtmp --config conf/site.ini"
)
TEST = (
    "python3 -m venv .venv-test && .venv-test/bin/pip install --quiet --editable '.[dev]'"
    " && .venv-test/bin/python -m tests"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_the_package_its_page_and_its_plugins(wheel: Path) -> None:
    expected = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "rtmptwist").rglob("*")
        if file.suffix == ".py" or file.name == "py.typed" or file.parent.name == "page"
    }
    assert "rtmptwist/web/page/status.html" in expected
    plugins = ("plugin", "inlets", "outlets")
    expected |= {f"rtmptwist/conf/{file.name}" for file in (ROOT / "conf").iterdir()}
    expected |= {f"twisted/plugins/rtmptwist_{name}.py" for name in plugins}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_manual_that_help_names_is_there_and_works(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "from rtmptwist.tap import MANUAL, Options; print(MANUAL); print(Options.longdesc)"
    said = subprocess.check_output(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        text=True,
        timeout=60,
    )
    manual = Path(said.split("\n")[0])
    assert manual.is_relative_to(site)
    assert said.endswith(f":\n{manual}\n")
    assert manual.read_text() == (ROOT / "conf" / "site.ini").read_text()


def test_the_container_has_what_it_is_built_from(tmp_path: Path) -> None:
    """
    Without an engine or a base image: each step of the file by hand, but for the user that it makes
    and what it gets from elsewhere. What it starts is what twistd understands.
    """
    pytest.importorskip("hatchling")
    text = (ROOT / "conf" / "Containerfile").read_text().replace("\\\n", "")
    steps = [line.split(maxsplit=1) for line in text.split("\n") if line and line[0] != "#"]
    assert [step for step, _ in steps] == [
        *("FROM", "WORKDIR", "COPY", "COPY", "COPY", "COPY", "RUN", "USER", "WORKDIR", "ENV"),
        *("VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT"),
    ]
    built = tmp_path / "built"
    for *sources, target in (words.split() for step, words in steps if step == "COPY"):
        for source in sources:
            there = built / target if target != "./" else built / source
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, there)
            else:
                built.mkdir(exist_ok=True)
                shutil.copy(ROOT / source, there)
    (run,) = (words for step, words in steps if step == "RUN")
    install, user = run.split("&&")
    assert install.split() == ["python", "-m", "pip", "install", "--no-cache-dir", ".[media]"]
    assert user.split()[0] == "useradd"
    command = [sys.executable, "-m", *install.split()[2:], "--no-deps", "--no-build-isolation"]
    command += ["--target", str(tmp_path / "site")]
    subprocess.run(command, cwd=built, check=True, capture_output=True, timeout=120)
    config = tmp_path / "site.ini"
    config.write_text("[listener main]\nendpoint = tcp:1935\n[app live]\npublish = anyone\n")
    (entry,) = (json.loads(words) for step, words in steps if step == "ENTRYPOINT")
    assert entry[0] == "twistd"
    assert entry[-1] == "/etc/rtmptwist/site.ini"
    code = "import rtmptwist, sys; print(rtmptwist.__file__, file=sys.stderr);"
    code += "from twisted.scripts.twistd import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, *entry[1:-1], str(config), "--check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr.startswith(str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"{config}: ok\n")


def test_twistd_finds_the_installed_plugin_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)  # which is what installing a pure wheel does
    code = (
        "import rtmptwist, sys; print(rtmptwist.__file__, file=sys.stderr);"
        "from twisted.scripts.twistd import run; run()"
    )
    arguments = ["rtmp", "--check", "--config", str(ROOT / "conf" / "site.ini")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr.startswith(str(site))
    assert (done.returncode, done.stdout) == (0, f"{ROOT}/conf/site.ini: ok\n")


def test_the_command_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    (points,) = site.glob("*.dist-info/entry_points.txt")
    assert "[console_scripts]\nrtmptwist = rtmptwist.cli:main\n" in points.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "rtmptwist", "keys", "make", "show.keys", "show", "--quiet"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("key_")


def commands(text: str) -> list[str]:
    """The lines of README's shell blocks."""
    return "".join(re.findall(r"(?ms)^```sh\n(.*?)^```", text)).split("\n")


@pytest.mark.parametrize("command", [RUN, TEST], ids=["run", "test"])
def test_readme_has_one_line_to_run_and_one_to_test(command: str) -> None:
    assert command in commands((ROOT / "README.md").read_text())


def test_ci_runs_exactly_readme_s_test_command() -> None:
    lines = (ROOT / ".ci" / "run").read_text().rstrip("\n").split("\n")
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[-1] == TEST
    assert [line for line in lines if "pytest" in line or "-m tests" in line] == [TEST]
    assert subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT).returncode == 0


def test_what_readme_makes_is_not_for_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().split("\n")
    assert {"/.venv/", "/.venv-test/", "/var/", "twistd.pid"} <= set(ignored)
