"""Roles, who holds them, and the record of what was done."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, Section

AUDIT: Final = Section(
    "Audit",
    API,
    "Needs a platform admin or a platform auditor.",
    {
        "GET /admin/audit-log": "Who did what, newest first, as JSON or CSV. [The audit record](../how-to/audit.md) lists the filters.",
    },
)

ROLES: Final = Section(
    "Roles and assignments",
    API,
    "Needs a platform admin; reading, also a platform auditor.",
    {
        "GET /roles": "The built-in roles, then the custom ones by name.",
        "POST /roles": "Make a role.",
        "GET /roles/{name}": "A role.",
        "PATCH /roles/{name}": "Change a role; it keeps its name.",
        "DELETE /roles/{name}": "Delete a role, and take it from everybody who holds it.",
        "GET /role-assignments": "Who holds which roles; `filter[email]`, `filter[provider-name]` and `filter[role]` narrow it.",
        "PUT /role-assignments": "Let a person hold exactly these roles.",
        "DELETE /role-assignments/{provider}/{email}/{role}": "Take one role from a person.",
    },
)
