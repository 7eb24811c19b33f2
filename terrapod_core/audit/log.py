"""Reading the record: pages of it, and all of it as CSV. Whoever reads is recorded too.

What was archived is not in the table any more: `terrapod audit export` prints it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.audit.chain import moment
from terrapod_core.audit.filters import Filters
from terrapod_core.audit.models import AuditArchive, AuditEntry
from terrapod_core.audit.record import record
from terrapod_core.audit.sealer import waiting
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest

COUNTED: Final = 100_000
"""Up to here the matches of a filter are counted one by one; a list of more says that there is more, and no total."""

CHUNK: Final = 1000
"""Rows of the CSV that are read at once."""

COLUMNS: Final = (
    "id", "at", "actor_kind", "actor_id", "actor_name", "action", "resource_type", "resource_id",
    "outcome", "request_id", "address", "detail", "seal_no", "hash",
)  # fmt: skip

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""A cell that begins so may be run by a spreadsheet."""


class AuditLog:
    """For platform admins and auditors."""

    def __init__(self, db: Database, authz: Authorizer) -> None:
        self._db = db
        self._authz = authz

    async def list(self, actor: Actor, filters: Filters, page: PageRequest) -> Page[AuditEntry]:
        """One page, newest first. Raises `Forbidden`."""
        self._require(actor)
        found = await self._db.read(lambda session: _page(session, filters, page))
        await self._note(actor, filters, page=page.number)
        return found

    async def csv(self, actor: Actor, filters: Filters) -> AsyncIterator[bytes]:
        """All that matches, newest first, as the pieces of a CSV file. Raises `Forbidden`, before the first piece."""
        self._require(actor)
        await self._note(actor, filters, format="csv")
        return self._lines(filters)

    def _require(self, actor: Actor) -> None:
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="read the audit log")

    async def _note(self, actor: Actor, filters: Filters, **how: Any) -> None:
        async with self._db.uow() as uow:
            record(uow, actor, "audit-log.read", "audit-log", "-", filters=filters.asked, **how)
            await uow.commit()

    async def _lines(self, filters: Filters) -> AsyncIterator[bytes]:
        yield csv_lines([["created-at" if name == "at" else name.replace("_", "-") for name in COLUMNS]])
        sealed = await self._db.read(_sealed_up_to)
        # What is sealed meanwhile stays in the first part: nothing is told twice, and nothing is left out.
        late = or_(AuditEntry.seal_no.is_(None), AuditEntry.seal_no > sealed)
        for part in (late, and_(AuditEntry.seal_no.is_not(None), AuditEntry.seal_no <= sealed)):
            last: AuditEntry | None = None
            while rows := await self._db.read(partial(_after, filters=filters, part=part, last=last)):
                yield csv_lines([_cells(row) for row in rows])
                last = rows[-1]


def _page(session: Session, filters: Filters, page: PageRequest) -> Page[AuditEntry]:
    total = _total(session, filters)
    if total is not None and page.offset >= total:
        return Page((), page.number, page.size, total)
    found = _ids(session, filters, page.size + 1, page.offset)
    return Page(_rows(session, found[: page.size]), page.number, page.size, total, more=len(found) > page.size)


def _ids(session: Session, filters: Filters, limit: int, offset: int) -> list[str]:
    """What waits for its seal first, then what is sealed: the two are found by different indexes. Only these are read, no whole row."""
    unsealed = _matching(session, filters, AuditEntry.seal_no.is_(None))
    found = list(session.execute(_newest(unsealed).limit(limit).offset(offset)).scalars())
    if len(found) == limit:
        return found
    before = offset + len(found)
    if offset and not found:
        before = session.execute(select(func.count()).select_from(unsealed.subquery())).scalar_one()
    sealed = _newest(_matching(session, filters, AuditEntry.seal_no.is_not(None)))
    return found + list(session.execute(sealed.limit(limit - len(found)).offset(max(0, offset - before))).scalars())


def _rows(session: Session, found: Sequence[str]) -> list[AuditEntry]:
    """Whole entries, in the order of their ids here."""
    rows = {row.id: row for row in session.execute(select(AuditEntry).where(AuditEntry.id.in_(found))).scalars()}
    return [rows[each] for each in found if each in rows]


def _matching(session: Session, filters: Filters, *more: ColumnElement[bool]) -> Select[str]:
    return select(AuditEntry.id).where(*more, *filters.where(session.get_bind().dialect.name))


def _newest(query: Select[str]) -> Select[str]:
    return query.order_by(AuditEntry.at.desc(), AuditEntry.id.desc())


def _sealed_up_to(session: Session) -> int:
    return session.execute(select(func.max(AuditEntry.seal_no)).where(AuditEntry.seal_no.is_not(None))).scalar_one() or 0


def _after(session: Session, filters: Filters, part: ColumnElement[bool], last: AuditEntry | None) -> list[AuditEntry]:
    more = [part]
    if last is not None:
        more += [AuditEntry.at <= last.at, or_(AuditEntry.at < last.at, and_(AuditEntry.at == last.at, AuditEntry.id < last.id))]
    return _rows(session, list(session.execute(_newest(_matching(session, filters, *more)).limit(CHUNK)).scalars()))


def _total(session: Session, filters: Filters) -> int | None:
    """How many entries match; `None` when it would take long to know.

    The numbers of the chain have no gaps, so all that is sealed is counted by looking at its ends, and a stretch of time by what
    lies outside of it.
    """
    if not filters.asked:
        return _all(session)
    counted = _counted(session, filters)
    if counted is not None or not filters.by_time_alone:
        return counted
    outside = [Filters(until=filters.since) if filters.since else None, Filters(since=filters.until) if filters.until else None]
    counts = [_counted(session, each) for each in outside if each is not None]
    return None if None in counts else _all(session) - sum(count for count in counts if count is not None)


def _counted(session: Session, filters: Filters) -> int | None:
    count = 0
    for half in (AuditEntry.seal_no.is_(None), AuditEntry.seal_no.is_not(None)):
        some = _matching(session, filters, half).limit(COUNTED + 1 - count).subquery()
        count += session.execute(select(func.count()).select_from(some)).scalar_one()
    return count if count <= COUNTED else None


def _all(session: Session) -> int:
    archived = session.execute(select(func.coalesce(func.max(AuditArchive.last_seal_no), 0))).scalar_one()
    return waiting(session).count + max(0, _sealed_up_to(session) - archived)


def _cells(row: AuditEntry) -> list[str]:
    values = [getattr(row, name) for name in COLUMNS]
    values[COLUMNS.index("at")] = moment(row.at)
    values[COLUMNS.index("detail")] = msgspec.json.encode(row.detail).decode()
    return ["" if value is None else harmless(str(value)) for value in values]


def harmless(cell: str) -> str:
    """The text of a cell that no spreadsheet takes for a formula: an apostrophe is put before it, as they themselves show text."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell


def csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    """Lines as in RFC 4180."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
