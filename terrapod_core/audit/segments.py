"""A new segment of the chain: what was sealed after a backup was made is another history than what is sealed after its restore."""

from __future__ import annotations

from terrapod_core.audit.chain import FORMAT
from terrapod_core.audit.models import AuditSegment
from terrapod_core.audit.sealer import alone, find_head
from terrapod_core.db import UnitOfWork


async def begin_segment(uow: UnitOfWork) -> int | None:
    """Let the next entry that is sealed begin a segment; its number. `None` when nothing was sealed yet: the first one comes by itself.

    Raises `Conflict` for a chain in a newer format.
    """
    await alone(uow, wait=True)
    head = await uow.run(find_head)
    if head is None:
        return None
    segment = AuditSegment(
        segment=head.segment.segment + 1,
        chain_id=head.segment.chain_id,
        format=FORMAT,
        first_seal_no=head.seal_no + 1,
        previous_hash=head.hash,
        started_at=uow.now(),
    )
    uow.add(segment)
    await uow.flush()
    return segment.segment
