"""Which names and labels a role means: one rule, as Python and as SQL, which never disagree.

A pattern is compared with the whole name, case-sensitively; `*` stands for any characters and nothing else is special.
A label is compared by key and value, exactly; a label without a value is one whose value is empty. Texts are compared as
they are stored, in Unicode's NFC.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, TypeAlias

from sqlalchemy import Boolean, ColumnElement, Dialect, String, and_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

Column: TypeAlias = InstrumentedAttribute[Any]
Labels: TypeAlias = Mapping[str, str | None]

ANY: Final = "*"


def composed(text: str) -> str:
    """The text as it is stored and compared: NFC."""
    return unicodedata.normalize("NFC", text)


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern means the name. Takes time proportional to both, whatever they hold."""
    first, *rest = pattern.split(ANY)
    if not rest:
        return first == name
    last = rest.pop()
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    # The leftmost place for each piece leaves the most room for those that follow.
    at, end = len(first), len(name) - len(last)
    for piece in rest:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@dataclass(frozen=True)
class LabelColumns:
    """Where the labels of things are, one row each."""

    thing_id: Column
    key: Column
    value: Column
    """`NULL` for a label without a value."""


@dataclass(frozen=True)
class Selector:
    """A choice of things by name or label: whatever any of them means."""

    names: frozenset[str] = frozenset()
    """Patterns."""
    labels: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str], labels: Mapping[str, Any]) -> Selector:
        """From a role's columns; a label's value may be one, or a list of values of which each will do."""
        pairs = set()
        for key, value in labels.items():
            values = value if isinstance(value, (list, tuple)) else (value,)
            pairs |= {(composed(key), composed(each or "")) for each in values}
        return cls(frozenset(composed(name) for name in names), frozenset(pairs))

    def __or__(self, other: Selector) -> Selector:
        return Selector(self.names | other.names, self.labels | other.labels)

    def __bool__(self) -> bool:
        return bool(self.names or self.labels)

    @cached_property
    def exact(self) -> frozenset[str]:
        """The patterns that mean one name."""
        return frozenset(name for name in self.names if ANY not in name)

    @cached_property
    def wild(self) -> tuple[str, ...]:
        """The patterns that mean many."""
        return tuple(sorted(self.names - self.exact))

    def means(self, name: str, labels: Labels) -> bool:
        """Whether the thing of this name and these labels is chosen."""
        if name in self.exact or any(matches(pattern, name) for pattern in self.wild):
            return True
        return bool(self.labels) and not self.labels.isdisjoint((key, value or "") for key, value in labels.items())

    def where(self, thing_id: Column, name: Column, labels: LabelColumns) -> ColumnElement[bool]:
        """The same as a condition on a query; only for one that chooses anything."""
        chosen: list[ColumnElement[bool]] = []
        if self.exact:
            chosen.append(_IsAny(name, sorted(self.exact)))
        if self.wild:
            chosen.append(_MeansAny(name, self.wild))
        if self.labels:
            chosen.append(thing_id.in_(select(labels.thing_id).where(self._labelled(labels))))
        return or_(*chosen)

    def _labelled(self, labels: LabelColumns) -> ColumnElement[bool]:
        valued = sorted(pair for pair in self.labels if pair[1])
        bare = sorted(key for key, value in self.labels if not value)
        conditions: list[ColumnElement[bool]] = []
        if valued:
            conditions.append(_IsAnyPair(labels.key, labels.value, valued))
        if bare:
            conditions.append(and_(_IsAny(labels.key, bare), or_(labels.value.is_(None), labels.value == "")))
        return or_(*conditions)


# However many texts there are, they are one parameter: the statement is the same, and neither database meets its limits.


class _Texts(TypeDecorator[Sequence[str]]):
    """Texts as one parameter: an array, and where there are none, JSON."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(String()) if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        texts = list(value or ())
        return texts if dialect.name == "postgresql" else json.dumps(texts, ensure_ascii=False)


class _Patterns(_Texts):
    """Patterns, in the quoting of the database."""

    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        quote = _like if dialect.name == "postgresql" else _glob
        return super().process_bind_param([quote(pattern) for pattern in value or ()], dialect)


class _Among(FunctionElement[bool]):
    """A condition on columns and lists of texts; `texts` says of which type the lists are."""

    type = Boolean()
    inherit_cache = True
    texts: ClassVar[Any] = _Texts

    def __init__(self, columns: Sequence[Column], *lists: Sequence[str]) -> None:
        super().__init__(*columns, *(bindparam(None, texts, type_=self.texts(), unique=True) for texts in lists))


class _IsAny(_Among):
    """Whether a column's text is one of the texts."""

    inherit_cache = True

    def __init__(self, column: Column, texts: Sequence[str]) -> None:
        super().__init__((column,), texts)


class _IsAnyPair(_Among):
    """Whether two columns' texts are one of the pairs."""

    inherit_cache = True

    def __init__(self, first: Column, second: Column, pairs: Sequence[tuple[str, str]]) -> None:
        super().__init__((first, second), [one for one, _ in pairs], [other for _, other in pairs])


class _MeansAny(_Among):
    """Whether a column's text is meant by one of the patterns."""

    inherit_cache = True
    texts = _Patterns

    def __init__(self, column: Column, patterns: Sequence[str]) -> None:
        super().__init__((column,), patterns)


def _parts(element: _Among, compiler: SQLCompiler, kw: dict[str, Any]) -> list[str]:
    return [compiler.process(each, **kw) for each in element.clauses]


@compiles(_IsAny, "postgresql")
def _is_any_array(element: _IsAny, compiler: SQLCompiler, **kw: Any) -> str:
    column, texts = _parts(element, compiler, kw)
    return f"{column} = ANY ({texts})"


@compiles(_IsAny, "sqlite")
def _is_any_json(element: _IsAny, compiler: SQLCompiler, **kw: Any) -> str:
    column, texts = _parts(element, compiler, kw)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - columns and parameters


@compiles(_IsAnyPair, "postgresql")
def _is_any_pair_of_arrays(element: _IsAnyPair, compiler: SQLCompiler, **kw: Any) -> str:
    first, second, ones, others = _parts(element, compiler, kw)
    return f"({first}, {second}) IN (SELECT * FROM unnest({ones}, {others}))"  # noqa: S608 - columns and parameters


@compiles(_IsAnyPair, "sqlite")
def _is_any_pair_of_json(element: _IsAnyPair, compiler: SQLCompiler, **kw: Any) -> str:
    first, second, ones, others = _parts(element, compiler, kw)
    pairs = f"SELECT one.value, other.value FROM json_each({ones}) AS one JOIN json_each({others}) AS other ON other.key = one.key"  # noqa: S608
    return f"({first}, {second}) IN ({pairs})"


@compiles(_MeansAny, "postgresql")
def _means_any_like(element: _MeansAny, compiler: SQLCompiler, **kw: Any) -> str:
    column, patterns = _parts(element, compiler, kw)
    return f"{column} LIKE ANY ({patterns})"


@compiles(_MeansAny, "sqlite")
def _means_any_glob(element: _MeansAny, compiler: SQLCompiler, **kw: Any) -> str:
    column, patterns = _parts(element, compiler, kw)
    return f"EXISTS (SELECT 1 FROM json_each({patterns}) AS pattern WHERE {column} GLOB pattern.value)"  # noqa: S608 - a column and a parameter


def _like(pattern: str) -> str:
    """For PostgreSQL's LIKE, whose escape character is the backslash unless another is named."""
    return "".join("%" if each == ANY else f"\\{each}" if each in "%_\\" else each for each in pattern)


def _glob(pattern: str) -> str:
    """For SQLite's GLOB, which minds case, unlike its LIKE; a bracket of one character stands for that character."""
    return "".join(f"[{each}]" if each in "?[" else each for each in pattern)
