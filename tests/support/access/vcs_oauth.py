"""Connections by go-tfe's names: OAuth clients and tokens, installations of an app."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Connected, Gets, Platform, Row, SignedIn

_READ: Final = Connected(change=False)
_USE: Final = Connected(change=False, audited=Gets.HIDDEN)
_CHANGE: Final = Connected(audited=Gets.FORBIDDEN)
_CLIENT: Final = wire.document("oauth-clients", name="of the walk", service_provider="none", http_url="https://localhost")
_PROJECTS: Final = {"data": [{"type": "projects", "id": "{project}"}]}
_AWAY: Final = "localhost"

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/organizations/<org>/oauth-clients": Row(SignedIn("those they may know of")),
    "POST /api/v2/organizations/<org>/oauth-clients": Row(Platform(admin=True), _CLIENT),
    "GET /api/v2/oauth-clients/<client_id>": Row(_READ),
    "PATCH /api/v2/oauth-clients/<client_id>": Row(_CHANGE, wire.document("oauth-clients")),
    "DELETE /api/v2/oauth-clients/<client_id>": Row(_CHANGE),
    "GET /api/v2/oauth-clients/<client_id>/oauth-tokens": Row(_READ),
    "POST /api/v2/oauth-clients/<client_id>/relationships/projects": Row(_CHANGE, _PROJECTS),
    "DELETE /api/v2/oauth-clients/<client_id>/relationships/projects": Row(_CHANGE, _PROJECTS),
    "GET /api/v2/organizations/<org>/oauth-tokens": Row(SignedIn("those they may know of")),
    "GET /api/v2/oauth-tokens/<token_id>": Row(_READ),
    "PATCH /api/v2/oauth-tokens/<token_id>": Row(_CHANGE, wire.document("oauth-tokens")),
    "DELETE /api/v2/oauth-tokens/<token_id>": Row(_CHANGE),
    "GET /api/v2/oauth-tokens/<token_id>/authorized-repos": Row(_USE),
    "GET /api/v2/organizations/<org>/vcs/repo": Row(_USE, query={"oauth_token_id": "{oauth_token}", "identifier": "a/b"}),
    "GET /api/v2/github-app/installations": Row(SignedIn("those they may know of")),
    "GET /api/v2/github-app/installation/<installation_id>": Row(_READ),
    "GET /api/v2/organizations/<org>/github-app-installations": Row(SignedIn("those they may know of")),
    "GET /api/v2/organizations/<org>/github-app-installations/<installation_id>/repos": Row(_USE),
}

LATER: Final[dict[str, str]] = {
    "POST /api/v2/organizations/<org>/oauth-clients": "service-provider must be one",
    "GET /api/v2/oauth-tokens/<token_id>/authorized-repos": _AWAY,
    "GET /api/v2/organizations/<org>/vcs/repo": _AWAY,
    "GET /api/v2/organizations/<org>/github-app-installations/<installation_id>/repos": _AWAY,
}
