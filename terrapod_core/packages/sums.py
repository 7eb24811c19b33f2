"""`SHA256SUMS` of a release: which zips belong to it, and the SHA-256 of each.

terraform looks its zip up here by its exact name, and believes what it finds once the signature over these bytes is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from terrapod_core.errors import Invalid
from terrapod_core.packages.files import manifest_name, platform_of, zip_name

SUMS_BYTES: Final = 64 * 1024

SHA256: Final = re.compile(r"[0-9a-f]{64}")
"""As it is stored: in lower case."""

_LINE: Final = re.compile(r"([0-9a-fA-F]{64})  ?([^\s*/\\]{1,255})\s*")


def named_sums(document: bytes) -> dict[str, str]:
    """The SHA-256 of each file by name, whatever files there are: for sums of releases that were not made for this server.

    Raises `Invalid` for a line that terraform could not read, and for a file that is named with two different sums.
    """
    found: dict[str, str] = {}
    for digest, name in _lines(document):
        if found.setdefault(name, digest) != digest:
            raise _refused(f"it names {name} twice")
    return found


def read_sums(document: bytes, provider: str, version: str) -> dict[tuple[str, str], str]:
    """The SHA-256 of each platform's zip, by operating system and architecture.

    Raises `Invalid` for a line that terraform could not read, a file twice, a file that no release of this version has, and when no zip
    is named.
    """
    found: dict[tuple[str, str], str] = {}
    seen: set[str] = set()
    for digest, name in _lines(document):
        if name in seen:
            raise _refused(f"it names {name} twice")
        seen.add(name)
        platform = platform_of(name, provider, version)
        if platform is not None:
            found[platform] = digest
        elif name != manifest_name(provider, version):
            expected = zip_name(provider, version, "OS", "ARCH")
            raise _refused(f"it names {name}, and a release of version {version} has files called {expected} and its manifest only")
    if not found:
        raise _refused("it names no zip")
    return found


def written_sums(sums: Mapping[tuple[str, str], str], provider: str, version: str) -> bytes:
    """The same file for a release that the server signs, in the order of the names."""
    lines = [f"{digest}  {zip_name(provider, version, *platform)}\n" for platform, digest in sums.items()]
    return "".join(sorted(lines, key=lambda line: line.partition("  ")[2])).encode()


def _lines(document: bytes) -> Iterator[tuple[str, str]]:
    """Digest, in lower case, and name, line by line."""
    try:
        lines = document.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise _refused("it is no text of ASCII characters") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise _refused(f"line {number} is not 64 hexadecimal digits, two blanks and a file's name")
        yield match[1].lower(), match[2]


def _refused(why: str) -> Invalid:
    return Invalid(f"SHA256SUMS is refused: {why}", code="bad_sums")
