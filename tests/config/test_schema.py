from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.config.access import LOOPBACK
from rtmptwist.config.load import SECTIONS
from rtmptwist.config.schema import App, Key, Limits, keys
from rtmptwist.live.interfaces import ConnectionLimits, StreamSettings
from rtmptwist.wire.limits import Limits as WireLimits

KEYS = [key for _, _, kind in SECTIONS for key in keys(kind).values() if key.name != "endpoint"]


@pytest.mark.parametrize("key", KEYS, ids=[key.name for key in KEYS])
def test_every_default_is_a_value_that_a_file_can_say(key: Key) -> None:
    assert key.converter.read(key.converter.show(key.default)) == key.default


def test_an_application_is_what_live_needs_to_know() -> None:
    """mypy compares the types; a name that mypy does not see used would still be missing here."""
    settings: StreamSettings = App(name="live")
    needed = {name for name in dir(StreamSettings) if not name.startswith("_")}
    assert {name for name in needed if not hasattr(settings, name)} == set()


def test_limits_are_what_the_registry_needs_to_know() -> None:
    limits: ConnectionLimits = Limits()
    assert limits.trusted == LOOPBACK


def test_names_shared_with_the_wire_mean_the_same() -> None:
    """The service copies them over by name."""
    ours = {item.name: item.default for item in dataclasses.fields(Limits)}
    wires: dict[str, Any] = {item.name: item.default for item in dataclasses.fields(WireLimits)}
    shared = ours.keys() & wires.keys()
    assert shared >= {"handshake_timeout", "connect_timeout", "video_size", "commands_per_second"}
    assert {name: ours[name] for name in shared} == {name: wires[name] for name in shared}


def test_only_fields_with_a_converter_are_keys() -> None:
    assert "name" not in keys(App)
    assert list(keys(App))[:3] == ["publish", "play", "logins"]


def test_no_key_is_offered_that_nothing_reads() -> None:
    """By name only: a key that shares its name with another attribute passes unseen."""
    package = Path(__file__).parents[2] / "rtmptwist"
    read = {
        node.attr
        for file in package.rglob("*.py")
        if file.parent.name != "config"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
    }
    known = {"serve"}  # has one value so far
    assert {key.name for key in KEYS} - read - known == set()
