"""Connections to forges, what workspaces saw there, and the webhooks of forges."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Connection, Gets, On, P, Platform, Row, SignedIn, Webhook, read

_CONNECTION = wire.document("vcs-connections", name="of-{name}", provider="gitlab", base_url="{forge}", token="forge-token")

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/organizations/<org>/vcs-connections": Row(SignedIn("those they may use")),
    "POST /api/v2/organizations/<org>/vcs-connections": Row(Platform(admin=True), _CONNECTION),
    "GET /api/v2/vcs-connections/<connection_id>": Row(Connection()),
    "PATCH /api/v2/vcs-connections/<connection_id>": Row(Connection(change=True), wire.document("vcs-connections", repositories=["*"])),
    "DELETE /api/v2/vcs-connections/<connection_id>": Row(Connection(change=True)),
    "POST /api/v2/vcs-connections/<connection_id>/actions/test": Row(Connection(use=True, auditor=Gets.FORBIDDEN)),
    "POST /api/v2/vcs-connections/<connection_id>/actions/renew-webhook-secret": Row(Connection(change=True)),
    "GET /api/v2/vcs-connections/<connection_id>/repositories": Row(Connection()),
    "GET /api/v2/vcs-connections/<connection_id>/available-repositories": Row(Connection(use=True, auditor=Gets.HIDDEN)),
    "GET /api/v2/vcs-connections/<connection_id>/refs": Row(
        Connection(use=True, auditor=Gets.HIDDEN), query={"filter[identifier]": "acme/known"}
    ),
    "GET /api/v2/workspaces/<workspace_id>/vcs-changes": read(P.RUN_READ),
    "GET /api/v2/vcs-changes/<change_id>": read(P.RUN_READ),
    "POST /api/v2/vcs-changes/<change_id>/actions/approve": Row(On(P.RUN_APPLY), {"comment": "text"}),
    "POST /api/v2/workspaces/<workspace_id>/actions/look-at-repository": Row(On(P.RUN_PLAN)),
    "POST /api/v2/vcs-events/<provider>": Row(Webhook("by the signature that the settings have a secret for"), {}),
    "POST /api/v2/vcs-events/<provider>/<connection_id>": Row(Webhook("by a signature with the connection's own secret"), {}),
}

LATER: Final[dict[str, str]] = {
    "POST /api/v2/vcs-changes/<change_id>/actions/approve": "only a pull request's commit that waits",
    "POST /api/v2/workspaces/<workspace_id>/actions/look-at-repository": "follows no repository",
}
