"""Names and addresses that not everybody may take: the server's own, and those that deleted service accounts had.

Clouds and roles trust the latter, so only a platform admin gives one away again. With the former entries of the audit log are signed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from terrapod_core.accounts.models import SERVICE_NAMES, User
from terrapod_core.audit import record
from terrapod_core.authz import Actor, reserved
from terrapod_core.authz.emails import email_key
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid

OF_THE_SERVER: Final = frozenset({"system", "terrapod", "anonymous"})


def is_of_the_server(name: str) -> bool:
    """Whether the server goes by this name itself, in whatever case."""
    return email_key(name.strip()) in OF_THE_SERVER


async def reserve(uow: UnitOfWork, account: User) -> None:
    """Keep a service account's name and address from whoever comes next."""
    names = {email_key(account.username), account.email_key}
    # Names that differ in case are reserved as one, which the first of them did already.
    for name in names.difference(await reserved_among(uow, names)):
        reserved.reserve(uow, SERVICE_NAMES, name)
    await uow.flush()


async def claim(uow: UnitOfWork, actor: Actor, names: Sequence[str], *, free: bool, pointer: str) -> None:
    """Raise `Invalid` when one of the names is reserved; with `free` it is given away instead, which the caller has permitted."""
    taken = await reserved_among(uow, names)
    if not taken:
        return
    if not free:
        raise Invalid(
            f"{taken[0]} was the name or address of a service account that is gone, and what trusted it would trust this one; "
            'choose another, or let a platform admin send "force": true',
            pointer=pointer,
        )
    await reserved.release(uow, SERVICE_NAMES, taken)
    record(uow, actor, "reserved-name.free", "reserved-names", SERVICE_NAMES, names=list(taken))


async def reserved_among(uow: UnitOfWork, names: Collection[str]) -> Sequence[str]:
    """Those of the names and addresses that are reserved, as they are compared."""
    keys = {email_key(name) for name in names}
    return await uow.run(lambda session: reserved.reserved_among(session, SERVICE_NAMES, keys))
