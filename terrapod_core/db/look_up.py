"""Look-ups that are on nearly every request's way: compiled once, and run on the driver itself.

A row over a session costs 300 µs of the server's time on SQLite and 500 on PostgreSQL, most of it spent on what a look-up by a
key does not need: a unit of work, a transaction, a statement to be found in a cache. Without them it is a third of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Dialect, Select
from sqlalchemy.orm import DeclarativeBase, Session, class_mapper
from sqlalchemy.orm.attributes import manager_of_class

E = TypeVar("E", bound=DeclarativeBase)


@dataclass(frozen=True)
class Prepared:
    """The statement as one driver takes it."""

    text: str
    names: tuple[str, ...]
    """The parameters' names, in the order in which the driver wants them."""
    constants: Mapping[str, Any]
    keys: tuple[str, ...]
    convert: tuple[tuple[int, Callable[[Any], Any]], ...]
    """Columns that the driver gives in another form than the entity has."""

    def arguments(self, values: Mapping[str, str | int]) -> tuple[Any, ...]:
        """What stands for the parameters."""
        return tuple(values[name] if name in values else self.constants[name] for name in self.names)

    def columns(self, row: Sequence[Any]) -> dict[str, Any]:
        """A row by the entity's names."""
        found = list(row)
        for at, convert in self.convert:
            found[at] = convert(found[at])
        return dict(zip(self.keys, found, strict=True))


class LookUp(Generic[E]):
    """One entity by what is unique, `Database.look_up` runs it. `query` selects the entity alone."""

    def __init__(self, entity: type[E], query: Select[E]) -> None:
        self.query = query
        self._entity = entity
        self._prepared: dict[str, Prepared] = {}

    def over(self, session: Session, values: Mapping[str, str | int]) -> E | None:
        """The same over a session."""
        return session.execute(self.query, values).scalar_one_or_none()

    def prepared(self, dialect: Dialect) -> Prepared:
        """The statement for this dialect; compiled once."""
        if dialect.name not in self._prepared:
            mapper = class_mapper(self._entity)
            columns = list(mapper.columns)
            compiled: Any = self.query.with_only_columns(*columns).compile(dialect=dialect)
            convert = ((at, column.type.dialect_impl(dialect).result_processor(dialect, None)) for at, column in enumerate(columns))
            self._prepared[dialect.name] = Prepared(
                str(compiled),
                tuple(compiled.positiontup),
                compiled.params,
                tuple(mapper.get_property_by_column(column).key for column in columns),
                tuple((at, processor) for at, processor in convert if processor is not None),
            )
        return self._prepared[dialect.name]

    def entity(self, columns: Mapping[str, Any]) -> E:
        """The entity with these columns, of no session and never to be added to one: made without a call for each attribute."""
        made: E = manager_of_class(self._entity).new_instance()
        made.__dict__.update(columns)
        return made
