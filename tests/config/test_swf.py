"""SWF files in a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.config.convert import BadValue
from rtmptwist.config.load import ConfigError, load
from rtmptwist.config.swf import SwfFiles, SwfMeasure, SwfPlace

HASH = bytes(range(32))

FILE = """\
[listener main]
endpoint = tcp:0
[app live]
swf = {swf}
[vhost a.example / app live]
swf = none
"""


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("none", ()),
        ("player.swf", (Path("player.swf"),)),
        (f"1234:{HASH.hex()}", (SwfMeasure(1234, HASH),)),
        (f"a: b/c.swf\n1 : {HASH.hex().upper()}", (Path("a: b/c.swf"), SwfMeasure(1, HASH))),
    ],
)
def test_what_is_read_and_shown(text: str, places: tuple[SwfPlace, ...]) -> None:
    converter = SwfFiles()
    assert converter.read(text) == places
    assert converter.read(converter.show(places)) == places


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "''; expected a SWF file, a folder of them, or SIZE:HASH"),
        ("none\na.swf", "'none'; expected a SWF file"),
        ("a\0b", "expected a SWF file"),
        ("12:beef", "'beef'; expected a hash of 64 hexadecimal digits after SIZE:"),
        (f"12:{HASH.hex()}00", "expected a hash of 64 hexadecimal digits"),
        (f"0:{HASH.hex()}", "'0'; expected 1 to 2147483647"),
    ],
)
def test_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        SwfFiles().read(text)
    (error,) = caught.value.exceptions
    assert isinstance(error, BadValue)
    assert words in str(error)


def test_files_are_seen_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "site.ini"
    path.write_text(FILE.format(swf=f"../player.swf\n  /srv/swf\n  7:{HASH.hex()}"))
    plain, other = load(path).vhosts
    assert plain.apps["live"].swf == (
        tmp_path.parent / "player.swf",
        Path("/srv/swf"),
        SwfMeasure(7, HASH),
    )
    assert other.apps["live"].swf == ()


def test_each_line_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "site.ini"
    path.write_text(FILE.format(swf="1:x\n  player.swf\n  2:y"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.line for problem in caught.value.problems] == [4, 6]
