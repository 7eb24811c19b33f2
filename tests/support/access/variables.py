"""Variables of workspaces and of sets."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import BY_NAME, On, Owned, P, Platform, Reached, Row, SignedIn, read

_VAR = wire.document(
    "vars", {"workspace": {"type": "workspaces", "id": "{workspace}"}}, key="never_made_2", value="text", category="terraform"
)
_VARSET = wire.document("varsets", name="of {name}")
_OF_VARSET = wire.document("vars", key="never_made", value="text", category="terraform")

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/workspaces/<workspace_id>/vars": read(P.VARIABLE_READ),
    "GET /api/v2/workspaces/<workspace_id>/all-vars": read(P.VARIABLE_READ),
    "GET /api/v2/workspaces/<workspace_id>/vars/<variable_id>": read(P.VARIABLE_READ),
    "GET /api/v2/vars": Row(On(P.VARIABLE_READ), query=BY_NAME),
    "POST /api/v2/vars": Row(On(P.VARIABLE_WRITE), _VAR, hidden=(404, 422)),
    "POST /api/v2/workspaces/<workspace_id>/vars": Row(On(P.VARIABLE_WRITE)),
    "PATCH /api/v2/workspaces/<workspace_id>/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "DELETE /api/v2/workspaces/<workspace_id>/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "PATCH /api/v2/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "DELETE /api/v2/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "GET /api/v2/organizations/<org>/varsets": Row(SignedIn("those that reach a workspace they may read")),
    "POST /api/v2/organizations/<org>/varsets": Row(Platform(admin=True), _VARSET),
    "GET /api/v2/workspaces/<workspace_id>/varsets": read(P.VARIABLE_READ),
    "GET /api/v2/projects/<project_id>/varsets": Row(Owned("a project; who sees a workspace in it sees it too")),
    "GET /api/v2/varsets/<varset_id>": Row(Reached()),
    "PATCH /api/v2/varsets/<varset_id>": Row(Reached(change=True), wire.document("varsets", description="text")),
    "PUT /api/v2/varsets/<varset_id>": Row(Reached(change=True), wire.document("varsets", description="text")),
    "DELETE /api/v2/varsets/<varset_id>": Row(Reached(change=True)),
    "GET /api/v2/varsets/<varset_id>/relationships/vars": Row(Reached()),
    "POST /api/v2/varsets/<varset_id>/relationships/vars": Row(Reached(change=True), _OF_VARSET),
    "GET /api/v2/varsets/<varset_id>/relationships/vars/<variable_id>": Row(Reached()),
    "PATCH /api/v2/varsets/<varset_id>/relationships/vars/<variable_id>": Row(Reached(change=True), wire.document("vars", value="text")),
    "DELETE /api/v2/varsets/<varset_id>/relationships/vars/<variable_id>": Row(Reached(change=True)),
    **{
        f"{method} /api/v2/varsets/<varset_id>/relationships/{kind}s": Row(
            Reached(change=True), {"data": [wire.ref(f"{kind}s", f"{{{kind}}}")]}
        )
        for kind in ("workspace", "project")
        for method in ("POST", "PATCH", "DELETE")
    },
}

LATER: Final[dict[str, str]] = {}
