"""Version numbers of what is published: semantic, and nothing else (semver.org, 2.0.0)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from terrapod_core.errors import Invalid

LONGEST: Final = 128
DIGITS: Final = 18
"""Of one number. terraform reads them as 64-bit integers, and fails for a whole list when it cannot read one of them."""

_NUMBER: Final = r"0|[1-9][0-9]*"
_WORD: Final = r"[0-9]*[A-Za-z-][0-9A-Za-z-]*"
_VERSION: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-((?:{_NUMBER}|{_WORD})(?:\.(?:{_NUMBER}|{_WORD}))*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)

_ENDS: Final = "!"
"""Behind each identifier of a pre-release: sorts before whatever an identifier holds."""
_RELEASE: Final = "~"
"""In the place of a pre-release: sorts behind them all."""


@dataclass(frozen=True)
class SemanticVersion:
    """One version number."""

    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...] = ()
    build: str = ""
    """What stands behind `+`; nothing is ordered by it."""

    @classmethod
    def parse(cls, text: str) -> SemanticVersion | None:
        """`None` when the text is none, or is longer than `LONGEST`."""
        found = _VERSION.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            return None
        major, minor, patch, prerelease, build = found.groups()
        identifiers = tuple(prerelease.split(".")) if prerelease else ()
        if any(len(each) > DIGITS for each in (major, minor, patch, *filter(str.isdigit, identifiers))):
            return None
        return cls((int(major), int(minor), int(patch)), identifiers, build or "")

    @property
    def precedence(self) -> str:
        """The number without its build. To terraform two that differ in the build alone are one, so only one of them is ever published."""
        return ".".join(map(str, self.numbers)) + (f"-{'.'.join(self.prerelease)}" if self.prerelease else "")

    @cached_property
    def order(self) -> str:
        """Text whose bytes sort as the versions do, and equal for equal precedence: what a column holds that lists are sorted by."""
        if not self.prerelease:
            return "".join(map(_sortable, self.numbers)) + _RELEASE
        # A number sorts before a word; of two that begin alike, the one with fewer identifiers comes first.
        identifiers = (f"0{_sortable(int(each))}" if each.isdigit() else f"1{each}" for each in self.prerelease)
        return "".join(map(_sortable, self.numbers)) + "".join(each + _ENDS for each in identifiers)

    def __lt__(self, other: SemanticVersion) -> bool:
        return self.order < other.order

    def __str__(self) -> str:
        return self.precedence + (f"+{self.build}" if self.build else "")


def checked(text: str, *, pointer: str = "/data/attributes/version") -> SemanticVersion:
    """The version that a client sent; `Invalid` when it is not semantic."""
    version = SemanticVersion.parse(text)
    if version is not None:
        return version
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    hint = f"; write {text[1:]}" if text[:1] in ("v", "V") and SemanticVersion.parse(text[1:]) is not None else ""
    raise Invalid(f"Version {shown!r} is not a semantic version such as 1.4.0 or 2.0.0-rc.1{hint}", pointer=pointer)


def _sortable(number: int) -> str:
    digits = str(number)
    return f"{len(digits):02}{digits}"
