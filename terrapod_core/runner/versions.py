"""Version numbers and constraints of terraform and tofu, as HashiCorp's go-version reads them.

`latest`, an exact `1.11.4`, a line `1.11`, or constraints joined by commas with `=`, `!=`, `>`, `>=`, `<`, `<=`, `~>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_TERM = re.compile(r"\s*(=|!=|>=|<=|>|<|~>)?\s*(\S+)\s*")


@dataclass(frozen=True)
class Version:
    """A version; compares as semantic versioning says. `parts` is how many numbers were written."""

    numbers: tuple[int, int, int]
    prerelease: str = ""
    parts: int = 3

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """`None` when the text is no version."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            return None
        major, minor, patch, prerelease = match.groups()
        parts = 1 + (minor is not None) + (patch is not None)
        return cls((int(major), int(minor or 0), int(patch or 0)), prerelease or "", parts)

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts like semantic versioning: a prerelease before its release, numbers before words."""
        identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease.split(".") if part)
        return (self.numbers, not self.prerelease, identifiers)

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers)) + (f"-{self.prerelease}" if self.prerelease else "")


@dataclass(frozen=True)
class Wanted:
    """What the workspace asks for; `terms` is empty for `latest`."""

    text: str
    terms: tuple[tuple[str, Version], ...]

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Raises `ValueError` with a sentence for a text that is no constraint."""
        if text.strip() in ("", "latest"):
            return cls("latest", ())
        terms = []
        for part in text.split(","):
            match = _TERM.fullmatch(part)
            version = Version.parse(match.group(2)) if match else None
            if match is None or version is None:
                raise ValueError(f"`{text}` is no version constraint; write `latest`, `1.11.4`, `1.11` or `>= 1.9, < 2.0`.")
            operator = match.group(1) or ("=" if version.parts == 3 or "," in text else "line")
            terms.append((operator, version))
        return cls(text.strip(), tuple(terms))

    def accepts(self, version: Version) -> bool:
        """Whether the version will do. A prerelease only matches a term that names a prerelease of the same numbers."""
        if version.prerelease and not any(v.prerelease and v.numbers == version.numbers for _, v in self.terms):
            return False
        return all(_holds(operator, version, bound) for operator, bound in self.terms)


def _holds(operator: str, version: Version, bound: Version) -> bool:
    if operator == "line":
        return version.numbers[: bound.parts] == bound.numbers[: bound.parts]
    if operator == "~>":
        kept = bound.parts - 1  # `~> 1` takes 2.0, too
        return version.order >= bound.order and version.numbers[:kept] == bound.numbers[:kept]
    return {
        "=": version.order == bound.order,
        "!=": version.order != bound.order,
        ">": version.order > bound.order,
        ">=": version.order >= bound.order,
        "<": version.order < bound.order,
        "<=": version.order <= bound.order,
    }[operator]
