"""Makes the outlets of rtmptwist known to it, as others may do with theirs."""

from rtmptwist.outlets.record import RecordMaker

record = RecordMaker()
