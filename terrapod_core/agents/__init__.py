"""Agents: pools, the listeners in them, and how a listener proves with every request who it is."""

from __future__ import annotations

from terrapod_core.agents.identity import ListenerIdentity, SignedRequest
from terrapod_core.agents.listeners import Listeners
from terrapod_core.agents.models import AgentPool, Listener
from terrapod_core.agents.service import Pools
from terrapod_core.agents.status import ListenerStatus
from terrapod_core.agents.tokens import PoolTokens
from terrapod_core.agents.use import check_use

__all__ = ["AgentPool", "Listener", "ListenerIdentity", "ListenerStatus", "Listeners", "PoolTokens", "Pools", "SignedRequest", "check_use"]
