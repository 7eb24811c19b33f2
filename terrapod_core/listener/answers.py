"""What the server sends, read; unknown members are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec


class Offer(msgspec.Struct, kw_only=True, frozen=True, rename="kebab"):
    """The attributes of a phase that this listener is to carry out."""

    phase: Literal["plan", "apply"]
    phase_id: str
    epoch: int
    url: str
    token: str
    organization: str
    workspace: str
    cpu: str | None = None
    memory: str | None = None
    service_account: str | None = None

    def __repr__(self) -> str:
        return f"Offer({self.phase_id}.{self.epoch})"  # without the token


class Run(msgspec.Struct, kw_only=True, frozen=True):
    """The run that such a phase is of."""

    id: str
    attributes: Offer


class CancelWord(msgspec.Struct, kw_only=True, frozen=True, rename="kebab"):
    """A phase that somebody cancelled."""

    phase_id: str
    epoch: int
    cancel: Literal["none", "interrupt", "force"]


class Told(msgspec.Struct, kw_only=True, frozen=True):
    """What comes along with a phase, or without one."""

    cancels: tuple[CancelWord, ...] = ()
    over: tuple[str, ...] = ()


class Given(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to a long poll."""

    data: Run | None = None
    meta: Told = Told()


class ListenerAttributes(msgspec.Struct, kw_only=True, frozen=True, rename="kebab"):
    """Of a listener, what it is told of itself; the certificate in the answers that bring one."""

    name: str
    certificate_expires_at: datetime
    renew_at: datetime
    key_id: str = ""
    certificate: str = ""
    certificate_chain: str = ""


class ListenerData(msgspec.Struct, kw_only=True, frozen=True):
    """The same, with its id."""

    id: str
    attributes: ListenerAttributes


class ListenerDocument(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to joining, renewing and heartbeats."""

    data: ListenerData


class Error(msgspec.Struct, kw_only=True, frozen=True):
    """One of the errors of a refusal."""

    code: str | None = None
    title: str | None = None
    detail: str | None = None
    meta: Mapping[str, object] = {}


class Refusal(msgspec.Struct, kw_only=True, frozen=True):
    """A document of errors."""

    errors: tuple[Error, ...] = ()
    meta: Mapping[str, object] = {}

    @property
    def first(self) -> Error:
        """The first error, which a refusal that is to be understood by a program has alone."""
        return self.errors[0] if self.errors else Error()

    @property
    def server_time(self) -> datetime | None:
        """The server's clock, where it says that ours is wrong."""
        text = {**self.meta, **self.first.meta}.get("server-time")
        try:
            return datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            return None
