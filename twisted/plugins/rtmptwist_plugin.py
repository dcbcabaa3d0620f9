"""Makes `twistd rtmp` known to Twisted."""

from twisted.application.service import ServiceMaker

rtmp = ServiceMaker(
    "rtmptwist", "rtmptwist.tap", "A live video server: RTMP in all its variants.", "rtmp"
)
