"""Makes the inlets of rtmptwist known to it, as others may do with theirs."""

from rtmptwist.inlets.file import FileMaker

file = FileMaker()
