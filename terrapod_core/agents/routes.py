"""`/agent-pools`, `/listeners` and `/agents`. What a pool's runs are, the runs' room answers."""

from __future__ import annotations

from quart import Blueprint, Response, request

from terrapod_core import organizations
from terrapod_core.agents.documents import CreatePool, CreatePoolToken, Heartbeat, JoinListener, UpdatePool
from terrapod_core.agents.listeners import Listeners
from terrapod_core.agents.resources import AGENT, AGENT_POOL, LISTENER, POOL_TOKEN
from terrapod_core.agents.service import Pools
from terrapod_core.agents.signed_routes import BODY_BYTES, SignedRoutes
from terrapod_core.agents.tokens import PoolTokens
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import parse
from terrapod_core.web import Web


def routes(pools: Pools, tokens: PoolTokens, listeners: Listeners, signed: SignedRoutes, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    agents = Blueprint("agents", __name__)
    _pools(agents, pools, web)
    _tokens(agents, tokens, web)
    _listeners(agents, listeners, web)
    _agents(agents, listeners, web)
    _called_by_listeners(agents, tokens, listeners, signed, web)
    return agents


def _pools(agents: Blueprint, pools: Pools, web: Web) -> None:
    @agents.get("/organizations/<org>/agent-pools")
    async def list_pools(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.listing(AGENT_POOL, await pools.list(actor, web.query()))

    @agents.post("/organizations/<org>/agent-pools")
    async def create_pool(org: str) -> Response:
        actor = await web.actor()
        organizations.check(org)
        return await web.document(AGENT_POOL, await pools.create(actor, await web.body(CreatePool)), status=201)

    @agents.get("/agent-pools/<pool_id>")
    async def show_pool(pool_id: str) -> Response:
        return await web.document(AGENT_POOL, await pools.read(await web.actor(), pool_id))

    @agents.patch("/agent-pools/<pool_id>")
    async def update_pool(pool_id: str) -> Response:
        actor = await web.actor()
        return await web.document(AGENT_POOL, await pools.update(actor, pool_id, await web.body(UpdatePool)))

    @agents.delete("/agent-pools/<pool_id>")
    async def delete_pool(pool_id: str) -> Response:
        await pools.delete(await web.actor(), pool_id)
        return web.empty()


def _tokens(agents: Blueprint, tokens: PoolTokens, web: Web) -> None:
    @agents.get("/agent-pools/<pool_id>/authentication-tokens")
    async def list_tokens(pool_id: str) -> Response:
        return await web.listing(POOL_TOKEN, await tokens.list(await web.actor(), pool_id, web.query().page))

    @agents.post("/agent-pools/<pool_id>/authentication-tokens")
    async def create_token(pool_id: str) -> Response:
        actor = await web.actor()
        made = await tokens.create(actor, pool_id, await web.body(CreatePoolToken))
        return await web.document(POOL_TOKEN, made, status=201)


def _listeners(agents: Blueprint, listeners: Listeners, web: Web) -> None:
    @agents.get("/agent-pools/<pool_id>/listeners")
    async def list_listeners(pool_id: str) -> Response:
        return await web.listing(LISTENER, await listeners.list(await web.actor(), pool_id, web.query()))

    @agents.get("/listeners/<listener_id>")
    async def show_listener(listener_id: str) -> Response:
        return await web.document(LISTENER, await listeners.read(await web.actor(), listener_id))

    @agents.post("/listeners/<listener_id>/actions/drain")
    async def drain(listener_id: str) -> Response:
        return await web.document(LISTENER, await listeners.drain(await web.actor(), listener_id, on=True))

    @agents.post("/listeners/<listener_id>/actions/undrain")
    async def undrain(listener_id: str) -> Response:
        return await web.document(LISTENER, await listeners.drain(await web.actor(), listener_id, on=False))

    @agents.post("/listeners/<listener_id>/actions/revoke")
    async def revoke(listener_id: str) -> Response:
        return await web.document(LISTENER, await listeners.revoke(await web.actor(), listener_id))


def _agents(agents: Blueprint, listeners: Listeners, web: Web) -> None:
    @agents.get("/agent-pools/<pool_id>/agents")
    async def list_agents(pool_id: str) -> Response:
        return await web.listing(AGENT, await listeners.list(await web.actor(), pool_id, web.query()))

    @agents.get("/agents/<listener_id>")
    async def show_agent(listener_id: str) -> Response:
        return await web.document(AGENT, await listeners.read(await web.actor(), listener_id))

    @agents.delete("/agents/<listener_id>")
    async def delete_agent(listener_id: str) -> Response:
        await listeners.remove(await web.actor(), listener_id)
        return web.empty()


def _called_by_listeners(agents: Blueprint, tokens: PoolTokens, listeners: Listeners, signed: SignedRoutes, web: Web) -> None:
    @agents.post("/agent-pools/<pool_id>/listeners/join")
    async def join(pool_id: str) -> Response:
        token = web.bearer()
        await tokens.check(token, pool_id)
        new = await web.body(JoinListener, limit=BODY_BYTES)
        return await web.document(LISTENER, await listeners.join(pool_id, token, new, request.remote_addr), status=201)

    @agents.post("/listeners/<listener_id>/heartbeat")
    async def heartbeat(listener_id: str) -> Response:
        identity, body = await signed.caller(listener_id)
        said = parse(body, Heartbeat) if body.strip() else Heartbeat()
        return await web.document(LISTENER, await listeners.heartbeat(identity, said))

    @agents.post("/listeners/<listener_id>/renew")
    async def renew(listener_id: str) -> Response:
        identity, body = await signed.caller(listener_id, renewing=True)
        if body.strip() not in (b"", b"{}"):
            raise Invalid("renewing takes no document: the new certificate is over the same key, and whoever has another key joins anew")
        return await web.document(LISTENER, await listeners.renew(identity))
