"""
Every gate, one after the other: `python -m tests`, from the root of the checkout.

Style and types first, then pytest on all cores, whose summary ends the output. The core and the
middle storey must be covered to the last branch.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

COVERED = ("amf", "wire", "media", "live")


def gates(folder: str) -> dict[str, list[str]]:
    """The commands, by name. `folder` takes what tests leave behind."""
    return {
        "style": ["ruff", "check"],
        "format": ["ruff", "format", "--check"],
        "types": ["mypy"],
        "tests": [
            *("pytest", "--numprocesses=auto", "--benchmark-disable", f"--basetemp={folder}/tests"),
            *(f"--cov=rtmptwist.{room}" for room in COVERED),
            *("--cov-branch", "--cov-report=term-missing:skip-covered", "--cov-fail-under=100"),
        ],
    }


def main() -> int:
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name, command in gates(folder).items():
            print(f"--- {name}: {' '.join(command)}", flush=True)
            if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
                failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
