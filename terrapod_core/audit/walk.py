"""The whole record in its order, from the archives and from the table, a page at a time."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import and_, not_, select
from sqlalchemy.orm import Session

from terrapod_core.audit.chain import COLUMNS, Link
from terrapod_core.audit.models import AuditArchive, AuditEntry
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.secrets import SecretUnreadable
from terrapod_core.storage import ObjectKind, Objects

PAGE: Final = 1000


class Broken(Exception):
    """The record is not what was sealed; the text says where, and in what way."""


async def walk(db: Database, objects: Objects, first: int = 1) -> AsyncGenerator[list[Link]]:
    """Every sealed entry from the number `first` on, in the order of the numbers, in pages.

    Raises `Broken` for a number that is missing or there twice, and for an archive that is missing, damaged or changed. Sealing
    and archiving may go on meanwhile.
    """
    expected, last_id = first, ""
    while True:
        archive = await db.read(partial(_archive_with, seal_no=expected))
        if archive is not None:
            async with aclosing(read_archive(objects, archive)) as pages:
                async for page in pages:
                    yield [link for link in page if link.seal_no >= expected]
            expected, last_id = archive.last_seal_no + 1, ""
            continue
        page = await db.read(partial(_page, expected=expected, last_id=last_id))
        if (not page or page[0].seal_no > expected) and await db.read(partial(_archive_with, seal_no=expected)) is not None:
            continue  # it was archived between the two looks
        if not page:
            return
        good = 0
        while good < len(page) and page[good].seal_no == expected + good:
            good += 1
        if good:
            yield page[:good]
        if good < len(page):
            raise Broken(_misplaced(page[good], expected + good))
        expected, last_id = expected + good, page[-1].id


def _misplaced(link: Link, expected: int) -> str:
    if link.seal_no < expected:
        return f"number {link.seal_no} is there twice, {link.id} is the second: the chain was forked"
    return f"number {expected} is missing, the next entry is number {link.seal_no} ({link.id}): entries were deleted"


def _page(session: Session, expected: int, last_id: str) -> list[Link]:
    """The next entries; the last one of the page before would be found again only if its number is there twice."""
    seen = and_(AuditEntry.seal_no == expected - 1, AuditEntry.id <= last_id)
    lowest = expected - 1 if last_id else expected
    query = select(*COLUMNS).where(AuditEntry.seal_no >= lowest, not_(seen)).order_by(AuditEntry.seal_no, AuditEntry.id).limit(PAGE)
    return [Link.of(row) for row in session.execute(query)]


def _archive_with(session: Session, seal_no: int) -> AuditArchive | None:
    query = select(AuditArchive).where(AuditArchive.first_seal_no <= seal_no).order_by(AuditArchive.first_seal_no.desc()).limit(1)
    found = session.execute(query).scalar_one_or_none()
    return found if found is not None and found.last_seal_no >= seal_no else None


async def read_archive(objects: Objects, archive: AuditArchive) -> AsyncGenerator[list[Link]]:
    """The entries of an archive, in pages; raises `Broken` unless it is, whole, the one that was stored."""
    name = f"the archive of the numbers {archive.first_seal_no} to {archive.last_seal_no}"
    digest, expected, rest, last = hashlib.sha256(), archive.first_seal_no, b"", ""
    try:
        async with aclosing(objects.get(ObjectKind.AUDIT, archive.object_id, archive.object_key)) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                page = [msgspec.json.decode(line, type=Link) for line in lines]
                for link in page:
                    if link.seal_no != expected:
                        raise Broken(f"{name} holds number {link.seal_no} where number {expected} belongs")
                    expected, last = expected + 1, link.hash
                yield page
    except (NotFound, SecretUnreadable) as error:
        raise Broken(f"{name} cannot be read: {error.detail}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken(f"{name} holds what is no entry") from error
    if rest or (expected - 1, last, digest.hexdigest()) != (archive.last_seal_no, archive.last_hash, archive.sha256):
        raise Broken(f"{name} is not the one that was stored: its content is another")


def lines_of(links: Sequence[Link]) -> bytes:
    """Entries as an archive holds them, and as `terrapod audit export` prints them."""
    encode: Any = msgspec.json.encode
    return b"".join(encode(link) + b"\n" for link in links)
