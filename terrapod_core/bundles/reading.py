"""A bundle as it lies on a disk, believed in nothing: verified from its first byte to its last, in constant memory. Blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Self

from terrapod_core.bundles.keys import signer_of
from terrapod_core.bundles.layout import BLOCK, END, MANIFEST, MOST_FILES, SIGNATURE, SIGNATURE_BYTES, Layout, Place, header, padding
from terrapod_core.bundles.manifest import MANIFEST_BYTES, Manifest, decoded, id_of
from terrapod_core.bundles.problems import BundleError, damaged

PIECE: Final = 1 << 20

Progress = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""


class Bundle:
    """An open file whose manifest its signer signed. Whether the signer is trusted, `BundleKeys.check` says."""

    def __init__(self, path: Path, *, whole: bool = True) -> None:
        """Without `whole` only its beginning has to be there. Raises `BundleError` and `OSError`."""
        self._file: IO[bytes] = path.open("rb")
        try:
            self.document = self._manifest(path)
            signature = self._entry(Place(SIGNATURE, Place(MANIFEST, 0, len(self.document)).end, SIGNATURE_BYTES))
            self.public = signer_of(self.document, signature)
            self.manifest: Manifest = decoded(self.document)
            self.id = id_of(self.document)
            self.layout = Layout(len(self.document), self.manifest.files)
            if len(self.manifest.files) > MOST_FILES:
                raise BundleError(f"the bundle has more than {MOST_FILES} files")
            self._places = list(self.layout.places())
            if whole:
                self._check_size()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def read(self, number: int) -> Iterator[bytes]:
        """The bytes of one file, in pieces; its end is given only if all of it is what the manifest says. Raises `BundleError`."""
        place, file = self._places[number], self.manifest.files[number]
        self._check_header(place)
        digest, left = hashlib.sha256(), file.size
        while left:
            piece = self._file.read(min(PIECE, left))
            digest.update(piece)
            left -= len(piece)
            if not piece or (not left and digest.hexdigest() != file.sha256):
                raise damaged(f"{place.name} is not what its manifest says")
            yield piece
            self._file.seek(place.content + file.size - left)  # whoever is given a piece may read elsewhere
        if self._file.read(len(padding(file.size))) != padding(file.size):
            raise damaged(f"behind {place.name} stands what no bundle has")

    def start_of(self, number: int) -> int:
        """Where the content of a file begins."""
        return self._places[number].content

    def verify(self, progress: Progress) -> None:
        """Read it to its end. Raises `BundleError` for the first byte that is not what it must be."""
        for number, place in enumerate(self._places):
            for _ in self.read(number):
                progress(self._file.tell(), self.layout.size)
            progress(place.end, self.layout.size)
        self._file.seek(self.layout.size - len(END))
        if self._file.read() != END:
            raise damaged("its end is not that of a bundle")
        progress(self.layout.size, self.layout.size)

    def _manifest(self, path: Path) -> bytes:
        block = self._file.read(BLOCK)
        try:
            size = int(block[124:135], 8)
        except ValueError:
            size = 0
        if not 0 < size <= MANIFEST_BYTES or block != header(MANIFEST, size):
            raise BundleError(f"{path} is no bundle, or its beginning is damaged")
        self._file.seek(0)
        return self._entry(Place(MANIFEST, 0, size))

    def _entry(self, place: Place) -> bytes:
        self._check_header(place)
        content = self._file.read(place.size)
        if len(content) != place.size or self._file.read(len(padding(place.size))) != padding(place.size):
            raise damaged(f"{place.name} is cut short, or something stands behind it")
        return content

    def _check_header(self, place: Place) -> None:
        self._file.seek(place.start)
        if self._file.read(BLOCK) != header(place.name, place.size):
            raise damaged(f"where {place.name} should begin stands something else")

    def _check_size(self) -> None:
        there = self._file.seek(0, 2)
        if there < self.layout.size:
            raise damaged(f"it is cut short: {self.layout.size} bytes were written, and {there} are here")
        if there > self.layout.size:
            raise damaged(f"{there - self.layout.size} bytes stand behind its end")
