"""Looks into the zip of a provider: what terraform will unpack and start, and its `h1:` hash.

A zip says at its end what is in it, so the bytes lie in a temporary file until they are all there; memory does not grow with them.
Whatever could be read in two ways is refused: then terraform, which reads it with Go's library, finds what was looked at here.

* files and folders only, each name once; no absolute path and no `..`; at most so many entries and unpacked bytes;
* at the top exactly one program `terraform-provider-<type>_v<version>`, with `.exe` on Windows, and elsewhere with the right to be
  executed, because terraform keeps the modes of the zip.

Format: APPNOTE.TXT 6.3, without ZIP64, encryption, comments and bytes before the first entry.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from terrapod_core.errors import Invalid
from terrapod_core.packages.files import MANIFEST, MANIFEST_BYTES, read_manifest

STEP: Final = 1 << 20
"""Bytes unpacked at a time."""

RATIO_FROM: Final = 64 << 20
"""Unpacked bytes from which the ratio counts."""

NAME_BYTES: Final = 1024

_END: Final = struct.Struct("<4s4H2LH")
_DIRECTORY_OF_AN_ENTRY: Final = 46 + NAME_BYTES + 1024
_MADE_ON_UNIX: Final = frozenset({3, 19})
_ENCRYPTED: Final = 0x1 | 0x40
_UTF_8: Final = 0x800


@dataclass(frozen=True)
class PackageLimits:
    """The most a zip may hold."""

    entries: int = 5_000
    unpacked_bytes: int = 4 << 30
    ratio: int = 200


@dataclass(frozen=True)
class Package:
    """What was found in a zip that is as it should be."""

    h1: str
    """What terraform's lock files call it: `h1:` and the base64 of a hash over the names and hashes of its files."""
    protocols: tuple[str, ...] | None
    """What the manifest in it says; `None` without one."""


@dataclass(frozen=True)
class Expected:
    """What a zip should be."""

    provider: str
    """The type, as `aws`."""
    version: str
    os: str
    sha256: str | None
    """Lower-case hexadecimal; `None` when it was not announced."""


class PackageInspector:
    """Takes one zip: `feed` its bytes as they come, then `finish`; after that `package` is there. Leaving it lets go of the bytes.

    Synchronous, writes to a disk and computes much: call it off the event loop. `finish` raises `Invalid` with a sentence that says
    what is wrong.
    """

    def __init__(self, expected: Expected, limits: PackageLimits) -> None:
        self._expected = expected
        self._limits = limits
        self._digest = hashlib.sha256()
        self._spool: IO[bytes] | None = None
        self._size = 0
        self.package = Package("", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._spool is not None:
            self._spool.close()

    def feed(self, data: bytes) -> None:
        """The next bytes of the zip."""
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(prefix="terrapod-provider-")  # noqa: SIM115 - closed by `__exit__`
        self._spool.write(data)
        self._digest.update(data)
        self._size += len(data)

    def finish(self) -> None:
        """The zip has ended; raises when it is not what was expected."""
        if self._spool is None:
            raise _refused("it is empty")
        found = self._digest.hexdigest()
        if self._expected.sha256 is not None and found != self._expected.sha256:
            raise _refused(f"its SHA-256 is {found}, and {self._expected.sha256} was announced")
        self._check_end(self._spool)
        try:
            with zipfile.ZipFile(self._spool) as archive:
                self.package = self._read(archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError, struct.error) as error:
            raise _refused(f"it cannot be read as a zip ({error})") from None

    def _check_end(self, spool: IO[bytes]) -> None:
        """Its directory is one, small enough to be held, and right before its end."""
        if self._size < _END.size:
            raise _refused("it is no zip")
        spool.seek(self._size - _END.size)
        mark, disk, first_disk, here, entries, length, start, comment = _END.unpack(spool.read(_END.size))
        if mark != b"PK\x05\x06" or comment or disk or first_disk or here != entries:
            raise _refused("it is no zip, or has a comment or more than one part")
        if entries > self._limits.entries or length > self._limits.entries * _DIRECTORY_OF_AN_ENTRY:
            raise _refused(f"it has more than {self._limits.entries} entries")
        if start + length + _END.size != self._size:
            raise _refused("there are bytes in it that belong to no entry, or it is a ZIP64")

    def _read(self, archive: zipfile.ZipFile) -> Package:
        entries = archive.infolist()
        self._check_entries(entries)
        self._check_program([entry for entry in entries if _is_program(entry.filename)])
        hashes: dict[str, str] = {}
        protocols: tuple[str, ...] | None = None
        for entry in entries:
            if entry.filename == MANIFEST and entry.file_size <= MANIFEST_BYTES:
                protocols = read_manifest(archive.read(entry)) or None
            if not entry.is_dir():
                hashes[entry.filename] = _hashed(archive, entry)
        return Package(_h1(hashes), protocols)

    def _check_entries(self, entries: list[zipfile.ZipInfo]) -> None:
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > self._limits.unpacked_bytes:
            raise _refused(f"it unpacks to more than {self._limits.unpacked_bytes} bytes")
        if unpacked > max(RATIO_FROM, self._size * self._limits.ratio):
            raise _refused(f"it unpacks to more than {self._limits.ratio} times its size")
        seen: set[str] = set()
        for entry in entries:
            _check_entry(entry)
            name = entry.filename.rstrip("/")
            if name in seen:
                raise _refused(f"{entry.filename!r} is in it twice")
            seen.add(name)

    def _check_program(self, programs: list[zipfile.ZipInfo]) -> None:
        expected = self._expected
        wanted = f"terraform-provider-{expected.provider}_v{expected.version}" + (".exe" if expected.os == "windows" else "")
        if len(programs) != 1:
            found = " and ".join(sorted(entry.filename for entry in programs)) or "none"
            raise _refused(f"at its top there must be one program, {wanted}, and there is {found}")
        program = programs[0]
        if not re.fullmatch(_name_of(expected), program.filename):
            raise _refused(f"its program is called {program.filename}, and must be {wanted}")
        if expected.os != "windows" and not _mode(program) & 0o111:
            raise _refused(f"{program.filename} must not be executed: give it the mode 755 and pack it again, with a zip that keeps modes")


def dirhash(zip_file: IO[bytes], limits: PackageLimits) -> str:
    """The `h1:` hash of any zip; what it unpacks to is bounded. Raises `Invalid` for what cannot be read.

    For what its publisher vouches for: nothing else of it is judged here. Computes much: call it off the event loop.
    """
    hashes: dict[str, str] = {}
    try:
        with zipfile.ZipFile(zip_file) as archive:
            entries = archive.infolist()
            if len(entries) > limits.entries or sum(entry.file_size for entry in entries) > limits.unpacked_bytes:
                raise _refused(f"it has more than {limits.entries} entries, or unpacks to more than {limits.unpacked_bytes} bytes")
            for entry in entries:
                if not entry.is_dir():
                    hashes[entry.filename] = _hashed(archive, entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError, struct.error) as error:
        raise _refused(f"it cannot be read as a zip ({error})") from None
    return _h1(hashes)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name, shown = entry.orig_filename, repr(entry.orig_filename)
    parts = name.rstrip("/").split("/")
    if not name.isprintable() or "\\" in name or len(name.encode()) > NAME_BYTES:
        raise _refused(f"the name {shown[:80]} is too long, or has characters that names of files should not have")
    if not (entry.flag_bits & _UTF_8 or name.isascii()):
        raise _refused(f"the name {shown} is neither ASCII nor marked as UTF-8")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or re.match(r"[A-Za-z]:", name):
        raise _refused(f"the path {shown} leaves the folder that it is unpacked into")
    if entry.flag_bits & _ENCRYPTED:
        raise _refused(f"{shown} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(f"{shown} is compressed in a way that terraform does not read; use deflate")
    kind = stat.S_IFMT(_mode(entry))
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise _refused(f"{shown} is neither a file nor a folder")
    if entry.is_dir() and entry.file_size:
        raise _refused(f"{shown} is a folder that says it has content")


def _mode(entry: zipfile.ZipInfo) -> int:
    """As Go's library reads it: an archive that was made elsewhere than on Unix holds none."""
    return entry.external_attr >> 16 if entry.create_system in _MADE_ON_UNIX else 0


def _is_program(name: str) -> bool:
    return name.startswith("terraform-provider-") and "/" not in name


def _name_of(expected: Expected) -> str:
    """`_x5` is how releases for terraform 0.11 said which protocol they speak; some still do."""
    end = r"\.exe" if expected.os == "windows" else ""
    return rf"terraform-provider-{re.escape(expected.provider)}_v{re.escape(expected.version)}(_x\d{{1,2}})?{end}"


def _hashed(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """SHA-256 of what the entry unpacks to; its CRC is verified by the way."""
    digest = hashlib.sha256()
    with archive.open(entry) as content:
        while piece := content.read(STEP):
            digest.update(piece)
    return digest.hexdigest()


def _h1(hashes: dict[str, str]) -> str:
    """`Hash1` of golang.org/x/mod/sumdb/dirhash: over the lines of `sha256sum`, in the order of the names' bytes."""
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes, key=str.encode))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


def _refused(why: str) -> Invalid:
    return Invalid(f"the zip is refused: {why}", code="bad_package")
