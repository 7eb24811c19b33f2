"""Taking secrets out of this process's environment and arguments once they are read, so that no child has them and `/proc` does not
show them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from terrapod_core.settings import Settings, holds_secret

PR_SET_DUMPABLE: Final = 4
"""linux/prctl.h: no other process of this user reads this one's memory or environment."""

ARG_START, ARG_END = 45, 46
"""Where the fields behind the name in `/proc/self/stat` say that the arguments lie, proc_pid_stat(5)."""


def keep_to_itself(settings: Settings) -> None:
    """Keep what this process knows from others of the same user: its memory and environment, and the files it makes."""
    hide_secrets()
    os.umask(0o077)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def taken(name: str) -> str | None:
    """A variable's value, which is in the environment no more; `None` when it was not there."""
    if name not in os.environ:
        return None
    if sys.platform == "linux":
        _overwrite({os.fsencode(name)})
    return os.environ.pop(name)


def hide_argument(text: str) -> None:
    """Blank an argument that this process was started with, for whoever lists processes; it is seen until then."""
    if sys.platform != "linux":
        return
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[ARG_START]), int(fields[ARG_END])
    secret = os.fsencode(text)
    place = ctypes.string_at(start, end - start).find(secret)
    while place >= 0:
        ctypes.memset(start + place, ord("-"), len(secret))
        place = ctypes.string_at(start, end - start).find(secret)


def hide_secrets() -> None:
    """Remove every variable that holds a secret setting; variables as `TERRAPOD_…_FILE` hold none, and stay."""
    names = [name for name, value in os.environ.items() if holds_secret(name, value)]
    if sys.platform == "linux":
        _overwrite({os.fsencode(name) for name in names})
    for name in names:
        del os.environ[name]


def _overwrite(names: set[bytes]) -> None:
    """Blank the values where the kernel put them when the program began: `/proc/<pid>/environ` shows that memory, and
    taking a variable away leaves it as it is.
    """
    block = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    position = 0
    while address := block[position]:
        text = ctypes.string_at(address)
        name, _, value = text.partition(b"=")
        if name in names:
            ctypes.memset(address + len(name) + 1, 0, len(value))
        position += 1
