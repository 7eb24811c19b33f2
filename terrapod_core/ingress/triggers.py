"""Whether changed files concern a workspace. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import re2


@dataclass(frozen=True)
class Triggers:
    """What a workspace says of it."""

    enabled: bool
    working_directory: str
    prefixes: Sequence[str]
    patterns: Sequence[str]

    @property
    def everything(self) -> bool:
        """Whether every change concerns it, so that nobody need ask for files."""
        return not self.enabled or not (self.prefixes or self.patterns or self.working_directory)

    def concern(self, changed: Collection[str] | None) -> bool:
        """Whether these paths do; `None`: nobody knows which changed, and then they do.

        Patterns stand for themselves; directories are the working directory and the prefixes (tfe-api 13).
        """
        if self.everything or changed is None:
            return True
        if self.patterns:
            return any(_compiled(pattern).fullmatch(path) for pattern in self.patterns for path in changed)
        folders = tuple(f"{each}/" if each else "" for each in (*self.prefixes, self.working_directory) if each or each in self.prefixes)
        return any(path.startswith(folders) for path in changed)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A glob over whole paths from the root: `*` and `?` stay within a directory, `**` does not. In RE2, which takes linear time."""
    compiled: re.Pattern[str] = re2.compile(translated(pattern))
    return compiled


def translated(pattern: str) -> str:
    """The glob as an expression for a whole path."""
    text = pattern.lstrip("/")
    if text.endswith("/"):
        text += "**"
    parts, at = [], 0
    while at < len(text):
        if text.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif text.startswith("**", at):
            parts.append(".*")
            at += 2
        elif text[at] == "*":
            parts.append("[^/]*")
            at += 1
        elif text[at] == "?":
            parts.append("[^/]")
            at += 1
        else:
            parts.append(re.escape(text[at]))
            at += 1
    return "(?s)" + "".join(parts)
