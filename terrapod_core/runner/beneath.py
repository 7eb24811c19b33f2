"""Reading files in directories where the engine writes: it may have put a link, a pipe or a device there by now."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_beneath(root: Path, relative: Path) -> BinaryIO:
    """Open a regular file for reading; no link is followed from `root` on, and nothing blocks. Raises `OSError`."""
    *directories, name = relative.parts
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for directory in directories:
            below = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        file = os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here), "rb")
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{relative} is no file")
    return file


def read_beneath(root: Path, relative: Path) -> bytes:
    """The content of such a file."""
    with open_beneath(root, relative) as file:
        return file.read()
