"""Users, their tokens and sessions, and the ways to sign in."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, Section

USERS: Final = Section(
    "Users, tokens and sign-in",
    API,
    "Needs an API token or a session, except `auth/providers`, `auth/authorize` and `auth/callback`, which are the way to one.",
    {
        "GET /account/details": "The user or service account that asks.",
        "PATCH /account/update": "Change one's own name; local users only.",
        "PATCH /account/password": "Change one's own password; other sessions end.",
        "GET /users/{user_id}": "A user.",
        "GET /authentication-tokens": "The caller's API tokens.",
        "POST /authentication-tokens": "Make an API token; its text is in this answer only. `permission` and `workspaces` narrow it.",
        "GET /users/{user_id}/authentication-tokens": "A user's API tokens.",
        "POST /users/{user_id}/authentication-tokens": "The same; a platform admin makes one for a service account.",
        "GET /authentication-tokens/{token_id}": "An API token, without its text.",
        "DELETE /authentication-tokens/{token_id}": "Revoke an API token, and those made with it.",
        "GET /auth/providers": "The ways to sign in.",
        "GET /auth/providers/{name}/metadata": "What a provider's other side needs to know of this server, as SAML has it.",
        "GET /auth/authorize": "Begin a sign-in: a form to fill in, or where to send the browser.",
        "GET /auth/callback": "Finish a sign-in that came back from another site.",
        "POST /auth/callback": "Finish a sign-in with a form; answers a session's token, or sets the browser's cookie.",
        "GET /auth/sessions": "The caller's live sessions.",
        "DELETE /auth/sessions": "End all of the caller's sessions but the one that is shown.",
        "DELETE /auth/sessions/{session_id}": "End one of the caller's sessions; a platform admin anybody's.",
        "POST /auth/logout": "End the session that is shown.",
    },
)

ADMINISTERING: Final = Section(
    "Administering users",
    API,
    "Needs a platform admin; reading, also a platform auditor. An address, or a service account's name, does for `{user_id}`.",
    {
        "GET /admin/users": "Users; `q`, `filter[admin]`, `filter[suspended]` and `filter[service-account]` narrow the list.",
        "POST /admin/users": "Make a local user, or with `is-service-account` an account for a program.",
        "GET /admin/users/{user_id}": "A user as administrators see them.",
        "PATCH /admin/users/{user_id}": "Change a user's name, a local user's address, or whether they are platform admin.",
        "DELETE /admin/users/{user_id}": "Delete a user with their tokens, sessions and roles; what they owned belongs to nobody then.",
        "POST /admin/users/{user_id}/actions/suspend": "Shut a user out: sessions end, tokens are refused within seconds.",
        "POST /admin/users/{user_id}/actions/unsuspend": "Let a user in again; their tokens work as before.",
        "POST /admin/users/{user_id}/actions/grant_admin": "Make a user platform admin, in TFE's spelling.",
        "POST /admin/users/{user_id}/actions/grant-admin": "The same.",
        "POST /admin/users/{user_id}/actions/revoke_admin": "Take that away, in TFE's spelling; the last platform admin stays one.",
        "POST /admin/users/{user_id}/actions/revoke-admin": "The same.",
        "POST /admin/users/{user_id}/actions/reset-password": "Set a local user's password; without one it is made and told once.",
        "GET /admin/users/{user_id}/sessions": "A user's live sessions.",
        "DELETE /admin/users/{user_id}/sessions": "End all of a user's sessions.",
    },
)

NOT_SERVED: Final = Section(
    "Tokens of organizations and teams",
    API,
    "There are none here; every request is answered 404 with a sentence that says to use a service account.",
    {
        f"{method} {path}": "Not served."
        for path in (
            "/organizations/{org}/authentication-token",
            "/organizations/{org}/team-tokens",
            "/teams/{team_id}/authentication-token",
            "/teams/{team_id}/authentication-tokens",
        )
        for method in ("GET", "POST", "DELETE")
    },
)

LOGIN: Final = Section(
    "terraform login",
    "",
    "The page needs a browser session, the token endpoint a code and its PKCE verifier.",
    {
        "GET /oauth/authorize": "The page that asks whether terraform may have a token.",
        "POST /oauth/authorize": "The click on it: a code goes to terraform.",
        "POST /oauth/token": "A code for an API token.",
    },
)
