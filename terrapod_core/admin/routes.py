"""`/admin/audit-log`: not part of the TFE API, whose audit trail is another service."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from quart import Blueprint, Response, request

from terrapod_core.admin.resources import AUDIT_ENTRY
from terrapod_core.audit import AuditLog, Filters
from terrapod_core.errors import BadRequest
from terrapod_core.web import Web

CSV: Final = "text/csv"
FORMATS: Final = ("json", "csv")


def routes(log: AuditLog, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    admin = Blueprint("admin", __name__)

    @admin.get("/admin/audit-log")
    async def read_log() -> Response:
        actor = await web.actor()
        query = web.query()
        filters = Filters.of(query)
        if _wants_csv():
            name = f"audit-log-{web.db.clock.now():%Y%m%dT%H%M%SZ}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return web.download(await log.csv(actor, filters), size=None, content_type=f"{CSV}; charset=utf-8", headers=headers)
        web.negotiated()
        began = web.db.clock.now()
        page = await log.list(actor, filters, query.page)
        url = web.base_url() + request.full_path.rstrip("?")
        if filters.until is None:
            # Each reading is an entry itself: without an end, following the links would show some entries twice.
            url += f"{'&' if '?' in url else '?'}{quote('filter[until]')}={quote(began.isoformat())}"
        return web.json(AUDIT_ENTRY.listing(page, web.rendering(actor), url=url))

    return admin


def _wants_csv() -> bool:
    """`?format=` says it, else the type that the client likes best."""
    named = request.args.get("format")
    if named is not None and named not in FORMATS:
        raise BadRequest(f"format must be one of {', '.join(FORMATS)}", parameter="format")
    if named is not None:
        return named == "csv"
    # The first of them is what a client gets that takes anything.
    return request.accept_mimetypes.best_match(["application/json", "application/vnd.api+json", CSV], "application/json") == CSV
