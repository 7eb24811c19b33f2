"""Taking secrets out of this process's environment once they are read, so that no child has them and `/proc` does not show them."""

from __future__ import annotations

import ctypes
import os
import sys

from terrapod_core.settings import holds_secret


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
