"""`/c/<token>`: one route for every signed link; the room that issued it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, Response, request

from terrapod_core.errors import NotFound
from terrapod_core.storage import Capabilities, Capability, Purpose

Answer = Callable[[Capability], Awaitable[Response]]
"""Answers for what a verified link allows."""


class CapabilityRoutes:
    """Which room answers for which purpose."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._answers: dict[Purpose, Answer] = {}

    def on(self, purpose: Purpose, answer: Answer) -> None:
        """Let `answer` serve the links of this purpose."""
        self._answers[purpose] = answer

    def routes(self) -> Blueprint:
        """The blueprint of `/c/<token>`. Nobody is asked who they are: the token is the right."""
        links = Blueprint("capabilities", __name__)

        @links.route("/c/<token>", methods=["GET", "PUT"])
        async def follow(token: str) -> Response:
            capability = self._capabilities.verify(token, request.method)
            answer = self._answers.get(capability.purpose)
            if answer is None:
                raise NotFound("There is nothing at this address.")
            return await answer(capability)

        return links
