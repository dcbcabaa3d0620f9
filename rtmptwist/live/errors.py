"""What `live` refuses: legal RTMP, but not here or not now."""

from __future__ import annotations

from rtmptwist.amf.values import Value
from rtmptwist.wire.status import Status, StatusCode


class Refused(Exception):
    """Somebody asked for what they cannot have. The status goes to them as it stands."""

    def __init__(self, code: StatusCode, description: str, **more: Value) -> None:
        super().__init__(f"{code}: {description}")
        self.status = Status(code, description, more)
        "Code, level and a sentence that helps whoever reads it in an encoder's window."
        self.reason = description
        "For our log."

    def because(self, reason: str) -> Refused:
        """The same, for a reason that they need not, or cannot, read."""
        self.reason = reason
        return self
