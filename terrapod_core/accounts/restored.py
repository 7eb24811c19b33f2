"""What of accounts dies with a restore: whatever somebody could still show, although it was ended after the backup was made."""

from __future__ import annotations

from sqlalchemy import delete

from terrapod_core.accounts.models import APIToken, AuthorizationCode, LoginState, SignedIn
from terrapod_core.db import UnitOfWork


async def end_credentials(uow: UnitOfWork, *, keep_tokens: bool) -> None:
    """End sessions, sign-ins that are under way and their codes, and, unless they are kept, API tokens.

    What was used and may not be used again stays noted.
    """
    for table in (SignedIn, LoginState, AuthorizationCode):
        await uow.session.execute(delete(table))
    if not keep_tokens:
        await uow.session.execute(delete(APIToken).where(APIToken.revoked_at.is_(None)))
