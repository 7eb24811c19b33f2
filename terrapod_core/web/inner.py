"""Requests from within the process: a plugin's, in the name of an actor who is known already."""

from __future__ import annotations

from typing import Final

from quart import Request

from terrapod_core.authz import Actor

INNER: Final = "terrapod.actor"
"""Under this key the state of a request's scope holds the actor. Only this process can write there; a client cannot."""


def inner_actor(request: Request) -> Actor | None:
    """The actor of a request from within; `None` for one that came over the network."""
    found: Actor | None = request.scope.get("state", {}).get(INNER)
    return found
