from __future__ import annotations

from tests.support.rooms import house, tables_url

__all__ = ["house", "tables_url"]
