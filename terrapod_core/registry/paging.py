"""One page of what a query finds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func
from sqlalchemy.orm import Session

from terrapod_core.jsonapi import Page, PageRequest


def page_of(session: Session, found: Select[Any], page: PageRequest) -> Page[Any]:
    """The page of an ordered query for one entity, with how many it finds in all. A first page that is not full needs no count."""
    rows = session.execute(found.limit(page.size).offset(page.offset)).scalars().all()
    total = len(rows)
    if page.number > 1 or total == page.size:
        total = session.execute(found.order_by(None).with_only_columns(func.count(), maintain_column_froms=True)).scalar_one()
    return Page(rows, page.number, page.size, total)
