"""The files of a module's archive that are worth reading, and where in it the module is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

from terrapod_core.errors import Invalid
from terrapod_core.tarballs import ArchiveInspector, ArchiveLimits, Entry

PIECE: Final = 1 << 18
FILE_BYTES: Final = 512 * 1024
"""A larger file is not read, and said to be too large."""
ALL_BYTES: Final = 32 << 20
"""What is kept of one archive; files over it are said not to have been read."""
PROBLEMS: Final = 100

SYNTAXES: Final = (".tf", ".tf.json", ".tofu", ".tofu.json")
"""How the name of a file of configuration ends."""
_README: Final = re.compile(r"(?i)readme(\.md|\.markdown|\.txt)?")
_LICENCE: Final = re.compile(r"(?i)(licen[cs]e|copying|unlicense)([.-].{1,40})?")
_WRAPPER: Final = re.compile(r"[A-Za-z0-9._+~-]{1,255}")
"""What terraform's downloader takes literally behind `//`: it would take `*` and `[` for a pattern."""


@dataclass
class Tree:
    """Files by their path below the module's root, as `modules/network/main.tf`."""

    wrapper: str
    files: dict[str, bytes]
    unread: dict[str, str]
    """Why a file that is worth reading was not."""


def read(archive: BinaryIO, limits: ArchiveLimits) -> Tree:
    """Read a whole tar.gz. Raises `Invalid` when it is no archive of a module that terraform could install."""
    sieve = _Sieve()
    inspector = ArchiveInspector(limits, "module", sieve.wanted)
    while piece := archive.read(PIECE):
        inspector.feed(piece)
    inspector.finish()
    wrapper = _wrapper(sieve.paths)
    inside = wrapper + "/" if wrapper else ""
    files = {path.decode(): content for path, content in inspector.files.items()}
    return Tree(
        wrapper,
        {path.removeprefix(inside): content for path, content in files.items() if path.startswith(inside)},
        {path.removeprefix(inside): why for path, why in sieve.unread.items() if path.startswith(inside)},
    )


def is_configuration(name: str) -> bool:
    """Whether terraform or OpenTofu reads a file of this name; editors' leftovers are hidden or end with `~` and do not count."""
    return name.endswith(SYNTAXES) and not name.startswith(".")


def is_readme(name: str) -> bool:
    """Whether a file of this name says what the directory is."""
    return _README.fullmatch(name) is not None


def is_licence(name: str) -> bool:
    """Whether a file of this name holds the terms."""
    return _LICENCE.fullmatch(name) is not None


class _Sieve:
    """Looks at every entry as it passes."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        """Of files of configuration, and the first segments of all others with a `/` behind those of directories."""
        self.unread: dict[str, str] = {}
        self._kept = 0

    def wanted(self, entry: Entry) -> bool:
        path = self._decoded(entry.path)
        name = path.rpartition("/")[2]
        configuration = is_configuration(name)
        if configuration and entry.target is not None:
            raise _refused(
                f"{path!r} is a symbolic link, and terraform unpacks links of a module as empty files; pack what they point at "
                "(tar --dereference)"
            )
        self._remember(path, configuration)
        if entry.target is not None or not (configuration or is_readme(name) or is_licence(name)):
            return False
        return self._has_room(path, entry.size)

    def _decoded(self, path: bytes) -> str:
        try:
            return path.decode()
        except UnicodeDecodeError:
            shown = path.decode("utf-8", "backslashreplace")
            raise _refused(f"the name {shown!r} is not UTF-8, and not every system can unpack it; rename the file") from None

    def _remember(self, path: str, configuration: bool) -> None:
        if configuration:
            self.paths.add(path)
        else:
            first, inside, _ = path.partition("/")
            self.paths.add(first + inside)

    def _has_room(self, path: str, size: int) -> bool:
        if size > FILE_BYTES:
            why = f"it is larger than {FILE_BYTES} bytes"
        elif self._kept + size > ALL_BYTES:
            why = f"the files that describe the module are larger than {ALL_BYTES} bytes together"
        else:
            self._kept += size
            return True
        if len(self.unread) < PROBLEMS:
            self.unread[path] = why
        return False


def _wrapper(paths: Iterable[str]) -> str:
    """The one directory that everything is in, as in archives that GitHub makes; empty when the module is at the root."""
    configurations = {path for path in paths if is_configuration(path.rpartition("/")[2])}
    if any(_of_module(path) for path in configurations):
        return ""
    tops = {path.partition("/")[0] for path in paths if not _leftover(path)}
    if len(tops) == 1:
        [top] = tops
        if any(_of_module(path.removeprefix(top + "/")) for path in configurations):
            if not _WRAPPER.fullmatch(top):
                raise _refused(f"the name of its only directory, {top!r}, has characters that terraform cannot ask for; pack what is in it")
            return top
    if not configurations:
        raise _refused("there is no configuration in it: no file that ends with .tf or .tf.json")
    nearest = min(configurations, key=lambda path: (path.count("/"), path))
    raise _refused(
        f"there is no configuration at its root; the first is {nearest!r}. Pack the module's directory itself, or one directory that "
        "holds nothing else"
    )


def _of_module(path: str) -> bool:
    """Whether a file of configuration lies where the module is, or one of its submodules."""
    *directories, _ = path.split("/")
    return not directories or (len(directories) == 2 and directories[0] == "modules")


def _leftover(path: str) -> bool:
    """What archivers of one system leave beside what was packed."""
    return path.startswith("._") or path in (".DS_Store", "__MACOSX/")


def _refused(why: str) -> Invalid:
    return Invalid(f"the module archive is refused: {why}", code="bad_archive")
