"""How the databases would carry out the statements that an application sends: caught on their way, explained, and judged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from sqlalchemy import event

from terrapod_core.db import Database

PAGE: Final = 100
"""Rows that may be sorted: a page of the greatest size."""


@dataclass
class Caught:
    """Statements by their text, each with the parameters of its first time and what sent it."""

    sent: dict[str, tuple[Sequence[Any], str]] = field(default_factory=dict)
    now: str = ""
    """What is going on at the moment."""

    def note(self, statement: str, parameters: Any) -> None:
        """One statement on its way."""
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            first = parameters[0] if isinstance(parameters, list) else parameters
            self.sent.setdefault(statement, (tuple(first or ()), self.now))


@contextmanager
def catching(db: Database) -> Iterator[Caught]:
    """All that goes to this database meanwhile, look-ups included."""
    caught = Caught()
    reader: Any = db._reader
    engines = {db.engine.sync_engine, *([reader._engine] if db.is_sqlite else [])}

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        caught.note(statement, parameters)

    fetch = reader.fetch

    async def fetched(text: str, arguments: Sequence[Any]) -> Any:
        caught.note(text, tuple(arguments))
        return await fetch(text, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "fetch", fetched)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", before)
        try:
            yield caught
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", before)


async def faults(db: Database, caught: Caught, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """What is wrong with the plan of each statement, by its text; nothing for those that are well."""
    found: dict[str, list[str]] = {}
    async with db.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for statement, (parameters, _) in caught.sent.items():
            if db.is_sqlite:
                rows = await driver.execute_fetchall(f"EXPLAIN QUERY PLAN {statement}", parameters)
                wrong = _of_sqlite([row[3] for row in rows], sizes)
            else:
                plan = await driver.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
                wrong = list(_of_postgresql(plan[0]["Plan"], sizes))
            if wrong:
                found[statement] = wrong
    return found


def _of_sqlite(lines: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    wrong = []
    for line in lines:
        scanned = re.match(r"SCAN (\w+?)(?:_\d+)?$", line)
        if scanned is not None and sizes.get(scanned[1], 0) > PAGE:
            wrong.append(line)
    return wrong


def _of_postgresql(plan: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterator[str]:
    kind = plan["Node Type"]
    if kind == "Seq Scan" and sizes.get(plan["Relation Name"], 0) > PAGE:
        yield f"reads all of {plan['Relation Name']}: {plan.get('Filter', '')}"
    if kind == "Sort":
        rows = plan["Plans"][0]["Plan Rows"]
        if rows > PAGE:
            yield f"sorts {rows} rows: {', '.join(plan['Sort Key'])}"
    for part in plan.get("Plans", ()):
        yield from _of_postgresql(part, sizes)
