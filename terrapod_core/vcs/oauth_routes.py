"""`/oauth-clients`, `/oauth-tokens` and `/github-app`: connections by go-tfe's names."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi import Resource, parse_open
from terrapod_core.vcs.names import CLIENT, INSTALLATION, TOKEN
from terrapod_core.vcs.oauth import OAuth
from terrapod_core.vcs.oauth_resources import AUTHORIZED_REPO, INSTALLATION_RESOURCE, REPO_CHECK, TOKEN_RESOURCE, installation_repo
from terrapod_core.web import Web


def routes(oauth: OAuth, client: Resource, web: Web) -> Blueprint:
    """Mounted at `/api/v2`. `client` is what OAuth clients look like here."""
    vcs_oauth = Blueprint("vcs_oauth", __name__)
    _clients(vcs_oauth, oauth, client, web)
    _projects(vcs_oauth, oauth, web)
    _tokens(vcs_oauth, oauth, web)
    _installations(vcs_oauth, oauth, web)
    return vcs_oauth


def _clients(at: Blueprint, oauth: OAuth, client: Resource, web: Web) -> None:
    @at.get("/organizations/<org>/oauth-clients")
    async def list_oauth_clients(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(client, await oauth.clients(actor))

    @at.post("/organizations/<org>/oauth-clients")
    async def create_oauth_client(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        attributes, relationships = parse_open(await web.raw_json())
        return await web.document(client, await oauth.create(actor, attributes, relationships), status=201)

    @at.get("/oauth-clients/<client_id>")
    async def show_oauth_client(client_id: str) -> Response:
        return await web.document(client, await oauth.client(await web.actor(), client_id))

    @at.patch("/oauth-clients/<client_id>")
    async def update_oauth_client(client_id: str) -> Response:
        actor = await web.actor()
        attributes, relationships = parse_open(await web.raw_json())
        return await web.document(client, await oauth.update(actor, client_id, attributes, relationships))

    @at.delete("/oauth-clients/<client_id>")
    async def delete_oauth_client(client_id: str) -> Response:
        await oauth.delete(await web.actor(), CLIENT, client_id)
        return web.empty()

    @at.get("/oauth-clients/<client_id>/oauth-tokens")
    async def list_tokens_of_client(client_id: str) -> Response:
        return await web.unpaged(TOKEN_RESOURCE, [await oauth.client(await web.actor(), client_id)])


def _projects(at: Blueprint, oauth: OAuth, web: Web) -> None:
    @at.post("/oauth-clients/<client_id>/relationships/projects")
    async def add_projects_to_client(client_id: str) -> Response:
        actor = await web.actor()
        await oauth.add_projects(actor, client_id, {each.id for each in await web.refs() if each.id})
        return web.empty()

    @at.delete("/oauth-clients/<client_id>/relationships/projects")
    async def remove_projects_from_client(client_id: str) -> Response:
        actor = await web.actor()
        await oauth.remove_projects(actor, client_id, {each.id for each in await web.refs() if each.id})
        return web.empty()


def _tokens(at: Blueprint, oauth: OAuth, web: Web) -> None:
    @at.get("/organizations/<org>/oauth-tokens")
    async def list_oauth_tokens(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(TOKEN_RESOURCE, await oauth.clients(actor))

    @at.get("/oauth-tokens/<token_id>")
    async def show_oauth_token(token_id: str) -> Response:
        return await web.document(TOKEN_RESOURCE, await oauth.token(await web.actor(), token_id))

    @at.patch("/oauth-tokens/<token_id>")
    async def update_oauth_token(token_id: str) -> Response:
        actor = await web.actor()
        attributes, _ = parse_open(await web.raw_json())
        return await web.document(TOKEN_RESOURCE, await oauth.set_ssh_key(actor, token_id, attributes))

    @at.delete("/oauth-tokens/<token_id>")
    async def delete_oauth_token(token_id: str) -> Response:
        await oauth.delete(await web.actor(), TOKEN, token_id)
        return web.empty()

    @at.get("/oauth-tokens/<token_id>/authorized-repos")
    async def list_authorized_repos(token_id: str) -> Response:
        _, found = await oauth.repositories(await web.actor(), TOKEN, token_id)
        return await web.unpaged(AUTHORIZED_REPO, found)

    @at.get("/organizations/<org>/vcs/repo")
    async def check_repo(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        token_id, identifier = request.args.get("oauth_token_id"), request.args.get("identifier")
        if not token_id or not identifier:
            raise BadRequest("say which repository, reached by which token: oauth_token_id=ot-…&identifier=org/repo")
        return await web.document(REPO_CHECK, await oauth.check(actor, token_id, identifier))


def _installations(at: Blueprint, oauth: OAuth, web: Web) -> None:
    @at.get("/github-app/installations")
    async def list_app_installations() -> Response:
        actor = await web.actor()
        return await web.listing(INSTALLATION_RESOURCE, await oauth.installations(actor, web.query()))

    @at.get("/github-app/installation/<installation_id>")
    async def show_app_installation(installation_id: str) -> Response:
        return await web.document(INSTALLATION_RESOURCE, await oauth.installation(await web.actor(), installation_id))

    @at.get("/organizations/<org>/github-app-installations")
    async def list_app_installations_of_organization(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(INSTALLATION_RESOURCE, await oauth.installations(actor, web.query()))

    @at.get("/organizations/<org>/github-app-installations/<installation_id>/repos")
    async def list_repos_of_installation(org: str, installation_id: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        _, found = await oauth.repositories(actor, INSTALLATION, installation_id)
        return await web.unpaged(installation_repo(installation_id), found)
