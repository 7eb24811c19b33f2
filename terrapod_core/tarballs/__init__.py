"""Archives that strangers send: looked through as they pass, never unpacked."""

from __future__ import annotations

from .inspector import RATIO_FROM, ArchiveInspector, ArchiveLimits, Entry

__all__ = ["RATIO_FROM", "ArchiveInspector", "ArchiveLimits", "Entry"]
