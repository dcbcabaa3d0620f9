"""Descriptions, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import MultiService
from twisted.internet.task import Clock

from rtmptwist.disk.chores import Chores
from rtmptwist.interfaces import BadDescription, Description, House, IOutletMaker
from rtmptwist.live.application import Application
from rtmptwist.plugins import Plugged, check, describe
from tests.support.disks import StillDisk
from tests.support.live import Settings


@pytest.mark.parametrize(
    ("text", "kind", "arguments", "options"),
    [
        ("record", "record", (), {}),
        ("record:", "record", ("",), {}),
        ("record:a.flv", "record", ("a.flv",), {}),
        ("record:a.flv:keep=1h:take=all", "record", ("a.flv",), {"keep": "1h", "take": "all"}),
        ("push:rtmp\\://host/app", "push", ("rtmp://host/app",), {}),
        ("record:a=b.flv", "record", ("a=b.flv",), {}),
        ("record:a:b=c=d", "record", ("a",), {"b": "c=d"}),
        ("record:a:b=", "record", ("a",), {"b": ""}),
        ("record:a:B=c", "record", ("a", "B=c"), {}),
        (r"record:a\\:b", "record", ("a\\", "b"), {}),
        ("record:a\\", "record", ("a\\",), {}),
        ("", "", (), {}),
    ],
)
def test_parts(text: str, kind: str, arguments: tuple[str, ...], options: dict[str, str]) -> None:
    assert describe(text) == Description(text, kind, arguments, options)


@given(st.text(alphabet=r"ab:=\{}/"))
def test_any_text_has_parts(text: str) -> None:
    """Hypothesis looks for one that has not."""
    try:
        found = describe(text)
    except BadDescription as error:
        assert "is there twice" in str(error)  # noqa: PT017 - there is nothing to raise always
    else:
        assert found.text == text


@given(st.lists(st.text(min_size=1), max_size=4))
def test_anything_can_be_said(arguments: list[str]) -> None:
    quoted = [part.replace("\\", "\\\\").replace(":", "\\:") for part in ("kind", *arguments)]
    found = describe(":".join(quoted))
    values = [*found.arguments, *(f"{key}={value}" for key, value in found.options.items())]
    assert sorted(values) == sorted(arguments)


def test_an_option_twice() -> None:
    with pytest.raises(BadDescription, match="keep is there twice"):
        describe("record:a.flv:keep=1h:keep=2h")


def outlets() -> tuple[Plugged, Application]:
    clock = Clock()
    disk = StillDisk(clock)
    house = House(clock, Path("/etc"), Path("/x"), disk, Chores(disk, clock), StillDisk(clock))
    return Plugged(IOutletMaker, house), Application("live", Settings(), clock)


def test_outlets_are_plugins() -> None:
    check(IOutletMaker, "record:{name}.flv")
    made, application = outlets()
    service = made.plan(application, "record:{name}.flv")
    assert application.outlets == made.services == []
    made.adopt({application: {"record:{name}.flv": service}})
    assert made.services == [service]
    service.startService()
    assert len(application.outlets) == 1
    service.stopService()


def test_what_stays_in_the_configuration_stays_as_it_is() -> None:
    made, application = outlets()
    parent = MultiService()
    parent.startService()
    texts = ["record:1.flv", "record:2.flv", "record:3.flv"]
    for wanted in texts[:2], texts[1:]:
        made.adopt({application: {text: made.plan(application, text) for text in wanted}})
        for service in made.services:
            if service.parent is None:
                service.setServiceParent(parent)
    assert [outlet.plan.description for outlet in list[Any](application.outlets)] == texts[1:]
    assert len(list(parent)) == 2
    made.adopt({})
    assert (application.outlets, list(parent)) == ([], [])


def test_a_kind_that_nobody_knows() -> None:
    with pytest.raises(BadDescription, match='"recrod"; expected record'):
        check(IOutletMaker, "recrod:{name}.flv")
