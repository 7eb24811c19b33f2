"""Which byte of a bundle is what.

A bundle is a tar (POSIX.1-1988 ustar, uncompressed: what is in it is compressed already). Its manifest decides everything that follows:
names, order, sizes, every byte of every header, the padding, the end. So a file is written the same whoever writes it and however often
it is interrupted, and one that differs in a single byte is no bundle.

    manifest.json       the manifest
    manifest.sig        96 bytes: the exporter's public key (Ed25519), and its signature over the manifest
    files/000000 …      the packages, in the order of the manifest's `files`
    two blocks of zeros, and nothing behind them
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from terrapod_core.bundles.manifest import FileOf

BLOCK: Final = 512
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
SIGNATURE_BYTES: Final = 32 + 64
END: Final = bytes(2 * BLOCK)
MOST_FILES: Final = 1_000_000


def header(name: str, size: int) -> bytes:
    """The one header that an entry of this name and size has."""
    fields = (
        name.encode().ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        b"0",
        bytes(100),
        b"ustar\x0000",
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padding(size: int) -> bytes:
    """What stands behind the content of an entry."""
    return bytes(-size % BLOCK)


def name_of(number: int) -> str:
    """Of a file."""
    return f"files/{number:06}"


@dataclass(frozen=True)
class Place:
    """An entry of the file."""

    name: str
    start: int
    """Where its header begins."""
    size: int

    @property
    def content(self) -> int:
        """Where its content begins."""
        return self.start + BLOCK

    @property
    def end(self) -> int:
        """Where the next entry begins."""
        return self.content + self.size + len(padding(self.size))


@dataclass(frozen=True)
class Layout:
    """The places of everything in a bundle whose manifest is so long and names these files."""

    manifest_size: int
    files: list[FileOf]

    def places(self) -> Iterator[Place]:
        """The files, one after the other."""
        at = self.front
        for number, file in enumerate(self.files):
            place = Place(name_of(number), at, file.size)
            yield place
            at = place.end

    @property
    def front(self) -> int:
        """Where the first file begins."""
        return Place(SIGNATURE, Place(MANIFEST, 0, self.manifest_size).end, SIGNATURE_BYTES).end

    @property
    def size(self) -> int:
        """Of the whole file, in bytes."""
        return self.front + sum(BLOCK + file.size + len(padding(file.size)) for file in self.files) + len(END)


def front(manifest: bytes, signature: bytes) -> bytes:
    """The first two entries."""
    return b"".join(
        (
            header(MANIFEST, len(manifest)),
            manifest,
            padding(len(manifest)),
            header(SIGNATURE, len(signature)),
            signature,
            padding(len(signature)),
        )
    )
