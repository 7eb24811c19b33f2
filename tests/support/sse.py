"""A client of streams, as the standard for Server-Sent Events has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.server import Server


@dataclass(frozen=True)
class Told:
    """One event."""

    id: str
    name: str
    data: Any


class Stream:
    """An answer that goes on."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.last_id = ""
        """Of the last event, or of what the server said in between: what a browser sends when it comes back."""
        self._lines = answer.iter_lines()
        self._told = self._events()

    def next(self) -> Told | None:
        """The next event; `None` when the server has ended the stream."""
        return next(self._told, None)

    def hears(self, name: str) -> Told:
        """The next event of this name; others are passed over."""
        for told in self._told:
            if told.name == name:
                return told
        raise AssertionError(f"the stream ended without {name}")

    def begun(self) -> None:
        """Return when everything that happens from now on is heard: the server has said where it begins."""
        while not self.last_id:
            self._line(next(self._lines), {})

    def _events(self) -> Iterator[Told]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line:
                self._line(line, fields)
            elif "data" in fields:
                yield Told(self.last_id, fields.get("event", "message"), json.loads(fields["data"]))
                fields = {}

    def _line(self, line: str, fields: dict[str, str]) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self.last_id = value
        elif name:
            fields[name] = value


@contextmanager
def stream(server: Server, path: str, token: str, *, last_id: str | None = None, **query: str) -> Iterator[Stream]:
    """A stream of `/api/v2/`, on a connection of its own."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    timeout = httpx.Timeout(60)
    with (
        httpx.Client(base_url=f"{server.url}/api/v2/", headers=headers, timeout=timeout, trust_env=False, verify=server.trust) as client,
        client.stream("GET", path, params=query) as answer,
    ):
        yield Stream(answer)
