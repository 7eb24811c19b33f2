"""Roles, who holds them, and the record of what was done."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Platform, Row

_ROLE = wire.document("roles", name="never-made", workspace_permission="read", allow_labels={"walk": "never"})
_ASSIGNMENT = wire.document("role-assignments", provider_name="local", email="never-made@example.com", roles=[])

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/roles": Row(Platform(admin=False)),
    "GET /api/v2/roles/<name>": Row(Platform(admin=False)),
    "POST /api/v2/roles": Row(Platform(admin=True), _ROLE),
    "PATCH /api/v2/roles/<name>": Row(Platform(admin=True), wire.document("roles", description="text")),
    "DELETE /api/v2/roles/<name>": Row(Platform(admin=True)),
    "GET /api/v2/role-assignments": Row(Platform(admin=False)),
    "PUT /api/v2/role-assignments": Row(Platform(admin=True), _ASSIGNMENT),
    "DELETE /api/v2/role-assignments/<provider>/<email>/<role>": Row(Platform(admin=True)),
    "GET /api/v2/admin/audit-log": Row(Platform(admin=False)),
}

LATER: Final[dict[str, str]] = {}
