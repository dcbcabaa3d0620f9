"""A SWF file that contains nothing in particular."""

from __future__ import annotations

import zlib
from typing import Final

from rtmptwist.wire.swf import Swf

_BODY: Final = b"tags of a small film" * 20

PLAIN: Final = b"FWS\x0a" + (8 + len(_BODY)).to_bytes(4, "little") + _BODY
COMPRESSED: Final = b"CWS" + PLAIN[3:8] + zlib.compress(_BODY)

SWF: Final = Swf.of(PLAIN)
"What both are known by."
