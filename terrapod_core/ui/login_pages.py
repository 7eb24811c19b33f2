"""The page between `terraform login` and its token: somebody has to agree, with a click."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from quart import Blueprint, Response, request

from terrapod_core.accounts import SignInAgain, authorization_request
from terrapod_core.ui.pages import Pages, go, sign_in_again, single


def login_pages(pages: Pages) -> Blueprint:
    """`/oauth/authorize`. Whatever is wrong is said here: terraform would wait for ever for an answer it cannot read."""
    blueprint = Blueprint("login_pages", __name__)

    @blueprint.get("/oauth/authorize")
    async def authorize() -> Response:
        asked = authorization_request(single(request.args.to_dict(flat=False)))
        actor = await pages.actor()
        if await pages.people.tokens.wants_sign_in(actor):
            return go(sign_in_again(request.full_path))
        expires_at = pages.web.db.clock.now() + timedelta(days=pages.web.settings.tokens.default_days)
        user = await pages.people.accounts.read(actor, actor.id)
        # A browser applies form-action to where the form's answer leads as well, and that is terraform on this machine.
        return pages.show("consent.html", actor, form_to=asked.origin, user=user, asked=asked, expires_at=expires_at)

    @blueprint.post("/oauth/authorize")
    async def decide() -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        asked = authorization_request(fields)
        if fields.get("decision") != "allow":
            return pages.show("denied.html", actor)
        try:
            return go(await pages.people.terraform_login.consent(actor, asked))
        except SignInAgain:
            return go(sign_in_again(f"/oauth/authorize?{urlencode(asked.fields())}"))

    return blueprint
