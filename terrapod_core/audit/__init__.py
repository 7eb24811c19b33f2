"""The record of who did what: one row for each change, in the change's own transaction, and one for each refusal."""

from __future__ import annotations

from terrapod_core.audit.models import AuditEntry
from terrapod_core.audit.record import REQUEST, RequestInfo, record, refused

__all__ = ["REQUEST", "AuditEntry", "RequestInfo", "record", "refused"]
