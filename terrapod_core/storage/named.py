"""Which columns name the objects of the store; the rooms that own the tables fill it in, so that a rotation forgets no kind.

Plain archives are named here too, so that a check of the store and a backup know them; what is about keys asks for `sealed()`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Table, and_, func, or_, select, update
from sqlalchemy.orm import Session

from terrapod_core.db import Base
from terrapod_core.storage.archives import ArchiveKind
from terrapod_core.storage.objects import ObjectKind


@dataclass(frozen=True)
class Named:
    """The objects of one kind, by the rows that name them."""

    kind: ObjectKind | ArchiveKind
    table: Table
    column: str
    """Holds the object's key, or NULL."""
    bound_to: str
    """Holds the id that the object is bound to, unique among the rows."""
    renamable: bool
    """Whether a row may come to name another object."""
    shared: str | None = None
    """Set in a row that names the object of another row: that one's `bound_to`. Only the other one counts as naming it."""
    backed_up: bool = True
    """Whether a backup holds them. Others can be had again: after a restore no row names one any more."""

    @property
    def _id(self) -> ColumnElement[str]:
        return cast("ColumnElement[str]", self.table.c[self.bound_to])

    @property
    def _key(self) -> ColumnElement[str]:
        return cast("ColumnElement[str]", self.table.c[self.column])

    @property
    def keys(self) -> ColumnElement[str | None]:
        """The column that names them."""
        return cast("ColumnElement[str | None]", self.table.c[self.column])

    @property
    def _names(self) -> ColumnElement[bool]:
        """The rows whose own objects they name."""
        names: ColumnElement[bool] = self._key.is_not(None)
        return names if self.shared is None else and_(names, self.table.c[self.shared].is_(None))

    def count(self, session: Session) -> int:
        """How many objects there are."""
        return session.execute(select(func.count()).select_from(self.table).where(self._names)).scalar_one()

    def batch(self, session: Session, after: str, size: int) -> list[tuple[str, str]]:
        """Id and key of the next objects behind the id `after`."""
        query = select(self._id, self._key).where(self._names, self._id > after).order_by(self._id).limit(size)
        return [(row_id, key) for row_id, key in session.execute(query)]

    def still(self, session: Session, objects: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of `objects` that rows still name."""
        if not objects:
            return set()
        named = or_(*(and_(self._id == row_id, self._key == key) for row_id, key in objects))
        return {(row_id, key) for row_id, key in session.execute(select(self._id, self._key).where(named))}

    def forget(self) -> Any:
        """The statement that lets no row name an object; for what is not backed up."""
        return update(self.table).where(self._key.is_not(None)).values({self.column: None})

    def rename(self, row_id: str, old: str, new: str) -> list[Any]:
        """The statements that let a row, and then those that share with it, name another object, if it still names the old one.

        The first one tells whether it does. Who shares an object locks the row that it belongs to, so whoever was about to is seen by
        the second one, which begins when that lock is there.
        """
        renamed = update(self.table).where(self._key == old).values({self.column: new})
        its = [renamed.where(self._id == row_id)]
        return its if self.shared is None else [*its, renamed.where(self.table.c[self.shared] == row_id)]


@dataclass(frozen=True)
class NamedSealed(Named):
    """Likewise, of objects that are encrypted."""

    kind: ObjectKind


class NamedObjects:
    """The registry; `NAMED` is the one there is."""

    def __init__(self) -> None:
        self._known: list[Named] = []

    def add(
        self,
        kind: ObjectKind,
        entity: type[Base],
        column: str,
        *,
        bound_to: str = "id",
        renamable: bool = True,
        shared: str | None = None,
    ) -> None:
        """Say which column names the objects of a kind; called right below the entity."""
        table = cast("Table", entity.__table__)
        self._known.append(NamedSealed(kind, table, table.c[column].name, table.c[bound_to].name, renamable, shared))

    def add_plain(self, kind: ArchiveKind, entity: type[Base], column: str, *, backed_up: bool = True) -> None:
        """Say which column names the archives of a kind, which no key is needed for; called right below the entity, which has an `id`."""
        table = cast("Table", entity.__table__)
        self._known.append(Named(kind, table, table.c[column].name, table.c["id"].name, renamable=False, backed_up=backed_up))

    def sealed(self) -> Iterator[NamedSealed]:
        """Those that are encrypted."""
        return (each for each in self if isinstance(each, NamedSealed))

    def __iter__(self) -> Iterator[Named]:
        return iter(sorted(self._known, key=lambda each: each.kind))


NAMED: Final = NamedObjects()
