"""Users, their tokens and sessions, and the ways to sign in."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Gets, Open, Owned, Page, Platform, Row, SignedIn

_GONE: Final = "names what takes the place of something that this server has not"
_USER = wire.document("users", email="never-made@example.com")
_PASSWORD = wire.document("users", current_password="x", password="y", password_confirmation="z")
_LOGIN = {
    "client_id": "terraform-cli",
    "redirect_uri": "http://localhost:10000/login",
    "response_type": "code",
    "code_challenge_method": "S256",
    "code_challenge": "x" * 43,
    "state": "walk",
}
_NOT_SERVED: Final = {
    f"{method} /api/v2/{path}": Row(SignedIn(_GONE), body={})
    for path, methods in {
        "organizations/<org>/authentication-token": ("GET", "POST", "DELETE"),
        "organizations/<org>/team-tokens": ("GET", "POST", "DELETE"),
        "teams/<team_id>/authentication-token": ("GET", "POST", "DELETE"),
        "teams/<team_id>/authentication-tokens": ("GET", "POST", "DELETE"),
    }.items()
    for method in methods
}
"""What other servers have and this one has not: tokens of organizations and teams."""

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/auth/providers": Row(Open("how to sign in")),
    "GET /api/v2/auth/providers/<name>/metadata": Row(Open("what another site must know to send people here")),
    "GET /api/v2/auth/authorize": Row(Open("signing in")),
    "GET /api/v2/auth/callback": Row(Open("signing in; the state and the browser's cookie are the right")),
    "POST /api/v2/auth/callback": Row(Open("signing in; the state and the browser's cookie are the right")),
    "POST /oauth/token": Row(Open("the code is the right")),
    "GET /api/v2/account/details": Row(SignedIn("themselves")),
    "PATCH /api/v2/account/update": Row(SignedIn("themselves"), wire.document("users")),
    "PATCH /api/v2/account/password": Row(SignedIn("themselves"), _PASSWORD),
    "GET /api/v2/users/<user_id>": Row(SignedIn("names of users; the address is shown to the user, admins and auditors")),
    "GET /api/v2/auth/sessions": Row(SignedIn("their own")),
    "DELETE /api/v2/auth/sessions": Row(SignedIn("their own")),
    "POST /api/v2/auth/logout": Row(SignedIn("the session that is shown")),
    "GET /api/v2/authentication-tokens": Row(SignedIn("their own")),
    "POST /api/v2/authentication-tokens": Row(SignedIn("makes one of their own")),
    **_NOT_SERVED,
    "GET /api/v2/authentication-tokens/<token_id>": Row(Owned("a token")),
    "DELETE /api/v2/authentication-tokens/<token_id>": Row(Owned("a token", Gets.FORBIDDEN)),
    "DELETE /api/v2/auth/sessions/<session_id>": Row(Owned("a session", None)),
    "GET /api/v2/users/<user_id>/authentication-tokens": Row(SignedIn("their own; of others an empty list")),
    "POST /api/v2/users/<user_id>/authentication-tokens": Row(
        Owned("tokens for oneself, or by an admin for a service account", None, Gets.FORBIDDEN)
    ),
    "GET /api/v2/admin/users": Row(Platform(admin=False)),
    "GET /api/v2/admin/users/<user_id>": Row(Platform(admin=False)),
    "GET /api/v2/admin/users/<user_id>/sessions": Row(Platform(admin=False)),
    "POST /api/v2/admin/users": Row(Platform(admin=True), _USER),
    "PATCH /api/v2/admin/users/<user_id>": Row(Platform(admin=True), wire.document("users")),
    "DELETE /api/v2/admin/users/<user_id>": Row(Platform(admin=True)),
    "DELETE /api/v2/admin/users/<user_id>/sessions": Row(Platform(admin=True)),
    **{
        f"POST /api/v2/admin/users/<user_id>/actions/{action}": Row(Platform(admin=True), wire.document("users"))
        for action in ("suspend", "unsuspend", "grant-admin", "grant_admin", "revoke-admin", "revoke_admin", "reset-password")
    },
    "GET /oauth/authorize": Row(Page(SignedIn("asks whether terraform shall get a token of theirs")), query=_LOGIN),
    "POST /oauth/authorize": Row(Page(SignedIn("gives terraform a token of theirs")), body={**_LOGIN, "decision": "allow"}),
}

LATER: Final[dict[str, str]] = {
    "GET /api/v2/auth/callback": "begun in another browser or too long ago",
    "POST /api/v2/auth/callback": "begun in another browser or too long ago",
    "POST /api/v2/auth/logout": "you show an API token, not a session",
    "GET /api/v2/auth/providers/<name>/metadata": "choose how to sign in",
    "POST /oauth/token": "send application/x-www-form-urlencoded",
    "PATCH /api/v2/account/password": "password_confirmation is not the same",
    **dict.fromkeys(_NOT_SERVED, ""),
}
