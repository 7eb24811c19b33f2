"""Unpacks a configuration archive that nobody has vouched for.

Directories and files are written first and symbolic links last, so that nothing is ever written through a link; and a link may
only say `../../name/name`, so that each one stays in the tree whatever the others point at.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

from .failures import PhaseFailed
from .order import Limits

RATIO_FROM = 16 << 20
"""Unpacked bytes from which the ratio counts: a few kilobytes of blanks are no bomb."""
LARGEST_HEADER = 1 << 20


class _Refusal(Exception):
    pass


class _Bounded(gzip.GzipFile):
    """A gzip reader that stops at a position, and never returns a header record that would fill the memory."""

    last = 0

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or size > LARGEST_HEADER:
            raise _Refusal("an entry's header is too large")
        data = super().read(size)
        if self.tell() > self.last:
            raise _Refusal("it unpacks to far more than it may")
        return data


def unpack(archive: Path, into: Path, limits: Limits) -> None:
    """Unpack a tar.gz into a new directory, which must not exist. Raises `PhaseFailed` that says which entry was refused and why."""
    into.mkdir(mode=0o700)
    try:
        with archive.open("rb") as raw, _Bounded(fileobj=raw, mode="rb") as stream:
            packed = max(1, archive.stat().st_size)
            stream.last = min(limits.unpacked_bytes + limits.entries * 2048, max(RATIO_FROM, packed * limits.ratio) + limits.entries * 2048)
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                _Unpacking(into, limits, packed).take(tar)
            while stream.read(LARGEST_HEADER):  # to the end, where the checksum of the whole is
                pass
    except _Refusal as refusal:
        raise PhaseFailed(f"The configuration archive was refused: {refusal}.") from None
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, UnicodeError) as error:
        raise PhaseFailed(f"The configuration is not a whole tar.gz archive: {error}.") from error
    except OSError as error:
        raise PhaseFailed(f"The configuration cannot be unpacked: {error.strerror or error}.") from error


class _Unpacking:
    def __init__(self, root: Path, limits: Limits, packed: int) -> None:
        self._root = root
        self._limits = limits
        self._largest = min(limits.unpacked_bytes, max(RATIO_FROM, packed * limits.ratio))
        self._total = 0
        self._links: dict[str, str] = {}

    def take(self, tar: tarfile.TarFile) -> None:
        for number, member in enumerate(tar, 1):
            if number > self._limits.entries:
                raise _Refusal(f"it has more than {self._limits.entries} entries")
            name = self._checked_name(member)
            tar.members = []  # type: ignore[attr-defined]  # the list would hold every entry of a large archive
            if name:
                self._entry(tar, member, name)
        for name, target in self._links.items():
            self._place(name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._place(name).symlink_to(target)
            except FileExistsError:
                raise _Refusal(f"{name!r} is there twice") from None

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        place = self._place(name)
        try:
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
            elif member.issym():
                self._links[name] = self._checked_target(name, member.linkname)
            elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file(tar, member, place)
            else:
                raise _Refusal(f"{name!r} is neither a file, a directory nor a symbolic link")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise _Refusal(f"{name!r} is both a file and a directory") from None

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        self._total += member.size
        if self._total > self._largest:
            raise _Refusal(
                f"it unpacks to more than {self._largest} bytes (the limits are {self._limits.unpacked_bytes} bytes"
                f" and {self._limits.ratio} times its packed size)"
            )
        source = tar.extractfile(member)
        assert source is not None  # a regular file has content
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(place, flags, 0o700 if member.mode & 0o100 else 0o600), "wb") as file:
            _copy(source, file, member)

    def _place(self, name: str) -> Path:
        return self._root / name

    def _checked_name(self, member: tarfile.TarInfo) -> str:
        """The name without `./`; empty for the root itself."""
        name = member.name
        if len(os.fsencode(name)) > self._limits.path_bytes:
            raise _Refusal(f"the path {name[:60]!r}… is longer than {self._limits.path_bytes} bytes")
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise _Refusal(f"{name!r} leaves the configuration's directory")
        return os.path.normpath(name).removeprefix(".") if name.strip("./") == "" else os.path.normpath(name)

    def _checked_target(self, name: str, target: str) -> str:
        if len(os.fsencode(target)) > self._limits.path_bytes or "\0" in target or not target:
            raise _Refusal(f"the symbolic link {name!r} has no usable target")
        parts = [part for part in target.split("/") if part not in ("", ".")]
        up = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
        if target.startswith("/") or ".." in parts[up:] or up > name.count("/"):
            raise _Refusal(f"the symbolic link {name!r} -> {target!r} leaves the configuration's directory")
        return target


def _copy(source: BinaryIO | object, file: BinaryIO | object, member: tarfile.TarInfo) -> None:
    left = member.size
    while left:
        chunk = source.read(min(left, 1 << 16))  # type: ignore[union-attr]
        if not chunk:
            raise EOFError(f"it ends in the middle of {member.name!r}")
        file.write(chunk)  # type: ignore[union-attr]
        left -= len(chunk)
