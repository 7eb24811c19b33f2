from __future__ import annotations

from tests.support.shelf import shelf

__all__ = ["shelf"]
