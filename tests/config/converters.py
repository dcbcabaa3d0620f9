"""What every converter promises."""

from __future__ import annotations

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
