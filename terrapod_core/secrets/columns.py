"""Every sealed column of the database, so that a rotation forgets none; the rooms that own the tables fill it in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, LargeBinary, Table, func, literal

from terrapod_core.db import Base
from terrapod_core.secrets.keyring import head_of


@dataclass(frozen=True)
class SealedColumn:
    """One column of type `Sealed`."""

    table: Table
    column: str
    """As the table calls it."""
    name: str
    """The logical name that its values are sealed for; it never changes."""
    row: str
    """How the row's id is made of the primary key's columns: `{id}`."""

    @property
    def values(self) -> ColumnElement[bytes]:
        """The column itself."""
        return cast("ColumnElement[bytes]", self.table.c[self.column])

    @property
    def key(self) -> Sequence[ColumnElement[Any]]:
        """The columns of the primary key."""
        return list(self.table.primary_key.columns)

    def row_of(self, key: Mapping[str, object]) -> str:
        """The row's id as its values are sealed for it; `key` holds the primary key by column name."""
        return self.row.format_map(key)

    def under(self, key_id: str) -> ColumnElement[bool]:
        """Whether a value is sealed under this key: its beginning says so."""
        head = head_of(key_id)
        return func.substr(self.values, 1, len(head), type_=LargeBinary) == literal(head, LargeBinary)


class SealedColumns:
    """The registry; `SEALED` is the one there is."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], SealedColumn] = {}

    def add(self, entity: type[Base], column: str, name: str, *, row: str = "{id}") -> None:
        """Say for what the values of a column are sealed; called right below the entity. `ValueError` for a name that is taken."""
        if name in {each.name for each in self}:
            raise ValueError(f"two sealed columns are called {name}")
        table = cast("Table", entity.__table__)
        self._known[table.name, column] = SealedColumn(table, table.c[column].name, name, row)

    def __iter__(self) -> Iterator[SealedColumn]:
        return iter(sorted(self._known.values(), key=lambda each: each.name))

    def __contains__(self, place: tuple[str, str]) -> bool:
        """Whether a column, as table and column name, is registered."""
        return place in self._known


SEALED = SealedColumns()
"""What `terrapod keys rotate` goes through. A test fails when a column of type `Sealed` is missing."""
