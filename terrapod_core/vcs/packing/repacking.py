"""From one archive to the other, entry by entry; nothing of it is held."""

from __future__ import annotations

import gzip
import io
import posixpath
import tarfile
from typing import BinaryIO, Final

from terrapod_core.vcs.packing.order import Notes, Order

STEP: Final = 1 << 16
TOLD: Final = 5
"""Of each kind of oddity."""
LFS: Final = b"version https://git-lfs.github.com/spec/"
LFS_BYTES: Final = 1024
"""A pointer is smaller."""
READ: Final = (".tf", ".tf.json", ".tofu", ".tofu.json")
"""What terraform and tofu read in a directory."""


class Refused(Exception):
    """The archive is too large. The text is the end of a sentence."""


def repack(source: BinaryIO, target: BinaryIO, order: Order, notes: Notes) -> None:
    """Read a gzip tar to its end and write one with what `order` wants. Raises `Refused`, and what `tarfile` raises for what is none."""
    wanted = None if order.paths is None else _Wanted(order.paths)
    looked_for = set(order.directories)
    below = f"{order.root}/" if order.root else ""
    with (
        # Not tarfile's own reading of gzip, which looks neither at the checksum nor whether the end is there.
        gzip.GzipFile(fileobj=source, mode="rb") as plain,
        tarfile.open(fileobj=plain, mode="r|", bufsize=STEP) as coming,
        # Level 1: it is unpacked once, and compressed again by the store.
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=STEP, format=tarfile.PAX_FORMAT) as going,
    ):
        kept = size = 0
        while (member := coming.next()) is not None:
            coming.members = []  # type: ignore[attr-defined]  # it would keep them all
            path = member.name.partition("/")[2].strip("/")
            if not path:
                continue
            if path == ".gitmodules":
                notes.submodules = True
            if wanted is not None and not wanted.has(path, directory=member.isdir()):
                continue
            kept, size = kept + 1, size + member.size
            if kept > order.entries:
                raise Refused(f"has more than {order.entries} files and directories (limits.archive_entries)")
            if size > order.unpacked_bytes:
                raise _larger(order)
            _look_for(path, looked_for, notes, directory=member.isdir())
            if not path.startswith(below):
                continue
            _pass(coming, going, member, path.removeprefix(below), notes)
        while rest := plain.read(STEP):
            size += len(rest)
            if size > order.unpacked_bytes:
                raise _larger(order)


def _larger(order: Order) -> Refused:
    return Refused(f"unpacks to more than {order.unpacked_bytes >> 20} MiB (limits.unpacked_bytes)")


def _pass(coming: tarfile.TarFile, going: tarfile.TarFile, member: tarfile.TarInfo, path: str, notes: Notes) -> None:
    passed = tarfile.TarInfo(path)
    passed.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    if member.isdir():
        passed.type = tarfile.DIRTYPE
        going.addfile(passed)
    elif member.issym():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        if member.linkname.startswith("/") or target == ".." or target.startswith("../"):
            _tell(notes.links_out, path)
            return
        passed.type, passed.linkname = tarfile.SYMTYPE, member.linkname
        going.addfile(passed)
    elif member.isreg():
        passed.size = member.size
        content = coming.extractfile(member)
        assert content is not None
        notes.files += 1
        if member.size < LFS_BYTES:
            _small(going, passed, content.read(), path, notes)
        else:
            going.addfile(passed, content)
    else:
        _tell(notes.odd, path)


def _small(going: tarfile.TarFile, passed: tarfile.TarInfo, content: bytes, path: str, notes: Notes) -> None:
    if content.startswith(LFS):
        _tell(notes.lfs, path)
    going.addfile(passed, io.BytesIO(content))


def _look_for(path: str, looked_for: set[str], notes: Notes, *, directory: bool) -> None:
    """Forges pack a directory before what is in it."""
    where = path if directory else posixpath.dirname(path)
    if where not in looked_for:
        return
    if where not in notes.there:
        notes.there.append(where)
    if not directory and path.endswith(READ) and where not in notes.configured:
        notes.configured.append(where)


def _tell(told: list[str], path: str) -> None:
    if len(told) < TOLD:
        told.append(path)


class _Wanted:
    """Directories, with all below them, the directories above them, and the files at the root."""

    def __init__(self, paths: list[str]) -> None:
        self._below = tuple(f"{path}/" for path in paths if path)
        self._exact = {path for path in paths if path}

    def has(self, path: str, *, directory: bool) -> bool:
        """Whether an entry goes along."""
        if path.startswith(self._below) or path in self._exact:
            return True
        if "/" not in path and not directory:
            return True
        return directory and any(each.startswith(f"{path}/") for each in self._below)
