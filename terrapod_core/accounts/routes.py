"""`/account`, `/users`, `/authentication-tokens`, `/auth` and the token endpoint of `terraform login`."""

from __future__ import annotations

from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec
from quart import Blueprint, Response, request

from terrapod_core.accounts.admin_routes import admin_actions, admin_sessions, admin_users
from terrapod_core.accounts.browser import BROWSER_COOKIE_SECONDS, Site, is_foreign, site_of
from terrapod_core.accounts.resources import (
    AUTH_PROVIDER,
    AUTHENTICATION_TOKEN,
    SESSION,
    USER,
    ChangePassword,
    UpdateAccount,
    parse_token,
)
from terrapod_core.accounts.service import AccountServices
from terrapod_core.accounts.sign_in import SIGN_IN_PAGE, Begun, Visitor, Welcome
from terrapod_core.accounts.terraform_login import OAuthRefused
from terrapod_core.accounts.tokens import IssuedToken
from terrapod_core.authz import Actor
from terrapod_core.errors import BadRequest, Invalid, NotFound
from terrapod_core.jsonapi import Page, Resource
from terrapod_core.plugin.auth import Form, Redirect
from terrapod_core.web import Web

FORM: Final = "application/x-www-form-urlencoded"
CALLBACK_BYTES: Final = 512 * 1024
"""A SAML response with many groups is far larger than any form of ours."""


class OtherTokens(Protocol):
    """Tokens that are no user's and have the same paths; a room above keeps them."""

    async def show(self, actor: Actor, token_id: str) -> Any:
        """A token without its text; raises `NotFound`."""
        ...

    async def revoke(self, actor: Actor, token_id: str) -> None:
        """End it; raises `NotFound`, or `Forbidden` for one that the actor may only see."""
        ...


class Doorway:
    """Reads a browser's cookies and sets them. The pages of `ui` use it too; no route of the API looks at a cookie."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def site(self) -> Site:
        """Where the browser reached us; raises `Forbidden` over plain HTTP from another machine."""
        settings = self._web.settings
        return site_of(
            self._web.base_url() if settings.external_url else "",
            scheme=request.scheme,
            host=request.host,
            external=settings.external_url is not None,
            allow_plain_http=settings.sessions.allow_plain_http,
        )

    def visitor(self, site: Site) -> Visitor:
        """The one who sent the request."""
        by_link = request.method in ("GET", "HEAD")
        origin, fetch_site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        return Visitor(
            browser=request.cookies.get(site.sign_in_cookie),
            posting=request.cookies.get(site.posting_cookie),
            session=request.cookies.get(site.session_cookie),
            address=request.remote_addr,
            user_agent=request.headers.get("User-Agent"),
            by_link=by_link,
            foreign=not by_link and is_foreign(site, origin=origin, fetch_site=fetch_site),
        )

    def remember(self, response: Response, site: Site, begun: Begun) -> None:
        """Tell this browser from others until the sign-in is finished."""
        name, flags = (site.posting_cookie, site.posting_flags()) if begun.posts else (site.sign_in_cookie, site.cookie_flags())
        response.set_cookie(name, begun.browser, max_age=BROWSER_COOKIE_SECONDS, **flags)
        response.headers["Cache-Control"] = "no-store"

    def let_in(self, response: Response, site: Site, welcome: Welcome) -> None:
        """Give the browser its session. The cookie has no age: it ends with the browser, or with the session here."""
        response.set_cookie(site.session_cookie, welcome.text, **site.cookie_flags())
        response.delete_cookie(site.sign_in_cookie, **site.cookie_flags())
        if site.posting_cookie in request.cookies:
            response.delete_cookie(site.posting_cookie, **site.posting_flags())
        response.headers["Cache-Control"] = "no-store"

    def let_out(self, response: Response, site: Site) -> None:
        """Take the session's cookie away."""
        response.delete_cookie(site.session_cookie, **site.cookie_flags())


def wants_html() -> bool:
    """Whether a browser asks for a page. Programs name no HTML."""
    return "text/html" in request.headers.get("Accept", "")


def routes(services: AccountServices, web: Web, others: OtherTokens, other: Resource) -> Blueprint:
    """Mounted at `/api/v2`. `other` is what one of the `others` looks like."""
    accounts = Blueprint("accounts", __name__)
    _users(accounts, services, web)
    _tokens(accounts, services, web)
    _any_tokens(accounts, services, web, others, other)
    _sign_in(accounts, services, web)
    _sessions(accounts, services, web)
    admin_users(accounts, services, web)
    admin_actions(accounts, services, web)
    admin_sessions(accounts, services, web)
    return accounts


def _users(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    @accounts.get("/account/details")
    async def show_account() -> Response:
        actor = await web.actor()
        return await web.document(USER, await services.accounts.read(actor, actor.id))

    @accounts.patch("/account/update")
    async def update_account() -> Response:
        actor, new = await web.actor(), await web.body(UpdateAccount)
        user = await services.accounts.read(actor, actor.id)
        if new.email is not None and new.email != user.email:
            raise Invalid("a platform admin changes addresses: PATCH /api/v2/admin/users/{id}", pointer="/data/attributes/email")
        if new.username is not None:
            user = await services.accounts.rename_self(actor, new.username)
        return await web.document(USER, user)

    @accounts.patch("/account/password")
    async def change_password() -> Response:
        actor, new = await web.actor(), await web.body(ChangePassword)
        return await web.document(
            USER, await services.passwords.change(actor, new.current_password, new.password, new.password_confirmation)
        )

    @accounts.get("/users/<user_id>")
    async def show_user(user_id: str) -> Response:
        return await web.document(USER, await services.accounts.read(await web.actor(), user_id))


def _tokens(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    async def create(user_id: str | None) -> Response:
        actor = await web.actor()
        new, narrowing = parse_token(await web.raw_json())
        issued = await services.tokens.create(
            actor, description=new.description, expires_at=new.expired_at, user_id=user_id, narrowing=narrowing
        )
        response = await web.document(AUTHENTICATION_TOKEN, issued, status=201)
        response.headers["Cache-Control"] = "no-store"
        return response

    @accounts.post("/authentication-tokens")
    async def create_token() -> Response:
        return await create(None)

    @accounts.post("/users/<user_id>/authentication-tokens")
    async def create_users_token(user_id: str) -> Response:
        return await create(user_id)

    @accounts.get("/authentication-tokens")
    async def list_tokens() -> Response:
        return await web.listing(AUTHENTICATION_TOKEN, await services.tokens.list(await web.actor(), page=web.query().page))

    @accounts.get("/users/<user_id>/authentication-tokens")
    async def list_users_tokens(user_id: str) -> Response:
        # go-tfe asks for no page here and reads only one, so it is given all of them.
        query = web.query()
        page = query.page if query.paginated else None
        return await web.listing(AUTHENTICATION_TOKEN, await services.tokens.list(await web.actor(), user_id, page))

    async def absent(**_where: str) -> Response:
        await web.actor()
        raise NotFound(
            "organizations and teams have no tokens here: a platform admin makes a service account (POST /api/v2/admin/users) "
            "and tokens for it (POST /api/v2/users/{id}/authentication-tokens)"
        )

    for number, path in enumerate(
        (
            "/organizations/<org>/authentication-token",
            "/organizations/<org>/team-tokens",
            "/teams/<team_id>/authentication-token",
            "/teams/<team_id>/authentication-tokens",
        )
    ):
        accounts.add_url_rule(path, endpoint=f"no_token_{number}", view_func=absent, methods=["GET", "POST", "DELETE"])


def _any_tokens(accounts: Blueprint, services: AccountServices, web: Web, others: OtherTokens, other: Resource) -> None:
    @accounts.get("/authentication-tokens/<token_id>")
    async def show_token(token_id: str) -> Response:
        actor = await web.actor()
        try:
            return await web.document(AUTHENTICATION_TOKEN, await services.tokens.show(actor, token_id))
        except NotFound:
            return await web.document(other, await others.show(actor, token_id))

    @accounts.delete("/authentication-tokens/<token_id>")
    async def delete_token(token_id: str) -> Response:
        actor = await web.actor()
        try:
            await services.tokens.revoke(actor, token_id)
        except NotFound:
            await others.revoke(actor, token_id)
        return web.empty()


def _sign_in(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    doorway = Doorway(web)

    @accounts.get("/auth/providers")
    async def list_providers() -> Response:
        return await web.listing(AUTH_PROVIDER, Page.whole(services.sign_in.views()))

    @accounts.get("/auth/providers/<name>/metadata")
    async def show_metadata(name: str) -> Response:
        content_type, document = services.sign_in.metadata(name, web.base_url())
        response = Response(document, content_type=content_type)
        # The plugin wrote it; a browser that opens it runs nothing that may be in it.
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @accounts.get("/auth/authorize")
    async def authorize() -> Response:
        site, return_to = doorway.site(), request.args.get("return_to")
        visitor, provider = doorway.visitor(site), request.args.get("provider")
        if wants_html() and provider is None and len(services.sign_in.providers) != 1:
            return _to_page(provider, return_to)
        begun = await services.sign_in.begin(provider, visitor, return_to=return_to, base_url=site.base_url)
        if wants_html() and isinstance(begun.step, Form):
            return _to_page(begun.provider.name, return_to)
        response = _away(begun.step) if wants_html() and isinstance(begun.step, Redirect) else _described(begun, web)
        doorway.remember(response, site, begun)
        return response

    @accounts.route("/auth/callback", methods=["GET", "POST"])
    async def callback() -> Response:
        site = doorway.site()
        welcome = await services.sign_in.finish(doorway.visitor(site), await _values(web))
        if wants_html():
            response = _seen(welcome.return_to)
            doorway.let_in(response, site, welcome)
            return response
        document = {"data": {"type": "sessions", "id": welcome.session.id, "attributes": {"token": welcome.text, "token-type": "bearer"}}}
        response = web.json(msgspec.json.encode(document))
        response.headers["Cache-Control"] = "no-store"
        return response


def _sessions(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    @accounts.get("/auth/sessions")
    async def list_sessions() -> Response:
        return await web.unpaged(SESSION, await services.sessions.list(await web.actor()))

    @accounts.delete("/auth/sessions")
    async def end_other_sessions() -> Response:
        await services.sessions.end_others(await web.actor())
        return web.empty()

    @accounts.delete("/auth/sessions/<session_id>")
    async def end_session(session_id: str) -> Response:
        await services.sessions.revoke(await web.actor(), session_id)
        return web.empty()

    @accounts.post("/auth/logout")
    async def logout() -> Response:
        await services.sessions.end(await web.actor())
        return web.empty()


def oauth_routes(services: AccountServices, web: Web) -> Blueprint:
    """Mounted at the root: discovery names `/oauth/token`. The page `/oauth/authorize` is `ui`'s."""
    oauth = Blueprint("oauth", __name__)

    @oauth.post("/oauth/token")
    async def exchange() -> Response:
        try:
            if request.mimetype != FORM:
                raise OAuthRefused("invalid_request", f"send {FORM}")
            return _granted(await services.terraform_login.exchange(await web.form()))
        except OAuthRefused as refusal:
            # RFC 6749, section 5.2: terraform shows these two members and no JSON:API document.
            return _oauth({"error": refusal.error, "error_description": refusal.description}, 400)

    return oauth


def _granted(issued: IssuedToken) -> Response:
    return _oauth({"access_token": issued.text, "token_type": "bearer"}, 200)


def _oauth(document: dict[str, str], status: int) -> Response:
    # `application/json` whatever is accepted: terraform's OAuth client takes other types for a form.
    response = Response(msgspec.json.encode(document), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


async def _values(web: Web) -> dict[str, str]:
    """What came back: the query, a form, or a JSON object of texts."""
    if request.method == "GET":
        repeated = [name for name, given in request.args.to_dict(flat=False).items() if len(given) > 1]
        if repeated:
            raise BadRequest(f"{repeated[0][:40]} is given more than once", parameter=repeated[0][:40])
        return dict(request.args.items())
    if request.mimetype == FORM:
        return await web.form(limit=CALLBACK_BYTES)
    try:
        return msgspec.json.decode(await web.raw_json(limit=CALLBACK_BYTES), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest("send a form, or a JSON object whose members are all strings") from error


def _described(begun: Begun, web: Web) -> Response:
    """For programs: what to fill in and to post to the callback with `state`, or where to send a browser."""
    attributes: dict[str, Any] = {"state": begun.state, "callback": "/api/v2/auth/callback"}
    if isinstance(begun.step, Form):
        attributes["fields"] = [{"name": each.name, "label": each.label, "kind": each.kind} for each in begun.step.fields]
    else:
        attributes["url"] = begun.step.url
    return web.json(msgspec.json.encode({"data": {"type": "sign-ins", "id": begun.provider.name, "attributes": attributes}}))


def _away(step: Redirect) -> Response:
    return _seen(step.url, 302)


def _to_page(provider: str | None, return_to: str | None) -> Response:
    query = urlencode({name: value for name, value in {"provider": provider, "return_to": return_to}.items() if value})
    return _seen(f"{SIGN_IN_PAGE}?{query}" if query else SIGN_IN_PAGE)


def _seen(url: str, status: int = 303) -> Response:
    return Response(b"", status=status, headers={"Location": url})
