"""A live video server: RTMP, RTMPE, RTMPS, RTMPT, RTMPTE and RTMPTS on one registry of streams."""

__version__ = "0.1.0"
