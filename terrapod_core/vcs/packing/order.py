"""What the program is told, and what it says of an archive."""

from __future__ import annotations

import msgspec


class Order(msgspec.Struct, kw_only=True):
    """Which part of a repository is wanted."""

    paths: list[str] | None = None
    """Directories, from the root, with all below them and the files at the root; `None` for everything."""
    directories: list[str]
    """Working directories that are looked for; the root is empty."""
    root: str = ""
    """A directory that becomes the root, without what is not below it; empty for the repository's."""
    entries: int = 100_000
    unpacked_bytes: int = 2 << 30


class Notes(msgspec.Struct, kw_only=True):
    """What was seen on the way; of each kind of oddity the first few."""

    files: int = 0
    there: list[str] = []
    """Which of the working directories there are."""
    configured: list[str] = []
    """Which of them have a file that terraform reads."""
    links_out: list[str] = []
    """Symbolic links that lead out of the repository; they were left out."""
    lfs: list[str] = []
    """Files that are pointers of Git LFS: their contents are elsewhere."""
    submodules: bool = False
    """Whether the repository has submodules; their directories are empty."""
    odd: list[str] = []
    """Entries that are neither files, directories nor symbolic links; they were left out."""
