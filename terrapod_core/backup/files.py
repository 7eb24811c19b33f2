"""A file that has its name only when it is whole, whatever ends the process that writes it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

_NO_SUCH_THING: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
"""How file systems say that they have no files without names."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, mode 0600. At the end of the block it is on disk and takes the place of what is called `path`.

    Where the file system can, it has no name before: a process that is killed leaves nothing. Raises `OSError`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor, named = _open(path.parent, temporary)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            yield file
        os.fsync(descriptor)
        if not named:
            _link(descriptor, temporary)
            named = True
        temporary.replace(path)
        named = False
        _sync(path.parent)
    finally:
        os.close(descriptor)
        if named:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _open(directory: Path, temporary: Path) -> tuple[int, bool]:
    """A descriptor, and whether its file has the temporary name."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), False
    except OSError as error:
        if error.errno not in _NO_SUCH_THING:
            raise
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), True


def _link(descriptor: int, path: Path) -> None:
    """Give an open file a name."""
    links = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory of its own for the source: without one Python makes a second name of the link instead of the file.
        os.link(str(descriptor), path, src_dir_fd=links, follow_symlinks=True)
    finally:
        os.close(links)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
