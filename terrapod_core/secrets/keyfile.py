"""The file that keeps the key of an embedded installation, readable by its owner only."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEY_FILE: Final = "keys"
"""Its name in the data directory; its content is the text of the setting `secrets.keys`."""


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """The text of the key file, written with `make()` when there is none.

    A directory made for it gets mode 0700, the file 0600; a file found with looser modes is tightened. Of several
    processes that start at once one wins and all read the same key. The file is whole and on disk before it has its name.
    Raises `OSError`.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(temporary, make() + "\n")
        # link() refuses to replace: the first of two processes wins, where rename() would let the second one win.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return _read(path)


def _read(path: Path) -> str:
    with path.open("r", encoding="utf-8") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            os.fchmod(file.fileno(), 0o600)
        return file.read()


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
