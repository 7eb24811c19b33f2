"""GitHub repositories for Terrapod's workspaces and modules."""

from __future__ import annotations
