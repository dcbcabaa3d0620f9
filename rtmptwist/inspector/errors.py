"""What keeps an inspection from beginning."""

from __future__ import annotations


class InspectError(Exception):
    """It cannot be shown, and why: for whoever typed the command."""
