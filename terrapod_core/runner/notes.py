"""Lines for whoever operates the runner: its own standard error, never the run's log, and never a secret."""

from __future__ import annotations

import sys


def note(text: str) -> None:
    """Write one line."""
    sys.stderr.write(f"terrapod_core.runner: {text}\n")
    sys.stderr.flush()
