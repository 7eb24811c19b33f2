"""Looks through an archive while it passes: a gzip tar whose entries are safe and of bounded size.

Nothing is unpacked. Headers are read as bytes stream by, so a whole archive needs the memory of a few; the rules are those the
runner unpacks by, told here while somebody still listens:

* files, directories and symbolic links only; at most so many entries, so many unpacked bytes, so long a path;
* no absolute path and no `..`; a symbolic link may climb with leading `..` as far as the archive's root, and nothing is stored
  below or in place of one, so that none leads out of the tree;
* not more than so many times its packed size, once that matters.

Format: POSIX.1-2017 pax with ustar and GNU headers (long names, base-256 sizes), in one or more gzip members (RFC 1952).
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final

from terrapod_core.errors import Invalid

BLOCK: Final = 512
STEP: Final = 1 << 18
"""Bytes unpacked at a time."""

RATIO_FROM: Final = 16 << 20
"""Unpacked bytes from which the ratio counts: a few kilobytes of blanks are no bomb."""

EXTENSION_BYTES: Final = 1 << 16
"""The longest extended header that is read; real ones hold a path and a few numbers."""

_PAX_RECORD = re.compile(rb"(\d{1,6}) ([^=]{1,255})=")


@dataclass(frozen=True)
class ArchiveLimits:
    """The most an archive may hold."""

    entries: int = 100_000
    unpacked_bytes: int = 2 << 30
    ratio: int = 200
    path_bytes: int = 1024


@dataclass
class _Header:
    name: bytes
    kind: bytes
    size: int
    target: bytes


@dataclass(frozen=True)
class Entry:
    """A file or a symbolic link that passed. `path` is relative, without `.` and doubled slashes; `target` is that of a link."""

    path: bytes
    size: int = 0
    target: bytes | None = None


class _Refusal(Exception):
    pass


class ArchiveInspector:
    """Reads one archive: `feed` its bytes as they come, then `finish`. Synchronous, computes much: call it off the event loop.

    Both raise `Invalid` with a sentence that names the entry and what is wrong with it; `noun` says what the archive is of.
    `wanted` is shown every file and every link, and answers whether the content of a file is kept: whoever says so bounds it.
    """

    def __init__(self, limits: ArchiveLimits, noun: str = "configuration", wanted: Callable[[Entry], bool] = lambda _entry: False) -> None:
        self.files: dict[bytes, bytes] = {}
        """The contents that were wanted, by path; of a path that is there twice the last, as whoever unpacks it has it."""
        self._limits = limits
        self._noun = noun
        self._wanted = wanted
        self._inflate = zlib.decompressobj(wbits=31)
        self._packed = 0
        self._unpacked = 0
        self._content = 0
        self._entries = 0
        self._held = bytearray()
        self._links: set[bytes] = set()
        self._seen: set[int] = set()
        self._ended = False
        self._parser = self._archive()
        next(self._parser)

    def feed(self, data: bytes) -> None:
        """The next bytes of the archive."""
        with self._told():
            self._members(data)

    def finish(self) -> None:
        """The archive has ended; raises when it is not whole."""
        with self._told():
            if not self._packed:
                raise _Refusal("it is empty; send a tar.gz of the directory")
            if not self._inflate.eof:
                raise _Refusal("it is cut short; send it again")
            self._ended = True
            with contextlib.suppress(StopIteration):
                self._parser.send(None)
            if self._content > max(RATIO_FROM, self._packed * self._limits.ratio):
                raise self._too_dense()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except _Refusal as refusal:
            raise Invalid(f"the {self._noun} archive is refused: {refusal}", code="bad_archive") from None

    # -- gzip

    def _members(self, data: bytes) -> None:
        while data:
            if self._inflate.eof:
                data = data.lstrip(b"\0")  # padding to a whole block; what follows must be another member
                self._inflate = zlib.decompressobj(wbits=31) if data else self._inflate
                if not data:
                    return
            self._packed += len(data)
            self._inflated(data)
            data = self._inflate.unused_data
            self._packed -= len(data)

    def _inflated(self, data: bytes) -> None:
        try:
            piece = self._inflate.decompress(data, STEP)
            while True:
                self._unpacked += len(piece)
                self._check_size()
                self._parse(piece)
                if self._inflate.eof or not (self._inflate.unconsumed_tail or piece):
                    return
                piece = self._inflate.decompress(self._inflate.unconsumed_tail, STEP)
        except zlib.error:
            what = "its compression is damaged" if self._unpacked else "it is not gzip-compressed"
            raise _Refusal(f"{what}; send a tar.gz of the directory") from None

    def _check_size(self) -> None:
        headers = self._limits.entries * 2048
        if self._unpacked > self._limits.unpacked_bytes + headers:
            raise self._too_big()
        if self._unpacked > max(RATIO_FROM, self._packed * self._limits.ratio) + headers:
            raise self._too_dense()

    def _too_big(self) -> _Refusal:
        return _Refusal(f"it unpacks to more than {self._limits.unpacked_bytes} bytes")

    def _too_dense(self) -> _Refusal:
        return _Refusal(f"it unpacks to more than {self._limits.ratio} times its size")

    # -- tar

    def _parse(self, piece: bytes) -> None:
        self._held += piece
        try:
            self._parser.send(None)
        except StopIteration:
            self._held.clear()  # what follows the end of the archive is padding to everybody who reads it

    def _archive(self) -> Generator[None, None, None]:
        """Takes what `_held` gains, and waits where it is not enough; ends with the archive's last record."""
        extended: dict[bytes, bytes] = {}
        yield
        while True:
            block = yield from self._take(BLOCK, at_border=True)
            if not block.strip(b"\0"):
                return
            header = _read_header(block)
            if header.kind in b"xgLK":
                extended |= yield from self._extension(header)
                continue
            entry = _Header(
                extended.get(b"path", header.name),
                header.kind,
                _number(extended[b"size"]) if b"size" in extended else header.size,
                extended.get(b"linkpath", header.target),
            )
            extended = {}
            shown = self._checked(entry)
            if shown is not None and self._wanted(shown) and shown.target is None:
                self.files[shown.path] = (yield from self._take(_padded(entry.size)))[: entry.size]
            else:
                yield from self._skip(_padded(entry.size))

    def _extension(self, header: _Header) -> Generator[None, None, dict[bytes, bytes]]:
        """What an extended header says about the entry that follows it."""
        if header.size > EXTENSION_BYTES:
            raise _Refusal("the header of an entry is too large")
        content = (yield from self._take(_padded(header.size)))[: header.size]
        if header.kind in b"LK":
            return {b"path" if header.kind == b"L" else b"linkpath": content.rstrip(b"\0")}
        records = _pax(content)
        if header.kind == b"x":
            return records
        if not records.keys().isdisjoint((b"path", b"linkpath", b"size")):
            raise _Refusal("a global header in it names a path")
        return {}

    def _take(self, count: int, *, at_border: bool = False) -> Generator[None, None, bytes]:
        while len(self._held) < count:
            if self._ended:
                if at_border and not self._held and self._entries:
                    return bytes(count)  # the last record is missing, and tar itself does not mind
                raise _Refusal("it is cut short, or is not a tar archive")
            yield
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def _skip(self, count: int) -> Generator[None, None, None]:
        while count:
            if not self._held:
                if self._ended:
                    raise _Refusal("it is cut short; send it again")
                yield
            passed = min(count, len(self._held))
            del self._held[:passed]
            count -= passed

    def _checked(self, entry: _Header) -> Entry | None:
        """What is shown of it: nothing of a directory."""
        self._entries += 1
        if self._entries > self._limits.entries:
            raise _Refusal(f"it has more than {self._limits.entries} entries")
        path = self._checked_path(entry.name)
        if entry.kind in b"0\0":
            self._content += entry.size
            if self._content > self._limits.unpacked_bytes:
                raise self._too_big()
        elif entry.kind not in b"25":
            kind = "a hard link" if entry.kind == b"1" else "a device, a pipe or of an unknown kind"
            raise _Refusal(f"{_shown(path)} is {kind}; send files, directories and symbolic links only")
        elif entry.size:
            raise _Refusal(f"{_shown(path)} says it has content, and cannot have any")
        elif entry.kind == b"2":
            self._check_link(path, entry.target)
        self._note(path)
        if entry.kind == b"5":
            return None
        return Entry(path, entry.size, entry.target if entry.kind == b"2" else None)

    def _checked_path(self, name: bytes) -> bytes:
        """The path without `.` and doubled slashes; empty for the root itself."""
        if len(name) > self._limits.path_bytes:
            raise _Refusal(f"the path {_shown(name[:60])}… is longer than {self._limits.path_bytes} bytes")
        parts = name.split(b"/")
        if not name or name.startswith(b"/") or b".." in parts or b"\0" in name:
            raise _Refusal(f"the path {_shown(name)} leaves the archive's directory")
        kept = [part for part in parts if part not in (b"", b".")]
        above = b""
        for part in kept if self._links else ():
            above = above + b"/" + part if above else part
            if above in self._links:
                raise _Refusal(f"{_shown(name)} is stored in place of, or below, the symbolic link {_shown(above)}")
        return b"/".join(kept)

    def _check_link(self, path: bytes, target: bytes) -> None:
        if not target or b"\0" in target or len(target) > self._limits.path_bytes:
            raise _Refusal(f"the symbolic link {_shown(path)} has no usable target")
        parts = [part for part in target.split(b"/") if part not in (b"", b".")]
        up = next((index for index, part in enumerate(parts) if part != b".."), len(parts))
        if target.startswith(b"/") or b".." in parts[up:] or up > path.count(b"/") or not path:
            raise _Refusal(f"the symbolic link {_shown(path)} -> {_shown(target)} leaves the archive's directory")
        if hash(path) in self._seen:
            raise _Refusal(f"{_shown(path)} is there twice, once as a symbolic link")
        self._links.add(path)

    def _note(self, path: bytes) -> None:
        """Remember the path and the directories above it, so that no link takes the place of one of them."""
        while path and hash(path) not in self._seen:
            self._seen.add(hash(path))
            path = path.rpartition(b"/")[0]


def _read_header(block: bytes) -> _Header:
    if _octal(block[148:156]) != sum(block[:148]) + 8 * 0x20 + sum(block[156:]):
        raise _Refusal("it is not a tar archive, or a header in it is damaged")
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    kind = block[156:157]
    if kind == b"\0" and name.endswith(b"/"):
        kind = b"5"  # a directory, as archives from before 1988 wrote them
    return _Header(name, kind, _octal(block[124:136]), block[157:257].split(b"\0", 1)[0])


def _octal(field: bytes) -> int:
    if field[0] == 0x80:  # GNU: a big-endian number
        return int.from_bytes(field[1:], "big")
    text = field.strip(b"\0 ")
    try:
        value = int(text or b"0", 8)
    except ValueError:
        raise _Refusal("it is not a tar archive, or a header in it is damaged") from None
    if value < 0:
        raise _Refusal("a header in it holds a negative number")
    return value


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 18:
        raise _Refusal("a header in it holds a size that is none")
    return int(text)


def _pax(extension: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, `<length> <key>=<value>\\n` each."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(extension):
        found = _PAX_RECORD.match(extension, at)
        end = at + int(found[1]) if found else 0
        if not found or end > len(extension) or end <= found.end() or extension[end - 1] != 0x0A:
            raise _Refusal("an extended header in it is damaged")
        if found[2].startswith(b"GNU.sparse"):
            raise _Refusal("it holds a sparse file; pack it without sparse files")
        records[found[2]] = extension[found.end() : end - 1]
        at = end
    return records


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
