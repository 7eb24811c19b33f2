"""What forges tell by webhooks. Nothing of it is believed but which repository it is about: that one is looked at at once.

A webhook that comes twice, late, or never therefore changes nothing but when a change is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.errors import Invalid, NotFound, Unauthorized
from terrapod_core.metrics.definitions import VCS_WEBHOOKS
from terrapod_core.plugin import BadSignature, SupportsWebhooks, Unreadable, VCSEvent
from terrapod_core.vcs import queries
from terrapod_core.vcs.following import look_soon
from terrapod_core.vcs.opening import Forges

LARGEST: Final = 25 << 20
"""Bytes; what GitHub sends at most."""
IN_A_THREAD: Final = 256 << 10
"""A larger one is checked off the event loop."""


class Webhooks:
    """Takes them in, for every provider alike."""

    def __init__(self, db: Database, forges: Forges) -> None:
        self._db = db
        self._forges = forges

    async def heard(self, provider_name: str, connection_id: str | None, headers: Mapping[str, str], body: bytes) -> int:
        """Have the repository that it is about looked at; how many are followed of that name (of several connections there may be some).

        Raises `NotFound` for a provider that has none, `Unauthorized` for a wrong signature and for a connection that is not there,
        `Invalid` for a signed body that cannot be read.
        """
        provider: object = self._forges.providers.get(provider_name)
        if not isinstance(provider, SupportsWebhooks):
            raise NotFound(f"this server takes no webhooks of {provider_name[:64]!r}")
        ids, secret = await self._addressed(provider_name, provider, connection_id)
        try:
            if len(body) > IN_A_THREAD:
                event = await asyncio.to_thread(provider.parse_webhook, headers, body, secret)
            else:
                event = provider.parse_webhook(headers, body, secret)
        except BadSignature as error:
            VCS_WEBHOOKS.labels(provider_name, "refused").inc()
            raise Unauthorized(f"the webhook is not signed with the secret that it should be: {error}", code="bad_signature") from None
        except Unreadable as error:
            VCS_WEBHOOKS.labels(provider_name, "refused").inc()
            raise Invalid(f"the webhook cannot be read: {error}") from None
        if event is None:
            VCS_WEBHOOKS.labels(provider_name, "ignored").inc()
            return 0
        followed = await self._look_at(ids, event)
        VCS_WEBHOOKS.labels(provider_name, "followed" if followed else "unknown").inc()
        return followed

    async def _addressed(self, name: str, provider: SupportsWebhooks, connection_id: str | None) -> tuple[list[str], str]:
        """The connections that it is for, and what must have signed it."""
        if connection_id is None:
            if provider.webhook_secret is None:
                raise NotFound(
                    f"no secret is set for webhooks of {name}: set [vcs.{name}] webhook_secret, or name the connection in the path"
                )
            return list(await self._db.read(lambda session: queries.of_provider(session, name))), provider.webhook_secret
        connection = await self._db.read(lambda session: queries.connection(session, connection_id))
        if connection is None or connection.provider != name:
            raise Unauthorized("the webhook is not signed with the secret of a connection here", code="bad_signature")
        return [connection.id], self._forges.webhook_secret(connection)

    async def _look_at(self, connection_ids: list[str], event: VCSEvent) -> int:
        path = event.repo.path

        def there(session: Session) -> bool:
            return bool(queries.named(session, connection_ids, path, lock=False))

        if not await self._db.read(there):
            return 0
        async with self._db.uow() as uow:
            found = await uow.run(lambda session: queries.named(session, connection_ids, path))
            followed = [each for each in found if each.next_poll_at is not None]
            for each in followed:
                each.heard_at = uow.now()
                look_soon(uow, each)
            await uow.commit()
        return len(followed)
