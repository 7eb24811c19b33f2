"""Numbers of several processes that answer on one socket: each keeps its own in files, and whoever is asked adds them up.

The parent of the processes calls `share` before it starts them, and `forget` when one of them has ended. The library looks at the
environment once, when it is imported: so processes that are forked share only if `share` came before `terrapod_core.metrics.definitions`
was imported; those that are programs of their own always do.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The library's."""


def share(directory: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Let the processes that are started with `environ` from now on share their numbers in `directory`, which is made, and emptied.

    Beside it, those go that are named after processes which are no more.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in directory.parent.iterdir():
        if each.name.isdigit() and (each == directory or not _lives(int(each.name))):
            shutil.rmtree(each, ignore_errors=True)
    directory.mkdir(exist_ok=True, mode=0o700)
    environ[VARIABLE] = str(directory)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def forget(pid: int, directory: Path) -> None:
    """Count no more what that process had open; what it has done stays counted."""
    for left in directory.glob(f"gauge_live*_{pid}.db"):
        left.unlink()
