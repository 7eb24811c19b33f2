"""Makes the archive of a module from its directory: the same bytes for the same files, so that publishing can be tried again."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from terrapod_core.errors import Invalid

from .ignoring import FILE, Ignored

LARGEST_IGNORE_FILE: Final = 1 << 20
LEVEL: Final = 6


@dataclass(frozen=True)
class Packable:
    """A file to pack."""

    path: str
    """In the archive."""
    source: Path
    """Where its content is: a symbolic link is followed."""
    size: int


def packable(directory: Path) -> list[Packable]:
    """The files of a directory that belong into its archive, by path: all but those that `.terraformignore` leaves out.

    Symbolic links become what they point at, because terraform unpacks links of modules as empty files. Raises `Invalid` for a link
    that leads out of the directory or nowhere, and `OSError` for what cannot be read.
    """
    root = directory.resolve(strict=True)
    return sorted(_walk(root, root, "", _rules(root)), key=lambda each: each.path)


def pack(files: list[Packable], into: BinaryIO, heard: Callable[[int], None]) -> None:
    """Write a tar.gz of them; `heard` is told of the bytes as they are read. Raises `OSError` for what cannot be read."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=into, compresslevel=LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for each in files:
            with each.source.open("rb") as content:
                state = os.fstat(content.fileno())
                member = tarfile.TarInfo(each.path)
                member.size = state.st_size
                member.mode = 0o755 if state.st_mode & 0o100 else 0o644
                tar.addfile(member, _Heard(content, heard))


class _Heard(io.RawIOBase):
    """A file of which is told what is read."""

    def __init__(self, content: BinaryIO, heard: Callable[[int], None]) -> None:
        self._content = content
        self._heard = heard

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(size)
        self._heard(len(data))
        return data


def _rules(root: Path) -> Ignored:
    file = root / FILE
    if not file.is_file():
        return Ignored()
    text = file.read_bytes()
    if len(text) > LARGEST_IGNORE_FILE:
        raise Invalid(f"{file} is larger than {LARGEST_IGNORE_FILE} bytes")
    return Ignored(text.decode("utf-8", "replace").splitlines())


def _walk(root: Path, directory: Path, above: str, rules: Ignored, inside: tuple[Path, ...] = ()) -> Iterator[Packable]:
    """`inside` are the directories that links on the way have led to: one that leads to one of them leads in a circle."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        path = f"{above}{entry.name}"
        source = Path(entry.path)
        if entry.is_symlink():
            if rules.ignores(path) or rules.ignores_all_of(path):
                continue
            source = _followed(root, source, path)
        if source.is_dir():
            if entry.is_symlink() and (source in inside or directory.is_relative_to(source)):
                raise Invalid(f"{path} is a symbolic link that leads in a circle")
            if not rules.ignores_all_of(path):
                yield from _walk(root, source, f"{path}/", rules, (*inside, source) if entry.is_symlink() else inside)
        elif source.is_file() and not rules.ignores(path):
            yield Packable(path, source, source.stat().st_size)


def _followed(root: Path, link: Path, path: str) -> Path:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise Invalid(f"{path} is a symbolic link that leads nowhere; remove it, or name it in {FILE}") from None
    if not target.is_relative_to(root):
        raise Invalid(f"{path} is a symbolic link that leads out of {root}; put the file there, or name it in {FILE}")
    return target
