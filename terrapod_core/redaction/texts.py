"""Searches a document for texts that may not be in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

SHORTEST: Final = 8
"""Characters below which a value is not searched for, as in logs: `true` or `eu` would be found everywhere."""
MASK: Final = "***"
NONE: Final[dict[int, set[str]]] = {}


class Hidden:
    """The values that were found to be sensitive, and the document without them."""

    def __init__(self, texts: Iterable[Any]) -> None:
        self.texts: list[Any] = list(texts)
        """Values of any form; what is searched for are the texts and numbers in them."""
        self._by_start: dict[str, dict[int, set[str]]] = {}
        """By their first characters and their length: thousands of them may begin alike."""
        self._known: dict[str, str] = {}

    def without(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with a mask wherever one of the texts was; a number that spells one becomes null."""
        for value in self.texts:
            self._collect(value)
        self._by_start = {start: dict(sorted(known.items(), reverse=True)) for start, known in self._by_start.items()}
        if not self._by_start:
            return document
        cleaned: dict[str, Any] = self._clean(document)
        return cleaned

    def _collect(self, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                self._collect(key)
                self._collect(inner)
        elif isinstance(value, list):
            for inner in value:
                self._collect(inner)
        elif value is not None and not isinstance(value, bool):
            text = str(value)
            # Generated configuration spells a text of several lines line by line, and with escapes.
            for form in {text, *(line.strip() for line in text.splitlines()), _escaped(text)}:
                if len(form) >= SHORTEST:
                    self._by_start.setdefault(form[:SHORTEST], {}).setdefault(len(form), set()).add(form)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, dict):
            return {self._masked(name): self._clean(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._clean(inner) for inner in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = str(value)
            return value if self._masked(text) == text else None
        return value

    def _masked(self, text: str) -> str:
        if len(text) < SHORTEST:
            return text
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._search(text)
        return known

    def _search(self, text: str) -> str:
        shown: list[str] = []
        position, index, last = 0, 0, len(text) - SHORTEST
        by_start = self._by_start
        while index <= last:
            for length, secrets in by_start.get(text[index : index + SHORTEST], NONE).items():
                if text[index : index + length] in secrets:
                    shown += (text[position:index], MASK)
                    index = position = index + length
                    break
            else:
                index += 1
        return text if not shown else "".join((*shown, text[position:]))


def _escaped(text: str) -> str:
    """As a quoted text of the configuration language spells it."""
    for plain, spelled in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("${", "$${"), ("%{", "%%{")):
        text = text.replace(plain, spelled)
    return text
