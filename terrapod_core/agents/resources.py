"""What pools, join tokens and listeners look like on the wire."""

from __future__ import annotations

from typing import Final

from terrapod_core.agents.authority import LIFE
from terrapod_core.agents.models import AgentPool, Listener
from terrapod_core.agents.status import status_of
from terrapod_core.authz import Actor
from terrapod_core.jsonapi import ABSENT, Rendering, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME


def _permissions(_pool: AgentPool, rendering: Rendering) -> dict[str, bool]:
    admin = isinstance(rendering.actor, Actor) and rendering.actor.is_platform_admin
    return {"can-read": True, "can-update": admin, "can-destroy": admin, "can-manage-tokens": admin, "can-manage-listeners": admin}


AGENT_POOL: Final = Resource(
    type="agent-pools",
    attributes=[
        attr("name", writable=True),
        attr("service_account_name", writable=True),
        attr("labels", writable=True),
        attr("organization_scoped", from_=lambda _pool: True),
        attr("agent_count"),
        attr("created_at"),
        attr("updated_at"),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        to_one("organization", "organizations", id_from=lambda _pool: NAME, related=f"/api/v2/organizations/{NAME}"),
        to_many("workspaces", "workspaces", ids_from="workspace_ids"),
        to_many("agents", "agents", ids_from=lambda _pool: ABSENT, related="/api/v2/agent-pools/{id}/agents"),
        to_many("listeners", "listeners", ids_from=lambda _pool: ABSENT, related="/api/v2/agent-pools/{id}/listeners"),
        to_many(
            "authentication_tokens",
            "authentication-tokens",
            ids_from=lambda _pool: ABSENT,
            related="/api/v2/agent-pools/{id}/authentication-tokens",
        ),
    ],
    links={"self": "/api/v2/agent-pools/{id}"},
)

POOL_TOKEN: Final = Resource(
    type="authentication-tokens",
    attributes=[
        attr("description", writable=True),
        attr("uses", writable=True),
        attr("uses_left"),
        attr("created_at"),
        attr("last_used_at"),
        attr("expired_at", writable=True, from_=lambda token: token.expires_at),
        attr("token", from_=lambda token: token.text or None),  # in the answer that makes it
    ],
    relationships=[
        to_one("created_by", "users"),
        to_one("agent_pool", "agent-pools", id_from="pool_id", related="/api/v2/agent-pools/{pool_id}"),
    ],
    links={"self": "/api/v2/authentication-tokens/{id}"},
)


def _status(listener: Listener, rendering: Rendering) -> str:
    return status_of(listener, rendering.now).value


_OF_BOTH = (
    attr("name", writable=True),
    attr("status", from_=_status),
    attr("ip_address"),
    attr("last_ping_at", from_=lambda listener: listener.last_seen_at),
    attr("version", writable=True),
    attr("created_at"),
)
_POOL = to_one("agent_pool", "agent-pools", id_from="pool_id", related="/api/v2/agent-pools/{pool_id}")

AGENT: Final = Resource(type="agents", attributes=[*_OF_BOTH], relationships=[_POOL], links={"self": "/api/v2/agents/{id}"})
"""A listener as go-tfe knows it."""

LISTENER: Final = Resource(
    type="listeners",
    attributes=[
        *_OF_BOTH,
        attr("capacity", writable=True),
        attr("draining"),
        attr("certificate_expires_at"),
        attr("renew_at", from_=lambda listener: listener.certificate_expires_at - LIFE / 2),
        attr("exited_at"),
        attr("revoked_at"),
        # In the answers that bring a new certificate.
        attr("key_id", from_=lambda listener: listener.key_id or ABSENT),
        attr("certificate", from_=lambda listener: listener.certificate or ABSENT),
        attr("certificate_chain", from_=lambda listener: listener.chain or ABSENT),
    ],
    relationships=[_POOL],
    links={"self": "/api/v2/listeners/{id}"},
)
