"""Pages for people."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import Section

PAGES: Final = Section(
    "Pages",
    "",
    "For browsers, with a session's cookie, which never counts under `/api/v2`. Signing in needs none.",
    {
        "GET /": "Leads to `/app`.",
        "GET /app": "The workspaces.",
        "GET /app/{org}/workspaces": "Leads to `/app`.",
        "GET /app/{org}/workspaces/{workspace}": "A workspace: its runs, health, lock, state and variables.",
        "GET /app/{org}/workspaces/{workspace}/stream": "News for that page while it is open, as Server-Sent Events.",
        "POST /app/{org}/workspaces/{workspace}/actions/{action}": "Lock, unlock, acknowledge, promote or roll back.",
        "GET /app/{org}/{workspace}/runs/{run_id}": "A run: status, log, and what can be done. terraform prints this address.",
        "GET /app/{org}/workspaces/{workspace}/runs/{run_id}": "Leads to the run.",
        "GET /app/{org}/{workspace}/runs/{run_id}/progress": "The part of the page that changes while the run goes on.",
        "GET /app/{org}/{workspace}/runs/{run_id}/stream": "News and logs for that page while it is open, as Server-Sent Events.",
        "GET /app/caches": "What is in the caches, and which sources fail; for platform admins and auditors.",
        "GET /app/stream": "News for the page of workspaces.",
        "GET /app/{org}/{workspace}/runs/{run_id}/logs/{phase_id}": "A part of the log, from `offset`.",
        "GET /app/{org}/{workspace}/runs/{run_id}/logs/{phase_id}/raw": "The whole log as a file.",
        "POST /app/{org}/{workspace}/runs/{run_id}/actions/{action}": "Confirm, discard, cancel, try again, or say something about it.",
        "GET /app/{org}/registry": "Leads to the modules.",
        "GET /app/{org}/registry/modules": "The modules, narrowed by `search` and `label`.",
        "GET /app/{org}/registry/modules/{namespace}/{name}/{provider}": "A module, at its newest version that can be used.",
        "GET /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}": "The same at a version; `part` is a submodule.",
        "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}/usage": "The block that calls it with these inputs.",
        "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}/actions/{action}": "Mark or delete a version.",
        "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}/release": "Release a version that is held.",
        "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/actions/delete": "Delete a module.",
        "GET /app/{org}/registry/providers": "The providers, likewise.",
        "GET /app/{org}/registry/providers/{namespace}/{name}": "A provider, at its newest version that can be used.",
        "GET /app/{org}/registry/providers/{namespace}/{name}/{version}": "The same at a version.",
        "POST /app/{org}/registry/providers/{namespace}/{name}/{version}/actions/{action}": "Mark or delete a version.",
        "POST /app/{org}/registry/providers/{namespace}/{name}/{version}/release": "Release a version that is held.",
        "POST /app/{org}/registry/providers/{namespace}/{name}/actions/delete": "Delete a provider.",
        "GET /app/{org}/registry/keys": "The GPG keys that verify providers, and the server's own.",
        "GET /app/settings/tokens": "The caller's API tokens.",
        "POST /app/settings/tokens": "Make an API token; it is shown once.",
        "POST /app/settings/tokens/{token_id}/revoke": "Revoke one.",
        "GET /app/settings/account": "The caller's name, password, and where they are signed in.",
        "POST /app/settings/account/name": "Change the name.",
        "POST /app/settings/account/password": "Change the password.",
        "POST /app/settings/account/sessions/{session_id}/revoke": "End a session.",
        "POST /app/settings/account/sessions/revoke-others": "End all other sessions.",
        "GET /app/sign-in": "The ways to sign in; `again=1` asks somebody who is signed in, too.",
        "POST /app/sign-in": "Sign in.",
        "POST /app/sign-out": "Sign out.",
        "GET /app/static/{name}": "A style sheet or a script of these pages.",
    },
)
