"""`python -m rtmptwist`."""

from __future__ import annotations

import sys

from rtmptwist.cli import main

sys.exit(main())
