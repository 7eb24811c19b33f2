"""Any git repository, over HTTPS or SSH, for Terrapod's workspaces and modules."""

from __future__ import annotations
