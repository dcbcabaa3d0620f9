"""What can go wrong with AMF, in either direction."""

from __future__ import annotations


class AmfError(ValueError):
    """Bytes that are no AMF, or a value that AMF cannot say. Costs one message, nothing else."""


class AmfLimitExceeded(AmfError):
    """Well-formed, but beyond a bound of ours (`amf.limits`)."""
