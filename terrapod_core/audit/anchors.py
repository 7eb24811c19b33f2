"""Checkpoints outside the database: an append-only file, written as they are made and read by `terrapod audit verify`.

Whoever can write to the database can cut the chain and its checkpoints off together. What stands here they cannot take back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from terrapod_core.audit.checkpoints import EVENT, Checkpoint
from terrapod_core.errors import BadRequest

TAIL_BYTES: Final = 1 << 16
"""How far from the file's end the newest line of a chain is looked for."""


class AnchorFile:
    """The file of the setting `audit.anchor_file`. Only ever opened to append, so it may be append-only for the system too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def newest(self, chain: str) -> int:
        """The highest number of this chain in the file; 0 when there is none. Raises `OSError`."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                found = [checkpoint_of(line) for line in file]
        except FileNotFoundError:
            return 0
        return max((each.seal_no for each in found if each is not None and each.chain == chain), default=0)

    def append(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Write a line for each; they are on the disk when this returns. Raises `OSError`."""
        torn = self._is_torn()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(b"".join((b"\n" if torn else b"", *(each.line() for each in checkpoints))))
            file.flush()
            os.fsync(file.fileno())

    def _is_torn(self) -> bool:
        """Whether a crash cut the last line off: it would spoil the next one."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) == 0:
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except FileNotFoundError:
            return False


def read_anchors(path: Path) -> Iterator[tuple[int, Checkpoint]]:
    """Line number and checkpoint of each line that is one; other lines of a log are passed over.

    Raises `BadRequest` when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                found = checkpoint_of(line)
                if found is not None:
                    yield number, found
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror or error}") from error


def checkpoint_of(line: bytes) -> Checkpoint | None:
    """The checkpoint that a line of JSON holds, in the anchor file or in the server's log; `None` for any other line."""
    if EVENT.encode() not in line:
        return None
    try:
        document = msgspec.json.decode(line)
        return msgspec.convert(document, Checkpoint) if isinstance(document, dict) and document.get("event") == EVENT else None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
