"""AMF0 and AMF3: values and bytes."""

from rtmptwist.amf.errors import AmfError, AmfLimitExceeded
from rtmptwist.amf.limits import AmfLimits

__all__ = ["AmfError", "AmfLimitExceeded", "AmfLimits"]
