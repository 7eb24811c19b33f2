"""Agent pools and listeners."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

AGENT_POOLS: Final = Section(
    "Agent pools",
    API,
    TOKEN,
    {
        "GET /organizations/{org}/agent-pools": "Agent pools; `q`, `sort` by `name` or `created-at`.",
        "POST /organizations/{org}/agent-pools": "Make an agent pool.",
        "GET /agent-pools/{pool_id}": "An agent pool; `agent-count` counts listeners that are idle, busy or unknown.",
        "PATCH /agent-pools/{pool_id}": "Change a pool's name, service account or labels.",
        "DELETE /agent-pools/{pool_id}": "Delete a pool; 409 while listeners of it count.",
        "GET /agent-pools/{pool_id}/authentication-tokens": "A pool's join tokens. `authentication-tokens/{id}` shows and revokes one.",
        "POST /agent-pools/{pool_id}/authentication-tokens": "Make a join token: `uses` (1) and `expired-at` (in an hour).",
        "GET /agent-pools/{pool_id}/listeners": "A pool's listeners; `filter[status]`, `filter[last-ping-since]`.",
        "GET /listeners/{listener_id}": "A listener.",
        "POST /listeners/{listener_id}/actions/drain": "Give a listener nothing more.",
        "POST /listeners/{listener_id}/actions/undrain": "Give it runs again.",
        "POST /listeners/{listener_id}/actions/revoke": "Believe a listener's key no more; its name stays taken until it is removed.",
        "GET /agent-pools/{pool_id}/agents": "The listeners as go-tfe knows them; `filter[status]`, `filter[last-ping-since]`.",
        "GET /agents/{listener_id}": "A listener as go-tfe knows it.",
        "DELETE /agents/{listener_id}": "Forget a listener and free its name; 412 while it is heard.",
    },
)

LISTENERS: Final = Section(
    "Listeners",
    API,
    "Called by listeners: the first with a join token, the others signed. [The listener protocol](listener-protocol.md) says how.",
    {
        "POST /agent-pools/{pool_id}/listeners/join": "Join a pool: a name and a signing request, answered with a certificate.",
        "POST /listeners/{listener_id}/heartbeat": "Be heard, and learn how one stands.",
        "POST /listeners/{listener_id}/renew": "A new certificate over the same key; the one that is shown may be expired.",
        "GET /listeners/{listener_id}/runs/next": "Wait for a run, or for news of those one has; a long poll, and a heartbeat.",
        "PATCH /listeners/{listener_id}/runs/{run_id}": "Tell of a run that one was given what its program cannot.",
    },
)
