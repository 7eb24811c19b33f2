"""The file that keeps the keys of an embedded installation, readable by its owner only."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from terrapod_core.plugin import Key, Keys

KEY_FILE: Final = "keys"
"""Its name in the data directory; its content is the text of the setting `secrets.keys`, a key a line."""


def new_key() -> str:
    """A fresh random key as settings text, `id:base64key`; the id is random and says nothing about the key."""
    return f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def write_first(path: Path, text: str) -> None:
    """Write the key file, unless there is one.

    A directory made for it gets mode 0700, the file 0600. Of several processes that start at once one wins. The file is whole
    and on disk before it has its name. Raises `OSError`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(temporary, text + "\n")
        # link() refuses to replace: the first of two processes wins, where rename() would let the second one win.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def read(path: Path) -> str:
    """The text of the key file; its mode is tightened. Raises `OSError`."""
    with path.open("r", encoding="utf-8") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            os.fchmod(file.fileno(), 0o600)
        return file.read()


def change(path: Path, edit: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Put what `edit` makes of the file's keys in place of them; whoever reads sees the former file or the new one, whole.

    Two that change it at once do so one after the other. Raises `OSError`, `KeyringError`, and whatever `edit` raises.
    """
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        keys = edit(Keys.read(read(path), f"the key file {path}").keys)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            _write(temporary, "".join(f"{key.id}:{base64.b64encode(key.secret).decode()}\n" for key in Keys(keys)))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
