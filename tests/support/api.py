"""A program that talks to the accounts' routes in process, with a bearer text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import Headers

from tests.support.people import People

HOST = {"Host": "localhost:8080"}


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: Headers
    json: Any

    @property
    def data(self) -> Any:
        """The document's."""
        return self.json["data"]

    @property
    def attributes(self) -> Any:
        """Of the one thing in it."""
        return self.data["attributes"]

    @property
    def pointer(self) -> str | None:
        """What the first error points to."""
        found: str | None = self.json["errors"][0].get("source", {}).get("pointer")
        return found

    @property
    def sentence(self) -> str:
        """Of the first error."""
        return str(self.json["errors"][0]["detail"])


class API:
    """A program that talks to `/api/v2` with a bearer text."""

    def __init__(self, people: People, token: str | None = None) -> None:
        self.client = people.app().test_client()
        self.token = token

    async def __call__(self, method: str, path: str, document: object = None, **headers: str) -> Reply:
        """One request."""
        sent = {**HOST, "Accept": "application/vnd.api+json", **headers}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        more: dict[str, Any] = {"json": document} if document is not None else {}
        response = await self.client.open(f"/api/v2/{path}", method=method, headers=sent, **more)
        raw = await response.get_data(as_text=False)
        return Reply(response.status_code, response.headers, await response.get_json(force=True) if raw else None)
