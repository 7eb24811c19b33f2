"""Pages for people."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import Actions, Connected, Gets, Item, On, Open, OtherPublisher, Owned, P, Page, Platform, Row, SignedIn

_OF_A_VERSION: Final = {
    "deprecate": P.REGISTRY_PUBLISH,
    "undeprecate": P.REGISTRY_PUBLISH,
    "revoke": P.REGISTRY_UPDATE,
    "unrevoke": P.REGISTRY_UPDATE,
    "delete": P.REGISTRY_UPDATE,
}

ROWS: Final[dict[str, Row]] = {
    "GET /": Row(Open("leads to `/app`")),
    "GET /app/<org>/workspaces": Row(Open("leads to `/app`")),
    "GET /app/<org>/workspaces/<workspace>": Row(Page(On(P.WORKSPACE_READ))),
    "GET /app/<org>/workspaces/<workspace>/stream": Row(Page(On(P.WORKSPACE_READ))),
    "POST /app/<org>/workspaces/<workspace>/actions/<action>": Row(
        Page(
            Actions(
                {
                    "lock": P.WORKSPACE_LOCK,
                    "unlock": P.WORKSPACE_LOCK,
                    "force-unlock": P.WORKSPACE_FORCE_UNLOCK,
                    "acknowledge": P.WORKSPACE_UPDATE,
                    "promote": P.WORKSPACE_UPDATE,
                    "roll-back": P.STATE_WRITE,
                },
            )
        ),
        body={"code": "state-diverged", "version": "{state}"},
        then={
            "lock": "is locked by",
            "unlock": "is locked by",
            "acknowledge": "has no condition",
            "promote": "is locked by",
            "roll-back": "is locked by",
        },
    ),
    "GET /app/<org>/workspaces/<workspace>/version-control": Row(Page(On(P.RUN_READ))),
    "GET /app/<org>/workspaces/<workspace>/version-control/connect": Row(Page(On(P.WORKSPACE_UPDATE))),
    "POST /app/<org>/workspaces/<workspace>/version-control": Row(
        Page(On(P.WORKSPACE_UPDATE)), body={"repository": "acme/net"}, then={"": "say which VCS connection"}
    ),
    "POST /app/<org>/workspaces/<workspace>/version-control/actions/<action>": Row(
        Page(Actions({"look": P.RUN_PLAN, "disconnect": P.WORKSPACE_UPDATE, "approve": P.RUN_APPLY})),
        body={"change": "vcschg-none"},
        then={"look": "follows no repository", "approve": "there is no such change"},
    ),
    "GET /app/<org>/connections": Row(Page(SignedIn("those they may know of"))),
    "GET /app/<org>/connections/new": Row(Page(Platform(admin=True))),
    "POST /app/<org>/connections": Row(
        Page(Platform(admin=True)), body={"provider": "gitlab", "name": "never made"}, then={"": "token is needed"}
    ),
    "GET /app/<org>/connections/<connection_id>": Row(Page(Connected(change=False))),
    "GET /app/<org>/connections/<connection_id>/edit": Row(Page(Connected(audited=Gets.FORBIDDEN))),
    "POST /app/<org>/connections/<connection_id>": Row(
        Page(Connected(audited=Gets.FORBIDDEN)), body={"name": "not *"}, then={"": "Name must have"}
    ),
    "POST /app/<org>/connections/<connection_id>/test": Row(Page(Connected(audited=Gets.FORBIDDEN, change=False)), body={}),
    "POST /app/<org>/connections/<connection_id>/webhook-secret": Row(Page(Connected(audited=Gets.FORBIDDEN)), body={}),
    "POST /app/<org>/connections/<connection_id>/delete": Row(
        Page(Connected(audited=Gets.FORBIDDEN)), body={"confirm": "another name"}, then={"": "nothing was deleted"}
    ),
    "GET /app": Row(Page(SignedIn("the workspaces they may read"))),
    **{
        f"GET /app/<org>/{path}": Row(Page(On(P.RUN_READ)))
        for path in (
            "workspaces/<workspace>/runs/<run_id>",
            "<workspace>/runs/<run_id>",
            "<workspace>/runs/<run_id>/logs/<phase_id>",
            "<workspace>/runs/<run_id>/logs/<phase_id>/raw",
            "<workspace>/runs/<run_id>/progress",
        )
    },
    "GET /app/<org>/<workspace>/runs/<run_id>/stream": Row(Page(On(P.RUN_READ))),
    "GET /app/caches": Row(Page(Platform(admin=False))),
    "GET /app/stream": Row(Page(SignedIn("what happens to the workspaces they may read"))),
    "POST /app/<org>/<workspace>/runs/<run_id>/actions/<action>": Row(
        Page(
            Actions(
                {
                    "confirm": P.RUN_APPLY,
                    "discard": P.RUN_CANCEL,
                    "cancel": P.RUN_CANCEL,
                    "force-cancel": P.RUN_FORCE_CANCEL,
                    "force-execute": P.RUN_CANCEL,
                    "retry": P.RUN_PLAN,
                    "comment": P.RUN_COMMENT,
                },
            )
        ),
        body={"comment": "text"},
        then={
            "confirm": "is pending",
            "force-cancel": "can be force-cancelled a minute after",
            "force-execute": "is locked by",
            "retry": "only a run that has ended",
        },
    ),
    "GET /app/<org>/registry": Row(Open("leads to the modules")),
    **{f"GET /app/<org>/registry/{kind}": Row(Page(SignedIn("those they may read"))) for kind in ("modules", "providers", "keys")},
    **{
        f"{method} /app/<org>/registry/{path}{rest}": row
        for path, address in (
            ("modules/<namespace>/<name>/<provider>", "default/{module_name}/aws"),
            ("providers/<namespace>/<name>", "default/{provider_name}"),
        )
        for (method, rest), row in {
            ("GET", ""): Row(Page(Item(P.REGISTRY_READ))),
            ("GET", "/<version>"): Row(Page(Item(P.REGISTRY_READ))),
            ("POST", "/<version>/actions/<action>"): Row(Page(Actions(_OF_A_VERSION)), body={"reason": "text", "confirm": "1.0.0"}),
            ("POST", "/<version>/release"): Row(Page(OtherPublisher()), body={}),
            ("POST", "/actions/delete"): Row(Page(Item(P.REGISTRY_UPDATE)), body={"confirm": address}),
        }.items()
    },
    "POST /app/<org>/registry/modules/<namespace>/<name>/<provider>/<version>/usage": Row(
        Page(Item(P.REGISTRY_READ)), body={"label": "walk"}
    ),
    "GET /app/settings/account": Row(Page(SignedIn("themselves"))),
    "POST /app/settings/account/name": Row(Page(SignedIn("themselves")), body={"username": "{email}"}),
    "POST /app/settings/account/password": Row(
        Page(SignedIn("themselves")),
        body={"current_password": "x", "password": "a quiet walnut drawer", "password_confirmation": "a quiet walnut drawer"},
        then={"": "current_password is wrong"},
    ),
    "POST /app/settings/account/sessions/<session_id>/revoke": Row(Page(Owned("a session", None)), body={}),
    "POST /app/settings/account/sessions/revoke-others": Row(Page(SignedIn("their own")), body={}),
    "GET /app/settings/tokens": Row(Page(SignedIn("their own"))),
    "POST /app/settings/tokens": Row(Page(SignedIn("makes one of their own")), body={"description": "of the walk", "days": "1"}),
    "POST /app/settings/tokens/<token_id>/revoke": Row(Page(Owned("a token", Gets.FORBIDDEN)), body={}),
    "POST /app/sign-out": Row(Page(SignedIn("the session that is shown")), body={}),
    "GET /app/sign-in": Row(Open("the page of those who are not signed in")),
    "POST /app/sign-in": Row(Open("the page of those who are not signed in")),
    "GET /app/static/<name>": Row(Open("styles and scripts of the pages")),
}

LATER: Final[dict[str, str]] = {
    "GET /app/static/<name>": "there is no such file",
    "POST /app/sign-in": "this form did not come from a page of",
}
