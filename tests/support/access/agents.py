"""Agent pools and listeners."""

from __future__ import annotations

from typing import Final

from tests.support import wire
from tests.support.access.needs import Listening, Platform, Pool, Row, SignedIn

_POOL = wire.document("agent-pools", name="of-{name}")
_POOL_CHANGE = wire.document("agent-pools", service_account_name="runner")
_POOL_TOKEN = wire.document("authentication-tokens", description="text")
_JOIN = wire.document("listeners", name="never-made", csr="none", version="1")

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/organizations/<org>/agent-pools": Row(SignedIn("those they may read")),
    "POST /api/v2/organizations/<org>/agent-pools": Row(Platform(admin=True), _POOL),
    "PATCH /api/v2/agent-pools/<pool_id>": Row(Pool(change=True), _POOL_CHANGE),
    "DELETE /api/v2/agent-pools/<pool_id>": Row(Pool(change=True)),
    "POST /api/v2/agent-pools/<pool_id>/authentication-tokens": Row(Pool(change=True), _POOL_TOKEN),
    "DELETE /api/v2/agents/<listener_id>": Row(Pool(change=True)),
    **{f"POST /api/v2/listeners/<listener_id>/actions/{action}": Row(Pool(change=True)) for action in ("drain", "undrain", "revoke")},
    **{
        f"GET /api/v2/{path}": Row(Pool())
        for path in (
            "agent-pools/<pool_id>",
            "agent-pools/<pool_id>/authentication-tokens",
            "agent-pools/<pool_id>/listeners",
            "agent-pools/<pool_id>/agents",
            "listeners/<listener_id>",
            "agents/<listener_id>",
        )
    },
    "POST /api/v2/agent-pools/<pool_id>/listeners/join": Row(Listening("by a join token of the pool"), _JOIN),
    "POST /api/v2/listeners/<listener_id>/heartbeat": Row(Listening("by its own signature"), {}),
    "POST /api/v2/listeners/<listener_id>/renew": Row(Listening("by its own signature, with an expired certificate too"), {}),
    "GET /api/v2/listeners/<listener_id>/runs/next": Row(Listening("by its own signature")),
    "PATCH /api/v2/listeners/<listener_id>/runs/<run_id>": Row(Listening("by its own signature, about what it was given"), {}),
}

LATER: Final[dict[str, str]] = {
    "DELETE /api/v2/agent-pools/<pool_id>": "has listeners that count",
    "DELETE /api/v2/agents/<listener_id>": "is idle",
}
