"""What every converter promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rtmptwist.config.convert import BadValue, Converter


def assert_read(converter: Converter[Any], text: str, value: object) -> None:
    """A text means a value, and what is shown of that means it, too."""
    assert converter.read(text) == value
    assert converter.read(converter.show(value)) == value


def complaint(converter: Converter[Any], text: str) -> str:
    """What is said of a text that means nothing."""
    with pytest.raises(BadValue) as caught:
        converter.read(text)
    return str(caught.value)


def table(
    good: list[tuple[Converter[Any], str, object]], bad: list[tuple[Converter[Any], str, str]]
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Two tests: what is read and shown; what an error says was found, and what is allowed."""

    @pytest.mark.parametrize(("converter", "text", "value"), good, ids=[case[1] for case in good])
    def test_good(converter: Converter[Any], text: str, value: object) -> None:
        assert_read(converter, text, value)

    @pytest.mark.parametrize(("converter", "text", "error"), bad, ids=[case[1] for case in bad])
    def test_bad(converter: Converter[Any], text: str, error: str) -> None:
        assert complaint(converter, text) == error

    return test_good, test_bad
