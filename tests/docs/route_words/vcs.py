"""Connections to forges, what workspaces saw there, and the webhooks of forges."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

CONNECTIONS: Final = Section(
    "VCS connections",
    API,
    TOKEN,
    {
        "GET /organizations/{org}/vcs-connections": "The VCS connections that the caller may use; for platform auditors all.",
        "POST /organizations/{org}/vcs-connections": "Make a connection, which is tried first. Its webhook secret is in this answer only.",
        "GET /vcs-connections/{connection_id}": "A connection, without its secrets.",
        "PATCH /vcs-connections/{connection_id}": "Change a connection; new credentials are tried first, and count from then on.",
        "DELETE /vcs-connections/{connection_id}": "Delete a connection; workspaces keep their configuration and follow nothing more.",
        "POST /vcs-connections/{connection_id}/actions/test": "Ask the forge now; what is wrong is the answer's `error-message`.",
        "POST /vcs-connections/{connection_id}/actions/renew-webhook-secret": "Another webhook secret; the one before is void at once.",
        "GET /vcs-connections/{connection_id}/repositories": "The repositories of it that somebody follows, and how the last look went.",
        "GET /vcs-connections/{connection_id}/available-repositories": "Some that it may read, at most a hundred, asked of the forge.",
        "GET /vcs-connections/{connection_id}/refs": "A repository's branches and tags, asked of the forge; `filter[identifier]` names it.",
    },
)

CHANGES: Final = Section(
    "What workspaces saw in their repositories",
    API,
    TOKEN,
    {
        "GET /workspaces/{workspace_id}/vcs-changes": "Pushes, tags and pull requests that a workspace saw, and what became of them.",
        "POST /workspaces/{workspace_id}/actions/look-at-repository": "Have the workspace's repository looked at now.",
        "GET /vcs-changes/{change_id}": "One of them.",
        "POST /vcs-changes/{change_id}/actions/approve": "Let a fork's commit that waits be planned with secrets; no later one.",
    },
)

WEBHOOKS: Final = Section(
    "Webhooks of forges",
    API,
    "Called by forges, which sign them; nothing of a webhook is believed but which repository it is about, and that is looked at.",
    {
        "POST /vcs-events/{provider}": "A webhook, signed with the secret of the settings (`[vcs.<provider>] webhook_secret`).",
        "POST /vcs-events/{provider}/{connection_id}": "A webhook, signed with the connection's own secret.",
    },
)
