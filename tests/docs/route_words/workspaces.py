"""The organization, its projects and its workspaces."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

ORGANIZATION: Final = Section(
    "Organization",
    API,
    TOKEN,
    {
        "GET /organizations": "The one organization.",
        "GET /organizations/{org}": "The organization.",
        "GET /organizations/{org}/entitlement-set": "What is switched on; terraform reads `operations` here.",
        "GET /organizations/{org}/capacity": "How many runs wait and how many run.",
    },
)

PROJECTS: Final = Section(
    "Projects",
    API,
    TOKEN,
    {
        "GET /organizations/{org}/projects": "Projects; `filter[names]` finds one by name.",
        "POST /organizations/{org}/projects": "Make a project.",
        "GET /projects/{project_id}": "A project.",
        "PATCH /projects/{project_id}": "Change a project.",
        "DELETE /projects/{project_id}": "Delete a project that holds no workspace.",
        "POST /projects/{project_id}/relationships/workspaces": "Move workspaces into a project.",
    },
)

WORKSPACES: Final = Section(
    "Workspaces",
    API,
    TOKEN,
    {
        "GET /organizations/{org}/workspaces": "Workspaces; `search[name]`, `search[tags]` and `filter[tagged]` narrow the list.",
        "POST /organizations/{org}/workspaces": "Make a workspace; only its name must be given.",
        "GET /organizations/{org}/workspaces/{name}": "A workspace by name.",
        "PATCH /organizations/{org}/workspaces/{name}": "Change a workspace.",
        "DELETE /organizations/{org}/workspaces/{name}": "Delete a workspace and all it holds.",
        "POST /organizations/{org}/workspaces/{name}/actions/safe-delete": "Delete a workspace unless its state has resources.",
        "GET /workspaces/{workspace_id}": "A workspace by id.",
        "PATCH /workspaces/{workspace_id}": "Change a workspace.",
        "DELETE /workspaces/{workspace_id}": "Delete a workspace and all it holds.",
        "POST /workspaces/{workspace_id}/actions/safe-delete": "Delete a workspace unless its state has resources.",
        "POST /workspaces/{workspace_id}/actions/lock": "Lock it; runs wait until it is unlocked.",
        "POST /workspaces/{workspace_id}/actions/unlock": "Take back one's own lock.",
        "POST /workspaces/{workspace_id}/actions/force-unlock": "Take away somebody's lock.",
        "POST /workspaces/{workspace_id}/conditions/{code}/actions/acknowledge": (
            "Say that a condition was dealt with: it ends. A comment may come with it."
        ),
    },
)

LABELS: Final = Section(
    "Labels, tags and state sharing",
    API,
    TOKEN,
    {
        "GET /organizations/{org}/tags": "Every tag in use.",
        "GET /workspaces/{workspace_id}/tag-bindings": "A workspace's labels, as key and value.",
        "PATCH /workspaces/{workspace_id}/tag-bindings": "Add labels, or change their values.",
        "GET /workspaces/{workspace_id}/effective-tag-bindings": "The labels in force.",
        "GET /workspaces/{workspace_id}/relationships/tag-bindings": "The same labels, as a relationship.",
        "POST /workspaces/{workspace_id}/relationships/tag-bindings": "Add labels.",
        "PATCH /workspaces/{workspace_id}/relationships/tag-bindings": "Replace all labels.",
        "GET /workspaces/{workspace_id}/relationships/tags": "A workspace's tags: its labels without values.",
        "POST /workspaces/{workspace_id}/relationships/tags": "Add tags.",
        "DELETE /workspaces/{workspace_id}/relationships/tags": "Remove tags.",
        "GET /workspaces/{workspace_id}/relationships/remote-state-consumers": "Which workspaces may read this one's state.",
        "POST /workspaces/{workspace_id}/relationships/remote-state-consumers": "Let further workspaces read it.",
        "PATCH /workspaces/{workspace_id}/relationships/remote-state-consumers": "Replace the list.",
        "DELETE /workspaces/{workspace_id}/relationships/remote-state-consumers": "Take workspaces off the list.",
    },
)
