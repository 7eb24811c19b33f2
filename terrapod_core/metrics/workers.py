"""Numbers of several processes that answer on one socket: each keeps its own in files, and whoever is asked adds them up.

The parent of the processes calls `share` before it starts them, and `forget` when one has ended. The library looks at the
environment once, when it is imported: so processes that are forked share only if `share` came before `terrapod_core.metrics.definitions`
was imported; those that are programs of their own always do.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The library's."""


def share(directory: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Let the processes that are started with `environ` from now on share their numbers in `directory`, which is made, and emptied."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in directory.glob("*.db"):
        left.unlink()
    environ[VARIABLE] = str(directory)


def forget(pid: int, directory: Path) -> None:
    """Count no more what that process had open; what it has done stays counted."""
    for left in directory.glob(f"gauge_live*_{pid}.db"):
        left.unlink()
