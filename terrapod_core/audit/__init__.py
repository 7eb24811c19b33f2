"""The record of who did what: one row for each change, in the change's own transaction, and one for each refusal.

record, refused   write an entry
Refusals          refusals, counted before they fill the record
Sealer            chains what was written, signs where the chain ends
verify            whether the chain is what was sealed
Archiver          moves old entries to the object store
AuditLog          lets admins and auditors read
"""

from __future__ import annotations

from terrapod_core.audit.anchors import AnchorFile, read_anchors
from terrapod_core.audit.archive import Archiver
from terrapod_core.audit.checkpoints import CheckpointKeys
from terrapod_core.audit.filters import Filters
from terrapod_core.audit.log import AuditLog
from terrapod_core.audit.models import AuditArchive, AuditCheckpoint, AuditEntry, AuditSegment
from terrapod_core.audit.record import REQUEST, RequestInfo, record, refused
from terrapod_core.audit.refusals import Refusals
from terrapod_core.audit.sealer import Sealer, waiting
from terrapod_core.audit.verify import Verified, verify
from terrapod_core.audit.walk import Broken, lines_of, walk

__all__ = [
    "REQUEST",
    "AnchorFile",
    "Archiver",
    "AuditArchive",
    "AuditCheckpoint",
    "AuditEntry",
    "AuditLog",
    "AuditSegment",
    "Broken",
    "CheckpointKeys",
    "Filters",
    "Refusals",
    "RequestInfo",
    "Sealer",
    "Verified",
    "lines_of",
    "read_anchors",
    "record",
    "refused",
    "verify",
    "waiting",
    "walk",
]
