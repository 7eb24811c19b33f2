"""`.terraformignore`: what of a directory is not packed, with the meaning that terraform gives the file.

It looks like `.gitignore` and differs from it, as terraform itself does when it uploads a configuration:

* `name` is about entries of that name anywhere, but not about what is in a directory of that name: for that one writes `name/`;
* the last rule that is about a path decides, and what is in a directory that is not packed can be packed after all by `!name/inner`;
* `.git/` and `.terraform/` are never packed, `.terraform/modules/` excepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

FILE: Final = ".terraformignore"
USUAL: Final = (".git/", ".terraform/", "!.terraform/modules/")


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    packed: bool


class Ignored:
    """The rules of one directory."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        """`lines` are those of its file, behind the usual ones. A line whose pattern is none is left out, as terraform leaves it."""
        self._rules = [rule for line in (*USUAL, *lines) if (rule := _rule(line.strip())) is not None]

    def ignores(self, path: str) -> bool:
        """Whether a file of this path below the directory, with `/` between its names, is left out."""
        deciding = self._deciding(path)
        return deciding is not None and not self._rules[deciding].packed

    def ignores_all_of(self, directory: str) -> bool:
        """Whether nothing in a directory can be packed, so that nobody needs to look."""
        deciding = self._deciding(directory + "/")
        return deciding is not None and not any(rule.packed for rule in self._rules[deciding:])

    def _deciding(self, path: str) -> int | None:
        """Where the rule stands that decides; `None` when no rule is about the path."""
        return next((at for at in reversed(range(len(self._rules))) if self._rules[at].pattern.fullmatch(path)), None)


def _rule(line: str) -> _Rule | None:
    if not line or line.startswith("#"):
        return None
    packed = line.startswith("!")
    text = line[1:] if packed else line
    if text.endswith("/"):
        text += "**"
    text = text[1:] if text.startswith("/") else f"**/{text}"
    try:
        return _Rule(re.compile(_expression(text), re.DOTALL), packed)
    except re.error:
        return None


_PARTS: Final = re.compile(r"(?P<all>\*\*/?)|(?P<some>\*)|(?P<one>\?)|\\(?P<plain>.)|(?P<set>\[[^\]/]+\])|(?P<other>.)", re.DOTALL)


def _expression(pattern: str) -> str:
    parts = []
    for part in _PARTS.finditer(pattern):
        match part.lastgroup:
            case "all":
                parts.append(".*" if part.end() == len(pattern) else "(?:.*/)?")
            case "some":
                parts.append("[^/]*")
            case "one":
                parts.append("[^/]")
            case "set":
                parts.append(part[0])
            case _:
                parts.append(re.escape(part["plain"] or part[0]))
    return "".join(parts)
