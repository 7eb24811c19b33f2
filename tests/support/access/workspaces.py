"""The organization, its projects and its workspaces."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import Gets, On, Owned, P, Row, SignedIn, read

_LOCKED = "is locked"

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/organizations": Row(SignedIn("the one organization")),
    "GET /api/v2/organizations/<org>": Row(SignedIn("the one organization")),
    "GET /api/v2/organizations/<org>/entitlement-set": Row(SignedIn("what is switched on", engine=True)),
    "GET /api/v2/organizations/<org>/capacity": Row(SignedIn("two numbers")),
    "GET /api/v2/organizations/<org>/workspaces": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/projects": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/tags": Row(SignedIn("those of workspaces they may read")),
    "POST /api/v2/organizations/<org>/workspaces": Row(SignedIn("makes one of their own; the settings can keep it for roles")),
    "POST /api/v2/organizations/<org>/projects": Row(SignedIn("makes one of their own")),
    "GET /api/v2/projects/<project_id>": Row(Owned("a project; who sees a workspace in it sees it too")),
    "PATCH /api/v2/projects/<project_id>": Row(Owned("a project", Gets.FORBIDDEN)),
    "DELETE /api/v2/projects/<project_id>": Row(Owned("a project", Gets.FORBIDDEN)),
    "POST /api/v2/projects/<project_id>/relationships/workspaces": Row(Owned("a project", Gets.FORBIDDEN)),
    **{
        f"GET /api/v2/{path}": read(P.WORKSPACE_READ, engine=True)
        for path in ("organizations/<org>/workspaces/<name>", "workspaces/<workspace_id>")
    },
    **{
        f"GET /api/v2/{path}": read(P.WORKSPACE_READ)
        for path in (
            "workspaces/<workspace_id>/tag-bindings",
            "workspaces/<workspace_id>/effective-tag-bindings",
            "workspaces/<workspace_id>/relationships/tags",
            "workspaces/<workspace_id>/relationships/tag-bindings",
            "workspaces/<workspace_id>/relationships/remote-state-consumers",
        )
    },
    **{
        f"{method} /api/v2/{path}": Row(On(P.WORKSPACE_UPDATE))
        for path, methods in {
            "organizations/<org>/workspaces/<name>": ("PATCH",),
            "workspaces/<workspace_id>": ("PATCH",),
            "workspaces/<workspace_id>/tag-bindings": ("PATCH",),
            "workspaces/<workspace_id>/relationships/tag-bindings": ("POST", "PATCH"),
            "workspaces/<workspace_id>/relationships/tags": ("POST", "DELETE"),
            "workspaces/<workspace_id>/relationships/remote-state-consumers": ("POST", "PATCH", "DELETE"),
        }.items()
        for method in methods
    },
    **{
        f"{method} /api/v2/{path}": Row(On(P.WORKSPACE_DELETE))
        for path, method in (
            ("organizations/<org>/workspaces/<name>", "DELETE"),
            ("workspaces/<workspace_id>", "DELETE"),
            ("organizations/<org>/workspaces/<name>/actions/safe-delete", "POST"),
            ("workspaces/<workspace_id>/actions/safe-delete", "POST"),
        )
    },
    "POST /api/v2/workspaces/<workspace_id>/actions/lock": Row(On(P.WORKSPACE_LOCK)),
    "POST /api/v2/workspaces/<workspace_id>/actions/unlock": Row(On(P.WORKSPACE_LOCK)),
    "POST /api/v2/workspaces/<workspace_id>/actions/force-unlock": Row(On(P.WORKSPACE_FORCE_UNLOCK)),
    "POST /api/v2/workspaces/<workspace_id>/conditions/<code>/actions/acknowledge": Row(On(P.WORKSPACE_UPDATE)),
}

LATER: Final[dict[str, str]] = {
    "POST /api/v2/organizations/<org>/workspaces/<name>/actions/safe-delete": _LOCKED,
    "POST /api/v2/workspaces/<workspace_id>/actions/safe-delete": _LOCKED,
    "POST /api/v2/workspaces/<workspace_id>/actions/lock": _LOCKED,
    "POST /api/v2/workspaces/<workspace_id>/conditions/<code>/actions/acknowledge": "has no condition state-diverged",
}
