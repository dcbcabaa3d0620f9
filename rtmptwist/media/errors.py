"""What can be wrong with media bytes."""

from __future__ import annotations


class MediaError(ValueError):
    """The bytes are not what they should be. The message says what, the value, and what was due."""
