"""Configuration as blocks, attributes and expressions, whichever of its two syntaxes it was written in."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

DEPTH: Final = 40
"""Levels of a value that are looked into."""
LARGEST_NUMBER: Final = float(2**53 - 1)
"""Beyond it readers of JSON do not agree on what a number is."""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


class NotConfiguration(Exception):
    """A file that cannot be parsed; the text says where and why."""


class Unknown(Exception):
    """The value of an expression cannot be known without evaluating it."""


class Expression(ABC):
    """What stands behind an attribute's name."""

    @property
    @abstractmethod
    def text(self) -> str:
        """As it is written in the native syntax."""

    @property
    @abstractmethod
    def reference(self) -> str:
        """The same for one that is a type or a name: the JSON syntax has those in quotes."""

    @abstractmethod
    def value(self, depth: int = DEPTH) -> Any:
        """What it says literally, in the terms of JSON. Raises `Unknown`."""

    @abstractmethod
    def items(self) -> dict[str, Expression]:
        """The members of an object; none of anything else."""

    @abstractmethod
    def elements(self) -> list[Expression]:
        """Those of a list; none of anything else."""

    def string(self) -> str | None:
        """Its value when that is a text."""
        try:
            value = self.value()
        except Unknown:
            return None
        return value if isinstance(value, str) else None

    def boolean(self) -> bool | None:
        """Its value when that is true or false."""
        try:
            value = self.value()
        except Unknown:
            return None
        return {True: True, False: False, "true": True, "false": False}.get(value) if isinstance(value, (bool, str)) else None


@dataclass
class Block:
    """A block; of what is inside blocks inside it only the outermost attributes and blocks are there."""

    type: str
    labels: list[str]
    attributes: dict[str, Expression] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def all(self, type_: str) -> Iterator[Block]:
        """The blocks of one type directly inside."""
        return (block for block in self.blocks if block.type == type_)


def clean(text: str) -> str:
    """The text without what not everybody can store: lone surrogates and NUL."""
    return _UNSTORABLE.sub("\ufffd", text)
