"""GitLab projects for Terrapod's workspaces and modules."""

from __future__ import annotations
